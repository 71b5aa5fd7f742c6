//! Others who write below our prefix: `etcdctl`, the reference, and whoever else.
use std::sync::Arc;

use tollgate::store::Store;

use super::behaviour::{commit, load, put};
use super::follower::Follower;
use super::server::{Etcd, V34, V35};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_item_is_passed_over_and_what_is_not_json_is_handed_on() {
    for version in [V34, V35] {
        let etcd = Etcd::start(version);
        // As the reference leaves it: placeholders, a counter, the data planes' own.
        for (key, value) in [
            ("routes/", "init_dir"),
            ("upstreams/", "init_dir"),
            ("gen_id", "1"),
            ("data_plane/server_info/1", "{}"),
            ("unknown_kind/1", "{}"),
            ("routes/1", r#"{"uri":"/1"}"#),
            ("consumers/jack", "{}"),
            ("consumers/jack/credentials/one", "{}"),
            ("consumers/jack/other", "{}"),
        ] {
            etcd.put(key, value);
        }
        // Beside the prefix.
        etcd.ctl(["put", "/apisix", "x"]);
        etcd.ctl(["put", "/apisix0", "x"]);
        etcd.ctl(["put", "/apisixx/routes/1", "x"]);
        let store = etcd.store();
        let mut follower = Follower::new(&store).await;
        let keys = |follower: &Follower| follower.state.keys().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(keys(&follower), ["consumers/jack", "consumers/jack/credentials/one", "routes/1"]);
        etcd.put("routes/", "again");
        etcd.put("routes/a/b/c", "{}");
        etcd.put("plugins", "[]");
        etcd.put("routes/2", "\u{1}garbage, not JSON");
        etcd.ctl(["del", "/apisix/unknown_kind/1"]);
        etcd.ctl(["del", "/apisix/routes/1"]);
        follower.until("the last of it", |follower| follower.value("routes/1").is_none()).await;
        assert_eq!(follower.value("routes/2"), Some("\u{1}garbage, not JSON"), "the reader judges it");
        follower.catch_up().await;
        assert_eq!(follower.revision, store.load().await.unwrap().revision, "all of it was told");
        assert_eq!((follower.resyncs, follower.errors.len()), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_reads_what_is_written_here() {
    let etcd = Etcd::start(V34);
    let store: Arc<dyn Store> = Arc::new(etcd.store());
    commit(&store, [put("routes/1", r#"{"uri":"/1"}"#), put("plugin_metadata/prometheus", "{}")]).await;
    let told = etcd.ctl(["get", "--prefix", "/apisix/"]);
    assert_eq!(told, "/apisix/plugin_metadata/prometheus\n{}\n/apisix/routes/1\n{\"uri\":\"/1\"}\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_of_others_stay_whole_however_large() {
    for version in [V34, V35] {
        let etcd = Etcd::start(version);
        let store = etcd.store();
        let mut follower = Follower::new(&store).await;
        let other: Arc<dyn Store> = Arc::new(etcd.store());
        // More than fits into one message: etcd divides it.
        let text = "x".repeat(60_000);
        let edits = (0..50).map(|at| put(&format!("protos/{at}"), text.clone()));
        let revision = commit(&other, edits).await;
        follower.until("the change", |follower| follower.revision == revision).await;
        assert_eq!(follower.state.len(), 50, "all at once");
        assert_eq!(load(&other).await.entries.len(), 50);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_large_items_are_made_smaller() {
    let etcd = Etcd::start(V34);
    let store: Arc<dyn Store> = Arc::new(etcd.store());
    let text = "x".repeat(1 << 20);
    for at in 0..70 {
        commit(&store, [put(&format!("protos/{at}"), text.clone())]).await;
    }
    let loaded = load(&store).await;
    assert_eq!(loaded.entries.len(), 70);
    assert!(loaded.entries.iter().all(|(_, entry)| entry.value.len() == 1 << 20));
}
