//! The limiters and `workflow` as their examples have them, and what becomes of counters when the configuration changes.
use tollgate::gateway::Gateway;

use super::peers::client::Client;
use super::peers::origin::{Origin, Step};
use super::peers::strict::Message;
use super::support::{Rig, example, refused, route_with, said};

fn told(answer: &Message, names: [&str; 3]) -> String {
    names.map(|name| answer.field(name).unwrap_or("-")).join(" ")
}

#[tokio::test]
async fn limit_count_counts_by_consumer_over_routes() {
    let rig = Rig::example("limit-count").await;
    let ask = async |key: &str| rig.get("/orders/1", &[("apikey", key)]).await;
    for left in ["4", "3", "2", "1", "0"] {
        let answer = ask("key-of-acme").await;
        assert_eq!((answer.status(), answer.field("x-left"), answer.text().as_str()), (200, Some(left), "origin"));
    }
    let answer = ask("key-of-acme").await;
    assert_eq!((answer.status(), answer.text().as_str()), (429, ""));
    assert_eq!((answer.field("x-ratelimit-limit"), answer.field("x-left")), (Some("5"), Some("0")));
    let reset: f64 = answer.field("x-ratelimit-reset").unwrap().parse().unwrap();
    assert!((0.0..=60.0).contains(&reset), "{reset}");
    // by the service, sliding
    for status in [200, 200, 200, 429] {
        assert_eq!(ask("key-of-bolt").await.status(), status);
    }
    assert_eq!(rig.get("/orders/1", &[]).await.status(), 200);
    let answer = rig.get("/orders/2", &[]).await;
    assert_eq!((answer.status(), said(&answer, "error_msg").as_str()), (429, "log in for more"));
    assert_eq!(answer.field("content-type"), Some("application/json"));
    assert_eq!(rig.forwarded_count(), 5 + 3 + 1);
}

#[tokio::test]
async fn limit_count_has_rules_and_numbers_of_the_request() {
    let rig = Rig::example("limit-count").await;
    let answer = rig.get("/search", &[("x-quota", "50")]).await;
    assert_eq!(told(&answer, ["x-second-ratelimit-limit", "x-hour-ratelimit-limit", "x-left"]), "2 50 -");
    assert_eq!(told(&answer, ["second-x-left", "hour-x-left", "x-ratelimit-limit"]), "1 49 -");
    let answer = rig.get("/search", &[("x-quota", "nothing")]).await;
    assert_eq!((answer.status(), answer.text().as_str(), answer.field("x-hour-ratelimit-limit")), (500, "", None));
    let answer = rig.get("/search", &[("x-quota", "1")]).await;
    assert_eq!((answer.status(), answer.field("x-hour-ratelimit-limit")), (429, Some("1")));
}

#[tokio::test]
async fn what_the_limiter_tells_replaces_what_the_upstream_does() {
    let origin =
        Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nX-RateLimit-Limit: 7\r\nX-Up: 1\r\n\r\n").await;
    let yaml = route_with("{limit-count: {count: 2, time_window: 60}}");
    let rig = Rig::before(origin, Gateway::builder(), &yaml).await;
    let answer = rig.get("/", &[]).await;
    assert_eq!(told(&answer, ["x-ratelimit-limit", "x-ratelimit-remaining", "x-up"]), "2 1 1");
    let hidden = route_with("{limit-count: {count: 2, time_window: 60, show_limit_quota_header: false}}");
    rig.apply(&hidden);
    assert_eq!(told(&rig.get("/", &[]).await, ["x-ratelimit-limit", "x-ratelimit-remaining", "x-up"]), "7 - 1");
}

#[tokio::test]
async fn counters_outlive_a_reload_that_leaves_the_block_alone() {
    let rig = Rig::of(&route_with("{limit-count: {count: 2, time_window: 600}}")).await;
    let ask = async || rig.get("/", &[]).await.field("x-ratelimit-remaining").map(str::to_owned);
    assert_eq!(ask().await.as_deref(), Some("1"));
    // something else on the same route, and the same block in another spelling
    rig.apply(&route_with("{limit-count: {time_window: 600.0, count: 2}, cors: {}}"));
    assert_eq!(ask().await.as_deref(), Some("0"));
    rig.apply("routes: []\n");
    rig.apply(&route_with("{limit-count: {count: 2, time_window: 600}}"));
    assert_eq!(rig.get("/", &[]).await.status(), 503);
    // any value of the block
    rig.apply(&route_with("{limit-count: {count: 2, time_window: 600, rejected_code: 429}}"));
    assert_eq!(ask().await.as_deref(), Some("1"));
}

#[tokio::test]
async fn groups_have_equal_blocks() {
    let route = |id: &str, count: u32| {
        let limit = format!("{{limit-count: {{count: {count}, time_window: 60, group: g, key: server_addr}}}}");
        format!("- {{id: {id}, uri: /{id}, plugins: {limit}, upstream: {{nodes: {{\"127.0.0.1:7001\": 1}}}}}}\n")
    };
    let rig = Rig::of(&format!("routes:\n{}{}", route("a", 1), route("b", 1))).await;
    assert_eq!(rig.get("/a", &[]).await.status(), 200);
    assert_eq!(rig.get("/b", &[]).await.status(), 503);
    let error = refused(&format!("routes:\n{}{}", route("a", 1), route("b", 2)));
    assert!(error.contains("group conf mismatched"), "{error}");
}

#[tokio::test]
async fn limit_req_delays_and_refuses() {
    let rig = Rig::example("limit-req").await;
    let begin = std::time::Instant::now();
    let ask = || rig.get("/", &[]);
    let all = tokio::join!(ask(), ask(), ask(), ask(), ask(), ask(), ask(), ask());
    let all = [all.0, all.1, all.2, all.3, all.4, all.5, all.6, all.7];
    let passed = all.iter().filter(|answer| answer.status() == 200).count();
    // three at once, and what leaked out while eight connections were made
    assert!((3..8).contains(&passed), "{all:?}");
    assert!(begin.elapsed().as_millis() >= 200, "the burst has not waited");
    let refused = all.iter().find(|answer| answer.status() != 200).unwrap();
    assert_eq!((refused.status(), said(refused, "error_msg").as_str()), (429, "too fast"));
    assert_eq!(refused.field("x-ratelimit-limit"), None);
}

#[tokio::test]
async fn limit_conn_gives_places_back_on_every_way_out() {
    // the first connection never answers, the second breaks off, others answer
    let script = |connection: usize| match connection {
        0 => vec![Step::Request],
        1 => vec![Step::Request, Step::send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"), Step::Reset],
        _ => vec![Step::Request, Step::send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), Step::Again],
    };
    let yaml = example("limit-conn").replace("burst: 1", "burst: 0");
    let rig = Rig::before(Origin::scripted(script).await, Gateway::builder(), &yaml).await;
    let ask = || rig.get("/reports/1", &[("x-tenant", "acme")]);
    let request = "GET /reports/1 HTTP/1.1\r\nhost: gw.test\r\nx-tenant: acme\r\n\r\n";
    // a client that goes away
    let mut gone = Client::connect(rig.address).await;
    gone.send(request).await;
    rig.origin.wait(|seen| seen.len() == 1 && seen[0].bytes.ends_with(b"\r\n\r\n")).await;
    let answer = ask().await;
    assert_eq!((answer.status(), said(&answer, "error_msg").as_str()), (429, "wait for your other reports"));
    drop(gone);
    // an upstream that fails in the midst of its answer
    super::peers::within(|| "the place to come free".to_owned(), async {
        loop {
            let mut broken = Client::connect(rig.address).await;
            // a 429 would leave the connection open
            broken.send(request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
            if !broken.rest().await.starts_with(b"HTTP/1.1 429") {
                break;
            }
        }
    })
    .await;
    for _ in 0..5 {
        assert_eq!(ask().await.status(), 200);
    }
}

#[tokio::test]
async fn workflow_decides_by_condition() {
    let rig = Rig::example("workflow").await;
    let answer = rig.get("/closed", &[]).await;
    assert_eq!((answer.status(), said(&answer, "error_msg").as_str()), (403, "rejected by workflow"));
    for status in [200, 200, 429] {
        assert_eq!(rig.get("/a", &[("x-plan", "free")]).await.status(), status);
    }
    for status in [200, 429] {
        assert_eq!(rig.get("/a", &[]).await.status(), status);
    }
    assert_eq!(rig.forwarded_count(), 3);
}

#[test]
fn faults_are_named_by_their_place() {
    for (plugins, says) in [
        ("{limit-count: {count: 1, time_window: 60, windw: 1}}", "unknown field `windw`"),
        ("{limit-req: {rate: 1, burst: 0}}", "plugins.limit-req.key: "),
        ("{limit-conn: {conn: 1, burst: 0, key: uri}}", "default_conn_delay"),
        ("{workflow: {rules: [{actions: [[nothing, {}]]}]}}", "unsupported action: nothing"),
    ] {
        let error = refused(&route_with(plugins));
        assert!(error.contains(says) && error.contains("route `r`"), "{plugins}: {error}");
    }
    let metadata = "plugin_metadata: [{id: limit-count, limit_header: \"a b\"}]\n";
    assert!(refused(metadata).contains("limit_header"), "{}", refused(metadata));
}

#[cfg(feature = "prometheus")]
#[tokio::test]
async fn metrics_tell_of_keys_that_are_held_and_of_those_that_had_to_go() {
    let limit = "limit-count: {count: 9, time_window: 60, key: http_x_tenant}";
    let attr = "tollgate: {plugin_attr: {limit-count: {max_keys: 128}, prometheus: {refresh_interval: 0}}}\n";
    let metrics = "{id: m, uri: /metrics, plugins: {public-api: {uri: /apisix/prometheus/metrics}}}";
    let routes = route_with(&format!("{{{limit}}}")).replace("[{id: r", &format!("[{metrics}, {{id: r"));
    let rig = Rig::of(&format!("{attr}{routes}")).await;
    for tenant in 0..300 {
        assert_eq!(rig.get("/", &[("x-tenant", &format!("t{tenant}"))]).await.status(), 200);
    }
    let text = rig.get("/metrics", &[]).await.text();
    let figure = |name: &str| -> u32 {
        let line = text.lines().find(|line| line.starts_with(&format!("tollgate_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit(' ').next().unwrap().parse().unwrap()
    };
    let (held, gone) = (figure("limit_count_keys"), figure("limit_count_evicted_total"));
    assert!(held <= 128 && held + gone == 300, "{held} {gone}");
    assert_eq!((figure("limit_req_keys"), figure("limit_conn_keys")), (0, 0));
}
