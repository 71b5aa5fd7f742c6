//! Out again.
use serde_json::json;

use super::browser::Browser;
use super::rig::Rig;

#[tokio::test]
async fn a_log_out_ends_the_session_here_and_there() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({"post_logout_redirect_uri": "/bye"})));
    let mut browser = Browser::new();
    browser.log_in(&rig.at("/"), "alice").await;
    let answer = browser.get(&rig.at("/logout")).await;
    assert_eq!(answer.status, 302);
    assert!(answer.location().starts_with(&format!("{}/session/end?", rig.provider.issuer)));
    assert_eq!(answer.told("post_logout_redirect_uri"), Some(rig.at("/bye")));
    assert_eq!(answer.told("client_id").as_deref(), Some("web"));
    assert_eq!(answer.told("id_token_hint").unwrap().split('.').count(), 3);
    assert!(browser.cookies(&rig.url).is_empty());
    // the provider takes its part of it
    let page = browser.follow(&answer.location(), |_| false).await;
    assert!(page.body.contains("logout"), "{page:?}");
    assert_eq!(browser.get(&rig.at("/")).await.status, 302);
}

#[tokio::test]
async fn a_log_out_revokes_tokens_where_that_is_asked_for() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({"revoke_tokens_on_logout": true, "logout_path": "/out"})));
    let mut browser = Browser::new();
    let token = browser.log_in(&rig.at("/"), "alice").await.json()["x-access-token"].as_str().unwrap().to_owned();
    browser.get(&rig.at("/out")).await;
    assert_eq!(rig.provider.count("/token/revocation").await, 2);
    rig.protect(rig.bearer(json!({})));
    assert_eq!(rig.with_token(&token).await.status, 401);
}

#[tokio::test]
async fn a_log_out_without_a_session_leads_to_the_provider_too() {
    let rig = Rig::start().await;
    rig.protect(rig.login(json!({})));
    let answer = Browser::new().get(&rig.at("/logout")).await;
    assert!(answer.location().starts_with(&format!("{}/session/end?client_id=web", rig.provider.issuer)), "{answer:?}");
}
