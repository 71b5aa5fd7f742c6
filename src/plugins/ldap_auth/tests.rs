use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::model::ConsumerSpec;
use crate::plugin::{AuthPlugin as _, Plugin as _};
use crate::plugins::testing::{Answer, ask_over, configured};
use crate::request::{Consumer, Consumers};
use crate::{Body, Next, PluginLayer, Request, Response};

const ABOVE: &str = "ou=users,dc=example,dc=org";

/// An answer to a bind.
fn code(code: u8) -> Vec<u8> {
    vec![0x30, 12, 2, 1, 1, 0x61, 7, 0x0a, 1, code, 4, 0, 4, 0]
}

/// A directory that gives one answer to everybody, in these pieces, and hands on what it was asked.
async fn directory(pieces: Vec<Vec<u8>>) -> (String, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            // a bind has its length in the second byte, as all of these are short
            while seen.len() < 2 || seen.len() < usize::from(seen[1]) + 2 {
                if stream.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            for piece in &pieces {
                let _ = stream.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            if pieces.is_empty() {
                // silent as long as the other side waits
                let _ = stream.read_buf(&mut seen).await;
            }
            let _ = tell.send(seen);
        }
    });
    (address, asked)
}

fn consumers() -> Arc<Consumers> {
    let acme = Consumer::new(&ConsumerSpec { username: "acme".into(), ..ConsumerSpec::default() });
    let entries = ["cn=acme,", "cn=a\\,b,"].map(|entry| format!("{entry}{ABOVE}"));
    let credentials =
        entries.map(|entry| LdapAuthPlugin::default().to_credential(LdapAuthCredential::new(entry)).unwrap());
    Arc::new(Consumers::builder().consumer(&acme, credentials).unwrap().build())
}

fn layer(address: &str) -> PluginLayer {
    let mut config = LdapAuthConfig::new(address, ABOVE);
    config.timeout = 5000;
    config.hide_credentials = true;
    LdapAuthLayer::of(LdapAuth::new(config, consumers()).unwrap()).into()
}

/// The answer to a log-in; the end answers with the caller's name, if there is no credential any more.
async fn log_in(layer: &PluginLayer, login: &str) -> Answer {
    let end = Next::from_fn(|request: Request| async move {
        assert!(!request.headers().contains_key("authorization"));
        Response::new(Body::from(Consumer::of(&request).unwrap().name().to_string()))
    });
    let value = format!("Basic {}", STANDARD.encode(login));
    let request = http::Request::builder().uri("/").header("authorization", value).body(Body::empty()).unwrap();
    ask_over(layer, end, request).await
}

#[tokio::test]
async fn whom_the_directory_lets_in_is_the_consumer_of_that_entry() {
    let (address, mut asked) = directory(vec![code(0)]).await;
    for (login, name, password) in [("acme:pass:word", "cn=acme,", "pass:word"), ("a,b:x", "cn=a\\,b,", "x")] {
        let answer = log_in(&layer(&address), login).await;
        assert_eq!((answer.status(), answer.body()), (200, "acme"));
        let asked = asked.recv().await.unwrap();
        let (name, password) =
            (format!("{name}{ABOVE}"), [&[0x80, password.len() as u8], password.as_bytes()].concat());
        assert!(asked.ends_with(&[name.as_bytes(), &password].concat()), "{asked:?}");
    }
    let answer = log_in(&layer(&address), "stranger:x").await;
    assert_eq!((answer.status(), answer.body()), (401, "{\"message\":\"Missing related consumer\"}\n"));
}

#[tokio::test]
async fn answers_come_in_any_pieces_and_with_long_texts() {
    let bytes = code(0).iter().map(|byte| vec![*byte]).collect();
    let (address, _asked) = directory(bytes).await;
    assert_eq!(log_in(&layer(&address), "acme:x").await.status(), 200);
}

#[tokio::test]
async fn whom_it_does_not_let_in_is_refused_with_a_challenge() {
    for (code_of, status) in [(49, 401), (32, 401), (53, 401), (51, 503), (1, 503), (8, 503)] {
        let (address, _asked) = directory(vec![code(code_of)]).await;
        let answer = log_in(&layer(&address), "acme:x").await;
        assert_eq!(answer.status(), status, "{code_of}");
        assert_eq!(answer.header("www-authenticate").as_deref(), (status == 401).then_some("Basic realm=\"ldap\""));
        let wrong = "{\"message\":\"Invalid user authorization\"}\n";
        assert_eq!(answer.body(), if status == 401 { wrong } else { "" });
    }
}

#[tokio::test]
async fn an_empty_password_is_never_sent_nor_one_that_some_take_for_empty() {
    let (address, mut asked) = directory(vec![code(0)]).await;
    for (login, message) in [
        ("acme:", "Invalid user authorization"),
        (":x", "Invalid user authorization"),
        (":", "Invalid user authorization"),
        ("acme:\0", "Invalid user authorization"),
        ("acme:x\0y", "Invalid user authorization"),
        ("acme", "Invalid authorization in request"),
    ] {
        let answer = log_in(&layer(&address), login).await;
        assert_eq!((answer.status(), answer.body()), (401, &*format!("{{\"message\":\"{message}\"}}\n")), "{login}");
    }
    let bytes = STANDARD.encode(b"acme:\xff");
    let request =
        http::Request::builder().header("authorization", format!("Basic {bytes}")).body(Body::empty()).unwrap();
    let no_text = ask_over(&layer(&address), Next::from_fn(|_| async { Response::default() }), request).await;
    assert_eq!(no_text.body(), "{\"message\":\"Invalid authorization in request\"}\n");
    let nobody = ask_over(&layer(&address), Next::from_fn(|_| async { Response::default() }), Request::default()).await;
    assert_eq!(nobody.body(), "{\"message\":\"Missing authorization in request\"}\n");
    assert!(asked.try_recv().is_err(), "the directory was asked");
}

#[tokio::test]
async fn a_directory_that_is_away_or_lies_lets_nobody_in() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(log_in(&layer(&free.to_string()), "acme:x").await.status(), 503);
    for pieces in [
        vec![Vec::new()],
        vec![code(0)[..5].to_vec()],
        vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()],
        vec![vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff], vec![0; 1 << 20]],
    ] {
        let (address, _asked) = directory(pieces.clone()).await;
        assert_eq!(log_in(&layer(&address), "acme:x").await.status(), 503, "{:?}", pieces[0]);
    }
    let (address, _asked) = directory(Vec::new()).await;
    let mut config = LdapAuthConfig::new(address, ABOVE);
    config.timeout = 50;
    let silent: PluginLayer = LdapAuthLayer::of(LdapAuth::new(config, consumers()).unwrap()).into();
    let answer = tokio::time::timeout(Duration::from_secs(5), log_in(&silent, "acme:x")).await.unwrap();
    assert_eq!((answer.status(), answer.body()), (503, ""));
}

#[test]
fn blocks_that_cannot_work_are_refused_by_field() {
    for (block, field) in [
        (serde_json::json!({"base_dn": "dc=x"}), "ldap_uri"),
        (serde_json::json!({"ldap_uri": "ldap://a", "base_dn": "dc=x"}), "ldap_uri"),
        (serde_json::json!({"ldap_uri": "a"}), "base_dn"),
        (serde_json::json!({"ldap_uri": "a", "base_dn": "dc=x", "uid": "c n"}), "uid"),
        (serde_json::json!({"ldap_uri": "a", "base_dn": "dc=x", "timeout": 0}), "timeout"),
        (serde_json::json!({"ldap_uri": "a", "base_dn": "dc=x", "realm": "\""}), "realm"),
    ] {
        let error = LdapAuth::new(configured(block.clone()), consumers()).unwrap_err();
        assert_eq!(error.field(), field, "{block}");
    }
    assert_eq!(LdapAuthPlugin::default().credential(LdapAuthCredential::new("")).unwrap_err().field(), "user_dn");
}

#[test]
fn what_a_block_leaves_open_is_warned_of() {
    let fields = |use_tls: bool, tls_verify: bool| {
        let config = LdapAuthConfig { use_tls, tls_verify, hide_credentials: true, ..LdapAuthConfig::new("a", "dc=x") };
        LdapAuthPlugin::default().caveats(&config).into_iter().map(|caveat| caveat.field).collect::<Vec<_>>()
    };
    assert_eq!(fields(false, true), ["use_tls"]);
    assert_eq!(fields(true, false), ["tls_verify"]);
    assert_eq!(fields(true, true), [""; 0]);
}
