//! `body-transformer` in a whole gateway.
use tollgate::gateway::Gateway;

use super::peers::origin::Origin;
use super::support::{Rig, example, refused, route_with, said};

#[tokio::test]
async fn the_example_speaks_soap_for_json() {
    let answer = "<s:Envelope xmlns:s=\"urn:s\"><s:Body><weather><degrees>21</degrees></weather></s:Body></s:Envelope>";
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
    let rig = Rig::before(Origin::answering(answer).await, Gateway::builder(), &example("body-transformer")).await;
    let fields = [("Content-Type", &b"application/json"[..]), ("Accept-Encoding", b"gzip"), ("Range", b"bytes=0-9")];
    let answer = rig.ask_bytes("POST /weather", fields, br#"{"city": "K<ln"}"#).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, r#"{"degrees": "21"}"#));
    assert_eq!(answer.field("content-type"), Some("application/json"));
    let forwarded = rig.forwarded();
    assert!(forwarded.text().contains("<city>K&lt;ln</city>\n<client>127.0.0.1</client>"), "{}", forwarded.text());
    assert_eq!((forwarded.field("content-type"), forwarded.field("accept-encoding")), (Some("text/xml"), None));
    assert_eq!(forwarded.field("range"), None, "a part of the origin's answer is no answer of ours");
    let answer = rig.ask_bytes("POST /weather", fields, b"{").await;
    assert_eq!(answer.status(), 400);
    assert!(said(&answer, "message").starts_with("request body decode: "));
}

#[tokio::test]
async fn limits_of_the_gateway_hold() {
    let yaml = format!(
        "{}tollgate: {{limits: {{max_parse_depth: 2}}}}\n",
        route_with("{body-transformer: {request: {template: '{{ a }}', input_format: json}, max_req_body_size: 20}}")
    );
    let rig = Rig::of(&yaml).await;
    for (body, status) in [(&b"{\"a\": [1]}"[..], 200), (b"{\"a\": [[1]]}", 400), (b"{\"a\": \"0123456789abc\"}", 413)]
    {
        assert_eq!(rig.ask_bytes("POST /", [], body).await.status(), status);
    }
}

#[tokio::test]
async fn answers_are_transformed_with_what_the_upstream_did() {
    let template = "{{ _ctx.var.upstream_status }} {{ _ctx.var.upstream_addr }} {{ _ctx.var.sent_http_x_kind }}";
    let answer =
        "HTTP/1.1 404 No\r\nX-Kind: theirs\r\nETag: \"1\"\r\nAccept-Ranges: bytes\r\nContent-Length: 2\r\n\r\n{}";
    let yaml =
        route_with(&format!("{{body-transformer: {{response: {{template: '{template}', input_format: json}}}}}}"));
    let rig = Rig::before(Origin::answering(answer).await, Gateway::builder(), &yaml).await;
    let answer = rig.get("/", &[]).await;
    assert_eq!((answer.status(), answer.text()), (404, format!("404 {} theirs", rig.origin.address())));
    assert_eq!((answer.field("etag"), answer.field("accept-ranges")), (None, None));
    let head = rig.ask("HEAD /", &[]).await;
    assert_eq!((head.status(), head.field("etag"), head.field("content-length")), (404, None, None));
}

#[tokio::test]
async fn long_bodies_are_warned_of() {
    let paths = async |block: &str| {
        let rig = Rig::of(&route_with(&format!("{{body-transformer: {block}}}"))).await;
        let findings = rig.gateway.status().findings.clone();
        findings.iter().map(|finding| finding.path.rsplit('.').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths("{request: {template: ''}}").await, ["max_req_body_size"]);
    assert_eq!(paths("{response: {template: ''}}").await, ["max_resp_body_size"]);
    assert_eq!(paths("{request: {template: ''}, max_req_body_size: 9}").await, [""; 0]);
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, says) in [
        ("{}", "at least one of `request` and `response`"),
        (
            "{request: {template: '{{ a'}}",
            "plugins.body-transformer.request.template: failed to check the configuration of plugin body-transformer err: line 1: ",
        ),
        ("{response: {template: '{% lua %}'}}", "plugins.body-transformer.response.template: "),
    ] {
        let text = refused(&route_with(&format!("{{body-transformer: {block}}}")));
        assert!(text.contains(says), "{text}");
    }
}
