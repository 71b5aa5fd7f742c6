//! `response-rewrite` as its example has it, on answers of the origin, of plugins and of the gateway.
use tollgate::gateway::Gateway;

use super::peers::origin::Origin;
use super::support::{Rig, example, refused, route_with};

#[tokio::test]
async fn pages_are_rewritten() {
    let page = "<title>Tea</title> http://a.test http://b.test";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nX-Powered-By: x\r\nETag: \"1\"\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         Content-Length: {}\r\n\r\n{page}",
        page.len()
    );
    let rig = Rig::before(Origin::answering(answer).await, Gateway::builder(), &example("response-rewrite")).await;
    let answer = rig.get("/pages/1", &[]).await;
    assert_eq!(answer.text(), "<title>Tea - shop</title> https://a.test https://b.test");
    assert_eq!(answer.all("content-length"), [answer.body.len().to_string()]);
    assert_eq!(answer.field("link"), Some("<https://gw.test/help>; rel=help"));
    for name in ["etag", "last-modified", "x-powered-by"] {
        assert_eq!(answer.field(name), None);
    }
    let teapot = rig.get("/teapot", &[]).await;
    assert_eq!((teapot.status(), teapot.text().as_str()), (418, "short and stout"));
    assert_eq!(rig.ask("HEAD /teapot", &[]).await.status(), 418);
}

#[tokio::test]
async fn answers_of_the_gateways_own_are_rewritten_too() {
    for errors in ["catalogue", "problem"] {
        let yaml = format!("{}\ntollgate: {{errors: {errors}}}\n", example("response-rewrite").replace("#END", ""));
        let rig = Rig::of(&yaml).await;
        let answer = rig.get("/none", &[]).await;
        assert_eq!((answer.status(), answer.text().as_str()), (404, "<h1>Not now</h1>"), "{errors}");
        assert_eq!((answer.field("content-type"), answer.field("x-was")), (Some("text/html"), Some("404")));
    }
}

#[tokio::test]
async fn a_rejection_of_an_inner_plugin_is_rewritten() {
    let rig = Rig::of(&route_with(
        "{key-auth: {}, \
         response-rewrite: {vars: [[status, ==, 401]], status_code: 403, headers: {www-authenticate: ''}}}",
    ))
    .await;
    let answer = rig.get("/", &[]).await;
    assert_eq!((answer.status(), answer.field("www-authenticate")), (403, None));
}

#[tokio::test]
async fn the_upstreams_status_is_told_from_the_gateways() {
    let rig = Rig::before(
        Origin::answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await,
        Gateway::builder(),
        &route_with(
            "{response-rewrite: {vars: [[upstream_status, ==, '503']], headers: {x-from: $upstream_status}}, \
             fault-injection: {abort: {http_status: 503, vars: [[[arg_own, ==, '1']]]}}}",
        ),
    )
    .await;
    assert_eq!(rig.get("/", &[]).await.field("x-from"), Some("503"));
    let own = rig.get("/?own=1", &[]).await;
    assert_eq!((own.status(), own.field("x-from")), (503, None));
}

#[tokio::test]
async fn sec_hop_09_a_field_of_an_answer_is_one_line() {
    let rig = Rig::of(&route_with(
        "{response-rewrite: {headers: {add: ['x-a: $arg_v', 'x-link: <http://a:80>'], set: {x-b: $arg_v}}}}",
    ))
    .await;
    let answer = rig.get("/?v=1%0d%0aset-cookie:%20a=b", &[]).await;
    assert_eq!(answer.all("x-a"), ["1%0D%0Aset-cookie: a=b"]);
    assert_eq!((answer.field("x-b"), answer.field("set-cookie")), (Some("1%0D%0Aset-cookie: a=b"), None));
    assert_eq!(answer.field("x-link"), Some("<http://a:80>"));
}

#[tokio::test]
async fn a_body_that_breaks_off_before_its_filter_is_a_bad_gateway() {
    let rig = Rig::before(
        Origin::scripted(|_| {
            use super::peers::origin::Step;
            vec![Step::Request, Step::send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), Step::Close]
        })
        .await,
        Gateway::builder(),
        &route_with("{response-rewrite: {filters: [{regex: a, replace: b}]}}"),
    )
    .await;
    assert_eq!(rig.get("/", &[]).await.status(), 502);
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, says) in [
        ("{body: a, filters: [{regex: a, replace: b}]}", "write either `body` or `filters`"),
        ("{body: a, body_base64: true}", "err: invalid base64 content"),
        ("{vars: [status, ==, 1]}", "err: failed to validate the 'vars' expression: "),
        ("{filters: [{regex: (, replace: b}]}", "plugins.response-rewrite.filters.0.regex: "),
    ] {
        let text = refused(&route_with(&format!("{{response-rewrite: {block}}}")));
        assert!(text.contains(says), "{text}");
    }
}
