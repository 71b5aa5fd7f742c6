use std::sync::{Arc, Mutex};

use http::Request as HttpRequest;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::plugin::{ConfigError, Plugin as _};

fn config(block: serde_json::Value) -> ForwardAuthConfig {
    serde_json::from_value(block).unwrap()
}

fn built(block: serde_json::Value) -> Result<ForwardAuth, ConfigError> {
    ForwardAuth::new(config(block))
}

#[test]
fn sec_hop_05_what_the_service_says_of_callers_is_no_clients_to_send() {
    let config = ForwardAuthConfig {
        request_headers: vec!["x-session".to_owned()],
        upstream_headers: ["X-User", "Authorization", "cookie", "X-Session", "remote-user"].map(str::to_owned).to_vec(),
        ..ForwardAuthConfig::default()
    };
    assert_eq!(ForwardAuthPlugin::default().identity_fields(&config), ["x-user", "remote-user"]);
}

#[test]
fn a_faulty_block_names_its_field() {
    for (block, field) in [
        (json!({}), "uri"),
        (json!({"uri": "/verify"}), "uri"),
        (json!({"uri": "http://a", "timeout": 0}), "timeout"),
        (json!({"uri": "http://a", "timeout": 60_001}), "timeout"),
        (json!({"uri": "http://a", "keepalive_timeout": 999}), "keepalive_timeout"),
        (json!({"uri": "http://a", "keepalive_pool": 0}), "keepalive_pool"),
        (json!({"uri": "http://a", "status_on_error": 199}), "status_on_error"),
        (json!({"uri": "http://a", "max_req_body_size": 0}), "max_req_body_size"),
        (json!({"uri": "http://a", "request_headers": ["a b"]}), "request_headers.0"),
        (json!({"uri": "http://a", "request_headers": ["X-A", "Transfer-Encoding"]}), "request_headers.1"),
        (json!({"uri": "http://a", "upstream_headers": ["Content-Length"]}), "upstream_headers.0"),
        (json!({"uri": "http://a", "upstream_headers": ["Host"]}), "upstream_headers.0"),
        (json!({"uri": "http://a", "client_headers": ["Connection"]}), "client_headers.0"),
        (json!({"uri": "http://a", "extra_headers": {"X-A": "${broken"}}), "extra_headers.X-A"),
        (json!({"uri": "http://a", "extra_headers": {"Expect": "x"}}), "extra_headers.Expect"),
    ] {
        let error = built(block.clone()).unwrap_err();
        assert_eq!(error.field(), field, "{block}: {error}");
    }
    for block in [json!({"uri": "http://a", "url": 1}), json!({"uri": "http://a", "request_method": "PUT"})] {
        assert!(serde_json::from_value::<ForwardAuthConfig>(block.clone()).is_err(), "{block}");
    }
}

#[test]
fn what_a_block_leaves_open_is_warned_of() {
    let fields = |block: serde_json::Value| {
        let caveats = crate::plugin::Plugin::caveats(&ForwardAuthPlugin::default(), &config(block));
        caveats.into_iter().map(|caveat| caveat.field).collect::<Vec<_>>()
    };
    assert_eq!(fields(json!({})), [""; 0]);
    assert_eq!(fields(json!({"allow_degradation": true, "ssl_verify": false})), ["allow_degradation", "ssl_verify"]);
}

/// A service that records questions and gives one answer to all.
struct Service {
    uri: String,
    questions: Arc<Mutex<Vec<String>>>,
}

impl Service {
    async fn answering(answer: &'static str) -> Self {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/verify", listener.local_addr().unwrap());
        let questions = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&questions);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut seen = Vec::new();
                while stream.read_buf(&mut seen).await.unwrap_or(0) > 0 {
                    let text = String::from_utf8_lossy(&seen).into_owned();
                    let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
                    let length: usize = length.map_or(0, |length| length.parse().unwrap());
                    if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() == length) {
                        seen.clear();
                        record.lock().unwrap().push(text);
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
            }
        });
        Self { uri, questions }
    }

    fn question(&self) -> String {
        self.questions.lock().unwrap().pop().unwrap()
    }
}

/// Sends a request through the layer; the end of the chain answers with the fields `x-user` that it got, and its body.
async fn through(block: serde_json::Value, request: crate::Request) -> (u16, http::HeaderMap, String) {
    let layer = ForwardAuthLayer::of(built(block).unwrap());
    let end = crate::Next::from_fn(|request: crate::Request| async move {
        let users: Vec<_> =
            request.headers().get_all("x-user").iter().map(|user| user.to_str().unwrap().to_owned()).collect();
        let body = request.into_body().buffer(1024).await.unwrap();
        crate::Response::new(format!("{}|{}", users.join(","), String::from_utf8_lossy(&body)).into())
    });
    let response = crate::PluginLayer::from(layer).wrap(end).run(request).await;
    let (head, body) = response.into_parts();
    (head.status.as_u16(), head.headers, String::from_utf8(body.buffer(4096).await.unwrap().to_vec()).unwrap())
}

fn forged() -> http::request::Builder {
    HttpRequest::post("http://shop.test/a%20b?x=1").header("x-user", "forged").header("authorization", "Basic x")
}

#[tokio::test]
async fn sec_hop_07_the_question_is_made_from_scratch() {
    let service = Service::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let block = json!({"uri": service.uri, "request_headers": ["Authorization", "X-Forwarded-Method", "X-None"],
        "extra_headers": {"X-From": "gw $request_method", "X-Forwarded-Host": "replaced"}});
    let request = forged()
        .header("content-length", "4")
        .header("expect", "100-continue")
        .header("x-forwarded-method", "TRACE")
        .header("cookie", "secret")
        .body("body".into());
    assert_eq!(through(block, request.unwrap()).await.2, "forged|body", "no field was named that would replace it");
    let question = service.question();
    let (line, rest) = question.split_once("\r\n").unwrap();
    assert_eq!(line, "GET /verify HTTP/1.1");
    for (field, values) in [
        ("authorization", &["Basic x"][..]),
        ("x-forwarded-method", &["POST"]),
        ("x-forwarded-uri", &["/a%20b?x=1"]),
        ("x-forwarded-host", &["replaced"]),
        ("x-from", &["gw POST"]),
        ("x-none", &[]),
        ("content-length", &[]),
        ("transfer-encoding", &[]),
        ("expect", &[]),
        ("cookie", &[]),
    ] {
        let lines = rest.lines().filter_map(|line| line.strip_prefix(field)?.strip_prefix(": "));
        assert_eq!(lines.collect::<Vec<_>>(), values, "{field}");
    }
    assert!(rest.ends_with("\r\n\r\n"));
}

#[tokio::test]
async fn a_post_carries_the_body_along_up_to_its_limit() {
    let service = Service::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let block = |most: u64| json!({"uri": service.uri, "request_method": "POST", "max_req_body_size": most});
    let request = || forged().header("content-encoding", "gzip").body("body".into()).unwrap();
    assert_eq!(through(block(4), request()).await.2, "forged|body");
    let question = service.question();
    assert!(question.contains("\r\ncontent-encoding: gzip\r\n") && question.ends_with("\r\n\r\nbody"), "{question}");
    assert_eq!(through(block(3), request()).await.0, 413);
    assert!(service.questions.lock().unwrap().is_empty());
}

#[tokio::test]
async fn sec_hop_06_listed_fields_are_those_of_the_answer_or_gone() {
    for (answer, user) in [
        ("HTTP/1.1 200 OK\r\nx-user: u1\r\nx-user: u2\r\nx-other: o\r\ncontent-length: 0\r\n\r\n", "u1,u2|"),
        ("HTTP/1.1 299 Fine\r\ncontent-length: 0\r\n\r\n", "|"),
    ] {
        let service = Service::answering(answer).await;
        let block = json!({"uri": service.uri, "upstream_headers": ["X-User"]});
        assert_eq!(through(block, forged().body(().into()).unwrap()).await.2, user);
    }
}

#[tokio::test]
async fn a_refusal_reaches_the_client_with_listed_fields_only() {
    let service = Service::answering(
        "HTTP/1.1 302 Found\r\nlocation: http://login.test/\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nx-secret: s\r\ncontent-length: 5\r\n\r\nlogin",
    )
    .await;
    let block = json!({"uri": service.uri, "client_headers": ["Location", "Set-Cookie"]});
    let (status, headers, body) = through(block, forged().body(().into()).unwrap()).await;
    assert_eq!((status, body.as_str()), (302, "login"));
    assert_eq!(headers["location"], "http://login.test/");
    assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
    assert!(!headers.contains_key("x-secret"));
}

#[tokio::test]
async fn a_service_that_is_away_refuses_or_lets_pass_and_nonsense_always_refuses() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let away = format!("http://{free}/");
    let silent = Service::answering("").await;
    let nonsense = Service::answering("HTTP/1.1 200 OK\r\nx-user: a\rb\r\ncontent-length: 0\r\n\r\n").await;
    let request = || forged().body(().into()).unwrap();
    for (uri, more, status) in [
        (&away, json!({}), 403),
        (&away, json!({"status_on_error": 599}), 599),
        (&away, json!({"allow_degradation": true, "upstream_headers": ["X-User"]}), 200),
        (&silent.uri, json!({"timeout": 30}), 403),
        (&nonsense.uri, json!({"allow_degradation": true}), 502),
    ] {
        let mut block = json!({"uri": uri});
        block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (answered, _, body) = through(block.clone(), request()).await;
        assert_eq!((answered, body.as_str()), (status, if status == 200 { "|" } else { "" }), "{uri} {more}");
    }
}
