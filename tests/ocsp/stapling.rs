//! What handshakes show, whatever the responder does.
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tollgate::ocsp::{Clock, StapleStatus, Stapler};
use tollgate::server::{Listener, Server};
use tollgate::tls::{Certificate, Certificates, ServerTls};
use tollgate::{ConnectInfo, Request, Response};
use tower::service_fn;

use super::authority::{Authority, Signer};
use super::peers::within;

/// A listener whose certificates are stapled.
struct Rig {
    stapler: Stapler,
    clock: Clock,
    address: SocketAddr,
    certificates: Certificates,
    run: JoinHandle<()>,
    _server: Server,
}

impl Rig {
    fn new(authority: &Authority) -> Self {
        let certificates = Certificates::new();
        let certificate = Certificate::builder("shop").name("shop.test").pair(authority.pair()).build().unwrap();
        certificates.put(certificate);
        let clock = Clock::manual(SystemTime::now());
        let stapler = Stapler::new().unwrap().with_clock(clock.clone()).with_look_every(Duration::from_millis(50));
        let server =
            Server::builder().serve(|_: ConnectInfo| service_fn(|_: Request| async { Ok(Response::default()) }));
        let tls = ServerTls::new(certificates.clone());
        let address = server.listen(Listener::new(([127, 0, 0, 1], 0).into()).with_tls(tls)).unwrap();
        let run = tokio::spawn({
            let (stapler, certificates) = (stapler.clone(), certificates.clone());
            async move { stapler.run(certificates).await }
        });
        Self { stapler, clock, address, certificates, run, _server: server }
    }

    /// Waits until the status is so.
    async fn until(&self, what: &str, is_so: impl Fn(&StapleStatus) -> bool) -> StapleStatus {
        within(|| format!("{what}: {:?}", self.stapler.status()), async {
            loop {
                if let Some(status) = self.stapler.status().into_iter().find(&is_so) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// What openssl's client says of the answer in a handshake.
    async fn seen(&self, authority: &Authority) -> String {
        let (address, root) = (self.address.to_string(), authority.path("ca.pem"));
        let client = tokio::task::spawn_blocking(move || {
            let mut command = Command::new("openssl");
            command.args(["s_client", "-connect", &address, "-servername", "shop.test", "-status", "-CAfile"]);
            let output = command.arg(root).stdin(Stdio::null()).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        });
        client.await.unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.run.abort();
    }
}

const SHOWN: &str = "OCSP Response Status: successful (0x0)";
const NOT_SHOWN: &str = "OCSP response: no response sent";
const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_shown_kept_while_it_holds_and_dropped_when_it_is_over() {
    for signer in [Signer::Issuer, Signer::Delegate] {
        let mut authority = Authority::new(false);
        authority.answer(signer).await;
        let rig = Rig::new(&authority);
        let first = rig.until("stapled", |pair| pair.until.is_some()).await;
        let seen = rig.seen(&authority).await;
        assert!(seen.contains(SHOWN) && seen.contains("Cert Status: good"), "{seen}");
        assert!(seen.contains("Verify return code: 0 (ok)"), "{seen}");
        assert!(first.due < first.until && first.error.is_none());
        // The same certificate in another configuration.
        rig.certificates.put(
            Certificate::builder("shop").name("shop.test").name("more.test").pair(authority.pair()).build().unwrap(),
        );
        within(|| "the staple of the replaced one".to_owned(), async {
            while rig.certificates.get("shop").unwrap().pairs()[0].staple().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        authority.stop();
        rig.clock.advance(15 * HOUR);
        rig.until("failing", |pair| pair.error.as_ref().is_some_and(|error| error.contains("refused"))).await;
        assert!(rig.seen(&authority).await.contains(SHOWN), "it still holds");
        rig.clock.advance(10 * HOUR);
        rig.until("over", |pair| pair.until.is_none()).await;
        let seen = rig.seen(&authority).await;
        assert!(seen.contains(NOT_SHOWN) && seen.contains("Verify return code: 0 (ok)"), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_say_no_or_are_not_the_issuers_are_not_shown() {
    for (status, signer, reason) in [
        ("R", Signer::Issuer, "revoked"),
        ("V", Signer::Stranger, "not signed by the issuer"),
        ("V", Signer::Other, "not signed by the issuer"),
    ] {
        let mut authority = Authority::new(true);
        authority.says(status);
        authority.answer(signer).await;
        let rig = Rig::new(&authority);
        let failing = rig.until("refused", |pair| pair.error.is_some()).await;
        assert!(failing.error.as_ref().unwrap().contains(reason), "{failing:?}");
        assert!(failing.must_staple && failing.until.is_none());
        assert!(rig.seen(&authority).await.contains(NOT_SHOWN));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_ssrf_03_responders_that_are_huge_silent_or_lead_elsewhere_harm_nothing() {
    let huge = format!("HTTP/1.1 200 OK\r\ncontent-length: 70000\r\n\r\n{}", "x".repeat(70_000));
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
        elsewhere.local_addr().unwrap()
    );
    for (answer, reason) in [
        (huge.as_str(), "more than 65536 bytes"),
        (redirect.as_str(), "302"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", "does not parse"),
        ("", "within 5 s"),
    ] {
        let authority = Authority::new(false);
        let listener = TcpListener::bind(("127.0.0.1", authority.port())).unwrap();
        let answer = answer.to_owned();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept() {
                let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
                open.push(stream);
            }
        });
        let rig = Rig::new(&authority);
        assert!(rig.seen(&authority).await.contains(NOT_SHOWN), "handshakes wait for nobody");
        let failing = rig.until("refused", |pair| pair.error.is_some()).await;
        assert!(failing.error.as_ref().unwrap().contains(reason), "{failing:?}");
    }
    elsewhere.set_nonblocking(true).unwrap();
    assert!(elsewhere.accept().is_err(), "nobody came");
}
