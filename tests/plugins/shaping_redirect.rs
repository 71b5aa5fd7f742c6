//! `redirect` as its example has it.
use tollgate::gateway::Gateway;

use super::peers::client::Client;
use super::peers::origin::Origin;
use super::support::{Rig, example, refused, route_with};

#[tokio::test]
async fn plain_requests_go_to_https_on_the_attributes_port() {
    let rig = Rig::example("redirect").await;
    // What a client that is no trusted proxy says of its scheme is not asked.
    let answer = rig.get("/a%20b/?c=%2F", &[("X-Forwarded-Proto", "https")]).await;
    assert_eq!((answer.status(), answer.text().as_str()), (301, ""));
    assert_eq!(answer.all("location"), ["https://gw.test:9443/a%20b/?c=%2F"]);
    assert_eq!(answer.field("server"), Some("tollgate"));
    assert_eq!(rig.ask("POST /a", &[]).await.status(), 308);
    assert_eq!(rig.ask("HEAD /a", &[]).await.status(), 301);
    assert_eq!(rig.forwarded_count(), 0);
}

#[tokio::test]
async fn a_decoded_path_is_sent_back_as_it_came() {
    let settings = "tollgate: {router: {path_mode: compatible}}\n";
    let rig = Rig::of(&format!("{}{settings}", route_with("{redirect: {http_to_https: true}}"))).await;
    let answer = rig.get("/a%20b%3Fc%2520?d", &[]).await;
    assert_eq!(answer.all("location"), ["https://gw.test/a%20b%3Fc%2520?d"]);
    let route = route_with("{redirect: {regex_uri: ['^/a b', '/n'], encode_uri: true}}");
    rig.apply(&format!("{route}{settings}"));
    assert_eq!(rig.get("/a%20b/c%20%25", &[]).await.all("location"), ["/n/c%20%25"]);
}

#[tokio::test]
async fn a_trusted_proxy_says_what_it_spoke() {
    let yaml = example("redirect").replace("127.0.0.2/32", "127.0.0.1/32");
    let rig = Rig::before(Origin::saying("origin").await, Gateway::builder(), &yaml).await;
    assert_eq!(rig.get("/a", &[("X-Forwarded-Proto", "https")]).await.status(), 200);
    assert_eq!(rig.get("/a", &[("X-Forwarded-Proto", "http")]).await.status(), 301);
    assert_eq!(rig.get("/a", &[]).await.status(), 301);
}

#[tokio::test]
async fn moved_paths_and_patterns() {
    let rig = Rig::example("redirect").await;
    for (target, status, location) in [
        ("/shop/cup?size=1", 301, Some("https://shop.example.com/shop/cup?size=1")),
        ("/shop/cup", 301, Some("https://shop.example.com/shop/cup")),
        ("/articles/7?x=1", 302, Some("/a/7?from=number&x=1")),
        ("/articles/seven", 200, None),
    ] {
        let answer = rig.get(target, &[]).await;
        assert_eq!((answer.status(), answer.field("location")), (status, location), "{target}");
    }
}

#[tokio::test]
async fn sec_hop_09_a_location_is_one_line() {
    let rig = Rig::of(&route_with("{redirect: {uri: '/n?to=$arg_v'}}")).await;
    let answer = rig.get("/?v=1%0d%0aset-cookie:%20a=b", &[]).await;
    assert_eq!(answer.all("location"), ["/n?to=1%0D%0Aset-cookie: a=b"]);
    assert_eq!(answer.field("set-cookie"), None);
}

#[tokio::test]
async fn a_redirect_stands_behind_authentication() {
    let rig = Rig::of(&route_with("{redirect: {uri: /n}, key-auth: {}}")).await;
    assert_eq!(rig.get("/", &[]).await.status(), 401);
}

#[tokio::test]
async fn a_request_without_a_host_cannot_be_sent_to_https() {
    let rig = Rig::example("redirect").await;
    let mut client = Client::connect(rig.address).await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.answer().await.status(), 400);
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, says) in [
        ("{}", "write exactly one of `http_to_https`, `uri` and `regex_uri`"),
        (
            "{http_to_https: true, append_query_string: true}",
            "only one of `http_to_https` and `append_query_string` can be configured.",
        ),
    ] {
        let text = refused(&route_with(&format!("{{redirect: {block}}}")));
        assert!(text.contains(says), "{text}");
    }
    let attr = "tollgate: {plugin_attr: {redirect: {https_port: 0}}}\n";
    let text = refused(&format!("{}{attr}", route_with("{redirect: {http_to_https: true}}")));
    assert!(text.contains("https_port"), "{text}");
}
