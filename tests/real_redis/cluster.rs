//! Counters over the nodes of a cluster.
use serde_json::{Value, json};

use super::peers::redis::Cluster;
use super::rig::{ask, gateway, hammer, with};

fn on(cluster: &Cluster, block: Value) -> Value {
    // one node is enough to find the others
    let nodes = [format!("127.0.0.1:{}", cluster.0[0].port())];
    let place = json!({"policy": "redis-cluster", "redis_cluster_name": "c", "redis_cluster_nodes": nodes});
    with(with(block, json!({"key": "http_x_key"})), place)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_exact_on_every_node_and_outlive_the_loss_of_one() {
    let mut cluster = Cluster::start();
    for (plugin, block, admits) in [
        ("limit-count", json!({"count": 100, "time_window": 600}), 100),
        ("limit-count", json!({"count": 100, "time_window": 600, "window_type": "sliding"}), 100),
        ("limit-req", json!({"rate": 0.001, "burst": 99, "nodelay": true}), 100),
    ] {
        let gateways: Vec<_> = (0..4).map(|_| gateway(plugin, &on(&cluster, block.clone()))).collect();
        assert_eq!(hammer(&gateways, 64, 5).await, admits, "{plugin}");
    }
    let conn = gateway("limit-conn", &on(&cluster, json!({"conn": 1, "burst": 0, "default_conn_delay": 0.1})));
    for _ in 0..20 {
        assert_eq!(ask(&conn, "k").await.status, 200);
        let given_back = || cluster.0.iter().all(|node| node.keys("limit_conn:*").is_empty());
        super::rig::until("the place to be given back", given_back).await;
    }
    // many keys lie on all nodes
    let block = with(on(&cluster, json!({"count": 2, "time_window": 600})), json!({"redis_timeout": 500}));
    let gateway = gateway("limit-count", &block);
    for key in 0..60 {
        assert_eq!(ask(&gateway, &format!("key{key}")).await.status, 200);
    }
    let held = |index: usize| cluster.0[index].keys("plugin-limit-count:v1:*:key*").len();
    let on_nodes = [held(0), held(1), held(2)];
    assert!(on_nodes.iter().sum::<usize>() == 60 && on_nodes.iter().all(|keys| *keys > 5), "{on_nodes:?}");
    // keys of the lost node fail within their time, the others are counted
    cluster.0[2].kill();
    let (mut counted, mut failed) = (0, 0);
    for key in 0..60 {
        let told = ask(&gateway, &format!("key{key}")).await;
        assert!(told.took.as_millis() < 2500, "{told:?}");
        match told.status {
            200 => counted += 1,
            500 => failed += 1,
            other => panic!("{other}: {told:?}"),
        }
    }
    assert_eq!((counted, failed), (on_nodes[0] + on_nodes[1], on_nodes[2]));
    // and again when it is back
    cluster.0[2].restart();
    super::peers::within(|| "the cluster to be whole".to_owned(), async {
        for key in 0..60 {
            while ask(&gateway, &format!("new{key}")).await.status == 500 {}
        }
    })
    .await;
}
