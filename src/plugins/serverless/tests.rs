use std::sync::Mutex;

use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::*;
use crate::plugin::{Plugin as _, Stage};
use crate::plugins::serverless_post_function::ServerlessPostFunctionPlugin;
use crate::plugins::serverless_pre_function::ServerlessPreFunctionPlugin;
use crate::plugins::testing::{ask, ask_over, build_error, built, configured};
use crate::{Body, BodyError, Exchange, Next, Request, Response, reject};

fn request(uri: &str) -> Request {
    http::Request::builder().uri(uri).body(Body::empty()).unwrap()
}

fn functions() -> Functions {
    let mark = |name: &'static str| {
        move |mut request: Request| async move {
            request.headers_mut().append("x-mark", HeaderValue::from_static(name));
            Ok(request)
        }
    };
    Functions::new()
        .request("a", mark("a"))
        .request("b", mark("b"))
        .request("stop", |_| async { Err(Response::new(Body::from("stopped"))) })
        .request("deny", |_| async { Err(reject(StatusCode::FORBIDDEN, "deny", "no")) })
        .response("tell", |mut response, asked: Asked| async move {
            let uri = HeaderValue::from_str(&asked.uri().to_string()).unwrap();
            response.headers_mut().append("x-asked", uri);
            response
        })
        .log("end", |_| {})
}

fn pre(functions: Functions, block: serde_json::Value) -> crate::PluginLayer {
    built(ServerlessPreFunctionPlugin::new(functions), &block)
}

/// An end that answers with the marks that came.
fn marks() -> Next {
    Next::from_fn(|request: Request| async move {
        let marks: Vec<_> = request.headers().get_all("x-mark").iter().map(|mark| mark.to_str().unwrap()).collect();
        Response::new(Body::from(marks.join(",")))
    })
}

#[tokio::test]
async fn functions_are_called_in_order_until_one_answers() {
    for (names, status, body) in [
        (json!(["a", "b"]), 200, "a,b"),
        (json!(["b", "a", "b"]), 200, "b,a,b"),
        (json!(["a", "stop", "b"]), 200, "stopped"),
        (json!(["deny", "stop"]), 403, "{\"message\":\"no\"}\n"),
    ] {
        for phase in ["rewrite", "access", "before_proxy"] {
            let layer = pre(functions(), json!({"phase": phase, "functions": names}));
            let answer = ask_over(&layer, marks(), request("/")).await;
            assert_eq!((answer.status(), answer.body()), (status, body), "{names}");
        }
    }
    let answer = ask_over(&pre(functions(), json!({"functions": ["stop"]})), marks(), request("/")).await;
    let fault = answer.parts.extensions.get::<crate::Fault>().unwrap();
    assert_eq!(fault.source(), "serverless-pre-function", "an answer of a function is one of the gateway's own");
}

#[tokio::test]
async fn answers_are_changed_with_the_request_at_hand() {
    for phase in ["header_filter", "body_filter"] {
        let layer = pre(functions(), json!({"phase": phase, "functions": ["tell", "tell"]}));
        assert_eq!(ask(&layer, request("/a?b")).await.header("x-asked").unwrap(), "/a?b | /a?b");
    }
}

/// The functions of a log that notes ends, and what it noted.
fn noting() -> (Functions, std::sync::Arc<Mutex<Vec<Ended>>>) {
    let notes = std::sync::Arc::new(Mutex::new(Vec::new()));
    let noted = std::sync::Arc::clone(&notes);
    let functions = Functions::new()
        .log("bad", |_| panic!("a function that fails"))
        .log("note", move |ended| noted.lock().unwrap().push(ended.clone()));
    (functions, notes)
}

#[tokio::test]
async fn a_log_is_told_of_every_end_once() {
    let (functions, notes) = noting();
    let layer = pre(functions, json!({"phase": "log", "functions": ["bad", "note"]}));
    let over = |body: fn() -> Body| {
        Next::from_fn(move |request: Request| {
            request.extensions().get::<Exchange>().unwrap().set_consumer("acme".into());
            async move { Response::new(body()) }
        })
    };
    ask_over(&layer, over(|| Body::from("abc")), request("/1")).await;
    let streamed = || {
        let frames = ["ab", "cd"].map(|text| Ok::<_, BodyError>(http_body::Frame::data(bytes::Bytes::from(text))));
        Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(frames)))
    };
    ask_over(&layer, over(streamed), request("/2")).await;
    // the client goes away: amid the body, and before there is an answer
    drop(layer.wrap(over(streamed)).run(request("/3")).await);
    let mut waiting = layer.wrap(Next::from_fn(|_| std::future::pending())).run(request("/4"));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(waiting);
    let seen: Vec<_> = notes
        .lock()
        .unwrap()
        .iter()
        .map(|ended: &Ended| {
            let consumer = ended.request.extensions().get::<Exchange>().unwrap().consumer();
            let status = ended.status.map(|status| status.as_u16());
            (ended.request.uri().to_string(), status, ended.sent, ended.complete, consumer.is_some())
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("/1".to_owned(), Some(200), 3, true, true),
            ("/2".to_owned(), Some(200), 4, true, true),
            ("/3".to_owned(), Some(200), 0, false, true),
            ("/4".to_owned(), None, 0, false, false),
        ]
    );
}

#[tokio::test]
async fn a_panic_behind_a_log_is_told_as_what_it_is() {
    let (functions, notes) = noting();
    let layer = pre(functions, json!({"phase": "log", "functions": ["note"]}));
    let chain = layer.wrap(Next::from_fn(|_| async { panic!("a plugin that fails") }));
    assert!(tokio::spawn(chain.run(request("/"))).await.unwrap_err().is_panic());
    let seen: Vec<_> = notes.lock().unwrap().iter().map(|ended| ended.status).collect();
    assert_eq!(seen, [Some(StatusCode::INTERNAL_SERVER_ERROR)]);
}

#[tokio::test]
async fn a_target_that_a_function_writes_is_canonical_for_what_stands_behind() {
    let functions = || {
        Functions::new().request("go", |mut request: Request| async move {
            let target = request.headers()["x-target"].to_str().unwrap().parse().unwrap();
            *request.uri_mut() = target;
            Ok(request)
        })
    };
    let seen = Next::from_fn(|request: Request| async move { Response::new(Body::from(request.uri().to_string())) });
    for (target, status, wanted) in [
        ("/%61dmin?a=%41", 200, Some("/admin?a=%41")),
        ("//admin", 200, Some("/admin")),
        ("/x/../admin", 400, None),
        ("/x/%2e%2e/admin", 400, None),
    ] {
        for phase in ["rewrite", "access", "before_proxy"] {
            let mut asked = request("/");
            asked.headers_mut().insert("x-target", HeaderValue::from_static(target));
            let answer =
                ask_over(&pre(functions(), json!({"phase": phase, "functions": ["go"]})), seen.clone(), asked).await;
            assert_eq!(answer.status(), status, "{target}");
            assert!(wanted.is_none_or(|wanted| answer.body() == wanted), "{target}: {}", answer.body());
        }
    }
}

#[test]
fn what_is_no_registered_function_is_refused_by_its_place() {
    for (block, says) in [
        (json!({}), "functions: property \"functions\" is required"),
        (json!({"functions": []}), "at least one"),
        (json!({"functions": ["a", "c"]}), "functions.1: there is no function `c`"),
        (json!({"functions": ["c"]}), "there are a, b, deny, end, stop, tell"),
        (json!({"functions": ["return function(conf, ctx) ngx.exit(401) end"]}), "such as Lua, is not run"),
        (json!({"functions": [""]}), "is no name of a function"),
        (json!({"functions": ["tell"]}), "cannot be called in phase `access`: it is made for `header_filter`"),
        (json!({"functions": ["a"], "phase": "log"}), "made for `rewrite`, `access` or `before_proxy`"),
        (json!({"functions": ["end"], "phase": "body_filter"}), "made for `log`"),
        (json!({"functions": ["a"], "phase": "balancer"}), "phase: unknown variant `balancer`"),
    ] {
        let error = build_error(ServerlessPreFunctionPlugin::new(functions()), &block);
        assert!(error.contains(says), "{block}: {error}");
        let error = build_error(ServerlessPostFunctionPlugin::new(functions()), &block);
        assert!(error.contains(says), "{block}: {error}");
    }
    let error = build_error(ServerlessPreFunctionPlugin::default(), &json!({"functions": ["a"]}));
    assert!(error.contains("there are none"), "{error}");
}

#[test]
fn the_phase_says_the_stage() {
    let stages = |phase: &str| {
        let config: ServerlessConfig = configured(json!({"phase": phase, "functions": ["a"]}));
        (ServerlessPreFunctionPlugin::default().stage(&config), ServerlessPostFunctionPlugin::default().stage(&config))
    };
    assert_eq!(stages("rewrite"), (Stage::Edge, Stage::Rewrite));
    for (phase, stage) in [
        ("access", Stage::Access),
        ("before_proxy", Stage::Forward),
        ("header_filter", Stage::Respond),
        ("body_filter", Stage::Respond),
        ("log", Stage::Observe),
    ] {
        assert_eq!(stages(phase), (stage, stage));
    }
}
