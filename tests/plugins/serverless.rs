//! Functions of the host program in a whole gateway.
use std::sync::{Arc, Mutex};

use http::{HeaderValue, StatusCode};
use tollgate::gateway::{Gateway, GatewayBuilder};
use tollgate::plugins::serverless::{Ended, Functions};
use tollgate::{Consumer, reject};

use super::support::{Rig, refused, route_with, said};

fn with(functions: Functions) -> GatewayBuilder {
    Gateway::builder().functions(functions)
}

#[tokio::test]
async fn before_and_behind_authentication() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |place: &'static str| {
        let seen = Arc::clone(&seen);
        move |request: tollgate::Request| {
            let caller = Consumer::of(&request).map(|consumer| consumer.name().to_string());
            seen.lock().unwrap().push((place, caller));
            async { Ok(request) }
        }
    };
    let functions = Functions::new().request("first", note("first")).request("last", note("last"));
    let yaml = format!(
        "consumers: [{{username: acme, plugins: {{key-auth: {{key: k}}}}}}]\n{}",
        route_with(
            "{key-auth: {}, serverless-post-function: {functions: [last]}, \
             serverless-pre-function: {phase: rewrite, functions: [first]}}"
        )
    );
    let rig = Rig::with(with(functions), &yaml).await;
    assert_eq!(rig.get("/", &[("apikey", "k")]).await.status(), 200);
    assert_eq!(rig.get("/", &[]).await.status(), 401);
    let acme = Some("acme".to_owned());
    assert_eq!(*seen.lock().unwrap(), [("first", None), ("last", acme), ("first", None)]);
}

#[tokio::test]
async fn a_function_answers_changes_and_is_told_the_end() {
    let (tell, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let functions = Functions::new()
        .request("read_only", |request| async move {
            match request.method().is_safe() {
                true => Ok(request),
                false => Err(reject(StatusCode::FORBIDDEN, "read_only", "Only reading")),
            }
        })
        .response("stamp", |mut response, _| async move {
            response.headers_mut().insert("x-stamp", HeaderValue::from_static("1"));
            response
        })
        .log("end", move |ended| {
            let _ = tell.send((ended.status.map(|status| status.as_u16()), ended.sent));
        });
    let yaml = route_with(
        "{serverless-pre-function: {functions: [read_only]}, \
         serverless-post-function: {phase: header_filter, functions: [stamp]}}",
    ) + "global_rules: [{id: g, plugins: {serverless-post-function: {phase: log, functions: [end]}}}]\n";
    let rig = Rig::with(with(functions), &yaml).await;
    let answer = rig.get("/", &[]).await;
    assert_eq!((answer.status(), answer.field("x-stamp")), (200, Some("1")));
    assert_eq!(ended.recv().await.unwrap(), (Some(200), 6));
    let answer = rig.ask("DELETE /", &[]).await;
    assert_eq!((answer.status(), answer.field("x-stamp")), (403, Some("1")), "refusals are stamped, too");
    assert_eq!(said(&answer, "message"), "Only reading");
    assert_eq!((ended.recv().await.unwrap().0, rig.forwarded_count()), (Some(403), 1));
}

/// A route's log and its guard, and a consumer with blocks of the same plugin.
fn beside(consumer: &str, route: &str) -> String {
    format!(
        "consumers: [{{username: acme, plugins: {{key-auth: {{key: k}}, {consumer}}}}}]\n{}",
        route_with(&format!("{{key-auth: {{}}, {route}}}"))
    )
}

#[tokio::test]
async fn an_end_is_told_of_once_by_the_block_that_counts() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let log = |name: &'static str| {
        let tell = tell.clone();
        move |ended: &Ended| {
            let _ = tell.send((name, ended.status.map(|status| status.as_u16())));
        }
    };
    let functions = || Functions::new().log("route", log("route")).log("consumer", log("consumer"));
    let route = "serverless-post-function: {phase: log, functions: [route]}";
    for (consumer, expected) in [
        (
            "serverless-post-function: {phase: log, functions: [consumer]}",
            &[("consumer", Some(200)), ("route", Some(401))][..],
        ),
        (
            "serverless-post-function: {phase: log, functions: [consumer], _meta: {disable: true}}",
            &[("route", Some(401))],
        ),
    ] {
        let rig = Rig::with(with(functions()), &beside(consumer, route)).await;
        assert_eq!(rig.get("/", &[("apikey", "k")]).await.status(), 200);
        // refused before the caller is known, so the route's block tells of it
        assert_eq!(rig.get("/", &[]).await.status(), 401);
        let mut ends = Vec::new();
        while ends.len() < expected.len() {
            ends.push(told.recv().await.unwrap());
        }
        ends.sort_unstable();
        assert_eq!(ends, expected, "{consumer}");
        assert!(told.try_recv().is_err(), "{consumer}");
    }
}

#[tokio::test]
async fn a_routes_guard_stays_where_a_consumer_has_a_function_of_another_phase() {
    let functions = || {
        Functions::new()
            .request("guard", |_| async { Err(reject(StatusCode::FORBIDDEN, "guard", "No")) })
            .request("mark", |mut request: tollgate::Request| async move {
                request.headers_mut().insert("x-mark", HeaderValue::from_static("1"));
                Ok(request)
            })
            .log("log", |_| {})
    };
    let guard = "serverless-post-function: {phase: access, functions: [guard]}";
    for consumer in ["{phase: rewrite, functions: [mark]}", "{phase: log, functions: [log]}"] {
        let yaml = beside(&format!("serverless-post-function: {consumer}"), guard);
        let rig = Rig::with(with(functions()), &yaml).await;
        assert_eq!(rig.get("/", &[("apikey", "k")]).await.status(), 403, "{consumer}");
    }
    let yaml = beside("serverless-post-function: {phase: access, functions: [mark]}", guard);
    let rig = Rig::with(with(functions()), &yaml).await;
    assert_eq!(rig.get("/", &[("apikey", "k")]).await.status(), 200, "a block of the same phase takes its place");
    assert_eq!(rig.forwarded().all("x-mark"), ["1"]);
    let yaml = beside(
        "serverless-post-function: {phase: rewrite, functions: [mark]}",
        "serverless-post-function: {phase: before_proxy, functions: [mark]}",
    );
    let rig = Rig::with(with(functions()), &yaml).await;
    let doubts: Vec<_> = rig.gateway.status().findings.iter().map(ToString::to_string).collect();
    assert!(!doubts.iter().any(|doubt| doubt.contains("does not run on routes")), "{doubts:?}");
}

#[tokio::test]
async fn what_a_function_makes_of_the_target_is_judged_by_what_stands_behind() {
    let functions = Functions::new()
        .request("go", |mut request: tollgate::Request| async move {
            *request.uri_mut() = request.headers()["x-target"].to_str().unwrap().parse().unwrap();
            Ok(request)
        })
        .request("other", |_| async { Ok(tollgate::Request::default()) });
    let yaml = "routes: [{id: r, uri: /go, plugins: {serverless-pre-function: {phase: rewrite, functions: [go]}, \
                uri-blocker: {block_rules: [\"^/admin\"]}}, upstream: {nodes: {\"127.0.0.1:7001\": 1}}}, \
                {id: o, uri: /other, plugins: {serverless-pre-function: {functions: [other]}}, \
                upstream: {nodes: {\"127.0.0.1:7001\": 1}}}]\n";
    let rig = Rig::with(with(functions), yaml).await;
    for (target, status) in [("/shop", 200), ("/%61dmin", 403), ("//admin", 403), ("/x/../admin", 400)] {
        assert_eq!(rig.get("/go", &[("X-Target", target)]).await.status(), status, "{target}");
    }
    assert_eq!(rig.forwarded().target(), "/shop");
    let answer = rig.get("/other", &[]).await;
    assert_eq!((answer.status(), rig.forwarded_count()), (500, 1), "another request has no upstream");
}

#[test]
fn source_text_and_unknown_names_are_refused() {
    for (function, says) in [
        ("'return function() ngx.say(1) end'", "is no name of a function. Source text, such as Lua, is not run"),
        ("nobody", "there is no function `nobody`"),
    ] {
        let faults = refused(&route_with(&format!("{{serverless-pre-function: {{functions: [{function}]}}}}")));
        assert!(faults.contains("plugins.serverless-pre-function.functions.0") && faults.contains(says), "{faults}");
    }
}
