//! How many connections an upstream has at most.
use std::time::Duration;

use tollgate::IntoResponse as _;
use tollgate::upstream::UpstreamConfig;

use crate::support::*;

fn bounded(origins: &[&Origin], most: u32) -> UpstreamConfig {
    let mut config = config(&origins.iter().map(|origin| origin.address).collect::<Vec<_>>());
    config.max_connections = Some(most);
    config
}

/// Answers a request once the gate is open.
async fn gated(gate: Gate) -> Origin {
    Origin::start(move |mut conn| {
        let gate = gate.clone();
        async move {
            while conn.request().await.is_some() {
                gate.pass().await;
                conn.send(ok("ok")).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_request_waits_for_a_connection_or_is_told_to_come_back() {
    let gate = Gate::default();
    let origin = gated(gate.clone()).await;
    let mut config = bounded(&[&origin], 1);
    let client = Client::new(config.clone());
    let opening = async {
        until(|| !origin.seen().is_empty()).await;
        gate.open();
        until(|| origin.seen().len() == 2).await;
        gate.open();
    };
    let (one, two, ()) = tokio::join!(client.get("/"), client.get("/"), opening);
    assert_eq!((one.unwrap().1, two.unwrap().1), ("ok".to_owned(), "ok".to_owned()));
    // Whoever needs one more than there may be does not wait for ever.
    config.timeouts.connect = Duration::from_millis(100);
    let client = Client::new(config);
    let (one, two) = tokio::join!(client.get("/"), async {
        until(|| origin.seen().len() == 3).await;
        let refused = client.get("/").await.unwrap_err();
        gate.open();
        refused
    });
    assert_eq!((one.unwrap().1.as_str(), two.reason()), ("ok", "upstream_connections"));
    let told = tollgate::Error::from(two).into_response();
    assert_eq!((told.status().as_u16(), told.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
}

#[tokio::test]
async fn idle_connections_make_room_for_other_endpoints() {
    let (one, two) = (Origin::naming().await, Origin::naming().await);
    let client = Client::new(bounded(&[&one, &two], 1));
    for _ in 0..10 {
        client.get("/").await.unwrap();
    }
    assert_eq!((one.seen().len(), two.seen().len()), (5, 5));
    assert_eq!(one.connections() + two.connections(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_share_few_connections_and_nobody_is_forgotten() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    let open = Arc::new(AtomicUsize::new(0));
    let count = {
        let open = Arc::clone(&open);
        move |mut conn: Conn| {
            let open = Arc::clone(&open);
            async move {
                open.fetch_add(1, SeqCst);
                while conn.request().await.is_some() {
                    conn.send(ok("ok")).await;
                }
                open.fetch_sub(1, SeqCst);
            }
        }
    };
    let (one, two) = (Origin::start(count.clone()).await, Origin::start(count).await);
    let client = Arc::new(Client::new(bounded(&[&one, &two], 3)));
    let tasks = (0..24).map(|_| {
        let client = Arc::clone(&client);
        tokio::spawn(async move {
            for _ in 0..50 {
                assert_eq!(client.get("/").await.unwrap().1, "ok");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(one.seen().len() + two.seen().len(), 24 * 50);
    // Ends may still be on their way to the origins.
    until(|| open.load(SeqCst) <= 3).await;
}
