//! nginx that is slow, fails, or takes only so much: what a file has a gateway do about it.
use http::Method;
use tokio::task::JoinHandle;
use tollgate::upstream::health::HealthState;

use super::peers::nginx::Nginx;
use super::rig::{Desk, PATIENCE, Rig, endpoint, get, read, shares, until};

async fn ended(requests: Vec<JoinHandle<(u16, String)>>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for request in requests {
        statuses.push(tokio::time::timeout(PATIENCE, request).await.expect("an end").unwrap().0);
    }
    statuses
}

#[tokio::test]
async fn a_hedge_answers_for_who_is_slow_and_gives_the_other_up() {
    let desk = Desk::open().await;
    let (fast, slow) = (endpoint("fast", 200), desk.endpoint("slow"));
    let rig = Rig::new(&[&fast, &slow], "    hedge: {after_ms: 20}\n");
    // By turns the slow one is first, and perhaps the second one beside a fast one that is not fast enough.
    for _ in 0..4 {
        assert_eq!(rig.get("/held", &[]).await, (200, "fast".to_owned()));
    }
    assert!((2..=4).contains(&desk.came().len()), "{:?}", desk.came());
    desk.holds(0).await;
}

#[tokio::test]
async fn an_attempt_has_its_time_and_another_endpoint_the_next_one() {
    let desk = Desk::open().await;
    let (fast, slow) = (endpoint("fast", 200), desk.endpoint("slow"));
    let rig = Rig::new(&[&fast, &slow], "    per_try_timeout_ms: 300\n");
    for _ in 0..4 {
        assert_eq!(rig.get("/held", &[]).await, (200, "fast".to_owned()));
    }
    assert_eq!(desk.came().len(), 2);
    let alone = Rig::new(&[&slow], "    per_try_timeout_ms: 300\n");
    assert_eq!(alone.get("/held", &[]).await.0, 504);
    desk.holds(0).await;
}

#[tokio::test]
async fn answers_are_failures_when_the_file_says_so() {
    let (good, bad) = (endpoint("good", 200), endpoint("bad", 503));
    let nodes = [&good, &bad];
    let plain = Rig::new(&nodes, "");
    let mut half = shares(&["good"], 6);
    half.insert((503, "bad".to_owned()), 6);
    assert_eq!(plain.answers(12).await, half);
    for names in ["[503]", "[5xx]", "[gateway-error]"] {
        let rig = Rig::new(&nodes, &format!("    retry_on: {names}\n"));
        assert_eq!(rig.answers(12).await, shares(&["good"], 12), "{names}");
    }
    let post = || {
        let mut request = get("/", &[]);
        *request.method_mut() = Method::POST;
        request
    };
    for (methods, failures) in [("", 6), ("    retry_methods: [POST]\n", 0)] {
        let rig = Rig::new(&nodes, &format!("    retry_on: [503]\n{methods}"));
        let mut failed = 0;
        for _ in 0..12 {
            failed += usize::from(read(rig.send(post()).await).await.0 == 503);
        }
        assert_eq!(failed, failures, "{methods}");
    }
}

#[tokio::test]
async fn requests_wait_for_one_of_so_many_connections() {
    let desk = Desk::open().await;
    let (one, two) = (desk.endpoint("one"), desk.endpoint("two"));
    let rig = Rig::new(&[&one, &two], "    max_connections: 2\n");
    let requests: Vec<_> = (0..8).map(|_| rig.begin("/held")).collect();
    desk.holds(2).await;
    desk.let_go(8);
    assert_eq!(ended(requests).await, [200; 8]);
    assert_eq!((desk.came().len(), desk.most()), (8, 2));
}

#[tokio::test]
async fn over_http_2_requests_wait_for_a_stream_of_the_connection_there_may_be() {
    let desk = Desk::open().await;
    let nginx = Nginx::listening("http2", &format!("http2_max_concurrent_streams 2;\n{}", desk.naming("one")));
    let rig = Rig::new(&[&nginx], "    http_version: \"2\"\n    max_connections: 1\n");
    let requests: Vec<_> = (0..8).map(|_| rig.begin("/held")).collect();
    desk.holds(2).await;
    desk.let_go(8);
    assert_eq!(ended(requests).await, [200; 8]);
    assert_eq!((desk.came().len(), desk.most()), (8, 2));
}

#[tokio::test]
async fn over_http_2_endpoints_take_turns_with_the_connection_there_may_be() {
    let desk = Desk::open().await;
    let [one, two] = ["one", "two"].map(|name| Nginx::listening("http2", &desk.naming(name)));
    let rig = Rig::new(&[&one, &two], "    http_version: \"2\"\n    max_connections: 1\n    retries: 0\n");
    let requests: Vec<_> = (0..8).map(|_| rig.begin("/held")).collect();
    // Whoever has the connection has all four of its requests on it; the other four wait for its end.
    desk.holds(4).await;
    desk.let_go(8);
    assert_eq!(ended(requests).await, [200; 8]);
    assert_eq!((desk.came().len(), desk.most()), (8, 4));
    rig.settles(&["one", "two"]).await;
}

#[tokio::test]
async fn over_http_2_an_endpoint_that_is_always_asked_for_gives_the_connection_back() {
    let desk = Desk::open().await;
    let [one, two] = ["one", "two"].map(|name| Nginx::listening("http2", &desk.naming(name)));
    let rig = Rig::new(&[&one, &two], "    http_version: \"2\"\n    max_connections: 1\n    retries: 0\n");
    let clients = (0..8).map(|_| async {
        for _ in 0..100 {
            assert_eq!(rig.get("/", &[]).await.0, 200);
        }
    });
    tokio::time::timeout(PATIENCE, futures_util::future::join_all(clients)).await.expect("an end");
}

#[tokio::test]
async fn the_adaptive_limit_holds_and_grows_while_it_is_reached() {
    let desk = Desk::open().await;
    let nginx = desk.endpoint("one");
    let rig = Rig::new(&[&nginx], "    adaptive_concurrency: {min: 1, initial: 2}\n    max_pending: 0\n");
    let requests: Vec<_> = (0..2).map(|_| rig.begin("/held")).collect();
    desk.holds(2).await;
    let refused = rig.send(get("/", &[])).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(read(refused).await.0, 503);
    desk.let_go(2);
    assert_eq!(ended(requests).await, [200; 2]);
    let grown = async {
        while rig.status().request_limit <= 2 {
            let requests: Vec<_> = (0..2).map(|_| rig.begin("/")).collect();
            assert_eq!(ended(requests).await, [200; 2]);
        }
    };
    tokio::time::timeout(PATIENCE, grown).await.expect("it grows");
}

#[tokio::test]
async fn a_request_has_its_time_in_all_and_who_used_it_up_was_too_slow() {
    let desk = Desk::open().await;
    let drips = desk.naming("one") + "location = /drips { alias @DIR@/drips; limit_rate 1k; }\n";
    let nginx = Nginx::start(&drips);
    std::fs::write(nginx.folder().join("drips"), vec![b'x'; 1 << 20]).unwrap();
    let rig = Rig::new(
        &[&nginx],
        "    timeout: {connect: 5, send: 60, read: 60, total: 1}\n    checks: {passive: {unhealthy: {timeouts: 1}}}\n",
    );
    assert_eq!(rig.get("/", &[]).await, (200, "one".to_owned()));
    let answer = rig.send(get("/drips", &[])).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.into_body().buffer(2 << 20).await.is_err(), "it is cut");
    assert_eq!(rig.get("/held", &[]).await.0, 504);
    desk.holds(0).await;
    let health = || rig.status().endpoints[0].health.unwrap();
    until("the time-out to count", || health().state == HealthState::Unhealthy).await;
    assert_eq!(health().counters.timeout_failure, 1);
}
