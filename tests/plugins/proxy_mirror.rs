//! `proxy-mirror` in a whole gateway.
use std::time::{Duration, Instant};

use tollgate::gateway::Gateway;
use tollgate::plugins::proxy_mirror::ProxyMirrorPlugin;

use super::peers::origin::{Origin, Step};
use super::peers::strict::Message;
use super::support::{Rig, example, refused, route_with};

/// What stands for the mirror in the example.
const MIRROR: &str = "127.0.0.1:7002";

async fn mirrored_to(mirror: &Origin, yaml: &str) -> Rig {
    Rig::with(Gateway::builder(), &yaml.replace(MIRROR, &mirror.address().to_string())).await
}

/// Waits for a whole copy with this body.
async fn copy(mirror: &Origin, body: &str) -> Message {
    mirror.wait(|seen| seen.iter().any(|one| String::from_utf8_lossy(&one.bytes).ends_with(body))).await;
    mirror.requests().pop().unwrap()
}

#[tokio::test]
async fn the_example_copies_what_the_upstream_gets() {
    let mirror = Origin::answering("HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\nmirror").await;
    let yaml = example("proxy-mirror").replace("sample_ratio: 0.1", "sample_ratio: 1");
    let rig = mirrored_to(&mirror, &yaml).await;
    let fields = [("X-Own", &b"1"[..]), ("Connection", b"x-hop"), ("X-Hop", b"1"), ("X-Forwarded-For", b"9.9.9.9")];
    let answer = rig.ask_bytes("POST /shop/1?a=b", fields, b"body").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"));
    let (copy, original) = (copy(&mirror, "body").await, rig.forwarded());
    assert_eq!((copy.method(), copy.target(), copy.text().as_str()), ("POST", "/shadow/shop/1?a=b", "body"));
    for name in ["host", "x-own", "x-hop", "x-forwarded-for", "x-real-ip", "content-length", "transfer-encoding", "via"]
    {
        assert_eq!(copy.all(name), original.all(name), "{name}");
    }
    assert_eq!(copy.field("x-forwarded-for"), Some("127.0.0.1"));
}

#[tokio::test]
async fn a_copy_is_made_behind_plugins_that_rewrite_and_refuse() {
    let mirror = Origin::saying("mirror").await;
    let block = format!(
        "{{proxy-mirror: {{host: 'http://{MIRROR}'}}, proxy-rewrite: {{uri: /new, host: new.test, headers: {{x-a: '1'}}}}, \
         key-auth: {{_meta: {{filter: [[arg_key, ==, '1']]}}}}}}"
    );
    let rig = mirrored_to(&mirror, &route_with(&block)).await;
    assert_eq!(rig.get("/old?key=1", &[]).await.status(), 401);
    rig.get("/old", &[]).await;
    let copy = copy(&mirror, "\r\n\r\n").await;
    assert_eq!((copy.target(), copy.field("host"), copy.field("x-a")), ("/new", Some("new.test"), Some("1")));
    assert_eq!(mirror.requests().len(), 1, "what was refused is not copied");
}

#[tokio::test]
async fn a_mirror_that_is_away_silent_or_nonsense_is_not_noticed() {
    let silent = Origin::scripted(|_| vec![Step::until("never")]).await;
    let nonsense = Origin::answering("SMTP hello\r\n\r\n").await;
    let away = {
        let gone = Origin::saying("").await;
        gone.address().to_string()
    };
    for mirror in [silent.address().to_string(), nonsense.address().to_string(), away] {
        let rig = Rig::of(&route_with(&format!("{{proxy-mirror: {{host: 'http://{mirror}'}}}}"))).await;
        let begun = Instant::now();
        for _ in 0..3 {
            let answer = rig.ask_bytes("POST /", [], &[b'a'; 100_000]).await;
            assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"), "{mirror}");
            assert_eq!(rig.forwarded().body.len(), 100_000);
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{mirror} was waited for");
    }
}

#[tokio::test]
async fn a_copy_has_the_host_that_the_upstream_gets() {
    let split = "traffic-split: {rules: [{weighted_upstreams: [{upstream: \
                 {nodes: {\"127.0.0.1:7001\": 1}, pass_host: rewrite, upstream_host: split.internal}}]}]}";
    for (plugin, pass_host, host) in [
        ("", "pass", Some("gw.test")),
        ("", "rewrite, upstream_host: api.internal", Some("api.internal")),
        ("", "node", None),
        (split, "node", Some("split.internal")),
        ("proxy-rewrite: {host: new.test}", "rewrite, upstream_host: api.internal", Some("new.test")),
    ] {
        let mirror = Origin::saying("mirror").await;
        let yaml = format!(
            "routes: [{{id: r, uri: /*, plugins: {{proxy-mirror: {{host: 'http://{MIRROR}'}}, {plugin}}}, \
             upstream: {{nodes: {{\"127.0.0.1:7001\": 1}}, pass_host: {pass_host}}}}}]\n"
        );
        let rig = mirrored_to(&mirror, &yaml).await;
        rig.ask_bytes("POST /", [], b"body").await;
        let (copy, original) = (copy(&mirror, "body").await, rig.forwarded());
        assert_eq!(copy.field("host"), original.field("host"), "{plugin} {pass_host}");
        assert!(host.is_none_or(|host| copy.field("host") == Some(host)), "{plugin} {pass_host}");
    }
}

#[tokio::test]
async fn two_mirrors_get_one_copy_each() {
    let (global, own) = (Origin::saying("global").await, Origin::saying("own").await);
    let plugin = ProxyMirrorPlugin::default();
    let yaml = format!(
        "{}global_rules: [{{id: g, plugins: {{proxy-mirror: {{host: 'http://{}'}}}}}}]\n",
        route_with(&format!("{{proxy-mirror: {{host: 'http://{}'}}}}", own.address())),
        global.address()
    );
    let rig = Rig::with(Gateway::builder().plugin(plugin.clone()), &yaml).await;
    for number in 1..=5 {
        rig.ask_bytes("POST /", [], b"body").await;
        copy(&global, "body").await;
        copy(&own, "body").await;
        let both_sent = async {
            while plugin.outcomes().sent() < 2 * number {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), both_sent).await.expect("both copies are answered");
    }
    assert_eq!((plugin.outcomes().sent(), global.requests().len(), own.requests().len()), (10, 5, 5));
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, says) in [
        ("{}", "plugins.proxy-mirror.host: "),
        ("{host: 'http://a/b'}", "plugins.proxy-mirror.host: "),
        ("{host: 'http://a', path: a}", "plugins.proxy-mirror.path: "),
        ("{host: 'http://a', sample_ratio: 0}", "plugins.proxy-mirror.sample_ratio: "),
        ("{host: 'https://a', tls: {ca: none}}", "plugins.proxy-mirror.host: "),
    ] {
        let text = refused(&route_with(&format!("{{proxy-mirror: {block}}}")));
        assert!(text.contains(says), "{text}");
    }
}
