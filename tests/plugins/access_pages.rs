//! `cors`, `csrf` and `referer-restriction` as their examples have them.
use super::peers::origin::Origin;
use super::support::{Rig, refused, route_with, said};
use tollgate::Gateway;

#[tokio::test]
async fn pages_of_other_origins_are_told_what_they_may() {
    let rig = Rig::example("cors").await;
    let key = ("apikey", "key-of-acme");
    for (origin, allowed) in [
        ("https://app.example.org", "https://app.example.org"),
        ("https://two.partner.test", "https://two.partner.test"),
        // The single origin of the block is told to all others.
        ("https://evil.test", "https://app.example.org"),
    ] {
        let asked = [("Origin", origin), ("Access-Control-Request-Headers", "x-a,x-b")];
        // A preflight is not authenticated, and goes no further.
        let preflight = rig.ask("OPTIONS /api/1", &asked).await;
        // An answer of a plugin further in is told of, too.
        let unknown = rig.get("/api/1", &asked).await;
        let known = rig.get("/api/1", &[asked[0], asked[1], key]).await;
        assert_eq!([&preflight, &unknown, &known].map(|answer| answer.status()), [200, 401, 200]);
        assert!(preflight.body.is_empty());
        assert_eq!(
            (said(&unknown, "message").as_str(), known.text().as_str()),
            ("Missing API key in request", "origin")
        );
        for answer in [preflight, unknown, known] {
            assert_eq!(answer.all("access-control-allow-origin"), [allowed]);
            assert_eq!(answer.all("access-control-allow-methods"), ["GET,POST"]);
            assert_eq!(answer.all("access-control-allow-headers"), ["x-a,x-b"]);
            assert_eq!(answer.all("access-control-expose-headers"), ["x-total"]);
            assert_eq!(answer.all("access-control-allow-credentials"), ["true"]);
            assert_eq!(answer.all("access-control-max-age"), ["600"]);
            assert_eq!(answer.all("vary"), ["Origin"]);
        }
    }
    let fonts = rig.get("/fonts/1", &[("Origin", "https://any.test")]).await;
    assert_eq!((fonts.all("access-control-allow-origin"), fonts.all("vary")), (vec!["*"], vec![]));
    assert_eq!(rig.ask("OPTIONS /fonts/1", &[]).await.all("access-control-allow-origin"), ["*"]);
}

#[tokio::test]
async fn the_upstreams_word_is_replaced_where_an_origin_is_allowed() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: https://own.test\r\nAccess-Control-Allow-Methods: PUT\r\n\
         Vary: Accept\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let block = route_with("{cors: {allow_origins: 'https://a.test,https://b.test', timing_allow_origins: '**'}}");
    let rig = Rig::before(origin, Gateway::builder(), &block).await;
    let allowed = rig.get("/", &[("Origin", "https://b.test")]).await;
    assert_eq!(allowed.all("access-control-allow-origin"), ["https://b.test"]);
    assert_eq!(allowed.all("access-control-allow-methods"), ["*"]);
    assert_eq!(allowed.all("vary"), ["Accept", "Origin"]);
    assert_eq!(allowed.all("timing-allow-origin"), ["https://b.test"]);
    let refused = rig.get("/", &[("Origin", "https://c.test")]).await;
    assert_eq!((refused.status(), refused.text().as_str()), (200, "ok"));
    assert_eq!(refused.all("access-control-allow-origin"), ["https://own.test"]);
    assert_eq!(
        (refused.all("access-control-allow-methods"), refused.all("vary")),
        (vec!["PUT"], vec!["Accept", "Origin"])
    );
}

#[tokio::test]
async fn metadata_names_origins_and_changes_take_effect() {
    let document = |origin: &str| {
        let route = route_with("{cors: {allow_origins_by_metadata: [partner]}}");
        format!("plugin_metadata: [{{id: cors, allow_origins: {{partner: '{origin}'}}}}]\n{route}")
    };
    let rig = Rig::of(&document("https://a.test")).await;
    let allowed = async |origin: &str| {
        let answer = rig.get("/", &[("Origin", origin)]).await;
        answer.field("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(allowed("https://a.test").await.as_deref(), Some("https://a.test"));
    rig.apply(&document("https://b.test"));
    assert_eq!(allowed("https://a.test").await, None);
    assert_eq!(allowed("https://b.test").await.as_deref(), Some("https://b.test"));
}

#[cfg(feature = "csrf")]
#[tokio::test]
async fn a_change_needs_the_token_of_a_page() {
    let rig = Rig::example("csrf").await;
    let page = rig.get("/account/1", &[]).await;
    assert_eq!(page.status(), 200);
    let cookie = page.field("set-cookie").unwrap();
    let (pair, attributes) = cookie.split_once(';').unwrap();
    let token = pair.strip_prefix("csrf-token=").unwrap();
    assert!(attributes.starts_with("path=/;SameSite=Lax;Expires=") && attributes.ends_with(" GMT"), "{attributes}");

    for (fields, says) in [
        (&[][..], "no csrf token in headers"),
        (&[("csrf-token", "")], "no csrf token in headers"),
        (&[("Cookie", pair)], "no csrf token in headers"),
        (&[("csrf-token", token)], "no csrf cookie"),
        (&[("csrf-token", token), ("Cookie", "csrf-token=other")], "csrf token mismatch"),
        (&[("csrf-token", "e30="), ("Cookie", "csrf-token=e30=")], "Failed to verify the csrf token signature"),
    ] {
        let answer = rig.ask("POST /account/1", fields).await;
        assert_eq!((answer.status(), said(&answer, "error_msg").as_str()), (401, says), "{fields:?}");
        assert!(answer.field("set-cookie").is_some_and(|next| next != cookie));
    }
    assert_eq!(rig.forwarded_count(), 1);
    let passed =
        rig.ask_bytes("POST /account/1", [("csrf-token", token.as_bytes()), ("Cookie", pair.as_bytes())], b"x").await;
    assert_eq!((passed.status(), rig.forwarded().body.as_slice()), (200, &b"x"[..]));
    // Bytes that are no text are no token.
    let garbage = [("csrf-token", &b"\xff\xfe"[..]), ("Cookie", b"csrf-token=\xff\xfe")];
    let answer = rig.ask_bytes("DELETE /account/1", garbage, b"").await;
    assert_eq!(said(&answer, "error_msg"), "Failed to verify the csrf token signature");
}

#[tokio::test]
async fn sites_decide_who_embeds() {
    let rig = Rig::example("referer-restriction").await;
    for (target, referer, status, message) in [
        ("/pictures/1", Some("https://example.org/page"), 200, ""),
        ("/pictures/1", Some("https://www.example.org:8443/?a"), 200, ""),
        ("/pictures/1", Some("https://evil.test/example.org"), 403, "Your referer host is not allowed"),
        ("/pictures/1", None, 200, ""),
        ("/pictures/1", Some("nothing to read"), 200, ""),
        ("/reports/1", Some("http://www.spam.test/"), 403, "Not from there"),
        ("/reports/1", Some("http://spam.test/"), 200, ""),
        ("/reports/1", None, 403, "Not from there"),
    ] {
        let fields: Vec<_> = referer.iter().map(|referer| ("Referer", *referer)).collect();
        let answer = rig.get(target, &fields).await;
        assert_eq!(answer.status(), status, "{target} {referer:?}");
        if status != 200 {
            assert_eq!(said(&answer, "message"), message, "{target} {referer:?}");
        }
    }
    assert_eq!(rig.ask_bytes("GET /reports/1", [("Referer", &b"http://\xff/"[..])], b"").await.status(), 403);
}

#[test]
fn faults_are_named_by_their_place() {
    const CREDENTIALS: &str = "you can not set '*' for other option when 'allow_credential' is true";
    for (document, says) in [
        (route_with("{cors: {allow_credential: true}}"), CREDENTIALS),
        (route_with("{cors: {allow_origins: a.test}}"), "plugins.cors.allow_origins"),
        (route_with("{cors: {allow_origins_by_regex: ['[']}}"), "plugins.cors.allow_origins_by_regex.0"),
        (format!("plugin_metadata: [{{id: cors, allow_origins: {{a: b}}}}]\n{}", route_with("{}")), "allow_origins.a"),
        (
            route_with("{referer-restriction: {whitelist: ['http://a.test']}}"),
            "plugins.referer-restriction.whitelist.0",
        ),
    ] {
        let faults = refused(&document);
        assert!(faults.contains(says), "{says} is not in\n{faults}");
    }
    #[cfg(feature = "csrf")]
    assert!(refused(&route_with("{csrf: {}}")).contains("plugins.csrf.key"));
}
