//! Origins that die and come back under load: nobody notices, and nothing storms. The figures are printed.
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tollgate::Body;
use tollgate::upstream::health::{ActiveConfig, HealthConfig, HttpProbe, PassiveConfig, ProbeKind, Thresholds};
use tollgate::upstream::{AdmissionConfig, UpstreamConfig};

use crate::support::*;

/// What the probes ask for.
const UP: &str = "GET /up ";

/// An origin that can be killed with all of its connections, and started again at the same address.
struct Site {
    address: SocketAddr,
    tally: Arc<Tally>,
    /// Dropped, it ends with every connection.
    tasks: Option<JoinSet<()>>,
}

#[derive(Default)]
struct Tally {
    served: AtomicUsize,
    probes: AtomicUsize,
    /// Connections, but for those of probes: also those over which nothing came.
    connections: AtomicUsize,
}

impl Site {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut site = Self { address: listener.local_addr().unwrap(), tally: Arc::default(), tasks: None };
        site.run(listener);
        site
    }

    fn run(&mut self, listener: TcpListener) {
        let tally = Arc::clone(&self.tally);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, Arc::clone(&tally)));
                while connections.try_join_next().is_some() {}
            }
        });
        self.tasks = Some(tasks);
    }

    async fn kill(&mut self) {
        if let Some(mut tasks) = self.tasks.take() {
            tasks.shutdown().await;
        }
    }

    async fn restart(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.run(listener);
    }

    fn served(&self) -> usize {
        self.tally.served.load(SeqCst)
    }
}

/// Answers each request with its id.
async fn serve(mut stream: TcpStream, tally: Arc<Tally>) {
    stream.set_nodelay(true).unwrap();
    tally.connections.fetch_add(1, SeqCst);
    let mut buffer = Vec::new();
    loop {
        let Ok(1..) = stream.read_buf(&mut buffer).await else { return };
        while let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(buffer.drain(..end + 4).collect()).unwrap();
            // Each probe has a connection of its own, which carries nothing else.
            if head.starts_with(UP) {
                tally.connections.fetch_sub(1, SeqCst);
                tally.probes.fetch_add(1, SeqCst);
            } else {
                tally.served.fetch_add(1, SeqCst);
            }
            let id = field(&head, "x-id").unwrap_or_default().to_owned();
            if stream.write_all(ok(&id).as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// Probes each second, of which one decides; and requests that count.
fn watched(sites: &[Site]) -> UpstreamConfig {
    let addresses: Vec<_> = sites.iter().map(|site| site.address).collect();
    let mut config = config(&addresses);
    let active = ActiveConfig {
        probe: ProbeKind::Http(HttpProbe { path: "/up".into(), ..HttpProbe::default() }),
        thresholds: Thresholds { successes: 1, ..ActiveConfig::default().thresholds },
        ..ActiveConfig::default()
    };
    config.health = Some(HealthConfig::new().with_active(active).with_passive(PassiveConfig::default()));
    config.admission = AdmissionConfig { max_requests: 4096, ..AdmissionConfig::default() };
    config
}

/// How the requests of a load ended.
#[derive(Debug, Default)]
struct Load {
    sent: usize,
    failed: Vec<String>,
}

/// Sends `rate` requests a second while `during` runs.
async fn under_load<T>(client: &Arc<Client>, rate: u32, during: impl Future<Output = T>) -> (T, Load) {
    let mut during = std::pin::pin!(during);
    let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut load, mut requests) = (Load::default(), JoinSet::new());
    let done = loop {
        tokio::select! {
            biased;
            done = &mut during => break done,
            _ = tick.tick() => {
                let (client, id) = (Arc::clone(client), load.sent);
                load.sent += 1;
                requests.spawn(async move { ask(&client, id).await });
            }
        }
        while let Some(ended) = requests.try_join_next() {
            load.failed.extend(ended.unwrap().err());
        }
    };
    while let Some(ended) = requests.join_next().await {
        load.failed.extend(ended.unwrap().err());
    }
    (done, load)
}

async fn ask(client: &Client, id: usize) -> Result<(), String> {
    let mut request = request("GET", "/", Body::empty());
    request.headers_mut().insert("x-id", id.into());
    let response = client.send(request).await.map_err(|error| error.reason().to_owned())?;
    let body = text(response).await.map_err(|error| error.to_string())?;
    if body == id.to_string() { Ok(()) } else { Err(format!("request {id} was answered {body}")) }
}

/// Lets some of the load pass.
async fn some(sites: &[Site], requests: usize) {
    let total = || sites.iter().map(Site::served).sum::<usize>();
    let end = total() + requests;
    patiently(|| total() >= end).await;
}

/// Waits for something that takes its time, without taking the processor from those that work on it.
async fn patiently(condition: impl Fn() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    // Whoever tests this much at once may have little of the processor.
    tokio::time::timeout(3 * PATIENCE, async {
        while !condition() {
            tick.tick().await;
        }
    })
    .await
    .expect("the condition to come true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_is_killed_under_load_is_not_missed() {
    let mut sites = [Site::start().await, Site::start().await, Site::start().await];
    let client = Arc::new(Client::new(watched(&sites)));
    client.upstreams.keep_up();
    let plot = async {
        some(&sites, 2_000).await;
        sites[1].kill().await;
        some(&sites, 3_000).await;
        let (before, probes) = (sites[1].served(), sites[1].tally.probes.load(SeqCst));
        let restarted = Instant::now();
        sites[1].restart().await;
        patiently(|| sites[1].served() > before).await;
        let back = (restarted.elapsed(), sites[1].tally.probes.load(SeqCst) - probes);
        let (own, all) = (sites[1].served(), sites.iter().map(Site::served).sum::<usize>());
        some(&sites, 1_500).await;
        let all = sites.iter().map(Site::served).sum::<usize>() - all;
        (back, (sites[1].served() - own) as f64 / all as f64)
    };
    let (((back, probes), share), load) = under_load(&client, 1_000, plot).await;
    println!(
        "figure: one of three origins killed and restarted under 1,000 requests/s: {} of {} requests failed; its share is back \
         after {} ms ({:.1} %)",
        load.failed.len(),
        load.sent,
        back.as_millis(),
        share * 100.0
    );
    assert!(load.failed.is_empty(), "{:?}", load.failed);
    // The first probe is enough, whenever a busy machine sends it; another one may come until requests do.
    assert!((1..=2).contains(&probes), "{probes} probes, {back:?}");
    assert!((0.30..0.37).contains(&share), "{share}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_were_dead_the_first_to_live_is_found_without_a_storm() {
    const IN_FLIGHT: usize = 50;
    let mut sites = [Site::start().await, Site::start().await, Site::start().await];
    let client = Arc::new(Client::new(watched(&sites)));
    client.upstreams.keep_up();
    // So many clients that ask again as soon as they have an answer, or a moment after they got none.
    let succeeded = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for id in 0..IN_FLIGHT {
        let (client, succeeded) = (Arc::clone(&client), Arc::clone(&succeeded));
        clients.spawn(async move {
            loop {
                match ask(&client, id).await {
                    Ok(()) => drop(succeeded.fetch_add(1, SeqCst)),
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
    }
    patiently(|| succeeded.load(SeqCst) > 1_000).await;
    for site in &mut sites {
        site.kill().await;
    }
    let died = Instant::now();
    patiently(|| died.elapsed() > Duration::from_secs(5)).await;
    let opened = |sites: &[Site]| sites.iter().map(|site| site.tally.connections.load(SeqCst)).sum::<usize>();
    let (before, connections) = (succeeded.load(SeqCst), opened(&sites));
    let restarted = Instant::now();
    for site in &mut sites {
        site.restart().await;
    }
    patiently(|| succeeded.load(SeqCst) > before).await;
    let first = restarted.elapsed();
    patiently(|| succeeded.load(SeqCst) > before + 20 * IN_FLIGHT).await;
    let opened = opened(&sites) - connections;
    clients.shutdown().await;
    println!(
        "figure: all origins dead for 5 s: first success {} ms after they are back; {opened} connections opened for {IN_FLIGHT} \
         requests in flight",
        first.as_millis()
    );
    assert!(first < Duration::from_secs(1), "{first:?}");
    assert!(opened <= 2 * IN_FLIGHT, "{opened}");
}
