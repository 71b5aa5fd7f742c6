//! JSON to gRPC and back, through a whole gateway: to tonic and to grpcio.
use std::net::SocketAddr;
use std::sync::atomic::Ordering::SeqCst;

use serde_json::{Value, json};

use super::calls::until;
use super::origin::Origin;
use super::peers::client::Client;
use super::peers::strict::Message;
use super::python;
use super::rig::{Front, snapshot};

const TEXT: &str = "syntax = \"proto3\"; package test;
    message Text { string text = 1; int64 number = 2; repeated Text more = 3; }";
const ECHO: &str = "syntax = \"proto3\"; package test; import \"text.proto\"; service Echo {
    rpc Unary (Text) returns (Text); rpc Fail (Text) returns (Text); rpc None (Text) returns (Text);
    rpc Hang (Text) returns (Text); rpc Twice (Text) returns (stream Text); rpc Break (Text) returns (stream Text);
}";

/// A configuration in which `/<method>` is a method of the service.
fn document(origin: SocketAddr) -> Value {
    // `Wait` is `Hang` without a deadline.
    let route = |path: &str| {
        let method = if path == "Wait" { "Hang" } else { path };
        let block = json!({
            "proto_id": "echo", "service": "test.Echo", "method": method, "pb_option": ["no_default_values"],
            "deadline": if path == "Hang" { 100 } else { 0 }, "show_status_in_body": method == "Fail",
            "max_resp_body_size": 1_000_000,
        });
        json!({"id": path, "uri": format!("/{path}"), "upstream_id": "echo", "plugins": {"grpc-transcode": block}})
    };
    let methods = ["Unary", "Fail", "None", "Hang", "Twice", "Break", "Wait", "Wrong"];
    json!({
        "upstreams": [{"id": "echo", "scheme": "grpc", "nodes": {(origin.to_string()): 1}}],
        "protos": [{"id": "echo", "content": ECHO}, {"id": "text", "content": TEXT}],
        "routes": methods.map(route),
    })
}

async fn post(front: &Front, path: &str, body: &Value) -> Message {
    let mut client = Client::connect(front.address).await;
    let body = body.to_string();
    let head = format!("POST {path} HTTP/1.1\r\nhost: gw.test\r\nx-id: 7\r\ncontent-type: application/json\r\n");
    client.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
    client.answer().await
}

fn told(answer: &Message) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

/// What both services do alike.
async fn calls(front: &Front) {
    let fields = json!({"text": "ü".repeat(100_000), "number": i64::MAX, "more": [{"text": "a"}, {"more": [{}]}]});
    let answer = post(front, "/Unary", &fields).await;
    assert_eq!(
        (answer.status(), answer.field("content-type"), answer.field("x-id")),
        (200, Some("application/json"), Some("7"))
    );
    assert_eq!(told(&answer), fields);
    let mut client = Client::connect(front.address).await;
    client.send("GET /Unary?text=a+b&number=1 HTTP/1.1\r\nhost: gw.test\r\n\r\n").await;
    let answer = client.answer_to("GET").await;
    assert_eq!(told(&answer), json!({"text": "a b", "number": 1}), "{}", answer.text());
    let answer = post(front, "/Fail", &json!({"text": "5"})).await;
    assert_eq!((answer.status(), answer.field("grpc-status")), (404, Some("5")));
    assert_eq!(told(&answer), json!({"error": {"code": 5, "message": "it fails: 50 % ü"}}));
    let answer = post(front, "/None", &json!({})).await;
    assert_eq!((answer.status(), answer.body.len()), (501, 0));
    for (path, body, status) in [
        ("/Unary", json!({"text": 1}), 400),
        ("/Unary", json!([]), 400),
        ("/Unary?more.text=a", json!({}), 400),
        ("/Unary", json!({"text": "x".repeat(1 << 20)}), 413),
        ("/Wrong", json!({}), 503),
        ("/Hang", json!({}), 504),
    ] {
        assert_eq!(post(front, path, &body).await.status(), status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tonic_is_called_with_json() {
    let origin = Origin::start().await;
    let front = Front::of(&document(origin.address));
    calls(&front).await;
    let answer = post(&front, "/Twice", &json!({"text": "a"})).await;
    assert_eq!((answer.status(), answer.field("content-type")), (200, Some("application/x-ndjson")));
    assert_eq!(answer.text(), "{\"text\":\"a\"}\n{\"text\":\"a\"}\n");
    let answer = post(&front, "/Break", &json!({"text": "a"})).await;
    assert_eq!(answer.text(), "{\"text\":\"a\"}\n{\"error\":{\"code\":9,\"message\":\"it broke\"}}\n");
    until("no call is running", || origin.seen.running.load(SeqCst) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpcio_is_called_with_json() {
    let server = python::Server::start().await;
    calls(&Front::of(&document(server.address))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_come_behind_the_json() {
    let origin = Origin::start().await;
    let front = Front::of(&document(origin.address));
    let mut client = Client::connect(front.address).await;
    let head = "POST /Unary?text=a HTTP/1.1\r\nhost: gw.test\r\nte: gzip, trailers;q=1, trailers\r\nconnection: te\r\n";
    client.send(format!("{head}content-length: 0\r\n\r\n")).await;
    let answer = client.until("\r\n0\r\n").await;
    let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    assert!(answer.contains("{\"text\":\"a\"}") && answer.contains("\r\ntrailer: grpc-status\r\n"), "{answer}");
    assert_eq!(client.until("\r\n\r\n").await, b"grpc-status: 0\r\n\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_away_is_not_worked_for() {
    let origin = Origin::start().await;
    let front = Front::of(&document(origin.address));
    let mut client = Client::connect(front.address).await;
    client.send("GET /Wait HTTP/1.1\r\nhost: gw.test\r\n\r\n").await;
    until("the call runs", || origin.seen.running.load(SeqCst) == 1).await;
    drop(client);
    until("the call was given up", || origin.seen.running.load(SeqCst) == 0).await;
    assert_eq!(origin.seen.cancelled.load(SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn definitions_change_while_requests_run() {
    let origin = Origin::start().await;
    let mut document = document(origin.address);
    let protos = document["protos"].take();
    document["protos"] = json!([]);
    let front = Front::of(&document);
    let warnings: Vec<_> = front.gateway.status().findings.iter().map(ToString::to_string).collect();
    let says = "route `Unary`, field plugins.grpc-transcode.proto_id: there is no proto `echo`: requests are answered with 500";
    assert!(warnings.iter().any(|warning| warning.starts_with(says)), "{warnings:#?}");
    assert_eq!(post(&front, "/Unary", &json!({"text": "a"})).await.status(), 500);

    document["protos"] = protos;
    front.gateway.apply(snapshot(&document)).unwrap();
    assert_eq!(told(&post(&front, "/Unary", &json!({"text": "a"})).await), json!({"text": "a"}));
    let doubts: Vec<_> = front.gateway.status().findings.iter().map(ToString::to_string).collect();
    let wrong = "route `Wrong`, field plugins.grpc-transcode.method: the service has no method `Wrong`";
    assert!(doubts.len() == 1 && doubts[0].starts_with(wrong), "{doubts:#?}");

    // What is imported has another name for the field now.
    document["protos"][1]["content"] = json!(TEXT.replace("string text", "string word"));
    front.gateway.apply(snapshot(&document)).unwrap();
    assert_eq!(told(&post(&front, "/Unary", &json!({"word": "a"})).await), json!({"word": "a"}));

    document["protos"][1]["content"] = json!("syntax = \"proto3\";\nmessage {");
    let fault = front.gateway.apply(snapshot(&document)).unwrap_err().to_string();
    assert!(fault.contains("proto `text`, field content: line 2, column 9: "), "{fault}");
    assert_eq!(told(&post(&front, "/Unary", &json!({"word": "a"})).await), json!({"word": "a"}));
}
