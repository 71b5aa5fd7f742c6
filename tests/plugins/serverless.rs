//! Functions of the host program in a whole gateway.
use std::sync::{Arc, Mutex};

use http::{HeaderValue, StatusCode};
use tollgate::gateway::{Gateway, GatewayBuilder};
use tollgate::plugins::serverless::Functions;
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
