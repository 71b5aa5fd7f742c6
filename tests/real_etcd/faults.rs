//! etcd killed, stopped, cut off, compacted, restored from an old snapshot, emptied: what is served is always what etcd
//! had at some revision, and in the end what it has.
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tollgate::store::{EtcdStore, News, Store, StoreError};

use super::behaviour::{commit, delete, put};
use super::follower::{Follower, within};
use super::proxy::{Proxy, Way};
use super::server::{Etcd, V34, V35, Version, settings};

/// Writes the pair that is never seen half, and says at which revision.
async fn pair(store: &EtcdStore, value: &str) -> u64 {
    let store: Arc<dyn Store> = Arc::new(store.clone());
    commit(&store, [put("services/a", value.to_owned()), put("services/b", value.to_owned())]).await
}

/// A server, a store in it that has one pair, and somebody who follows it.
async fn followed(version: Version) -> (Etcd, EtcdStore, Follower) {
    let etcd = Etcd::start(version);
    let store = etcd.store();
    pair(&store, "first").await;
    let mut follower = Follower::new(&store).await;
    // The watch is open.
    etcd.put("routes/open", "{}");
    follower.until("the first change", |follower| follower.value("routes/open").is_some()).await;
    (etcd, store, follower)
}

/// Waits until the store has one connection: what was given up goes a moment later.
async fn has_one_connection(store: &EtcdStore) {
    within("one connection", async {
        while store.stats().open != 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

fn is_unavailable(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_it_is_found_again_and_nothing_was_missed() {
    for version in [V34, V35] {
        let (mut etcd, store, mut follower) = followed(version).await;
        etcd.kill();
        follower.until("a word of it", |follower| !follower.errors.is_empty()).await;
        let error = store.load().await.unwrap_err();
        assert!(is_unavailable(&error), "{error}");
        etcd.restart();
        etcd.put("routes/2", "{}");
        follower.until("what was written since", |follower| follower.value("routes/2").is_some()).await;
        follower.catch_up().await;
        assert_eq!(follower.resyncs, 0, "the watch went on where it was");
        assert!(follower.errors.iter().all(is_unavailable), "{:?}", follower.errors);
        has_one_connection(&store).await;
        assert_eq!(etcd.connections(), 1);
        assert!(store.stats().reconnects >= 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_for_longer_than_the_limits_it_is_noticed() {
    let (etcd, store, mut follower) = followed(V34).await;
    etcd.freeze();
    follower.until("a word of it", |follower| follower.errors.len() > 1).await;
    etcd.thaw();
    pair(&etcd.store(), "second").await;
    follower.until("what was written since", |follower| follower.value("services/a") == Some("second")).await;
    follower.catch_up().await;
    assert_eq!(follower.resyncs, 0);
    has_one_connection(&store).await;
    assert_eq!(etcd.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_with_and_without_a_word_it_goes_on_where_it_was() {
    let etcd = Etcd::start(V34);
    let proxy = Proxy::to(etcd.port).await;
    let store = EtcdStore::new(&settings(vec![proxy.url()])).unwrap();
    pair(&store, "first").await;
    let mut follower = Follower::new(&store).await;
    for (round, way) in [Way::Hole, Way::Cut, Way::Hole, Way::Cut].into_iter().enumerate() {
        let seen = follower.errors.len();
        proxy.set(way);
        etcd.put(&format!("routes/{round}"), "{}");
        if way == Way::Hole {
            follower.until("a word of it", |follower| follower.errors.len() > seen).await;
        } else {
            tokio::time::timeout(Duration::from_millis(200), follower.step()).await.ok();
        }
        // What hangs in a hole stays there: etcd is not told that the connection is over.
        proxy.set(Way::Cut);
        proxy.set(Way::Open);
        let written = format!("routes/{round}");
        follower.until("what was written meanwhile", |follower| follower.value(&written).is_some()).await;
    }
    follower.catch_up().await;
    assert_eq!(follower.resyncs, 0);
    has_one_connection(&store).await;
    assert!(proxy.taken.load(SeqCst) >= 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compacted_behind_the_watch_everything_is_read_anew() {
    for version in [V34, V35] {
        let etcd = Etcd::start(version);
        let proxy = Proxy::to(etcd.port).await;
        let store = EtcdStore::new(&settings(vec![proxy.url()])).unwrap();
        pair(&store, "first").await;
        let mut follower = Follower::new(&store).await;
        proxy.set(Way::Cut);
        for round in 0..5 {
            etcd.put(&format!("routes/{round}"), "{}");
        }
        etcd.ctl(["del", "/apisix/routes/0"]);
        let writer = etcd.store();
        let last = pair(&writer, "last").await;
        etcd.compact(last);
        proxy.set(Way::Open);
        follower.until("the last change", |follower| follower.value("services/a") == Some("last")).await;
        follower.catch_up().await;
        assert_eq!(follower.resyncs, 1);
        // And the watch from there works.
        etcd.put("routes/9", "{}");
        follower.until("a change behind it", |follower| follower.value("routes/9").is_some()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_from_an_old_snapshot_what_it_has_is_read_anew() {
    for version in [V34, V35] {
        let (mut etcd, store, mut follower) = followed(version).await;
        let saved = etcd.save("old.db");
        for round in 0..5 {
            pair(&store, &format!("later {round}")).await;
        }
        follower.until("the last change", |follower| follower.value("services/a") == Some("later 4")).await;
        let before = follower.revision;
        etcd.restart_with(&saved);
        follower.until("the old state", |follower| follower.value("services/a") == Some("first")).await;
        assert!(follower.revision < before);
        assert_eq!(follower.resyncs, 1);
        // What comes is followed, though its revisions were seen before with other changes.
        pair(&store, "anew").await;
        follower.until("a change behind it", |follower| follower.value("services/a") == Some("anew")).await;
        follower.catch_up().await;
        assert_eq!(follower.resyncs, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_and_come_further_since_it_is_noticed_all_the_same() {
    for version in [V34, V35] {
        let mut etcd = Etcd::start(version);
        let proxy = Proxy::to(etcd.port).await;
        let writer = etcd.store();
        for round in 0..30 {
            pair(&writer, &format!("first {round}")).await;
        }
        let saved = etcd.save("old.db");
        etcd.put("routes/lost", "{}");
        for round in 0..20 {
            pair(&writer, &format!("lost {round}")).await;
        }
        let mut follower = Follower::new(&EtcdStore::new(&settings(vec![proxy.url()])).unwrap()).await;
        assert!(follower.value("routes/lost").is_some());
        // The watch stands.
        etcd.put("routes/seen", "{}");
        follower.until("a change", |follower| follower.value("routes/seen").is_some()).await;
        proxy.set(Way::Cut);
        etcd.restart_with(&saved);
        let mut revision = 0;
        for round in 0..25 {
            revision = pair(&etcd.store(), &format!("anew {round}")).await;
        }
        assert!(revision > follower.revision, "it overtook: {revision} after {}", follower.revision);
        proxy.set(Way::Open);
        follower.until("what is there now", |follower| follower.value("services/a") == Some("anew 24")).await;
        follower.catch_up().await;
        assert!(follower.value("routes/lost").is_none());
        assert_eq!(follower.resyncs, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emptied_everything_goes() {
    for version in [V34, V35] {
        let (mut etcd, store, mut follower) = followed(version).await;
        // By deletes,
        etcd.ctl(["del", "--prefix", "/apisix/"]);
        follower.until("nothing", |follower| follower.state.is_empty()).await;
        assert_eq!(follower.resyncs, 0);
        pair(&store, "second").await;
        follower.until("the pair", |follower| follower.value("services/a").is_some()).await;
        // and by a new data folder.
        etcd.restart_empty();
        follower.until("nothing", |follower| follower.state.is_empty()).await;
        assert_eq!(follower.resyncs, 1);
        pair(&store, "third").await;
        follower.until("the pair", |follower| follower.value("services/a") == Some("third")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_etcd_says_so_soon_and_a_later_one_succeeds() {
    let mut etcd = Etcd::start(V34);
    etcd.kill();
    let store = etcd.store();
    let error = within("an error", store.load()).await.unwrap_err();
    assert!(is_unavailable(&error) && error.to_string().contains("refused"), "{error}");
    etcd.restart();
    within("a full read", async {
        while store.load().await.is_err() {
            tokio::task::yield_now().await
        }
    })
    .await;
    has_one_connection(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_of_the_watch_is_taken_where_the_server_orders_it() {
    // Both tell it unasked, and rightly; what both answer when asked may overtake events and is not believed.
    for version in [V34, V35] {
        let etcd = Etcd::start_with(version, &["--experimental-watch-progress-notify-interval=300ms"]);
        let store = etcd.store();
        let mut follower = Follower::new(&store).await;
        etcd.ctl(["put", "/elsewhere", "1"]);
        let begun = follower.revision;
        follower.until("progress", |follower| follower.revision > begun).await;
        // So a compaction while the connection is lost costs no full read.
        etcd.compact(follower.revision);
        let mut etcd = etcd;
        etcd.restart();
        etcd.put("routes/1", "{}");
        follower.until("the change", |follower| follower.value("routes/1").is_some()).await;
        assert_eq!(follower.resyncs, 0);
    }
    let etcd = Etcd::start(V35);
    let store = etcd.store();
    let mut follower = Follower::new(&store).await;
    etcd.ctl(["put", "/elsewhere", "1"]);
    let begun = follower.revision;
    let waited = tokio::time::timeout(Duration::from_secs(3), follower.until("progress", |f| f.revision > begun)).await;
    assert!(waited.is_err(), "an answer to a request was believed");
    etcd.put("routes/1", "{}");
    follower.until("the change", |follower| follower.value("routes/1").is_some()).await;
    assert!(follower.errors.is_empty(), "a quiet watch is no broken one: {:?}", follower.errors);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_nobody_reads_costs_the_others_nothing() {
    let etcd = Etcd::start(V34);
    let store = etcd.store();
    let begin = pair(&store, "first").await;
    let mut lazy = store.watch(begin + 1);
    let large = "x".repeat(1 << 20);
    pair(&store, "second").await;
    assert!(matches!(
        within("its first news", std::future::poll_fn(|cx| lazy.as_mut().poll_next(cx))).await,
        Some(Ok(News::Batch(_)))
    ));
    // Much more than its window.
    let other: Arc<dyn Store> = Arc::new(etcd.store());
    for round in 0..40 {
        commit(&other, [put(&format!("protos/{}", round % 3), large.clone())]).await;
    }
    let loaded = within("a full read", store.load()).await.unwrap();
    assert_eq!(loaded.entries.len(), 5);
    let mut told = 0;
    while told < 40 {
        match within("the rest", std::future::poll_fn(|cx| lazy.as_mut().poll_next(cx))).await {
            Some(Ok(News::Batch(_))) => told += 1,
            Some(Ok(News::Progress(_))) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.stats().opened, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_what_changed_nothing_does_not_wait_for_long() {
    for version in [V34, V35] {
        let (etcd, store, mut follower) = followed(version).await;
        // Others write beside our prefix, of which the watch hears nothing.
        etcd.ctl(["put", "/elsewhere", "1"]);
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        let revision = commit(&shared, [delete("routes/none")]).await;
        assert!(revision > follower.revision);
        follower.until("that revision", |follower| follower.revision >= revision).await;
        // Nor do empty changes while nobody watches leave anything behind.
        drop(follower);
        let before = store.load().await.unwrap().revision;
        assert_eq!(commit(&shared, [delete("routes/none")]).await, before);
        assert_eq!(store.load().await.unwrap().revision, before);
    }
}
