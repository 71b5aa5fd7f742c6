//! `batch-requests` as its example has it, and what a batch must not make possible.
use serde_json::{Value, json};
use tollgate::gateway::Gateway;

use super::peers::origin::{Origin, Step};
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

/// A batch route, and `/data` to the origin.
fn batch_before_origin(settings: &str) -> String {
    format!(
        "routes:
  - {{id: batch, uri: /batch, plugins: {{public-api: {{uri: /apisix/batch-requests}}}}}}
  - {{id: data, uri: /data, upstream: {{nodes: {{\"127.0.0.1:7001\": 1}}}}}}
  - {{id: long, uri: /long, plugins: {{mocking: {{response_example: {}}}}}}}
{settings}",
        "x".repeat(1_000_000)
    )
}

#[tokio::test]
async fn sec_lim_04_what_the_client_is_told_counts_and_is_bounded_in_sum() {
    let rig = Rig::of(&batch_before_origin("tollgate: {limits: {buffer_total_bytes: 3500000}}\n")).await;
    let longs = |count: usize| json!({"pipeline": vec![json!({"path": "/long"}); count]});
    let told = |all: Vec<Value>| {
        all.iter().map(|answer| (answer["status"].as_u64(), answer["reason"].to_string())).collect::<Vec<_>>()
    };
    let fine = (Some(200), "\"OK\"".to_owned());
    // an answer is held as a body until it is written down
    let no_room = (Some(503), "\"no room for the answer\"".to_owned());
    let all = told(answers(&ask(&rig, &[], &longs(4)).await));
    assert_eq!(all, [fine.clone(), fine.clone(), fine.clone(), no_room]);
    let again = told(answers(&ask(&rig, &[], &longs(1)).await));
    assert!(again.iter().all(|answer| *answer == fine), "what was told is given back: {again:?}");

    let rig = Rig::of(&batch_before_origin("")).await;
    let all = told(answers(&ask(&rig, &[], &longs(18)).await));
    assert!(all[..16].iter().all(|answer| *answer == fine), "{all:?}");
    let too_long = (Some(502), "\"answer too long\"".to_owned());
    assert_eq!(all[16..], [too_long.clone(), too_long], "16 MiB of all of them");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_and_the_next_request_goes_on() {
    let broken = |_| {
        vec![Step::Request, Step::send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), Step::Finish, Step::Close]
    };
    let rig = Rig::before(Origin::scripted(broken).await, Gateway::builder(), &batch_before_origin("")).await;
    let all = answers(&ask(&rig, &[], &json!({"pipeline": [{"path": "/data"}, {"path": "/none"}]})).await);
    assert_eq!(all[0], json!({"status": 502, "reason": "answer broke off"}));
    assert_eq!(all[1]["status"], 404);
}

#[tokio::test]
async fn a_request_has_one_host() {
    let rig = Rig::of(&batch_before_origin("")).await;
    let hosts = json!({"pipeline": [{"path": "/data", "headers": {"Host": ["a.test", "b.test"]}}, {"path": "/data", "headers": {"Host": "a.test"}}]});
    let all = answers(&ask(&rig, &[], &hosts).await);
    assert_eq!((&all[0]["status"], &all[1]["status"]), (&json!(400), &json!(200)));
    assert_eq!((rig.forwarded_count(), rig.forwarded().field("host")), (1, Some("a.test")));
}

#[tokio::test]
async fn sec_plg_05_what_a_trusted_proxy_says_is_true_of_all_requests() {
    let batch = json!({"pipeline": [{"path": "/data"}, {"path": "/data", "headers": {"X-Forwarded-For": "10.0.0.1"}}]});
    let said = [("X-Forwarded-For", &b"203.0.113.9"[..]), ("X-Forwarded-Proto", b"https")];
    for (settings, client, scheme) in
        [("tollgate: {trusted_proxies: [127.0.0.0/8]}\n", "203.0.113.9, 127.0.0.1", "https"), ("", "127.0.0.1", "http")]
    {
        let rig = Rig::of(&batch_before_origin(settings)).await;
        answers(&ask(&rig, &said, &batch).await);
        for forwarded in rig.origin.requests() {
            let told = (forwarded.field("x-forwarded-for"), forwarded.field("x-forwarded-proto"));
            assert_eq!(told, (Some(client), Some(scheme)));
        }
        assert_eq!(rig.forwarded_count(), 2);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_batch() {
    let silent = |_| vec![Step::Request, Step::until("for ever")];
    let rig = Rig::before(Origin::scripted(silent).await, Gateway::builder(), &batch_before_origin("")).await;
    let batch = json!({"pipeline": [{"path": "/data"}, {"path": "/data"}]}).to_string();
    let mut client = rig.client().await;
    client
        .send(format!("POST /batch HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {}\r\n\r\n{batch}", batch.len()))
        .await;
    rig.origin.wait(|seen| seen.len() == 1).await;
    client.reset();
    rig.origin.end_of(0).await;
    assert_eq!(rig.forwarded_count(), 1, "the second one is never asked");
}
