//! A gateway with one upstream as a file has it, and nginx behind: endpoints that tell their names, that can be unwell,
//! and that can be held back.
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tollgate::config::FileSource;
use tollgate::gateway::Gateway;
use tollgate::upstream::UpstreamStatus;
use tollgate::{Body, Response};
use tower::ServiceExt as _;

use super::peers::nginx::Nginx;

/// Long enough for every condition that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Probes each second, of which one decides.
pub(crate) const ACTIVE: &str = "    checks:
      active:
        http_path: /healthz
        healthy: {interval: 1, successes: 1}
        unhealthy: {interval: 1, http_failures: 1, tcp_failures: 1}
";

/// Waits until `condition` holds, while others work.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let held = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, held).await.unwrap_or_else(|_| panic!("waited for {what}"));
}

/// What an endpoint does: it tells its name, and is well as long as it has the file `healthz`.
pub(crate) fn naming(name: &str, status: u16) -> String {
    format!("location / {{ return {status} {name}; }}\nlocation = /healthz {{ alias @DIR@/healthz; }}\n")
}

/// An nginx that does so, and is well.
pub(crate) fn endpoint(name: &str, status: u16) -> Nginx {
    let nginx = Nginx::start(&naming(name, status));
    be_well(&nginx, true);
    nginx
}

pub(crate) fn be_well(nginx: &Nginx, well: bool) {
    let file = nginx.folder().join("healthz");
    if well { fs::write(file, "well").unwrap() } else { fs::remove_file(file).unwrap() }
}

/// A node of a file; as a list they keep their order.
pub(crate) fn node(port: u16, priority: i32) -> String {
    format!("{{host: 127.0.0.1, port: {port}, weight: 1, priority: {priority}}}")
}

fn list(nodes: &[&Nginx]) -> String {
    let nodes: Vec<_> = nodes.iter().map(|nginx| node(nginx.address().port(), 0)).collect();
    format!("[{}]", nodes.join(", "))
}

/// A gateway, and the file that it serves.
pub(crate) struct Rig {
    folder: TempDir,
    gateway: Gateway,
}

impl Rig {
    /// A gateway with an upstream of these nodes and of these lines more.
    pub(crate) fn new(nodes: &[&Nginx], lines: &str) -> Self {
        Self::of(&list(nodes), lines)
    }

    /// As [`new`](Self::new), with the nodes as they stand in the file.
    pub(crate) fn of(nodes: &str, lines: &str) -> Self {
        let rig = Self { folder: tempfile::tempdir().unwrap(), gateway: Gateway::builder().build().unwrap() };
        rig.write(nodes, lines);
        rig
    }

    pub(crate) fn apply(&self, nodes: &[&Nginx], lines: &str) {
        self.write(&list(nodes), lines);
    }

    fn write(&self, nodes: &str, lines: &str) {
        let text = format!(
            "upstreams:\n  - id: u\n    nodes: {nodes}\n{lines}routes:\n  - {{id: r, uri: /*, upstream_id: u}}\n"
        );
        let file = self.folder.path().join("tollgate.yaml");
        fs::write(&file, text).unwrap();
        let loaded = FileSource::new(file).load().unwrap();
        assert!(loaded.findings.iter().all(|finding| !finding.is_error()), "{:?}", loaded.findings);
        self.gateway.apply(loaded.snapshot).unwrap();
    }

    /// What is seen of the upstream from outside.
    pub(crate) fn status(&self) -> UpstreamStatus {
        self.gateway.status().upstreams().into_iter().next().unwrap()
    }

    /// Which endpoints are used, in the order of the file.
    pub(crate) fn in_use(&self) -> Vec<bool> {
        self.status().endpoints.iter().map(|endpoint| endpoint.in_use).collect()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response {
        self.gateway.clone().oneshot(request).await.unwrap()
    }

    /// Status and body of the answer to a GET with these fields.
    pub(crate) async fn get(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        read(self.send(get(path, fields)).await).await
    }

    /// As [`get`](Self::get), by a task of its own.
    pub(crate) fn begin(&self, path: &str) -> JoinHandle<(u16, String)> {
        let (gateway, request) = (self.gateway.clone(), get(path, &[]));
        tokio::spawn(async move { read(gateway.oneshot(request).await.unwrap()).await })
    }

    /// Who answered so many requests.
    pub(crate) async fn answers(&self, count: usize) -> BTreeMap<(u16, String), usize> {
        let mut answers = BTreeMap::new();
        for _ in 0..count {
            *answers.entry(self.get("/", &[]).await).or_default() += 1;
        }
        answers
    }

    /// Waits until twelve requests are answered by just these, in equal shares.
    pub(crate) async fn settles(&self, names: &[&str]) {
        let (wanted, mut last) = (shares(names, 12 / names.len()), BTreeMap::new());
        let settled = async {
            while last != wanted {
                last = self.answers(12).await;
            }
        };
        let settled = tokio::time::timeout(PATIENCE, settled).await.is_ok();
        assert!(settled, "it does not settle: {last:?}, {:?}", self.status().endpoints);
    }
}

/// So many answers by each of these.
pub(crate) fn shares(names: &[&str], each: usize) -> BTreeMap<(u16, String), usize> {
    names.iter().map(|name| ((200, (*name).to_owned()), each)).collect()
}

pub(crate) fn get(path: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let request = Request::builder().uri(path).header("host", "a.test");
    let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Body::empty()).unwrap()
}

/// Status and whole body.
pub(crate) async fn read(response: Response) -> (u16, String) {
    let (head, body) = response.into_parts();
    (head.status.as_u16(), String::from_utf8(body.buffer(1 << 20).await.unwrap().to_vec()).unwrap())
}

/// Where requests for `/held` of an nginx wait until the test lets them go.
pub(crate) struct Desk {
    address: SocketAddr,
    seen: watch::Receiver<Seen>,
    passes: Arc<Semaphore>,
    task: JoinHandle<()>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    /// The endpoints by which requests came, in their order.
    came: Vec<String>,
    waiting: usize,
    /// The most that ever waited at a time.
    most: usize,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Desk {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, seen) = watch::channel(Seen::default());
        let (tell, passes) = (Arc::new(tell), Arc::new(Semaphore::new(0)));
        let own = Arc::clone(&passes);
        let task = tokio::spawn(async move {
            // They end with the desk.
            let mut visits = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                visits.spawn(visit(stream, Arc::clone(&tell), Arc::clone(&own)));
            }
        });
        Self { address, seen, passes, task }
    }

    /// What an endpoint does whose requests for `/held` wait here.
    pub(crate) fn naming(&self, name: &str) -> String {
        format!("{}location = /held {{ proxy_pass http://{}/{name}; }}\n", naming(name, 200), self.address)
    }

    /// An nginx that does so.
    pub(crate) fn endpoint(&self, name: &str) -> Nginx {
        Nginx::start(&self.naming(name))
    }

    /// Waits until so many are waiting.
    pub(crate) async fn holds(&self, count: usize) {
        let mut seen = self.seen.clone();
        let held = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| seen.waiting == count)).await;
        assert!(held.is_ok(), "waited for {count} requests at the desk; there were {:?}", self.seen.borrow());
    }

    /// By whom requests came.
    pub(crate) fn came(&self) -> Vec<String> {
        self.seen.borrow().came.clone()
    }

    /// The most that ever waited at a time.
    pub(crate) fn most(&self) -> usize {
        self.seen.borrow().most
    }

    /// Lets so many go, now or when they come.
    pub(crate) fn let_go(&self, count: usize) {
        self.passes.add_permits(count);
    }
}

async fn visit(mut stream: TcpStream, tell: Arc<watch::Sender<Seen>>, passes: Arc<Semaphore>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read_buf(&mut head).await, Ok(1..)) {
            return;
        }
    }
    let name = String::from_utf8(head).unwrap().split([' ', '/']).nth(2).unwrap().to_owned();
    tell.send_modify(|seen| {
        seen.came.push(name.clone());
        seen.waiting += 1;
        seen.most = seen.most.max(seen.waiting);
    });
    let mut rest = [0];
    let goes = tokio::select! {
        pass = passes.acquire() => {
            pass.unwrap().forget();
            true
        }
        // nginx goes away when its client does.
        _ = stream.read(&mut rest) => false,
    };
    tell.send_modify(|seen| seen.waiting -= 1);
    if goes {
        let _ = stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{name}").as_bytes()).await;
    }
}
