use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::model::ConsumerSpec;
use crate::plugin::Plugin as _;
use crate::plugins::testing::{Answer, ask_over, build_error, built, configured};
use crate::request::Consumer;
use crate::{Body, ConnectInfo, Next, Request, Response};

/// A server that gives one answer to every question, and hands the questions' documents on.
async fn server(answer: String) -> (String, mpsc::UnboundedReceiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    let (tell, questions) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while stream.read_buf(&mut seen).await.unwrap_or(0) > 0 {
                let text = String::from_utf8(seen.clone()).unwrap();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
                if body.len() == length.parse::<usize>().unwrap() {
                    let line = head.split("\r\n").next().unwrap().to_owned();
                    let _ = tell.send((line, serde_json::from_str(body).unwrap()));
                    seen.clear();
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        }
    });
    (host, questions)
}

fn http(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} Any\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn deciding(decision: Value) -> (String, mpsc::UnboundedReceiver<(String, Value)>) {
    server(http(200, &json!({"result": decision}).to_string())).await
}

/// Sends a request through the layer; the end answers with `x-user` and the body that it got.
async fn through(block: Value, request: Request) -> Answer {
    let end = Next::from_fn(|request: Request| async move {
        let user = request.headers().get("x-user").map(|user| user.to_str().unwrap().to_owned());
        let body = request.into_body().buffer(1024).await.unwrap();
        Response::new(Body::from(format!("{}|{}", user.unwrap_or_default(), String::from_utf8_lossy(&body))))
    });
    ask_over(&built(OpaPlugin::default(), &block), end, request).await
}

fn request() -> Request {
    let request = http::Request::post("http://shop.test/a%20b?x=1&x=2&y");
    let mut request =
        request.header("host", "shop.test:80").header("x-user", "forged").body(Body::from("body")).unwrap();
    let mut info = ConnectInfo::new(([10, 0, 0, 9], 5100).into());
    info.local = Some(([10, 0, 0, 1], 9080).into());
    request.extensions_mut().insert(info);
    request
}

#[tokio::test]
async fn the_policy_is_told_of_the_request() {
    let (host, mut questions) = deciding(json!({"allow": true})).await;
    let block =
        json!({"host": host, "policy": "shop/http", "with_route": true, "with_service": true, "with_consumer": true});
    let mut request = request();
    let labels = [("tier".to_owned(), "gold".to_owned())].into();
    let acme = ConsumerSpec { username: "acme".into(), group_id: Some("g".into()), labels, ..ConsumerSpec::default() };
    Consumer::new(&acme).by_credential("laptop").attach(&mut request);
    assert_eq!(through(block, request).await.body(), "forged|body", "no field was named that would replace it");
    let (line, question) = questions.recv().await.unwrap();
    assert_eq!(line, "POST /v1/data/shop/http HTTP/1.1");
    let input = &question["input"];
    assert_eq!(input["type"], "http");
    for (field, value) in [
        ("scheme", json!("http")),
        ("method", json!("POST")),
        ("host", json!("shop.test")),
        ("port", json!(9080)),
        ("path", json!("/a%20b")),
        ("query", json!({"x": ["1", "2"], "y": true})),
        ("body", Value::Null),
    ] {
        assert_eq!(input["request"][field], value, "{field}");
    }
    assert_eq!(input["request"]["headers"]["x-consumer-username"], "acme");
    for (field, value) in
        [("server_addr", "10.0.0.1"), ("server_port", "9080"), ("remote_addr", "10.0.0.9"), ("remote_port", "5100")]
    {
        assert_eq!(input["var"][field], value, "{field}");
    }
    assert!(input["var"]["timestamp"].as_u64().unwrap() > 1_700_000_000);
    let consumer = json!({"username": "acme", "group_id": "g", "labels": {"tier": "gold"}, "credential_id": "laptop"});
    assert_eq!((&input["consumer"], &input["route"], &input["service"]), (&consumer, &Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_body_is_told_within_its_limit_and_goes_on() {
    let (host, mut questions) = deciding(json!({"allow": true})).await;
    let block = |most: u64| json!({"host": host, "policy": "p", "with_body": true, "max_req_body_size": most});
    assert_eq!(through(block(4), request()).await.body(), "forged|body");
    assert_eq!(questions.recv().await.unwrap().1["input"]["request"]["body"], "body");
    assert_eq!(through(block(3), request()).await.status(), 413);
    let mut json = request();
    json.headers_mut().insert("content-type", "application/json".parse().unwrap());
    assert_eq!(through(block(9), json).await.status(), 400);
    assert!(questions.try_recv().is_err(), "nobody was asked");
}

#[tokio::test]
async fn what_is_decided_is_done() {
    let block = |host: String| json!({"host": host, "policy": "p", "send_headers_upstream": ["X-User"]});
    let (host, _questions) = deciding(json!({"allow": true, "headers": {"x-user": "7"}})).await;
    assert_eq!(through(block(host), request()).await.body(), "7|body");
    let (host, _questions) = deciding(json!({"allow": false, "reason": "no", "status_code": 401})).await;
    let answer = through(block(host), request()).await;
    assert_eq!((answer.status(), answer.body()), (401, "no"));
}

#[tokio::test]
async fn without_a_decision_nobody_passes() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(through(json!({"host": format!("http://{free}"), "policy": "p"}), request()).await.status(), 403);
    for silent in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"] {
        let (host, _questions) = server(silent.to_owned()).await;
        assert_eq!(through(json!({"host": host, "policy": "p", "timeout": 50}), request()).await.status(), 403);
    }
    for (answer, status) in [
        ("SMTP\r\n\r\n".to_owned(), 503),
        (http(200, "{}"), 503),
        (http(200, "[]"), 503),
        (http(200, "no JSON"), 503),
        (http(200, "{\"result\": true}"), 503),
        (http(200, "{\"result\": null}"), 503),
        (http(500, "{\"result\": {\"allow\": true}}"), 503),
        (http(200, &format!("{{\"result\": {{\"allow\": true, \"x\": \"{}\"}}}}", "x".repeat(1 << 20))), 503),
    ] {
        let (host, _questions) = server(answer.clone()).await;
        let answered = through(json!({"host": host, "policy": "p"}), request()).await;
        assert_eq!((answered.status(), answered.body()), (status, ""), "{}", answer.get(..60).unwrap_or(&answer));
    }
}

#[cfg(feature = "rego")]
#[tokio::test]
async fn a_policy_of_the_blocks_own_decides_without_a_server() {
    let rego = "package shop\nimport rego.v1\ndefault allow := false\n\
                allow if { input.request.query.y == true; data.open }\nheaders := {\"X-User\": \"7\"}\nreason := \"no\"";
    let block = |open: bool| json!({"rego": rego, "data": {"open": open}, "send_headers_upstream": ["X-User"]});
    assert_eq!(through(block(true), request()).await.body(), "7|body");
    let answer = through(block(false), request()).await;
    assert_eq!((answer.status(), answer.body(), answer.header("x-user").as_deref()), (403, "no", Some("7")));
    for (block, says) in [
        (json!({"rego": rego, "host": "http://a"}), "rego: decides in this process"),
        (json!({"rego": "package a\nallow if {"}), "rego: "),
        (json!({"rego": "package a\nimport rego.v1\ndeny := true"}), "rego: has no rule `allow`"),
        (json!({"rego": "package a\nallow if {\n  input.x\n  nobody(1)\n}"}), "rego: line 4 calls `nobody`, which"),
        (json!({"rego": rego, "timeout": 0}), "timeout: 0 is out of range"),
        (json!({"rego": rego, "keepalive_pool": 0}), "keepalive_pool: 0 is out of range"),
    ] {
        let error = build_error(OpaPlugin::default(), &block);
        assert!(error.contains(says), "{block}: {error}");
    }
}

/// What takes long for one caller holds up no other.
#[cfg(feature = "rego")]
#[tokio::test(start_paused = true)]
async fn a_policy_that_was_slow_is_worked_out_beside_the_workers() {
    let rego = "package a\nallow if not input.request.query.slow\nallow if {\n  input.request.query.slow\n  \
                count([1 | some a in numbers.range(1, 5000); some b in numbers.range(1, 5000); a * b == 0]) > 0\n}";
    use crate::plugin::Bench;
    use crate::plugin::bodies::Bodies;

    let (bench, place) = Bench::taken();
    let config: OpaConfig = configured(json!({"rego": rego, "timeout": 20}));
    let opa = Opa::new(config, Bodies::default()).unwrap().at(&bench);
    let layer: crate::PluginLayer = OpaLayer::of(opa).into();
    let ask = async |target: &str| {
        let request = http::Request::get(target).header("host", "shop.test").body(Body::empty()).unwrap();
        crate::plugins::testing::ask(&layer, request).await.status()
    };
    assert_eq!(ask("/?slow=1").await, 503);
    assert_eq!(ask("/").await, 503, "there is no place");
    drop(place);
    assert_eq!(ask("/").await, 200);
}

#[tokio::test]
async fn sec_hop_06_a_field_that_cannot_be_written_lets_nobody_pass() {
    let block = |host: String| json!({"host": host, "policy": "p", "send_headers_upstream": ["X-User"]});
    let (host, _questions) = deciding(json!({"allow": true, "headers": {"X-User": "a\nb"}})).await;
    let answer = through(block(host), request()).await;
    assert_eq!((answer.status(), answer.body()), (503, ""));
}

#[tokio::test]
async fn a_body_is_told_as_the_origin_will_understand_it() {
    let (host, mut questions) = deciding(json!({"allow": true})).await;
    let block = json!({"host": host, "policy": "p", "with_body": true});
    let mut two_types = request();
    for kind in ["text/plain", "application/json"] {
        two_types.headers_mut().append("content-type", kind.parse().unwrap());
    }
    assert_eq!(through(block.clone(), two_types).await.status(), 400);
    let mut coded = request();
    coded.headers_mut().insert("content-encoding", "compress".parse().unwrap());
    assert_eq!(through(block.clone(), coded).await.status(), 415);
    assert!(questions.try_recv().is_err(), "nobody was asked");
    #[cfg(feature = "decode")]
    {
        use std::io::Write as _;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"{\"role\": \"admin\"}").unwrap();
        let packed = packer.finish().unwrap();
        let mut coded = request();
        coded.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        coded.headers_mut().insert("content-type", "application/json".parse().unwrap());
        *coded.body_mut() = Body::from(packed.clone());
        let goes_on = String::from_utf8_lossy(&packed).into_owned();
        assert_eq!(through(block, coded).await.body(), format!("forged|{goes_on}"));
        assert_eq!(questions.recv().await.unwrap().1["input"]["request"]["body"], json!({"role": "admin"}));
    }
}

#[test]
fn a_faulty_block_names_its_field() {
    let host = "http://127.0.0.1:8181";
    for (block, says) in [
        (json!({"policy": "p"}), "host: property \"host\" is required"),
        (json!({"host": host}), "policy: property \"policy\" is required"),
        (json!({"host": "127.0.0.1:8181", "policy": "p"}), "host: is no address"),
        (json!({"host": "http://a/?b", "policy": "p"}), "host: has a query"),
        (json!({"host": host, "policy": "a//b"}), "policy: is no path"),
        (json!({"host": host, "policy": "../config"}), "policy: is no path"),
        (json!({"host": host, "policy": "a?explain=full"}), "policy: is no path"),
        (json!({"host": host, "policy": "p", "timeout": 0}), "timeout: 0 is out of range"),
        (json!({"host": host, "policy": "p", "keepalive_timeout": 1}), "keepalive_timeout"),
        (json!({"host": host, "policy": "p", "keepalive_pool": 0}), "keepalive_pool"),
        (json!({"host": host, "policy": "p", "max_req_body_size": 0}), "max_req_body_size"),
        (json!({"host": host, "policy": "p", "send_headers_upstream": ["x", "Host"]}), "send_headers_upstream.1"),
        (json!({"host": host, "policy": "p", "with_bodies": true}), "unknown field `with_bodies`"),
    ] {
        let error = build_error(OpaPlugin::default(), &block);
        assert!(error.contains(says), "{block}: {error}");
    }
    for policy in ["/example/", "a.b/c_d-e"] {
        built(OpaPlugin::default(), &json!({"host": "http://h/opa/", "policy": policy}));
    }
}

#[test]
fn sec_hop_05_what_a_policy_says_of_callers_is_no_clients_to_send() {
    let block = json!({"send_headers_upstream": ["X-User", "Authorization", "cookie", "Content-Type", "X-Forwarded-For"], "ssl_verify": false});
    let config: OpaConfig = configured(block);
    assert_eq!(OpaPlugin::default().identity_fields(&config), ["x-user"]);
    assert_eq!(OpaPlugin::default().caveats(&config)[0].field, "ssl_verify");
}
