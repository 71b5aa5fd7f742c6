//! A gateway's part in this: a table of certificates, an issuer, and what the authority asks back.
use std::net::TcpListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Response;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tollgate::acme::{Challenge, Clock, Issuer, IssuerBuilder, ItemStatus, State};
use tollgate::server::{Listener, Server};
use tollgate::tls::{Certificate, Certificates, ServerTls};
use tollgate::{Body, ConnectInfo, Request};
use tower::{Layer as _, service_fn};

use super::pebble::{Pebble, Ways};
use super::peers::within;

/// A folder and an authority that asks back where the first gateway listens.
pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    pub(crate) pebble: Pebble,
    pub(crate) clock: Clock,
    pub(crate) ports: (u16, u16),
}

/// One process's part.
pub(crate) struct Part {
    pub(crate) issuer: Issuer,
    pub(crate) certificates: Certificates,
    run: Option<JoinHandle<()>>,
    server: Option<(Server, u16)>,
}

/// Two ports that nobody has.
fn ports() -> (u16, u16) {
    let open = || StdListener::bind("127.0.0.1:0").unwrap();
    let (one, other) = (open(), open());
    (one.local_addr().unwrap().port(), other.local_addr().unwrap().port())
}

impl Rig {
    pub(crate) async fn new(ways: Ways) -> Self {
        let ports = ports();
        let pebble = Pebble::start(ports, ways).await;
        Self { folder: tempfile::tempdir().unwrap(), pebble, clock: Clock::manual(SystemTime::now()), ports }
    }

    pub(crate) fn builder(&self, challenge: Challenge) -> IssuerBuilder {
        Issuer::builder(self.pebble.directory())
            .ca(self.pebble.root())
            .contact("mailto:ops@shop.test")
            .terms_agreed(true)
            .folder(self.folder.path())
            .challenges([challenge])
            .look_every(Duration::from_millis(50))
            .clock(self.clock.clone())
    }

    /// One that answers by HTTP, where the authority asks.
    pub(crate) fn part(&self) -> Part {
        let issuer = self.builder(Challenge::Http01).build().unwrap();
        let server = self.answer_http(&issuer);
        Part::new(issuer, Some(server))
    }

    /// Answers where the authority asks by HTTP.
    pub(crate) fn answer_http(&self, issuer: &Issuer) -> (Server, u16) {
        let layer = issuer.layer();
        let server = Server::builder().serve(move |_: ConnectInfo| {
            layer.layer(service_fn(|_: Request| async { Ok(Response::new(Body::from("behind".to_owned()))) }))
        });
        server.listen(Listener::new(([127, 0, 0, 1], self.ports.0).into())).unwrap();
        (server, self.ports.0)
    }

    /// All files below a shelf of the folder.
    pub(crate) fn files(&self, shelf: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.shelf(shelf)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A part of the folder.
    pub(crate) fn shelf(&self, shelf: &str) -> PathBuf {
        std::fs::read_dir(self.folder.path()).unwrap().next().unwrap().unwrap().path().join(shelf)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Answers where the authority asks by TLS.
pub(crate) fn answer_tls(certificates: &Certificates, port: u16) -> Server {
    let server =
        Server::builder().serve(|_: ConnectInfo| service_fn(|_: Request| async { Ok(tollgate::Response::default()) }));
    let tls = ServerTls::new(certificates.clone());
    server.listen(Listener::new(([127, 0, 0, 1], port).into()).with_tls(tls)).unwrap();
    server
}

/// A certificate that is to be issued.
pub(crate) fn wanted(id: &str, names: &[&str]) -> Arc<Certificate> {
    names.iter().fold(Certificate::builder(id), |builder, name| builder.name(*name)).issued().build().unwrap()
}

impl Part {
    pub(crate) fn new(issuer: Issuer, server: Option<(Server, u16)>) -> Self {
        Self { issuer, certificates: Certificates::new(), run: None, server }
    }

    /// Begins to see to the certificates.
    pub(crate) fn run(&mut self) {
        let (issuer, certificates) = (self.issuer.clone(), self.certificates.clone());
        self.run = Some(tokio::spawn(async move { issuer.run(certificates).await }));
    }

    pub(crate) fn item(&self, id: &str) -> Option<ItemStatus> {
        self.issuer.status().items.into_iter().find(|item| item.id == id)
    }

    /// Waits until the status of a certificate is so.
    pub(crate) async fn until(&self, id: &str, what: &str, is_so: impl Fn(&ItemStatus) -> bool) -> ItemStatus {
        within(|| format!("{id} to be {what}: {:?}", self.item(id)), async {
            loop {
                if let Some(item) = self.item(id).filter(&is_so) {
                    return item;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    pub(crate) async fn until_valid(&self, id: &str) -> ItemStatus {
        self.until(id, "valid", |item| item.state == State::Valid).await
    }

    /// The certificate that is shown for a name.
    pub(crate) fn shown(&self, name: &str) -> Option<Vec<u8>> {
        let pairs = self.certificates.find(name)?.pairs();
        Some(pairs.first()?.chain().first()?.to_vec())
    }

    /// Ends it as a process ends: nothing is left of it but its files.
    pub(crate) async fn end(mut self) {
        if let Some(run) = self.run.take() {
            run.abort();
            let _ = run.await;
        }
        if let Some((server, port)) = self.server.take() {
            drop(server);
            // Its socket is closed by a task.
            within(|| format!("port {port} to be free"), async {
                while StdListener::bind(("127.0.0.1", port)).is_err() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(run) = &self.run {
            run.abort();
        }
    }
}
