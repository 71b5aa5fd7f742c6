//! `prometheus`, and `public-api` on whose routes its text is read.
use std::collections::BTreeMap;

use tollgate::gateway::Gateway;
use tollgate::plugins::prometheus::{Metrics, PrometheusAttr, PrometheusConfig, PrometheusPlugin};

use crate::peers::origin::{Origin, Step};
use crate::support::{Rig, example, refused};

/// A text by series, each family judged by the rules of the format: HELP and TYPE once and before its samples, no sample
/// twice, buckets that ascend up to the count.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut families = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            current = help.split(' ').next().unwrap().to_owned();
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, current);
            assert!(families.insert(current.clone(), kind.to_owned()).is_none(), "{current} twice");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(series.starts_with(&current), "{series} below {current}");
        assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{series} twice");
    }
    for (series, value) in &samples {
        if let Some((rest, _)) = series.split_once(",le=\"+Inf\"") {
            let buckets = samples.iter().filter(|(other, _)| other.starts_with(&format!("{rest},le=")));
            assert!(buckets.clone().count() > 1 && buckets.clone().all(|(_, below)| below <= value), "{series}");
            let count = rest.replacen("_bucket{", "_count{", 1) + "}";
            assert_eq!(samples[&count], *value, "{series}");
        }
    }
    samples
}

/// The sum of all series of that name that have these labels.
fn sum(samples: &BTreeMap<String, f64>, name: &str, labels: &[&str]) -> f64 {
    let begin = format!("{name}{{");
    let fits = |series: &String| series.starts_with(&begin) && labels.iter().all(|label| series.contains(label));
    samples.iter().filter(|(series, _)| fits(series)).map(|(_, value)| value).sum()
}

async fn scrape(rig: &Rig, path: &str) -> BTreeMap<String, f64> {
    let answer = rig.get(path, &[]).await;
    assert_eq!(
        (answer.status(), answer.field("content-type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    parse(&answer.text())
}

/// Metrics whose text is always a new one, and a gateway that counts into them.
async fn counted(yaml: &str) -> (Metrics, Rig) {
    counted_before(Origin::saying("origin").await, yaml).await
}

async fn counted_before(origin: Origin, yaml: &str) -> (Metrics, Rig) {
    let mut attr = PrometheusAttr::default();
    (attr.refresh_interval, attr.max_label_sets) = (0, 4);
    let metrics = Metrics::new(attr).unwrap();
    let builder = Gateway::builder().plugin(PrometheusPlugin::new(metrics.clone()));
    (metrics, Rig::before(origin, builder, yaml).await)
}

async fn read(metrics: &Metrics) -> BTreeMap<String, f64> {
    parse(std::str::from_utf8(&metrics.text().await).unwrap())
}

/// Routes `/a` and `/b` to the origin, `/a` with the plugin, below these other resources.
fn routes(others: &str) -> String {
    let upstream = "upstream: {nodes: {\"127.0.0.1:7001\": 1}}";
    format!(
        "{others}\nroutes:\n  - {{id: a, uri: /a, plugins: {{prometheus: {{}}}}, {upstream}}}\n  - {{id: b, uri: /b, {upstream}}}\n"
    )
}

const GLOBAL: &str = "global_rules: [{id: m, plugins: {prometheus: {}}}]";

#[tokio::test]
async fn the_example_counts_by_name_and_region() {
    let fresh = "    prometheus:\n      refresh_interval: 0\n      export_addr";
    let rig = Rig::of(&example("prometheus").replace("    prometheus:\n      export_addr", fresh)).await;
    rig.get("/orders/1", &[("X-Region", "north")]).await;
    rig.get("/orders/2", &[]).await;
    rig.get("/nowhere", &[]).await;
    let samples = scrape(&rig, "/metrics").await;
    let orders =
        ["route=\"orders\"", "matched_uri=\"/orders/*\"", "node=\"127.0.0.1\"", "response_source=\"upstream\""];
    let status = |labels: &[&str]| sum(&samples, "tollgate_http_status", labels);
    assert_eq!(status(&orders), 2.0);
    assert_eq!(status(&["region=\"north\"", "code=\"200\""]), 1.0);
    assert_eq!(status(&["region=\"unknown\"", "code=\"200\""]), 1.0);
    assert_eq!(status(&["code=\"404\"", "route=\"\"", "node=\"\"", "response_source=\"gateway\""]), 1.0);
    let latency = |labels: &[&str]| sum(&samples, "tollgate_http_latency_count", labels);
    assert_eq!(latency(&["type=\"upstream\"", "route=\"orders\""]), 2.0);
    assert_eq!(latency(&["type=\"gateway\""]), 3.0);
    assert_eq!(samples["tollgate_http_requests_total"], 3.0);
    assert_eq!(sum(&samples, "tollgate_node_info", &[]), 1.0);
}

#[tokio::test]
async fn public_api_answers_with_what_plugins_offer() {
    let rig = Rig::example("public-api").await;
    assert!(scrape(&rig, "/internal/metrics?x").await.contains_key("tollgate_http_requests_total"));
    assert_eq!(rig.ask("POST /internal/metrics", &[]).await.status(), 405);
    let own = "routes: [{id: p, uri: /apisix/*, plugins: {public-api: {}}}]\n";
    let rig = Rig::of(own).await;
    scrape(&rig, "/apisix/prometheus/metrics").await;
    let answer = rig.get("/apisix/none", &[]).await;
    assert_eq!((answer.status(), answer.text().as_str()), (404, ""));
}

#[tokio::test]
async fn bytes_are_those_of_head_and_body_and_the_routes_block_counts() {
    let (metrics, rig) = counted(&routes(GLOBAL)).await;
    rig.ask_bytes("POST /a", [], &vec![b'x'; 100_000]).await;
    let samples = read(&metrics).await;
    let ingress = sum(&samples, "tollgate_bandwidth", &["type=\"ingress\"", "route=\"a\""]);
    assert!((100_050.0..100_200.0).contains(&ingress), "{ingress}");
    let egress = sum(&samples, "tollgate_bandwidth", &["type=\"egress\"", "route=\"a\""]);
    assert!((20.0..200.0).contains(&egress), "{egress}");
    assert_eq!(sum(&samples, "tollgate_http_status", &[]), 1.0, "{samples:?}");
}

#[tokio::test]
async fn counters_survive_a_reload_and_labels_can_be_left_empty() {
    let (metrics, rig) = counted(&routes(GLOBAL)).await;
    rig.get("/b", &[]).await;
    rig.apply(&routes(&format!(
        "{GLOBAL}\nplugin_metadata: [{{id: prometheus, disabled_labels: {{http_status: [node, response_source]}}}}]"
    )));
    rig.get("/b", &[]).await;
    let samples = read(&metrics).await;
    let status = |labels: &[&str]| sum(&samples, "tollgate_http_status", labels);
    assert_eq!((status(&["node=\"127.0.0.1\""]), status(&["node=\"\"", "response_source=\"\""])), (1.0, 1.0));
    assert_eq!(sum(&samples, "tollgate_bandwidth", &["node=\"\""]), 0.0);
    assert_eq!(samples["tollgate_http_requests_total"], 2.0);
}

#[tokio::test]
async fn a_consumer_is_named_and_his_own_block_counts_alone() {
    let own = "consumers:\n  - {username: jack, plugins: {key-auth: {key: k1}}}\n  - {username: jill, plugins: {key-auth: \
               {key: k2}, prometheus: {prefer_name: true}}}\nroutes: [{id: r, name: named, uri: /, plugins: {prometheus: {}, \
               key-auth: {}}, upstream: {nodes: {\"127.0.0.1:7001\": 1}}}]\n";
    let (metrics, rig) = counted(own).await;
    for key in ["k1", "k2", "wrong"] {
        rig.get("/", &[("apikey", key)]).await;
    }
    let samples = read(&metrics).await;
    let status = |labels: &[&str]| sum(&samples, "tollgate_http_status", labels);
    assert_eq!(status(&["consumer=\"jack\"", "route=\"r\"", "code=\"200\""]), 1.0);
    assert_eq!(status(&["consumer=\"jill\"", "route=\"named\"", "code=\"200\""]), 1.0);
    assert_eq!(status(&["consumer=\"\"", "route=\"r\"", "code=\"401\"", "response_source=\"gateway\""]), 1.0);
    assert_eq!(status(&[]), 3.0);
}

#[tokio::test]
async fn what_has_no_place_is_counted_together() {
    let consumers: String =
        (0..9).map(|n| format!("  - {{username: c{n}, plugins: {{key-auth: {{key: k{n}}}}}}}\n")).collect();
    let routes = "routes: [{id: r, uri: /, plugins: {prometheus: {}, key-auth: {}}, upstream: {nodes: {\"127.0.0.1:7001\": 1}}}]";
    let (metrics, rig) = counted(&format!("consumers:\n{consumers}{routes}\n")).await;
    for n in 0..9 {
        rig.get("/", &[("apikey", &format!("k{n}"))]).await;
    }
    let samples = read(&metrics).await;
    assert_eq!(sum(&samples, "tollgate_http_status", &["route=\"r\""]), 9.0);
    assert_eq!(sum(&samples, "tollgate_http_status", &["consumer=\"*\"", "node=\"*\""]), 5.0);
    assert_eq!((samples["tollgate_label_sets"], samples["tollgate_label_set_overflows_total"]), (5.0, 5.0));
}

#[tokio::test]
async fn a_client_that_went_away_is_counted_as_499() {
    let (metrics, rig) =
        counted_before(Origin::scripted(|_| vec![Step::Request, Step::Request]).await, &routes("")).await;
    let mut client = rig.client().await;
    client.send("GET /a HTTP/1.1\r\nHost: gw.test\r\n\r\n").await;
    rig.origin.wait(|seen| seen.iter().any(|one| one.bytes.ends_with(b"\r\n\r\n"))).await;
    client.reset();
    while sum(&read(&metrics).await, "tollgate_http_status", &["code=\"499\"", "route=\"a\""]) != 1.0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_host_adds_its_own_figures_and_its_own_stack_is_counted() {
    let metrics = Metrics::default();
    metrics.gauge("connections", "Open connections.", || 3.0);
    let service = tower::service_fn(|_: http::Request<tollgate::Body>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new("hello".to_owned()))
    });
    let service = tower::Layer::layer(&metrics.layer(&PrometheusConfig::default()), service);
    tower::ServiceExt::oneshot(service, http::Request::new(String::from("body"))).await.unwrap();
    let samples = read(&metrics).await;
    assert_eq!(samples["tollgate_connections"], 3.0);
    assert_eq!(sum(&samples, "tollgate_http_status", &["code=\"200\"", "route=\"\""]), 1.0);
}

#[test]
fn faults_are_named_with_their_field() {
    for (yaml, says) in [
        (routes("").replace("prometheus: {}", "prometheus: {prefer_names: true}"), "plugins.prometheus.prefer_names"),
        (
            routes("plugin_metadata: [{id: prometheus, disabled_labels: {http_status: [code]}}]"),
            "disabled_labels.http_status.0",
        ),
        (routes("tollgate: {plugin_attr: {prometheus: {metric_prefix: \"a b\"}}}"), "metric_prefix"),
        ("routes: [{id: p, uri: /, plugins: {public-api: {uri: x}}}]\n".to_owned(), "plugins.public-api.uri"),
    ] {
        let text = refused(&yaml);
        assert!(text.contains(says), "{text}");
    }
}
