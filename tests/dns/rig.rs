//! Origins that have one port at addresses of their own, a gateway before them, and load that tells who answered.
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{HeaderValue, Request};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tollgate::gateway::Gateway;
use tollgate::model::{ReadOptions, read};
use tollgate::server::{Limits, Listener, Server};
use tollgate::{Body, Next, Response};
use tower::ServiceExt as _;

use super::peers::DEADLINE;
use super::peers::knot::Knot;

/// The time to live of records that tests move, with the second that a change may take on top of it.
pub(crate) const IN_FORCE: Duration = Duration::from_secs(1 + 1);

/// Origins at 127.0.0.2 and up, all with the same port. Each answers with the last number of its address and the id of the
/// request; `/held` waits until the origins are let go.
pub(crate) struct Origins {
    pub(crate) port: u16,
    pub(crate) go: Arc<Semaphore>,
    pub(crate) held: Arc<AtomicU64>,
    _servers: Vec<Server>,
}

impl Origins {
    pub(crate) fn start(count: u8) -> Self {
        let (go, held) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU64::new(0)));
        let serve = |last: u8, port: u16| {
            let (go, held) = (Arc::clone(&go), Arc::clone(&held));
            let answer = Next::from_fn(move |request: Request<Body>| {
                let (go, held) = (Arc::clone(&go), Arc::clone(&held));
                async move {
                    if request.uri().path() == "/held" {
                        held.fetch_add(1, SeqCst);
                        let _permit = go.acquire().await.unwrap();
                    }
                    let mut response = Response::new(Body::from(last.to_string()));
                    response.headers_mut().insert("x-id", request.headers()["x-id"].clone());
                    response
                }
            });
            let server = Server::builder().limits(Limits::default()).serve(move |_| answer.clone());
            let address = server.listen(Listener::new(([127, 0, 0, last], port).into()));
            address.map(|address| (server, address.port()))
        };
        // Somebody else may have the port at one of the addresses.
        for _ in 0..5 {
            let (first, port) = serve(2, 0).unwrap();
            let others: Result<Vec<_>, _> = (3..2 + count).map(|last| serve(last, port)).collect();
            if let Ok(others) = others {
                let others = others.into_iter().map(|(server, _)| server);
                return Self { port, go, held, _servers: [first].into_iter().chain(others).collect() };
            }
        }
        panic!("there is no port that is free at {count} addresses")
    }
}

/// A gateway that asks Knot, with a route `/NAME/*` to each upstream.
pub(crate) fn gateway(knot: &Knot, more: &Value, upstreams: &[(&str, Value)]) -> Gateway {
    let gateway = Gateway::builder().build().unwrap();
    configure(&gateway, knot.address(), more, upstreams);
    gateway
}

pub(crate) fn configure(gateway: &Gateway, server: SocketAddr, more: &Value, upstreams: &[(&str, Value)]) {
    let mut dns = json!({"servers": [server.to_string()], "timeout": 0.5, "hosts_file": false});
    dns.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let routes: Vec<_> = upstreams
        .iter()
        .map(|(name, upstream)| {
            let plugins = json!({"proxy-rewrite": {"regex_uri": [format!("^/{name}/(.*)"), "/$1"]}});
            json!({"id": name, "uri": format!("/{name}/*"), "upstream": upstream, "plugins": plugins})
        })
        .collect();
    let document = json!({"tollgate": {"dns": dns}, "routes": routes});
    let read = read(&document, &ReadOptions::default());
    assert_eq!(read.errors().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    gateway.apply(read.snapshot).unwrap();
}

/// An upstream of one name.
pub(crate) fn of_name(name: &str, port: u16) -> Value {
    json!({"nodes": [{"host": name, "port": port, "weight": 1}]})
}

/// Sends a request; the status, and who answered.
pub(crate) async fn ask(gateway: &Gateway, path: &str, id: u64) -> (u16, String) {
    let request = Request::get(path).header("host", "gw.test").header("x-id", id).body(Body::empty()).unwrap();
    let (head, body) = gateway.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.buffer(1 << 16).await.unwrap();
    if head.status == 200 {
        assert_eq!(head.headers["x-id"], HeaderValue::from(id), "the answer to another request");
    }
    (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

/// Requests without a pause, by several clients.
pub(crate) struct Load {
    log: Arc<Mutex<Vec<Hit>>>,
    stop: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) began: Instant,
    pub(crate) status: u16,
    pub(crate) by: String,
}

impl Load {
    pub(crate) fn on(gateway: &Gateway, path: &'static str) -> Self {
        let (log, stop) = (Arc::<Mutex<Vec<Hit>>>::default(), Arc::<AtomicBool>::default());
        let ids = Arc::new(AtomicU64::new(1));
        let mut clients = JoinSet::new();
        for _ in 0..4 {
            let (gateway, log, stop, ids) = (gateway.clone(), Arc::clone(&log), Arc::clone(&stop), Arc::clone(&ids));
            clients.spawn(async move {
                while !stop.load(SeqCst) {
                    let began = Instant::now();
                    let (status, by) = ask(&gateway, path, ids.fetch_add(1, SeqCst)).await;
                    log.lock().unwrap().push(Hit { began, status, by });
                    // An answer of the gateway itself may have waited for nothing.
                    tokio::task::yield_now().await;
                }
            });
        }
        Self { log, stop, clients }
    }

    /// All requests so far.
    pub(crate) fn hits(&self) -> Vec<Hit> {
        self.log.lock().unwrap().clone()
    }

    /// Waits until requests say so.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut(&[Hit]) -> bool) {
        let wait = async {
            while !holds(&self.log.lock().unwrap()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
    }

    /// Waits until requests have gone on for so long after `since`.
    pub(crate) async fn goes_on(&self, since: Instant, time: Duration) {
        self.until("the load goes on", |hits| hits.last().is_some_and(|hit| hit.began >= since + time)).await;
    }

    /// Ends it; all requests, none of which failed.
    pub(crate) async fn end(mut self) -> Vec<Hit> {
        self.stop.store(true, SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        let hits = self.hits();
        let failed: Vec<_> = hits.iter().filter(|hit| hit.status != 200).collect();
        assert!(failed.is_empty(), "{} of {} failed, first {:?}", failed.len(), hits.len(), failed[0]);
        hits
    }
}

/// When somebody was used for the first and for the last time, after `since`.
pub(crate) fn used(hits: &[Hit], by: &str, since: Instant) -> Option<(Duration, Duration)> {
    let mut times: Vec<_> = hits.iter().filter(|hit| hit.by == by).map(|hit| hit.began).collect();
    times.sort();
    let after = |time: &Instant| time.saturating_duration_since(since);
    Some((times.iter().find(|time| **time >= since).map(after)?, times.last().map(after)?))
}
