//! What it costs: a full read of 100,000 routes, a change, and a storm of compactions. Each prints its figures.
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tollgate::store::{EtcdStore, Mirror, MirrorOptions, News, Store};

use super::behaviour::{commit, put};
use super::follower::{Follower, within};
use super::proxy::{Proxy, Way};
use super::server::{Etcd, V34, V35, settings};

/// Processor time of this thread.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// Runs a client in a thread of its own, with everything that it needs, and tells how much of a core it took.
async fn alone<T: Send + 'static>(client: impl Future<Output = T> + Send + 'static) -> (T, f64) {
    let thread = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (begun, before) = (Instant::now(), spent());
        let told = runtime.block_on(client);
        (told, (spent() - before).as_secs_f64() / begun.elapsed().as_secs_f64())
    };
    tokio::task::spawn_blocking(move || std::thread::spawn(thread).join().unwrap()).await.unwrap()
}

fn route(at: u32) -> String {
    format!(
        r#"{{"id":"{at}","uri":"/service/{at}/*","hosts":["h{}.test"],"methods":["GET","POST"],"upstream_id":"1","plugins":{{"proxy-rewrite":{{"uri":"/{at}"}}}},"labels":{{"team":"t{}"}},"create_time":1700000000,"update_time":1700000000}}"#,
        at % 100,
        at % 10
    )
}

/// So many routes and their upstream, in transactions of 128.
async fn fill(etcd: &Etcd, routes: u32) {
    let store: Arc<dyn Store> = Arc::new(etcd.store());
    commit(&store, [put("upstreams/1", r#"{"id":"1","type":"roundrobin","nodes":{"127.0.0.1:1":1}}"#)]).await;
    for first in (0..routes).step_by(128) {
        commit(&store, (first..routes.min(first + 128)).map(|at| put(&format!("routes/{at}"), route(at)))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_routes_are_read_at_once() {
    let etcd = Etcd::start(V34);
    fill(&etcd, 100_000).await;
    let store = etcd.store();
    let begun = Instant::now();
    let loaded = store.load().await.unwrap();
    let took = begun.elapsed();
    assert_eq!(loaded.entries.len(), 100_001);
    let bytes = store.stats().bytes_in;
    drop(loaded);
    let mirrored = Arc::new(etcd.store());
    let begun = Instant::now();
    let mirror = Mirror::start(mirrored.clone(), MirrorOptions::default());
    mirror.reached(1).await;
    let in_all = begun.elapsed();
    assert_eq!(mirror.status().entries, 100_001);
    println!("figure: etcd: 100,000 routes: read in {took:.2?} ({} MiB), read and parsed in {in_all:.2?}", bytes >> 20);
    // The limit is 5 s; this may be a debug build beside other tests.
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!((mirrored.stats().full_reads, etcd.connections()), (1, 2), "of two stores");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_costs_little_more_than_itself() {
    const CHANGES: u32 = 1000;
    let etcd = Etcd::start(V34);
    let store = etcd.store();
    let mut follower = Follower::new(&store).await;
    etcd.put("routes/0", "{}");
    follower.until("the first change", |follower| follower.value("routes/0").is_some()).await;
    let writer: Arc<dyn Store> = Arc::new(etcd.store());
    let (before, mut size) = (store.stats(), 0);
    let mut last = 0;
    for at in 0..CHANGES {
        size += route(at).len();
        last = commit(&writer, [put("routes/1", route(at))]).await;
    }
    follower.until("the last change", |follower| follower.revision == last).await;
    let after = store.stats();
    let each = |bytes: u64| bytes / u64::from(CHANGES);
    let (incoming, outgoing) = (each(after.bytes_in - before.bytes_in), each(after.bytes_out - before.bytes_out));
    let size = size as u64 / u64::from(CHANGES);
    println!(
        "figure: etcd: a change of {size} bytes: {incoming} bytes in, {outgoing} out; one connection: {}",
        after.open
    );
    assert!(incoming < size + 200 && outgoing < 100, "{incoming} in, {outgoing} out");
    assert_eq!((after.opened, after.watches, etcd.connections()), (1, 1, 2));
}

/// Writes pairs until told to stop, and has what is older than the last forgotten every 100 ms.
async fn storm(etcd: &Etcd, length: Duration) -> (u64, u64, u32) {
    let (stop, last) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let store: Arc<dyn Store> = Arc::new(etcd.store());
    let writer = {
        let (stop, last) = (stop.clone(), last.clone());
        tokio::spawn(async move {
            let mut count = 0;
            while !stop.load(SeqCst) {
                let text = format!("{count}");
                let edits = [put("services/a", text.clone()), put("services/b", text)];
                last.store(commit(&store, edits).await, SeqCst);
                count += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            count
        })
    };
    let (begun, mut every) = (Instant::now(), tokio::time::interval(Duration::from_millis(100)));
    let mut compactions = 0;
    while begun.elapsed() < length {
        every.tick().await;
        let revision = last.load(SeqCst);
        if revision > 0 {
            compactions += u32::from(etcd.try_ctl(["compact", &revision.to_string()]).status.success());
        }
    }
    stop.store(true, SeqCst);
    let count = writer.await.unwrap();
    (last.load(SeqCst), count, compactions)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_storm_of_compactions_loses_nothing_and_costs_little() {
    let etcd = Etcd::start(V35);
    fill(&etcd, 1000).await;
    let store = etcd.store();
    let from = store.load().await.unwrap().revision + 1;
    let end = Arc::new(AtomicU64::new(u64::MAX));
    let until = end.clone();
    // A client of its own runtime: nothing of it runs elsewhere.
    let own = etcd.store();
    let follow = tokio::spawn(alone(async move {
        let mut watch = own.watch(from);
        let mut told = 0_u64;
        loop {
            let news = tokio::time::timeout(Duration::from_millis(500), poll_fn(|cx| watch.as_mut().poll_next(cx)));
            match news.await {
                Ok(Some(Ok(News::Batch(batch)))) => {
                    assert_eq!(batch.events.len(), 2);
                    told += 1;
                    if batch.revision >= until.load(SeqCst) {
                        return told;
                    }
                }
                Ok(Some(Ok(News::Progress(_)))) => {}
                Err(_) if until.load(SeqCst) < u64::MAX => return told,
                Err(_) => {}
                Ok(other) => panic!("{other:?}"),
            }
        }
    }));
    let (last, written, compactions) = storm(&etcd, Duration::from_secs(30)).await;
    end.store(last, SeqCst);
    let (told, share) = within("the last change", follow).await.unwrap();
    println!(
        "figure: etcd: {compactions} compactions under {written} writes in 30 s: {told} told, {:.2} % of a core",
        share * 100.0
    );
    assert_eq!(told, written, "nothing is lost");
    assert!(compactions > 100, "{compactions} compactions only");
    assert!(share < 0.05, "{share}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_storm_of_compactions_while_the_way_is_cut_again_and_again_ends_in_what_is_stored() {
    let etcd = Etcd::start(V34);
    fill(&etcd, 1000).await;
    let proxy = Proxy::to(etcd.port).await;
    let store = EtcdStore::new(&settings(vec![proxy.url()])).unwrap();
    let mut follower = Follower::new(&store).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let follow = tokio::spawn(async move {
        let (mut every, mut stopped) = (tokio::time::interval(Duration::from_secs(1)), stopped);
        loop {
            tokio::select! {
                () = follower.step() => {}
                _ = every.tick() => {
                    proxy.set(Way::Cut);
                    // Longer than until the next compaction.
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    proxy.set(Way::Open);
                }
                _ = &mut stopped => return (follower, proxy),
            }
        }
    });
    let (_, written, compactions) = storm(&etcd, Duration::from_secs(10)).await;
    stop.send(()).unwrap();
    let (mut follower, _proxy) = follow.await.unwrap();
    follower.catch_up().await;
    println!(
        "figure: etcd: {compactions} compactions under {written} writes with cuts: {} full reads",
        follower.resyncs
    );
    assert!(follower.resyncs > 0, "no compaction overtook the watch");
    assert_eq!(follower.state.len(), 1003);
}
