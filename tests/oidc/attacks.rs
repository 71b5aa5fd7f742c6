//! What must not work.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::browser::Browser;
use super::provider::SECRET;
use super::rig::Rig;
use super::tokens::{claims, now};

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token whose "signature" is `signature` of the first two parts.
fn forged(header: &Value, payload: &Value, signature: impl Fn(&str) -> String) -> String {
    let message = format!("{}.{}", part(header), part(payload));
    format!("{message}.{}", signature(&message))
}

fn hmac(key: &[u8], message: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
    URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, message.as_bytes()))
}

#[tokio::test]
async fn sec_auth_02_algorithms_are_the_keys_and_not_the_tokens() {
    let rig = Rig::start().await;
    let payload = claims(&rig, json!({}));
    let good = rig.provider.sign(json!({ "payload": payload })).await;
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(good.split('.').next().unwrap()).unwrap()).unwrap();
    let kid = &header["kid"];
    let pem = rig.provider.public_key("RS256").await;
    let der = pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let der = base64::engine::general_purpose::STANDARD.decode(der).unwrap();
    let signature = good.rsplit('.').next().unwrap().to_owned();
    let none = |_: &str| String::new();
    let real = |_: &str| signature.clone();
    let attacks = [
        forged(&json!({"alg": "none", "kid": kid}), &payload, none),
        forged(&json!({"alg": "nOnE", "kid": kid}), &payload, none),
        forged(&json!({"alg": "none"}), &payload, real),
        forged(&json!({"kid": kid}), &payload, real),
        forged(&json!({"alg": ["RS256"], "kid": kid}), &payload, real),
        forged(&json!({"alg": "", "kid": kid}), &payload, real),
        forged(&json!({"alg": "HS256", "kid": kid}), &payload, |message| hmac(pem.as_bytes(), message)),
        forged(&json!({"alg": "HS256", "kid": kid}), &payload, |message| hmac(pem.trim().as_bytes(), message)),
        forged(&json!({"alg": "HS256", "kid": kid}), &payload, |message| hmac(&der, message)),
        forged(&json!({"alg": "HS256"}), &payload, |message| hmac(SECRET.as_bytes(), message)),
        forged(&json!({"alg": "HS256", "kid": kid}), &payload, |message| hmac(b"", message)),
        forged(&json!({"alg": "ES256", "kid": kid}), &payload, |_| URL_SAFE_NO_PAD.encode([0; 64])),
        forged(&json!({"alg": "RS256", "kid": kid}), &claims(&rig, json!({"sub": "admin"})), real),
        good.rsplit_once('.').unwrap().0.to_owned(),
        format!("{}.", good.rsplit_once('.').unwrap().0),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!(".{good}"),
    ];
    for block in [
        rig.bearer(json!({"use_jwks": true})),
        rig.bearer(json!({"public_key": pem})),
        rig.bearer(json!({"use_jwks": true, "token_signing_alg_values_expected": ["RS256", "HS256", "ES256"]})),
        rig.bearer(json!({"public_key": pem, "token_signing_alg_values_expected": ["RS256", "HS256"]})),
    ] {
        rig.protect(block.clone());
        assert_eq!(rig.with_token(&good).await.status, 200, "{block}");
        for token in &attacks {
            assert_eq!(rig.with_token(token).await.status, 401, "{block} {token}");
        }
    }
}

#[tokio::test]
async fn sec_auth_03_a_token_does_not_choose_where_its_key_comes_from() {
    let rig = Rig::start().await;
    rig.protect(rig.bearer(json!({"use_jwks": true})));
    let trap = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", trap.local_addr().unwrap());
    let own = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "own"});
    for header in [
        json!({"kid": "../../dev/null"}),
        json!({"kid": "' OR 1=1 --"}),
        json!({"kid": url}),
        json!({"kid": ""}),
        json!({"kid": 1}),
        json!({"kid": "own", "jku": url}),
        json!({"kid": "own", "x5u": url}),
        json!({"kid": "own", "jwk": own}),
        json!({"alg": "HS256", "kid": "own", "jwk": own}),
        json!({"crit": ["exp"]}),
        json!({"crit": ["http://example.com/unknown"], "http://example.com/unknown": true}),
        json!({"crit": []}),
    ] {
        let token = rig.provider.sign(json!({"header": header, "payload": claims(&rig, json!({}))})).await;
        assert_eq!(rig.with_token(&token).await.status, 401, "{header}");
    }
    // the right key id, and another place for its key: signed with the right key, so taken, without a call to that place
    let token =
        rig.provider.sign(json!({"header": {"jku": url, "x5u": url}, "payload": claims(&rig, json!({}))})).await;
    assert_eq!(rig.with_token(&token).await.status, 200);
    let called = tokio::select! {
        biased;
        _ = trap.accept() => true,
        () = std::future::ready(()) => false,
    };
    assert!(!called, "the token chose whom the gateway called");
}

#[tokio::test]
async fn sec_auth_04_times_and_sizes_are_judged() {
    let rig = Rig::start().await;
    rig.protect(rig.bearer(json!({"use_jwks": true})));
    for (changes, status) in [
        (json!({"exp": now() - 30}), 200),
        (json!({"exp": now() - 90}), 401),
        (json!({"exp": null}), 401),
        (json!({"exp": "tomorrow"}), 401),
        (json!({"exp": -1}), 401),
        (json!({"nbf": now() + 30}), 200),
        (json!({"nbf": now() + 90}), 401),
        (json!({"iat": now() + 90}), 200),
        (json!({"iat": now() + 150}), 401),
        (json!({"iat": "now"}), 401),
        (json!({"pad": "x".repeat(5000)}), 200),
        (json!({"pad": "x".repeat(8200)}), 401),
    ] {
        let token = rig.provider.sign(json!({"payload": claims(&rig, changes.clone())})).await;
        let answer = rig.with_token(&token).await;
        assert_eq!(answer.status, status, "{changes}: {answer:?}");
    }
    let giant = "x".repeat(8193);
    assert!(rig.with_token(&giant).await.header("www-authenticate").contains("too long"));
}

#[tokio::test]
async fn sec_auth_10_a_changed_or_foreign_cookie_is_no_session() {
    let rig = Rig::start().await;
    let session = json!({"session": {"cookie_name": "s"}, "unauth_action": "deny"});
    let other = json!({"session": {"cookie_name": "s"}, "unauth_action": "deny", "client_id": "web-post",
        "token_endpoint_auth_method": "client_secret_post"});
    let auth = json!({"session": {"cookie_name": "s"}});
    rig.apply(&[("/*", rig.login(auth.clone())), ("/other", rig.login(session.clone())), ("/third", rig.login(other))]);
    let mut browser = Browser::new();
    assert_eq!(browser.log_in(&rig.at("/"), "alice").await.status, 200);
    let (name, value) = browser.cookies(&rig.url).pop().unwrap();
    // the same secret, provider and client, on another route; and with another client
    for path in ["/other", "/third"] {
        assert_eq!(browser.get(&rig.at(path)).await.status, 401, "{path}");
    }
    rig.apply(&[("/*", rig.login(session))]);
    assert_eq!(browser.get(&rig.at("/")).await.status, 200, "the session is the route's, whatever else the block says");
    let changed = |at: usize| {
        let mut bytes = value.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let cases = [0, 1, 2, 10, value.len() / 2, value.len() - 1].map(changed);
    let shorter = value[..value.len() - 4].to_owned();
    for case in cases.into_iter().chain([shorter, String::new(), "1.".to_owned(), "9.x".to_owned()]) {
        let mut thief = Browser::new();
        thief.set(&rig.url, &name, &case);
        assert_eq!(thief.get(&rig.at("/")).await.status, 401, "{case}");
    }
    let mut changed = rig.login(auth);
    changed["session"]["secret"] = json!("another sixteen characters");
    rig.protect(changed);
    assert_eq!(browser.get(&rig.at("/")).await.status, 302);
}

#[tokio::test]
async fn sec_auth_10_an_answer_of_another_log_in_begins_anew_a_few_times() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({})));
    let back = |url: &str| url.contains("/back?");
    let mut browser = Browser::new();
    // the attacker's code with the attacker's state, in the victim's browser (login CSRF)
    let foreign = Browser::new().log_in_until(&rig.at("/"), "bob", back).await.location();
    for restart in 1..=3 {
        let sent = browser.get(&rig.at("/page")).await;
        assert_eq!(sent.status, 302);
        let again = browser.get(&foreign).await;
        assert_eq!((again.status, again.location()), (302, rig.at("/page")), "restart {restart}");
    }
    browser.get(&rig.at("/page")).await;
    assert_eq!(browser.get(&foreign).await.status, 500);
    // and then the user can still log in
    assert_eq!(browser.log_in(&rig.at("/page"), "alice").await.json()["target"], "/page");
    // without any log-in under way nothing begins
    assert_eq!(Browser::new().get(&foreign).await.status, 500);
    assert_eq!(Browser::new().get(&rig.at("/back")).await.status, 500);
    assert_eq!(browser.get(&foreign).await.location(), rig.at("/"), "whoever is logged in goes on");
}

#[tokio::test]
async fn sec_auth_10_an_answer_works_once_and_in_its_own_browser() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({})));
    let back = |url: &str| url.contains("/back?");
    let mut browser = Browser::new();
    let landing = browser.log_in_until(&rig.at("/"), "alice", back).await.location();
    let mut replayed = browser.clone();
    assert_eq!(browser.follow(&landing, |_| false).await.status, 200);
    // the code is used up at the provider
    assert_eq!(replayed.get(&landing).await.status, 500);
    // changed answers
    for change in ["code=x&", "iss=http%3A%2F%2Fevil.test&", "code=x&code=y&"] {
        let mut browser = Browser::new();
        let landing = browser.log_in_until(&rig.at("/"), "alice", back).await;
        let state = landing.told("state").unwrap();
        let status = browser.get(&rig.at(&format!("/back?{change}state={state}"))).await.status;
        assert!(status == 500 || (status == 302 && change.contains("code=y")), "{change} {status}");
        assert!(
            !browser.cookies(&rig.url).iter().any(|(name, _)| name.len() == "tollgate_session_".len() + 8),
            "{change}"
        );
    }
}

#[tokio::test]
async fn sec_auth_10_no_redirect_leads_to_another_host() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({})));
    for target in ["//evil.test/", "///evil.test", "/%5Cevil.test", "/%2F%2Fevil.test/", "/.//evil.test", "/@evil.test"]
    {
        let mut browser = Browser::new();
        let sent = browser.get(&rig.at(target)).await;
        if sent.status != 302 {
            continue; // the gateway has its own opinion of the path
        }
        let page = browser
            .log_in_until(&sent.location(), "alice", |url| {
                !url.starts_with(&rig.provider.issuer) && !url.contains("/back?")
            })
            .await;
        let end = page.location();
        assert!(end.starts_with(&format!("{}/", rig.url)), "{target} leads to {end}");
        assert!(!page.header("location").starts_with("//"), "{target} leads to {end}");
    }
}

#[tokio::test]
async fn a_browser_that_keeps_no_cookies_is_told_so_and_not_sent_in_circles() {
    let rig = Rig::start().await;
    // over plain HTTP browsers drop `Secure` cookies, the commonest mistake with this plugin
    rig.protect(rig.login(json!({"session": {"cookie_secure": true}})));
    let page = Browser::new().log_in(&rig.at("/"), "alice").await;
    assert_eq!(page.status, 500);
}
