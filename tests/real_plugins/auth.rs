//! `attach-consumer-label`, `jwe-decrypt` and `ldap-auth`.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::rig::Rig;
use super::slapd::Slapd;

const YAML: &str = include_str!("auth.yaml");

/// `{"sub":"7"}` for the consumer's key, sealed by Python's `cryptography`, but for its header.
const SEALED: &str = ".AgICAgICAgICAgIC.sy71iZx_Tglij1g.JEWs9eaXunNfLhtnhZNS8w";

fn token(header: &str) -> String {
    format!("Authorization: Bearer {}.{SEALED}", URL_SAFE_NO_PAD.encode(header))
}

#[tokio::test]
async fn nginx_is_told_labels_and_nobody_elses_word() {
    let rig = Rig::of(YAML).await;
    let forged = ["-H", "X-Department: forged", "-H", "X-Plan: forged", "-H", "X-Claims: forged"];
    let known = rig.curl("/labels/a", &[&forged[..], &["-H", "apikey: key-of-ann"]].concat()).await;
    assert_eq!((known.echoed("consumer"), known.echoed("department"), known.echoed("plan")), ("ann", "sales", ""));
    let open = rig.curl("/open/a", &forged).await;
    assert_eq!((open.echoed("department"), open.echoed("plan"), open.echoed("claims")), ("", "", ""));
    assert_eq!(rig.curl("/labels/a", &forged).await.status, 401);
}

#[tokio::test]
async fn a_token_is_opened_or_refused_as_the_catalogue_words_it() {
    let rig = Rig::of(YAML).await;
    let good = token(r#"{"alg":"dir","enc":"A256GCM","kid":"acme-key"}"#);
    for scheme in ["Bearer ", ""] {
        let reply = rig.curl("/sealed/a", &["-H", &good.replace("Bearer ", scheme), "-H", "X-Claims: forged"]).await;
        assert_eq!((reply.status, reply.echoed("claims"), reply.echoed("consumer")), (200, r#"{"sub":"7"}"#, ""));
    }
    let lax = rig.curl("/lax/a", &["-H", "X-Claims: forged"]).await;
    assert_eq!((lax.status, lax.echoed("claims")), (200, ""));
    for (field, status, message) in [
        ("Accept: */*".to_owned(), 403, "missing JWE token in request"),
        ("Authorization: a.b.c".to_owned(), 400, "JWE token invalid"),
        (token(r#"{"alg":"dir","enc":"A256GCM"}"#), 400, "missing kid in JWE token"),
        (token(r#"{"alg":"dir","enc":"A256GCM","kid":"nobody"}"#), 400, "invalid kid in JWE token"),
        (good.replace(".sy71", ".sy72"), 400, "failed to decrypt JWE token"),
    ] {
        let reply = rig.curl("/sealed/a", &["-H", &field]).await;
        assert_eq!((reply.status, reply.json()), (status, json!({"message": message})), "{field}");
    }
}

#[tokio::test]
async fn a_directory_judges_names_and_passwords() {
    let mut slapd = Slapd::start();
    let replaced = [("127.0.0.1:3890", &*slapd.plain()), ("127.0.0.1:3891", &slapd.tls())];
    let rig = Rig::with(YAML, &replaced, &[]).await;
    for path in ["/directory/a", "/encrypted/a"] {
        let reply = rig.curl(path, &["-u", "acme:pass word:1"]).await;
        assert_eq!((reply.status, reply.echoed("consumer")), (200, "acme"), "{path}");
        for (arguments, message) in [
            (&[][..], "Missing authorization in request"),
            (&["-H", "Authorization: Bearer x"], "Invalid authorization in request"),
            (&["-u", "acme:wrong"], "Invalid user authorization"),
            (&["-u", "acme:"], "Invalid user authorization"),
            (&["-u", "*:pass word:1"], "Invalid user authorization"),
            (&["-u", "stranger:third"], "Missing related consumer"),
        ] {
            let reply = rig.curl(path, arguments).await;
            assert_eq!((reply.status, reply.json()), (401, json!({"message": message})), "{path} {arguments:?}");
            assert_eq!(reply.field("www-authenticate").as_deref(), Some("Basic realm=\"ldap\""));
        }
    }
    assert_eq!(rig.curl("/directory/a", &["-u", "acme:pass word:1"]).await.echoed("authorization"), "");
    slapd.stop();
    assert_eq!(rig.says("/directory/a", &["-u", "acme:pass word:1"]).await, (503, String::new()));
}
