//! What lives in cookies, and how it is renewed.
use serde_json::json;

use super::browser::Browser;
use super::rig::{Rig, decoded};

#[tokio::test]
async fn cookies_are_for_the_gateway_alone() {
    let rig = Rig::start().await;
    rig.protect(
        rig.login(json!({"session": {"cookie_secure": true, "cookie_domain": "shop.test", "cookie_path": "/x"}})),
    );
    let answer = Browser::new().get(&rig.at("/")).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("tollgate_session_"), "{cookie}");
    assert!(cookie.ends_with("; Path=/x; Domain=shop.test; SameSite=Lax; Secure; HttpOnly"), "{cookie}");
}

#[tokio::test]
async fn a_long_session_goes_in_pieces() {
    let rig = Rig::with(&[("PROVIDER_WIDE", "9000")]).await;
    rig.protect(rig.login(json!({"scope": "openid profile", "session": {"cookie_name": "s"}})));
    let mut browser = Browser::new();
    let page = browser.log_in(&rig.at("/"), "alice").await;
    assert!(decoded(&page.json()["x-userinfo"])["name"].as_str().unwrap().len() > 9000);
    let names: Vec<_> = browser.cookies(&rig.url).into_iter().map(|(name, _)| name).collect();
    assert!(names.len() >= 4 && names.contains(&"s".to_owned()) && names.contains(&"s_3".to_owned()), "{names:?}");
    browser.get(&rig.at("/logout")).await;
    assert!(browser.cookies(&rig.url).is_empty());
}

#[tokio::test]
async fn a_session_that_no_cookies_can_hold_is_a_failed_log_in() {
    let rig = Rig::with(&[("PROVIDER_WIDE", "40000")]).await;
    rig.protect(rig.login(json!({"scope": "openid profile"})));
    assert_eq!(Browser::new().log_in(&rig.at("/"), "alice").await.status, 500);
}

/// With so large a leeway every access token counts as expired.
const EXPIRED: u64 = 100_000;

#[tokio::test]
async fn an_expired_token_is_renewed_once_for_all_requests_that_come_together() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({})));
    let mut browser = Browser::new();
    let before = browser.log_in(&rig.at("/"), "alice").await.json();
    rig.protect(rig.login(json!({"access_token_expires_leeway": EXPIRED})));
    let calls = rig.provider.count("/token").await;
    // the provider ends the log-in when a refresh token is used twice
    let mut tabs = vec![browser.clone(); 20];
    let page = rig.at("/");
    let answers = futures_util::future::join_all(tabs.iter_mut().map(|tab| tab.get(&page))).await;
    let tokens: Vec<_> = answers.iter().map(|answer| answer.json()["x-access-token"].clone()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0] && *token != before["x-access-token"]), "{tokens:?}");
    assert_eq!(rig.provider.count("/token").await, calls + 1);
    // one that comes late with the old session is given the same, and the next one goes on from there
    assert_eq!(browser.get(&page).await.json()["x-access-token"], tokens[0]);
    assert_eq!(rig.provider.count("/token").await, calls + 1);
    let renewed = browser.get(&page).await.json();
    assert_ne!(renewed["x-access-token"], tokens[0]);
    assert_eq!(decoded(&renewed["x-id-token"])["sub"], "alice");
    assert_eq!(rig.provider.count("/token").await, calls + 2);
}

#[tokio::test]
async fn a_renewed_session_is_the_browsers_even_when_the_request_is_refused() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({})));
    let mut browser = Browser::new();
    browser.log_in(&rig.at("/"), "alice").await;
    let before = browser.cookies(&rig.url);
    rig.protect(rig.login(json!({"access_token_expires_leeway": EXPIRED, "required_scopes": ["more"]})));
    assert_eq!(browser.get(&rig.at("/")).await.status, 403);
    assert_ne!(browser.cookies(&rig.url), before);
    rig.protect(rig.login(json!({})));
    assert_eq!(browser.get(&rig.at("/")).await.status, 200);
}

#[tokio::test]
async fn an_expired_token_that_cannot_be_renewed_ends_the_session() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({})));
    let mut browser = Browser::new();
    browser.log_in(&rig.at("/"), "alice").await;
    let calls = rig.provider.count("/token").await;
    rig.protect(rig.login(json!({
        "access_token_expires_leeway": EXPIRED, "renew_access_token_on_expiry": false, "unauth_action": "deny",
    })));
    assert_eq!(browser.get(&rig.at("/")).await.status, 401);
    assert_eq!(rig.provider.count("/token").await, calls);
}

#[tokio::test]
async fn the_provider_is_asked_again_without_a_prompt() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({})));
    let mut browser = Browser::new();
    browser.log_in(&rig.at("/"), "alice").await;
    rig.protect(rig.login(json!({"refresh_session_interval": 1, "authorization_params": {"prompt": "login"}})));
    // the second has to be over: the condition is awaited
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let sent = loop {
        let answer = browser.get(&rig.at("/page")).await;
        if answer.status == 302 {
            break answer;
        }
        assert!(std::time::Instant::now() < deadline, "the provider is never asked again");
        tokio::task::yield_now().await;
    };
    assert_eq!(sent.told("prompt").as_deref(), Some("none"));
    // still logged in there: back at once
    let page = browser.follow(&sent.location(), |_| false).await;
    assert_eq!((page.status, page.json()["target"].as_str()), (200, Some("/page")));
    // no longer: the way leads to the log-in page
    browser.forget(&rig.provider.issuer, |_| true);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let page = browser.follow(&rig.at("/page"), |_| false).await;
        if page.body.contains("<form ") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the session goes on without the provider");
    }
}
