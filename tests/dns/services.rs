//! Service names: ports and weights out of the name server.
use serde_json::{Value, json};

use super::peers::knot::Knot;
use super::peers::within;
use super::rig::{Origins, ask, gateway};

fn service() -> Value {
    json!({"nodes": [{"host": "_http._tcp.shop.test", "weight": 1}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_and_weights_come_from_the_records() {
    let (one, two) = (Origins::start(3), Origins::start(2));
    let mut knot = Knot::start(&[
        &*format!("_http._tcp.shop 1 SRV 0 3 {} a", one.port),
        &*format!("_http._tcp.shop 1 SRV 0 1 {} b", two.port),
        // Only for when nobody else is there.
        &*format!("_http._tcp.shop 1 SRV 9 5 {} b", one.port),
        "a 60 A 127.0.0.2",
        "b 60 A 127.0.0.3",
    ]);
    let gateway = gateway(&knot, &json!({}), &[("shop", service())]);
    let mut shares = [0; 2];
    for id in 0..400 {
        let (status, by) = ask(&gateway, "/shop/x", id).await;
        assert_eq!(status, 200, "{by}");
        shares[by.parse::<usize>().unwrap() - 2] += 1;
    }
    assert_eq!(shares, [300, 100]);

    knot.set(&[&*format!("_http._tcp.shop 1 SRV 0 1 {} c", one.port), "c 60 A 127.0.0.4"]);
    within(|| "the other service".into(), async { while ask(&gateway, "/shop/x", 0).await.1 != "4" {} }).await;
    for id in 0..50 {
        assert_eq!(ask(&gateway, "/shop/x", id).await, (200, String::from("4")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_refuses_leaves_the_next_priority() {
    let origins = Origins::start(2);
    let closed = std::net::TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap().port();
    let knot = Knot::start(&[
        &*format!("_http._tcp.shop 60 SRV 1 1 {closed} a"),
        &*format!("_http._tcp.shop 60 SRV 2 1 {} b", origins.port),
        "a 60 A 127.0.0.2",
        "b 60 A 127.0.0.3",
    ]);
    let gateway = gateway(&knot, &json!({}), &[("shop", service())]);
    assert_eq!(ask(&gateway, "/shop/x", 1).await, (200, String::from("3")));
}
