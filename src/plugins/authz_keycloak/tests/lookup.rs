use std::sync::atomic::Ordering::SeqCst;

use serde_json::json;

use super::realm::{Asked, GOOD, POOR, Realm, get, request};
use crate::plugins::callout::PAUSE;
use crate::plugins::testing::ask;

fn count(asked: &[Asked], wanted: &str) -> usize {
    asked.iter().filter(|(line, _, form)| line == wanted || form.contains(wanted)).count()
}

#[tokio::test]
async fn resources_of_a_path_are_looked_up_with_a_token_of_our_own() {
    let realm = Realm::start().await;
    let layer = realm.layer(json!({"client_secret": "s", "lazy_load_paths": true, "http_method_as_scope": true}));
    for target in ["/orders/1", "/orders/1?page=2"] {
        assert_eq!(ask(&layer, request("GET", target, Some(GOOD))).await.status(), 200);
    }
    let asked = realm.asked();
    assert_eq!((count(&asked, "GET /uma"), count(&asked, "client_credentials")), (1, 1), "{asked:?}");
    assert_eq!(count(&asked, "GET /resources?uri=%2Forders%2F1&matchingUri=true"), 2);
    assert_eq!(count(&asked, "permission=r-1%23GET&permission=r-2%23GET"), 2);
    let other = ask(&layer, request("GET", "/other", Some(GOOD))).await;
    assert_eq!(other.status(), 403, "no resource has that path");
    let odd = ask(&layer, request("GET", "/odd", Some(GOOD))).await;
    assert_eq!(odd.status(), 503, "an id with `#` in it would be another question");
}

#[tokio::test]
async fn a_path_without_resource_is_keycloaks_to_judge_in_permissive_mode() {
    let realm = Realm::start().await;
    let layer =
        realm.layer(json!({"client_secret": "s", "lazy_load_paths": true, "policy_enforcement_mode": "PERMISSIVE"}));
    for (token, status) in [(GOOD, 200), (POOR, 403)] {
        assert_eq!(ask(&layer, request("GET", "/other", Some(token))).await.status(), status);
    }
}

#[tokio::test]
async fn a_token_of_ours_that_is_taken_no_more_is_fetched_anew_once_in_a_while() {
    let realm = Realm::start().await;
    let layer = realm.layer(json!({"client_secret": "s", "lazy_load_paths": true}));
    assert_eq!(get(&layer, GOOD).await.status(), 200);
    realm.revoke();
    assert_eq!(get(&layer, GOOD).await.status(), 200);
    assert_eq!(count(&realm.asked(), "client_credentials"), 2);
    realm.revoke();
    assert_eq!(get(&layer, GOOD).await.status(), 503, "not again within {PAUSE:?}");
    assert_eq!(count(&realm.asked(), "client_credentials"), 0);
}

#[tokio::test]
async fn a_token_of_ours_may_claim_any_life() {
    for (expires_in, leeway) in [(u64::MAX, 0), (60, 60), (0, 0)] {
        let realm = Realm::start().await;
        realm.expires_in.store(expires_in, SeqCst);
        let layer =
            realm.layer(json!({"client_secret": "s", "lazy_load_paths": true, "access_token_expires_leeway": leeway}));
        for _ in 0..3 {
            assert_eq!(get(&layer, GOOD).await.status(), 200, "{expires_in}");
        }
        // a slow machine may need more than the one second that a token lives at least
        assert!(count(&realm.asked(), "client_credentials") < 3, "{expires_in} s, of which {leeway} do not count");
    }
}

#[tokio::test]
async fn a_document_that_is_none_is_not_kept() {
    let realm = Realm::start().await;
    *realm.document.lock().unwrap() = Some("{\"maintenance\": true}".to_owned());
    let layer = realm.layer(json!({"permissions": ["orders"]}));
    assert_eq!(get(&layer, GOOD).await.status(), 503);
    assert_eq!(get(&layer, GOOD).await.status(), 503);
    assert_eq!(count(&realm.asked(), "GET /uma"), 1, "there is a pause");
    *realm.document.lock().unwrap() = None;
    tokio::time::pause();
    tokio::time::advance(PAUSE).await;
    tokio::time::resume();
    assert_eq!(get(&layer, GOOD).await.status(), 200);
}
