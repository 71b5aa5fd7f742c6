//! `ua-restriction`, `uri-blocker` and `request-id` as their examples have them.
use http::uri::PathAndQuery;
use tollgate::plugin::{BuildContext, ConfigError, Gate, GateLayer, Stage};
use tollgate::{Gateway, Plugin, PluginLayer, Response};

use super::peers::origin::Origin;
use super::support::{Rig, refused, route_with, said};

#[tokio::test]
async fn software_is_let_in_by_what_it_says() {
    let rig = Rig::example("ua-restriction").await;
    for (target, agents, status, message) in [
        ("/1", &[&b"Mozilla/5.0"[..]][..], 200, ""),
        ("/1", &[b"Some Bot/1.0"], 403, "No robots"),
        ("/1", &[b"Mozilla/5.0", b"python-requests/2"], 403, "No robots"),
        ("/1", &[b"\xff bot"], 403, "No robots"),
        ("/1", &[], 403, "No robots"),
        ("/app/1", &[b"OurApp/2.1"], 200, ""),
        ("/app/1", &[b"OurApp/1.9"], 403, "Not allowed"),
        ("/app/1", &[b""], 403, "Not allowed"),
        ("/app/1", &[b"other", b"OurApp/2.1"], 200, ""),
        ("/app/1", &[], 200, ""),
    ] {
        let fields = agents.iter().map(|agent| ("User-Agent", *agent));
        let answer = rig.ask_bytes(&format!("GET {target}"), fields, b"").await;
        assert_eq!(answer.status(), status, "{target} {agents:?}");
        if status != 200 {
            assert_eq!(said(&answer, "message"), message);
        }
    }
}

#[tokio::test]
async fn paths_are_judged_in_the_form_that_is_forwarded() {
    let rig = Rig::example("uri-blocker").await;
    for target in [
        "/internal",
        "/internal/x?a",
        "/INTERNAL/x",
        "/./internal/x",
        "/a/../internal/x",
        "/a/%2e%2e/internal/x",
        "//internal/x",
        "/%69nternal/x",
        "/dump.SQL",
        "/a?q=UNION+SELECT",
        "/a%20union%20select",
    ] {
        let answer = rig.get(target, &[]).await;
        assert_eq!((answer.status(), said(&answer, "error_msg").as_str()), (403, "access is not allowed"), "{target}");
    }
    assert_eq!(rig.forwarded_count(), 0);
    for target in ["/internals", "/a/internal", "/dump.sql.gz", "/a?x=/internal", "/a?q=%75nion+select"] {
        assert_eq!(rig.get(target, &[]).await.status(), 200, "{target}");
    }
    rig.apply(&route_with("{uri-blocker: {block_rules: ['^/a'], rejected_code: 404}}"));
    let answer = rig.get("/a", &[]).await;
    assert_eq!((answer.status(), answer.body.len()), (404, 0));
}

/// Sends requests to the path in `x-to`.
struct Elsewhere;

impl Gate for Elsewhere {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        if let Some(to) = request.headers().get("x-to") {
            *request.uri_mut() = PathAndQuery::try_from(to.as_bytes()).unwrap().into();
        }
        Ok(())
    }
}

struct ElsewherePlugin;

impl Plugin for ElsewherePlugin {
    const NAME: &'static str = "elsewhere";
    const STAGE: Stage = Stage::Rewrite;
    const PRIORITY: i32 = 1;
    type Config = serde_json::Map<String, serde_json::Value>;

    fn build(&self, _: Self::Config, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(GateLayer::of(Elsewhere).into())
    }
}

#[tokio::test]
async fn sec_path_07_what_is_blocked_cannot_be_rewritten_to() {
    let document = format!(
        "global_rules: [{{id: g, plugins: {{uri-blocker: {{block_rules: [secret], rejected_code: 410}}}}}}]\n{}",
        route_with("{elsewhere: {}, uri-blocker: {block_rules: ['^/internal(/|$)'], rejected_msg: no}}"),
    );
    let rig = Rig::with(Gateway::builder().plugin(ElsewherePlugin), &document).await;
    for (to, status) in [
        ("/elsewhere?a", 200),
        ("/internal/x", 403),
        // Judged as it is forwarded.
        ("//internal/x", 403),
        ("/%69nternal", 403),
        ("/x?internal", 200),
        ("/x?secret", 410),
        ("/../internal", 400),
    ] {
        let before = rig.forwarded_count();
        assert_eq!(rig.get("/api", &[("x-to", to)]).await.status(), status, "{to}");
        assert_eq!(rig.forwarded_count() - before, usize::from(status == 200));
    }
    assert_eq!(rig.get("/internal/x", &[("x-to", "/fine")]).await.status(), 403);
}

#[tokio::test]
async fn every_request_has_an_id() {
    let rig = Rig::example("request-id").await;
    let key = ("apikey", "key-of-acme");
    let answer = rig.get("/api/1", &[key]).await;
    let id = answer.field("x-request-id").unwrap();
    assert_eq!((id.len(), rig.forwarded().field("x-request-id")), (36, Some(id)));
    let answer = rig.get("/api/1", &[key, ("X-Request-Id", "mine")]).await;
    assert_eq!((answer.all("x-request-id"), rig.forwarded().all("x-request-id")), (vec!["mine"], vec!["mine"]));
    // A refusal further in carries it as well.
    let refused = rig.get("/api/1", &[("X-Request-Id", "mine")]).await;
    assert_eq!((refused.status(), refused.field("x-request-id")), (401, Some("mine")));

    let answer = rig.get("/public/1", &[("X-Trace", "theirs"), ("X-Request-Id", "stays")]).await;
    let id = answer.field("x-trace").unwrap();
    assert!(id.len() == 27 && rig.forwarded().field("x-trace") == Some(id));
    assert_eq!((rig.forwarded().field("x-request-id"), answer.field("x-request-id")), (Some("stays"), None));
}

#[tokio::test]
async fn the_upstreams_id_stays_in_its_answer() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nX-Request-Id: theirs\r\nContent-Length: 0\r\n\r\n").await;
    let rig = Rig::before(origin, Gateway::builder(), &route_with("{request-id: {}}")).await;
    assert_eq!(rig.get("/", &[("X-Request-Id", "mine")]).await.all("x-request-id"), ["theirs"]);
    assert_eq!(rig.forwarded().field("x-request-id"), Some("mine"));
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, says) in [
        ("{ua-restriction: {denylist: [a, '(']}}", "plugins.ua-restriction.denylist.1"),
        ("{uri-blocker: {block_rules: [a, '(?=b)']}}", "plugins.uri-blocker.block_rules.1"),
        ("{uri-blocker: {}}", "plugins.uri-blocker.block_rules"),
        ("{request-id: {algorithm: snowflake}}", "plugins.request-id.algorithm"),
        ("{request-id: {range_id: {length: 5}}}", "plugins.request-id.range_id.length"),
    ] {
        let faults = refused(&route_with(block));
        assert!(faults.contains(says), "{says} is not in\n{faults}");
    }
}
