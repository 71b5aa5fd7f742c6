//! Three servers: one is killed, one loses the others, one comes back.
use std::sync::Arc;

use tollgate::store::{EtcdStore, Store, StoreError};

use super::behaviour::{commit, put};
use super::follower::{Follower, within};
use super::server::{Etcd, V34, V35, settings};

fn hosts(members: &[Etcd]) -> Vec<String> {
    members.iter().map(Etcd::url).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_member_is_left_for_the_next_and_nothing_was_missed() {
    for version in [V34, V35] {
        let mut members = Etcd::three(version);
        let store = EtcdStore::new(&settings(hosts(&members))).unwrap();
        let writer: Arc<dyn Store> = Arc::new(store.clone());
        commit(&writer, [put("routes/0", "{}")]).await;
        let mut follower = Follower::new(&store).await;
        for round in 1..4 {
            // The member that serves it.
            let place = members.iter().position(|member| member.connections() == 1).unwrap();
            members[place].kill();
            let other = (place + 1) % 3;
            let key = format!("routes/{round}");
            within("a write to the others", async {
                while !members[other].try_ctl(["put", &format!("/apisix/{key}"), "{}"]).status.success() {}
            })
            .await;
            follower.until("what was written since", |follower| follower.value(&key).is_some()).await;
            members[place].restart();
        }
        follower.catch_up().await;
        assert_eq!(follower.resyncs, 0);
        assert_eq!(members.iter().map(Etcd::connections).sum::<usize>(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_the_others_is_of_no_use() {
    let mut members = Etcd::three(V34);
    let store = EtcdStore::new(&settings(hosts(&members))).unwrap();
    let writer: Arc<dyn Store> = Arc::new(store.clone());
    commit(&writer, [put("routes/0", "{}")]).await;
    let mut follower = Follower::new(&store).await;
    let left = members.iter().position(|member| member.connections() == 1).unwrap();
    for place in (0..3).filter(|place| *place != left) {
        members[place].kill();
    }
    follower.until("a word of it", |follower| !follower.errors.is_empty()).await;
    let error = within("an error", store.load()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    members[(left + 1) % 3].restart();
    within("a write", async { while !members[left].try_ctl(["put", "/apisix/routes/1", "{}"]).status.success() {} })
        .await;
    follower.until("what was written since", |follower| follower.value("routes/1").is_some()).await;
    follower.catch_up().await;
    assert_eq!(follower.resyncs, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_member_is_left_for_the_next() {
    let members = Etcd::three(V35);
    let store = EtcdStore::new(&settings(hosts(&members))).unwrap();
    let mut follower = Follower::new(&store).await;
    let place = members.iter().position(|member| member.connections() == 1).unwrap();
    members[place].freeze();
    within("a write to the others", async {
        while !members[(place + 1) % 3].try_ctl(["put", "/apisix/routes/1", "{}"]).status.success() {}
    })
    .await;
    follower.until("what was written since", |follower| follower.value("routes/1").is_some()).await;
    members[place].thaw();
    follower.catch_up().await;
    assert_eq!(follower.resyncs, 0);
    assert_eq!(members.iter().map(Etcd::connections).sum::<usize>(), 1);
}
