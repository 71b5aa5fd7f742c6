//! One request: whether its route is on, how long it may take, and what own answers look like.
use std::time::Duration;

use http::{Request, Response};
use serde_json::{Value, json};
use tollgate::gateway::{Explained, Gateway, Route};
use tollgate::{Body, Next};

use super::peers::origin::{Origin, Step};
use super::support::{ask, builder, error_message, get, saying, snapshot, told};

fn gateway(document: &Value) -> Gateway {
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(document)).unwrap();
    gateway
}

#[tokio::test]
async fn a_route_of_status_0_is_as_if_it_were_not_there() {
    let document = |status: u8| {
        json!({"routes": [
            {"id": "off", "uri": "/a", "status": status, "upstream": {"nodes": [{"service": "a", "weight": 1}]}},
            {"id": "on", "uri": "/*", "upstream": {"nodes": [{"service": "b", "weight": 1}]}},
        ]})
    };
    let gateway = gateway(&document(0));
    assert_eq!(told(&gateway, "/a").await.1, "b");
    gateway.apply(snapshot(&document(1))).unwrap();
    assert_eq!(told(&gateway, "/a").await.1, "a");
    gateway.apply(snapshot(&document(0))).unwrap();
    assert_eq!(told(&gateway, "/a").await.1, "b");
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_a_504() {
    let origin = Origin::scripted(|_| vec![Step::Request]).await;
    let node = json!({origin.address().to_string(): 1});
    let gateway = gateway(&json!({"routes": [
        {"id": "upstream", "uri": "/upstream", "upstream": {"nodes": node, "timeout": {"connect": 9, "send": 9, "read": 0.3}}},
        {"id": "route", "uri": "/route", "upstream": {"nodes": node}, "timeout": {"connect": 9, "send": 9, "read": 0.3}},
    ]}));
    for path in ["/upstream", "/route"] {
        let answer = get(&gateway, path).await;
        assert_eq!((answer.status, &*error_message(&answer)), (504, "504 Gateway Timeout"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn lim_request_timeout_of_a_hosts_server_ends_what_never_answers() {
    let never = Next::from_fn(|_| std::future::pending::<Response<Body>>());
    let gateway = Gateway::builder().route(Route::new("/").to_service(never)).build().unwrap();
    let limits = json!({"tollgate": {"limits": {"request_timeout_ms": 5000}}});
    gateway.apply(snapshot(&limits)).unwrap();
    let began = tokio::time::Instant::now();
    let answer = get(&gateway, "/").await;
    assert_eq!((answer.status, began.elapsed()), (504, Duration::from_secs(5)));
}

#[tokio::test]
async fn own_answers_are_the_catalogues_or_problems() {
    let mut document = json!({"routes": [
        {"id": "r", "uri": "/r", "methods": ["GET"], "upstream_id": "gone"},
        {"id": "own", "uri": "/own", "upstream": {"nodes": [{"service": "a", "weight": 1}]}},
    ]});
    let gateway = gateway(&document);
    let answer = get(&gateway, "/none").await;
    assert_eq!((answer.status, &*answer.text), (404, "{\"error_msg\":\"404 Route Not Found\"}\n"));
    assert_eq!(answer.headers["content-type"], "application/json");
    let answer = get(&gateway, "/r").await;
    assert_eq!((answer.status, &*answer.text), (502, "{\"error_msg\":\"502 Bad Gateway\"}\n"));

    document["tollgate"] = json!({"errors": "problem", "router": {"method_not_allowed": true}});
    gateway.apply(snapshot(&document)).unwrap();
    let post = Request::builder().method("POST").uri("/r").body(Body::empty()).unwrap();
    for (answer, status, title, code) in [
        (get(&gateway, "/none").await, 404, "Not Found", "no_route"),
        (get(&gateway, "/r").await, 502, "Bad Gateway", "upstream_missing"),
        (ask(&gateway, post).await, 405, "Method Not Allowed", "method_not_allowed"),
    ] {
        assert_eq!(
            (answer.status, &answer.headers["content-type"]),
            (status, &"application/problem+json".parse().unwrap())
        );
        let body: Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!((&body["status"], &body["title"], &body["code"]), (&json!(status), &json!(title), &json!(code)));
        if status == 405 {
            assert_eq!(answer.headers["allow"], "GET");
        }
    }
    // An answer of the upstream is none of ours.
    assert_eq!(told(&gateway, "/own").await, (200, "a".to_owned()));
}

#[tokio::test]
async fn settings_change_with_the_snapshot() {
    let document = |limit: u32| {
        json!({
            "routes": [{"id": "r", "uri": "/", "upstream": {"nodes": [{"service": "a", "weight": 1}]}}],
            "tollgate": {"limits": {"body_bytes": limit}},
        })
    };
    let gateway = gateway(&document(4));
    let post = || Request::builder().method("POST").uri("/").body(Body::from("hello")).unwrap();
    assert_eq!(ask(&gateway, post()).await.status, 413);
    gateway.apply(snapshot(&document(5))).unwrap();
    assert_eq!(ask(&gateway, post()).await.status, 200);
}

#[tokio::test]
async fn what_explain_says_of_an_encoded_slash_is_what_a_request_gets() {
    let mut document = json!({"routes": [
        {"id": "admin", "uri": "/admin/*", "upstream": {"nodes": [{"service": "a", "weight": 1}]}},
        {"id": "files", "uri": "/files/*", "encoded_slash": "keep", "upstream": {"nodes": [{"service": "b", "weight": 1}]}},
    ]});
    let explained = |gateway: &Gateway, path: &str| match gateway
        .explain(&Request::builder().uri(path).header("host", "gw.test").body(()).unwrap(), None)
    {
        Explained::Refused(error) => error.status().as_u16(),
        Explained::Routed(explanation) if explanation.winner().is_some() => 200,
        _ => 404,
    };
    let paths = ["/admin%2fy", "/admin/a%2fy", "/files/a%2fy", "/files%2fa", "/admin/a", "/nowhere"];
    let slashes_refused = gateway(&document);
    document["tollgate"] = json!({"router": {"encoded_slash": "keep"}});
    let slashes_kept = gateway(&document);
    for (gateway, expected) in
        [(slashes_refused, [400, 400, 200, 400, 200, 404]), (slashes_kept, [404, 200, 200, 404, 200, 404])]
    {
        for (path, status) in paths.into_iter().zip(expected) {
            assert_eq!((explained(&gateway, path), get(&gateway, path).await.status), (status, status), "{path}");
        }
    }
}

#[tokio::test]
async fn sec_ret_03_the_setting_says_which_bodies_are_sent_again() {
    let gone = || Origin::scripted(|_| vec![Step::Request, Step::Close]);
    let (one, two) = (gone().await, gone().await);
    let nodes = json!({one.address().to_string(): 1, two.address().to_string(): 1});
    let put = || Request::put("/").body(Body::from("abcd")).unwrap();
    let document = |bytes: u64| {
        json!({
            "routes": [{"id": "r", "uri": "/", "upstream": {"nodes": nodes}}],
            "tollgate": {"limits": {"replay_bytes": bytes}},
        })
    };
    let gateway = gateway(&document(3));
    let asked = || one.requests().len() + two.requests().len();
    assert_eq!(ask(&gateway, put()).await.status, 502);
    assert_eq!(asked(), 1);
    gateway.apply(snapshot(&document(4))).unwrap();
    assert_eq!(ask(&gateway, put()).await.status, 502);
    assert_eq!(asked(), 3);
}

#[test]
fn a_request_may_be_handed_over_before_there_is_a_runtime() {
    use tower::Service as _;
    let mut gateway = builder().route(Route::new("/").to_service(saying("here"))).build().unwrap();
    let request = Request::builder().uri("/").header("host", "a.test").body(Body::empty()).unwrap();
    let answer = gateway.call(request);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert_eq!(runtime.block_on(answer).unwrap().status(), 200);
}
