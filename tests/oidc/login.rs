//! The way to the provider and back.
use bytes::Bytes;
use http::Request;
use serde_json::json;

use super::browser::Browser;
use super::provider::SECRET;
use super::rig::{Rig, decoded, merged};

#[tokio::test]
async fn a_browser_logs_in_and_the_upstream_is_told_who_it_is() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({
        "scope": "openid email profile", "set_refresh_token_header": true, "set_raw_id_token_header": true,
    })));
    let mut browser = Browser::new();
    let sent = browser.get(&rig.at("/shop/list?page=2&q=a%20b")).await;
    assert_eq!((sent.status, sent.header("cache-control")), (302, "no-store"));
    assert!(sent.location().starts_with(&format!("{}/auth?", rig.provider.issuer)), "{sent:?}");
    for (parameter, value) in [
        ("response_type", "code"),
        ("client_id", "web"),
        ("redirect_uri", &rig.at("/back")),
        ("scope", "openid email profile"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(sent.told(parameter).as_deref(), Some(value), "{parameter}");
    }
    for parameter in ["state", "nonce", "code_challenge"] {
        assert!(sent.told(parameter).unwrap().len() >= 22, "{parameter}");
    }

    let page = browser.log_in(&rig.at("/shop/list?page=2&q=a%20b"), "alice").await;
    let told = page.json();
    assert_eq!(told["target"], "/shop/list?page=2&q=a%20b", "the way leads to where it began");
    let id_token = decoded(&told["x-id-token"]);
    assert_eq!((&id_token["sub"], &id_token["aud"]), (&json!("alice"), &json!("web")));
    assert_eq!(decoded(&told["x-userinfo"])["email"], "alice@example.com");
    assert_eq!(told["x-raw-id-token"].as_str().unwrap().split('.').count(), 3);
    for token in ["x-access-token", "x-refresh-token"] {
        assert!(told[token].as_str().is_some_and(|token| token.len() > 20), "{token}");
    }
    assert_eq!(told.get("cookie"), None, "the gateway's cookies are not for the upstream");

    // no further way to the provider
    let asked = rig.provider.count("/auth").await;
    assert_eq!(browser.get(&rig.at("/other")).await.json()["target"], "/other");
    assert_eq!(rig.provider.count("/auth").await, asked);
}

#[tokio::test]
async fn what_a_client_says_of_itself_does_not_reach_the_upstream() {
    let rig = Rig::start().await;
    let forge = |url: String| {
        let names = ["x-access-token", "x-userinfo", "x-id-token", "x-refresh-token", "x-raw-id-token"];
        let request = names.iter().fold(Request::get(url), |request, name| request.header(*name, "forged"));
        request.body(Bytes::new()).unwrap()
    };
    rig.protect(rig.login(json!({"unauth_action": "pass"})));
    let mut browser = Browser::new();
    assert!(!browser.request(forge(rig.at("/"))).await.body.contains("forged"));
    rig.protect(rig.login(json!({
        "set_access_token_header": false, "set_id_token_header": false, "set_userinfo_header": false,
    })));
    assert_eq!(browser.log_in(&rig.at("/"), "alice").await.status, 200);
    let told = browser.request(forge(rig.at("/"))).await;
    assert_eq!(told.status, 200);
    assert!(!told.body.contains("forged"), "{told:?}");
}

#[tokio::test]
async fn every_client_can_prove_itself_in_its_own_way() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    let rig = Rig::with(&[("PROVIDER_CLIENT_KEY", &key)]).await;
    for (client, changes) in [
        ("web-post", json!({"token_endpoint_auth_method": "client_secret_post"})),
        ("web-jwt", json!({"token_endpoint_auth_method": "client_secret_jwt"})),
        ("web-es", json!({"token_signing_alg_values_expected": ["ES256"]})),
        ("web-hs", json!({"token_signing_alg_values_expected": "HS256"})),
        ("public", json!({"client_secret": null, "use_pkce": true})),
        (
            "web-key",
            json!({"client_secret": null, "token_endpoint_auth_method": "private_key_jwt",
            "client_rsa_private_key": key, "client_rsa_private_key_id": "own"}),
        ),
        ("web", json!({"par": {"enabled": true}})),
        ("web", json!({"use_pkce": false, "use_nonce": false})),
        ("web", json!({"authorization_params": {"ui_locales": "de", "prompt": "login"}})),
        ("web", json!({"session": {"cookie_same_site": "Strict"}})),
        ("web", json!({"redirect_uri": rig.at("/back")})),
    ] {
        rig.protect(rig.login(merged(json!({ "client_id": client }), changes.clone())));
        let mut browser = Browser::new();
        let mut page = browser.log_in(&rig.at("/a"), "bob").await;
        if page.body.starts_with("<!DOCTYPE html><meta http-equiv") {
            page = browser.get(&rig.at("/a")).await;
        }
        assert_eq!(page.status, 200, "{client} {changes}: {page:?}");
        assert_eq!(decoded(&page.json()["x-id-token"])["sub"], "bob", "{client} {changes}");
    }
}

#[tokio::test]
async fn an_algorithm_that_is_not_expected_is_refused() {
    let rig = Rig::start().await;
    for (client, expected) in [("web", "ES256"), ("web-es", "RS256"), ("web-hs", "RS256")] {
        rig.protect(rig.login(json!({"client_id": client, "token_signing_alg_values_expected": expected})));
        assert_eq!(Browser::new().log_in(&rig.at("/"), "bob").await.status, 500, "{client} {expected}");
    }
    // tokens signed with the secret are taken only by those who ask for them
    rig.protect(rig.login(json!({"client_id": "web-hs"})));
    assert_eq!(Browser::new().log_in(&rig.at("/"), "bob").await.status, 500);
}

#[tokio::test]
async fn without_a_redirect_uri_the_way_back_is_beside_the_page() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({"redirect_uri": null})));
    for page in ["/", "/a", "/a/b"] {
        let mut browser = Browser::new();
        let back = |url: &str| url.contains("/.apisix/redirect?");
        let landing = browser.log_in_until(&rig.at(page), "alice", back).await.location();
        let beside = format!("{}/.apisix/redirect?", rig.at(page).trim_end_matches('/'));
        assert!(landing.starts_with(&beside), "{landing}");
        assert_eq!(browser.follow(&landing, |_| false).await.json()["target"], page);
    }
}

#[tokio::test]
async fn whoever_is_not_logged_in_is_sent_refused_or_let_pass() {
    let rig = Rig::start().await;
    for (action, status) in [("auth", 302), ("deny", 401), ("pass", 200)] {
        rig.protect(rig.login(json!({ "unauth_action": action })));
        let answer = Browser::new().get(&rig.at("/")).await;
        assert_eq!(answer.status, status, "{action}");
        assert!(!answer.body.contains("x-id-token"));
    }
}

#[tokio::test]
async fn tabs_log_in_beside_each_other() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({})));
    let mut browser = Browser::new();
    let back = |url: &str| url.contains("/back?");
    // all tabs are sent to the provider before one comes back
    let mut tabs = Vec::new();
    for page in ["/one", "/two", "/three"] {
        let sent = browser.get(&rig.at(page)).await;
        tabs.push((page, sent.location()));
    }
    for (page, at_provider) in tabs {
        let landing = browser.log_in_until(&at_provider, "alice", back).await;
        let told = browser.follow(&landing.location(), |_| false).await;
        assert_eq!((told.status, told.json()["target"].as_str()), (200, Some(page)));
    }
    let left: Vec<_> = browser.cookies(&rig.url).into_iter().map(|(name, _)| name).collect();
    assert_eq!(left.len(), 1, "nothing is left of the log-ins but the session: {left:?}");
}

#[tokio::test]
async fn log_ins_that_are_given_up_do_not_pile_up() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({})));
    let mut browser = Browser::new();
    for page in 0..20 {
        browser.get(&rig.at(&format!("/{page}"))).await;
    }
    assert_eq!(browser.cookies(&rig.url).len(), 6);
    assert_eq!(browser.log_in(&rig.at("/last"), "alice").await.json()["target"], "/last");
}

#[tokio::test]
async fn what_a_session_must_have_is_looked_at() {
    let rig = Rig::start().await;
    let named = json!({"type": "object", "properties": {"user": {"type": "object", "required": ["email"]}}, "required": ["user"]});
    for (scope, changes, status) in [
        ("openid email", json!({"required_scopes": ["email"]}), 200),
        ("openid email", json!({"required_scopes": ["email", "profile", "x"]}), 403),
        ("openid email", json!({"claim_schema": named}), 200),
        ("openid", json!({"claim_schema": named}), 401),
    ] {
        rig.protect(rig.login(merged(json!({ "scope": scope }), changes.clone())));
        let page = Browser::new().log_in(&rig.at("/"), "alice").await;
        assert_eq!(page.status, status, "{scope} {changes}: {page:?}");
        if status == 403 {
            assert_eq!(page.json()["error"], "required scopes profile, x not present");
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_away_is_503_for_log_ins() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({})));
    rig.provider.stop().await;
    assert_eq!(Browser::new().get(&rig.at("/")).await.status, 503);
    assert_eq!(Browser::new().get(&rig.at("/logout")).await.status, 503);
}

#[tokio::test]
async fn a_wrong_secret_is_a_failed_log_in_and_no_loop() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({"client_secret": format!("{SECRET}-not")})));
    let page = Browser::new().log_in(&rig.at("/"), "alice").await;
    assert_eq!((page.status, page.url.starts_with(&rig.at("/back?"))), (500, true));
    assert!(!page.body.contains("invalid_client"), "the client is not told why: {page:?}");
}
