//! `proxy-rewrite` as its example has it, and what it never sends.
use super::support::{Rig, refused, route_with, said};

#[tokio::test]
async fn a_prefix_is_stripped_and_the_upstream_told() {
    let rig = Rig::example("proxy-rewrite").await;
    let fields = [("X-Debug", "1"), ("X-Trace", "client"), ("X-Forwarded-Host", "spoofed")];
    assert_eq!(rig.get("/v1/users/%C3%A4%2Bb?page=2&q=%2F", &fields).await.status(), 200);
    let seen = rig.forwarded();
    assert_eq!(seen.target(), "/users/%C3%A4%2Bb?page=2&q=%2F");
    assert_eq!(seen.all("host"), ["users.internal:8080"]);
    assert_eq!(seen.all("x-trace"), ["client", "edge", "GET"]);
    assert_eq!(seen.all("x-original-path"), ["/v1/users/%C3%A4%2Bb"]);
    assert_eq!(seen.all("x-rest"), ["users/%C3%A4%2Bb"]);
    assert_eq!(seen.all("x-forwarded-host"), ["api.example.com"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.field("x-debug"), None);
}

#[tokio::test]
async fn a_path_becomes_a_query_and_a_get_a_post() {
    let rig = Rig::example("proxy-rewrite").await;
    assert_eq!(rig.get("/profile/a%26b%3F?x=1", &[("x-debug", "1")]).await.status(), 200);
    let seen = rig.forwarded();
    assert_eq!((seen.method(), seen.target()), ("POST", "/users?name=a&b%3F&x=1"));
    assert_eq!((seen.field("host"), seen.field("x-debug")), (Some("gw.test"), None));
}

#[tokio::test]
async fn sec_path_07_what_access_judges_is_what_is_forwarded() {
    let rig = Rig::of(&route_with(
        "{proxy-rewrite: {regex_uri: ['^/api', '']}, uri-blocker: {block_rules: ['^/admin']}, \
         limit-count: {count: 1, time_window: 600, rejected_code: 429, key: uri}}",
    ))
    .await;
    for target in ["/api../admin", "/api/../admin", "/api%2e./admin"] {
        let status = rig.get(target, &[]).await.status();
        assert!([400, 403].contains(&status), "{target}: {status}");
    }
    // The blocked path may not be reached by a rewrite either.
    assert_eq!(rig.get("/api/admin", &[]).await.status(), 403);
    assert_eq!(rig.forwarded_count(), 0);
    // The limiter counts the rewritten path, made canonical.
    assert_eq!(rig.get("/api//%61", &[]).await.status(), 200);
    assert_eq!(rig.forwarded().target(), "/a");
    assert_eq!(rig.get("/a", &[]).await.status(), 429);
}

#[tokio::test]
async fn sec_hop_09_nothing_of_a_request_makes_a_line() {
    let rig = Rig::of(&route_with(
        "{proxy-rewrite: {uri: '/n/$arg_p', headers: {set: {x-arg: $arg_v, x-uri: $uri}, add: {x-more: '<$arg_v>'}}}}",
    ))
    .await;
    assert_eq!(rig.get("/?p=a%3Fb%23&v=1%0d%0ax-evil:%201", &[]).await.status(), 200);
    let seen = rig.forwarded();
    assert_eq!(seen.target(), "/n/a%3Fb%23?p=a%3Fb%23&v=1%0d%0ax-evil:%201");
    assert_eq!((seen.field("x-arg"), seen.field("x-more")), (Some("1%0D%0Ax-evil: 1"), Some("<1%0D%0Ax-evil: 1>")));
    assert_eq!(seen.field("x-evil"), None);
    assert_eq!(rig.get("/?p=a%0d%0aX", &[]).await.status(), 400);
}

#[tokio::test]
async fn the_host_wins_over_pass_host_and_an_unsafe_target_is_sent_raw() {
    let yaml = route_with("{proxy-rewrite: {host: told.test, use_real_request_uri_unsafe: true}}")
        .replace("upstream: {", "upstream: {pass_host: node, ");
    let rig = Rig::of(&yaml).await;
    assert_eq!(rig.get("/a//%62/./c?d=%2f", &[]).await.status(), 200);
    let seen = rig.forwarded();
    assert_eq!((seen.target(), seen.field("host")), ("/a//%62/./c?d=%2f", Some("told.test")));
}

#[tokio::test]
async fn a_decoded_path_is_encoded_again() {
    let settings = "tollgate: {router: {path_mode: compatible}}\n";
    let route = route_with("{proxy-rewrite: {regex_uri: ['^/a b/(.*)', '/n/$1'], headers: {x-uri: '/p$uri'}}}");
    let rig = Rig::of(&format!("{route}{settings}")).await;
    for (target, sent) in [
        ("/a%20b/c%20d%3Fe%25?q=%20", "/n/c%20d%3Fe%25?q=%20"),
        ("/a%20b/%2520", "/n/%2520"),
        ("/a%20b/%C3%A4%23", "/n/%C3%A4%23"),
        // What is not rewritten goes on as it came.
        ("/x/%2520%7e", "/x/%2520%7e"),
    ] {
        assert_eq!(rig.get(target, &[]).await.status(), 200);
        assert_eq!(rig.forwarded().target(), sent);
    }
    let route = route_with("{proxy-rewrite: {uri: '/n$uri'}}");
    rig.apply(&format!("{route}{settings}"));
    rig.get("/a%20b/%2520?c", &[]).await;
    assert_eq!(rig.forwarded().target(), "/n/a%20b/%2520?c");
}

#[tokio::test]
async fn a_path_without_its_tail_keeps_its_escapes() {
    let settings = "tollgate: {router: {delete_uri_tail_slash: true}}\n";
    let rig = Rig::of(&format!("{}{settings}", route_with("{proxy-rewrite: {uri: '/n$uri'}}"))).await;
    assert_eq!(rig.get("/a%20b/", &[]).await.status(), 200);
    assert_eq!(rig.forwarded().target(), "/n/a%20b");
}

#[tokio::test]
async fn forwarding_fields_are_set_emptied_or_left() {
    let rig =
        Rig::of(&route_with("{proxy-rewrite: {headers: {set: {X-Forwarded-Proto: https, X-Forwarded-Port: ''}}}}"))
            .await;
    rig.get("/", &[]).await;
    let seen = rig.forwarded();
    assert_eq!((seen.all("x-forwarded-proto"), seen.all("x-forwarded-port")), (vec!["https"], vec![]));
    assert_eq!(seen.all("x-forwarded-host"), ["gw.test"]);
}

#[tokio::test]
async fn a_head_in_place_of_a_get_is_an_empty_answer() {
    let rig = Rig::of(&route_with("{proxy-rewrite: {method: HEAD}}")).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    for _ in 0..2 {
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, ""));
    }
    assert_eq!(rig.forwarded().method(), "HEAD");
}

#[tokio::test]
async fn a_path_too_long_is_a_fault_of_the_gateway() {
    let rig = Rig::of(&(route_with("{proxy-rewrite: {regex_uri: ['a+', '$0$0$0$0$0$0$0$0$0$0$0$0']}}"))).await;
    let answer = rig.get(&format!("/{}", "a".repeat(6000)), &[]).await;
    assert_eq!((answer.status(), said(&answer, "error_msg").as_str()), (500, "failed to substitute the uri"));
}

#[test]
fn faults_are_named_by_their_place() {
    let text = refused(&route_with("{proxy-rewrite: {regex_uri: [a]}}"));
    let says = "plugins.proxy-rewrite.regex_uri: failed to check the configuration of plugin proxy-rewrite err: The \
                length of regex_uri should be an even number";
    assert!(text.contains(says), "{text}");
}
