//! `batch-requests` as its example has it, and what a batch must not make possible.
use serde_json::{Value, json};

use super::peers::strict::Message;
use super::support::{Rig, said};

const KEY: (&str, &[u8]) = ("apikey", b"key-of-page");

async fn ask(rig: &Rig, fields: &[(&str, &[u8])], batch: &Value) -> Message {
    rig.ask_bytes("POST /batch", fields.iter().copied(), batch.to_string().as_bytes()).await
}

fn answers(answer: &Message) -> Vec<Value> {
    assert_eq!((answer.status(), answer.field("content-type")), (200, Some("application/json")), "{answer:?}");
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn requests_of_a_batch_go_through_the_gateway_in_order() {
    let rig = Rig::example("batch-requests").await;
    let batch = json!({"query": {"page": 7}, "pipeline": [
        {"path": "/data/a"},
        {"path": "/data/b?x=1", "method": "POST", "body": "text", "headers": {"X-Own": "1"}},
        {"path": "/data/c", "headers": {"apikey": "wrong"}},
        {"path": "/nowhere"},
    ]});
    let all = answers(&ask(&rig, &[KEY, ("X-Outer", b"o"), ("Accept-Encoding", b"gzip")], &batch).await);
    let statuses: Vec<_> = all.iter().map(|answer| answer["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 200, 401, 404]);
    assert_eq!((&all[0]["reason"], &all[0]["body"]), (&json!("OK"), &json!("origin")));
    assert_eq!(all[2]["headers"]["content-type"], "application/json");
    let forwarded = rig.origin.requests();
    let targets: Vec<_> = forwarded.iter().map(|request| request.target().to_owned()).collect();
    assert_eq!(targets, ["/data/a?page=7", "/data/b?x=1&page=7"]);
    assert_eq!((forwarded[1].body.as_slice(), forwarded[1].field("x-own")), (&b"text"[..], Some("1")));
    assert_eq!((forwarded[0].field("x-outer"), forwarded[0].field("accept-encoding")), (Some("o"), None));
    assert_eq!(forwarded[0].field("x-forwarded-for"), Some("127.0.0.1"));
}

#[tokio::test]
async fn what_is_no_batch_is_refused() {
    let rig = Rig::example("batch-requests").await;
    assert_eq!(ask(&rig, &[], &json!({})).await.status(), 401);
    let item = json!({"path": "/data/a"});
    for (body, status, says) in [
        (String::new(), 400, "no request body, you should give at least one pipeline setting"),
        ("{".to_owned(), 400, "bad request body: EOF while parsing an object at line 1 column 1"),
        (json!({"pipeline": []}).to_string(), 400, "bad request body: pipeline: is empty; give at least one request"),
        (
            json!({"pipeline": vec![item; 21]}).to_string(),
            400,
            "too many pipeline requests, 21 exceeds the maximum of 20",
        ),
        (" ".repeat(65_537), 413, "the request body is longer than 65536 bytes"),
    ] {
        let answer = rig.ask_bytes("POST /batch", [KEY], body.as_bytes()).await;
        assert_eq!((answer.status(), said(&answer, "error_msg").as_str()), (status, says));
    }
    assert_eq!(rig.forwarded_count(), 0);
}

#[tokio::test]
async fn a_batch_cannot_stand_in_a_batch() {
    let rig = Rig::example("batch-requests").await;
    let inner = json!({"pipeline": [{"path": "/data/a"}]}).to_string();
    let batch = json!({"pipeline": [{"path": "/batch", "method": "POST", "body": inner}]});
    let all = answers(&ask(&rig, &[KEY], &batch).await);
    assert_eq!(all[0]["status"], 400, "{all:?}");
    assert_eq!(rig.forwarded_count(), 0);
}

#[tokio::test]
async fn sec_plg_05_requests_of_a_batch_come_from_the_outer_client() {
    let yaml = |real_ip: &str| {
        format!(
            "routes:
  - {{id: batch, uri: /batch, plugins: {{{real_ip}, public-api: {{uri: /apisix/batch-requests}}}}}}
  - {{id: inside, uri: /inside, plugins: {{real-ip: {{source: http_x_real_ip, trusted_addresses: [127.0.0.0/8]}},
      ip-restriction: {{whitelist: [10.0.0.0/8]}}}}, upstream: {{nodes: {{\"127.0.0.1:7001\": 1}}}}}}
  - {{id: custom, uri: /custom, plugins: {{real-ip: {{source: http_x_client}}, ip-restriction: {{whitelist: [10.0.0.0/8]}}}},
      upstream: {{nodes: {{\"127.0.0.1:7001\": 1}}}}}}
"
        )
    };
    let spoofed = json!({"headers": {"X-Real-IP": "10.0.0.1"}, "pipeline": [
        {"path": "/inside", "headers": {"X-Real-IP": "10.0.0.1", "X-Forwarded-For": "10.0.0.1"}},
        {"path": "/custom", "headers": {"X-Client": "10.0.0.1"}},
    ]});
    let statuses = |all: Vec<Value>| all.iter().map(|answer| answer["status"].as_u64().unwrap()).collect::<Vec<_>>();
    let rig = Rig::of(&yaml("real-ip: {source: http_x_real_ip, trusted_addresses: [127.0.0.0/8]}")).await;
    // whom the outer route takes for the client is the client of all of them
    assert_eq!(statuses(answers(&ask(&rig, &[("X-Real-IP", b"203.0.113.9")], &spoofed).await)), [403, 403]);
    assert_eq!(statuses(answers(&ask(&rig, &[], &spoofed).await)), [403, 403]);
    assert_eq!(rig.forwarded_count(), 0);
    assert_eq!(statuses(answers(&ask(&rig, &[("X-Real-IP", b"10.1.2.3")], &spoofed).await)), [200, 200]);
}

#[tokio::test]
async fn what_takes_too_long_is_told() {
    let yaml = "routes:
  - {id: batch, uri: /batch, plugins: {public-api: {uri: /apisix/batch-requests}}}
  - {id: slow, uri: /slow, plugins: {mocking: {response_example: x, delay: 60}}}
  - {id: fast, uri: /fast, plugins: {mocking: {response_example: x}}}
";
    let rig = Rig::of(yaml).await;
    let batch = json!({"timeout": 50, "pipeline": [{"path": "/fast"}, {"path": "/slow"}, {"path": "/fast"}]});
    let all = answers(&ask(&rig, &[], &batch).await);
    assert_eq!((&all[0]["status"], all.len()), (&json!(200), 3));
    assert_eq!(all[1], json!({"status": 504, "reason": "upstream timeout"}));
    assert_eq!(all[2]["status"], 200, "each has its own time");
}

#[tokio::test]
async fn sec_lim_04_answers_of_a_batch_are_bounded() {
    let yaml = "routes:
  - {id: batch, uri: /batch, plugins: {public-api: {uri: /apisix/batch-requests}}}
  - {id: short, uri: /short, plugins: {mocking: {response_example: 1234}}}
  - {id: long, uri: /long, plugins: {mocking: {response_example: 12345}}}
tollgate: {limits: {buffer_bytes: 4}}
"
    .replace("1234}", "\"1234\"}")
    .replace("12345}", "\"12345\"}");
    let rig = Rig::of(&yaml).await;
    let all = answers(&ask(&rig, &[], &json!({"pipeline": [{"path": "/short"}, {"path": "/long"}]})).await);
    assert_eq!((&all[0]["body"], &all[1]), (&json!("1234"), &json!({"status": 502, "reason": "answer too long"})));
}

#[tokio::test]
async fn metadata_that_changes_counts_at_once() {
    let yaml = |most: u32| {
        format!(
            "routes:
  - {{id: batch, uri: /batch, plugins: {{public-api: {{uri: /apisix/batch-requests}}}}}}
plugin_metadata: [{{id: batch-requests, max_pipeline_items: {most}}}]
"
        )
    };
    let rig = Rig::of(&yaml(1)).await;
    let batch = json!({"pipeline": [{"path": "/"}, {"path": "/"}]});
    assert_eq!(ask(&rig, &[], &batch).await.status(), 400);
    rig.apply(&yaml(2));
    assert_eq!(ask(&rig, &[], &batch).await.status(), 200);
}
