//! Whatever the server says, what is told always equals what it had at some revision, and no revision comes after a
//! later one.
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::super::EtcdStore;
use super::fake::Fake;
use super::model::Dice;
use crate::model::{EtcdSettings, Seconds};
use crate::store::{Entry, Key, News, Store};

const PATIENCE: Duration = Duration::from_secs(60);
const WRITES: i64 = 120;

/// Waits until the store has one connection: what was given up goes a moment later.
async fn has_one_connection(store: &EtcdStore) {
    let one = async {
        while store.stats().open != 1 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, one).await.unwrap_or_else(|_| panic!("{:?}", store.stats()));
}

/// Writes items, several at once, with what is no item among them.
async fn write(fake: Arc<Fake>, mut dice: Dice) {
    for round in 0..WRITES {
        let now = fake.model.at(fake.model.now());
        let mut changes = BTreeMap::new();
        for _ in 0..=dice.roll(4) {
            let key = match dice.roll(12) {
                10 => "/apisix/gen_id".to_owned(),
                11 => "/apisix/routes/".to_owned(),
                place => format!("/apisix/routes/{place}"),
            };
            let goes = dice.roll(4) == 0 && now.contains_key(&key);
            changes.insert(key, (!goes).then(|| format!("{round}")));
        }
        fake.model.commit(changes.into_iter().collect());
        sleep(Duration::from_millis(dice.roll(8) as u64)).await;
    }
    fake.be_honest();
}

/// What a reader may have at a revision.
fn expected(fake: &Fake, revision: u64) -> BTreeMap<Key, Entry> {
    let state = fake.model.at(i64::try_from(revision).unwrap());
    let item = |kv: &super::super::message::KeyValue| super::super::load::item(b"/apisix/", kv);
    state.values().filter_map(item).collect()
}

async fn follow(store: &EtcdStore, fake: &Fake) -> u64 {
    let end = u64::try_from(WRITES).unwrap() + 1;
    let (mut revision, mut reads) = (0, 0);
    loop {
        let Ok(loaded) = store.load().await else {
            sleep(Duration::from_millis(5)).await;
            continue;
        };
        reads += 1;
        assert!(loaded.revision >= revision, "back from {revision} to {}", loaded.revision);
        revision = loaded.revision;
        let mut state: BTreeMap<_, _> = loaded.entries.into_iter().collect();
        assert_eq!(state, expected(fake, revision), "read {reads} at {revision}");
        let mut watch = store.watch(revision + 1);
        while revision < end {
            match poll_fn(|cx| watch.as_mut().poll_next(cx)).await {
                Some(Ok(News::Batch(batch))) => {
                    assert!(batch.revision > revision, "{} after {revision}", batch.revision);
                    revision = batch.revision;
                    for event in batch.events {
                        match event.entry {
                            Some(entry) => drop(state.insert(event.key, entry)),
                            None => drop(state.remove(&event.key)),
                        }
                    }
                }
                Some(Ok(News::Progress(to))) => {
                    assert!(to >= revision, "{to} after {revision}");
                    revision = to;
                }
                Some(Ok(News::Compacted)) | None => break,
                Some(Err(_)) => {}
            }
            assert_eq!(state, expected(fake, revision), "at {revision}");
        }
        if revision == end {
            return reads;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cfg_03_what_is_served_was_at_some_revision_whatever_lies_are_told() {
    let run = |seed| async move {
        let (fake, port, _tasks) = Fake::start(seed).await;
        let settings = EtcdSettings {
            host: vec![format!("http://127.0.0.1:{port}")],
            timeout: Seconds(0.3),
            watch_timeout: Seconds(0.2),
            resync_delay: Seconds(0.01),
            health_check_timeout: Seconds(0.01),
            ..EtcdSettings::default()
        };
        let store = EtcdStore::new(&settings).unwrap();
        let writer = tokio::spawn(write(Arc::clone(&fake), Dice::new(seed + 1000)));
        let reads = timeout(PATIENCE, follow(&store, &fake)).await;
        let reads = reads.unwrap_or_else(|_| panic!("seed {seed}: {:?}, {} lies", store.stats(), fake.lies()));
        writer.await.unwrap();
        assert!(reads >= 1, "seed {seed}: {:?}", store.stats());
        has_one_connection(&store).await;
        (fake.lies(), reads)
    };
    let mut runs = tokio::task::JoinSet::new();
    for seed in 0..12 {
        runs.spawn(run(seed));
    }
    let (mut lies, mut reads) = (0, 0);
    while let Some(ended) = runs.join_next().await {
        let (more_lies, more_reads) = ended.unwrap();
        (lies, reads) = (lies + more_lies, reads + more_reads);
    }
    assert!(lies > 100 && reads > 24, "{lies} lies and {reads} reads are too few to show anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_server_is_read_once() {
    let (fake, port, _tasks) = Fake::start(1).await;
    fake.be_honest();
    let settings = EtcdSettings { host: vec![format!("http://127.0.0.1:{port}")], ..EtcdSettings::default() };
    let store = EtcdStore::new(&settings).unwrap();
    let writer = tokio::spawn(write(Arc::clone(&fake), Dice::new(1)));
    assert_eq!(timeout(PATIENCE, follow(&store, &fake)).await.unwrap(), 1);
    writer.await.unwrap();
    let stats = store.stats();
    assert_eq!((stats.opened, stats.reconnects, stats.watches, stats.full_reads), (1, 0, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_of_a_hundred_thousand_removals_is_one_batch_in_good_time() {
    const MANY: usize = 100_000;
    let (fake, port, _tasks) = Fake::start(1).await;
    fake.be_honest();
    let key = |place| format!("/apisix/routes/{place}");
    fake.model.commit((0..MANY).map(|place| (key(place), Some(String::new()))).collect());
    let settings = EtcdSettings { host: vec![format!("http://127.0.0.1:{port}")], ..EtcdSettings::default() };
    let mut watch = EtcdStore::new(&settings).unwrap().watch(3);
    fake.model.commit((0..MANY).map(|place| (key(place), None)).collect());
    let news = timeout(PATIENCE / 3, poll_fn(|cx| watch.as_mut().poll_next(cx))).await;
    let Some(Ok(News::Batch(batch))) = news.unwrap() else { panic!("no batch") };
    assert_eq!((batch.revision, batch.events.len()), (3, MANY));
    assert!(batch.events.iter().all(|event| event.entry.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_about_progress_that_were_not_heard_are_asked_again() {
    let (fake, port, _tasks) = Fake::start(1).await;
    fake.be_honest();
    let settings = EtcdSettings { host: vec![format!("http://127.0.0.1:{port}")], ..EtcdSettings::default() };
    let store = EtcdStore::new(&settings).unwrap();
    let mut watch = store.watch(2);
    // Something beside the prefix.
    fake.model.commit(Vec::new());
    store.client.ask.send_replace(());
    // Far less than until the watch asks by itself.
    let news = timeout(settings.watch_timeout() / 10, poll_fn(|cx| watch.as_mut().poll_next(cx))).await;
    assert!(matches!(news, Ok(Some(Ok(News::Progress(2))))), "{news:?}");
    assert_eq!(fake.deaf.load(Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_watch_says_now_and_then_that_the_store_was_heard_of() {
    for seed in [1, 2] {
        let (fake, port, _tasks) = Fake::start(seed).await;
        fake.be_honest();
        let host = vec![format!("http://127.0.0.1:{port}")];
        let settings = EtcdSettings { host, watch_timeout: Seconds(0.2), ..EtcdSettings::default() };
        let mut watch = EtcdStore::new(&settings).unwrap().watch(2);
        for _ in 0..2 {
            let news = timeout(PATIENCE, poll_fn(|cx| watch.as_mut().poll_next(cx))).await;
            assert!(matches!(news, Ok(Some(Ok(News::Progress(1))))), "{news:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_nothing_does_not_hold_up_the_next() {
    let (fake, port, _tasks) = Fake::start(1).await;
    fake.be_honest();
    // It takes connections, as the kernel does for it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = [silent.local_addr().unwrap().port(), port].map(|port| format!("http://127.0.0.1:{port}")).to_vec();
    let store = EtcdStore::new(&EtcdSettings { host, ..EtcdSettings::default() }).unwrap();
    // Less than the limit of one attempt.
    let loaded = timeout(Duration::from_secs(4), store.load()).await;
    assert_eq!(loaded.unwrap().unwrap().revision, 1);
    has_one_connection(&store).await;
    assert_eq!(store.stats().reconnects, 0);
}
