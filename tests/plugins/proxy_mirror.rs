//! `proxy-mirror` in a whole gateway.
use tollgate::gateway::Gateway;

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
        for _ in 0..3 {
            let answer = rig.ask_bytes("POST /", [], &[b'a'; 100_000]).await;
            assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"), "{mirror}");
            assert_eq!(rig.forwarded().body.len(), 100_000);
        }
    }
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, says) in [
        ("{}", "plugins.proxy-mirror.host: "),
        ("{host: 'http://a/b'}", "plugins.proxy-mirror.host: "),
        ("{host: 'http://a', path: a}", "plugins.proxy-mirror.path: "),
        ("{host: 'http://a', sample_ratio: 0}", "plugins.proxy-mirror.sample_ratio: "),
    ] {
        let text = refused(&route_with(&format!("{{proxy-mirror: {block}}}")));
        assert!(text.contains(says), "{text}");
    }
}
