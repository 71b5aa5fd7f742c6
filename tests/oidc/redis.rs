//! Sessions in Redis.
use serde_json::{Value, json};

use super::browser::Browser;
use super::peers::DEADLINE;
use super::peers::redis::Redis;
use super::rig::{Rig, merged};

fn kept(rig: &Rig, redis: &Redis, changes: Value) -> Value {
    let session = json!({"session": {"cookie_name": "s", "storage": "redis", "redis": {
        "host": "127.0.0.1", "port": redis.port(), "prefix": "tg", "connect_timeout": 300, "send_timeout": 100, "read_timeout": 200,
    }}});
    rig.login(merged(session, changes))
}

#[tokio::test]
async fn the_cookie_has_a_name_and_redis_the_session_which_it_cannot_read() {
    let (rig, redis) = (Rig::with(&[("PROVIDER_WIDE", "40000")]).await, Redis::start(&[]));
    rig.protect(kept(&rig, &redis, json!({"scope": "openid profile"})));
    let mut browser = Browser::new();
    let told = browser.log_in(&rig.at("/"), "alice").await.json();
    let cookies = browser.cookies(&rig.url);
    assert!(cookies.len() == 1 && cookies[0].1.len() < 200, "{cookies:?}");
    let keys = redis.keys("tg:*");
    assert_eq!(keys.len(), 1);
    let kept_there = redis.cli(&["get", &keys[0]]);
    assert!(kept_there.len() > 40_000 && !kept_there.contains(told["x-access-token"].as_str().unwrap()));
    let left: u64 = redis.cli(&["ttl", &keys[0]]).parse().unwrap();
    assert!((900..=960).contains(&left), "{left} s are left");
    // a session under another one's name is none
    let mut thief = Browser::new();
    thief.log_in(&rig.at("/"), "bob").await;
    let other = redis.keys("tg:*").into_iter().find(|key| *key != keys[0]).unwrap();
    redis.cli(&["copy", &keys[0], &other, "replace"]);
    assert_eq!(thief.get(&rig.at("/")).await.status, 302);
    // a log-out takes it out
    browser.get(&rig.at("/logout")).await;
    assert_eq!((redis.keys("tg:*"), browser.cookies(&rig.url)), (vec![other], Vec::new()));
}

#[tokio::test]
async fn a_session_that_is_taken_back_is_over_at_once() {
    let (rig, redis) = (Rig::start().await, Redis::start(&[]));
    rig.protect(kept(&rig, &redis, json!({})));
    let mut browser = Browser::new();
    assert_eq!(browser.log_in(&rig.at("/"), "alice").await.status, 200);
    redis.cli(&["flushall"]);
    assert_eq!(browser.get(&rig.at("/")).await.status, 302);
}

#[tokio::test]
async fn a_session_without_end_has_none_in_redis_and_is_not_brought_back() {
    let (rig, redis) = (Rig::start().await, Redis::start(&[]));
    rig.protect(kept(&rig, &redis, json!({})));
    let mut browser = Browser::new();
    browser.log_in(&rig.at("/"), "alice").await;
    let key = redis.keys("tg:*").pop().unwrap();
    // one without end has none in Redis either
    let endless = json!({"session": {"idling_timeout": 0, "rolling_timeout": 0, "absolute_timeout": 0}});
    rig.protect(kept(&rig, &redis, merged(endless, json!({"access_token_expires_leeway": 100_000}))));
    assert_eq!(browser.get(&rig.at("/")).await.status, 200);
    assert_eq!(redis.cli(&["ttl", &key]), "-1");
    redis.cli(&["flushall"]);
    assert_eq!(browser.get(&rig.at("/")).await.status, 302);
    assert_eq!(redis.keys("tg:*"), [""; 0]);
}

#[tokio::test]
async fn gateways_renew_a_session_once_between_them() {
    let (rig, redis) = (Rig::start().await, Redis::start(&[]));
    let second = rig.beside();
    rig.protect(kept(&rig, &redis, json!({})));
    let mut browser = Browser::new();
    let before = browser.log_in(&rig.at("/"), "alice").await.json();
    for (name, value) in browser.cookies(&rig.url) {
        browser.set(&second.url, &name, &value);
    }
    let expired = kept(&rig, &redis, json!({"access_token_expires_leeway": 100_000}));
    rig.protect(expired.clone());
    second.protect(expired);
    let calls = rig.provider.count("/token").await;
    // the provider ends the log-in when a refresh token is used twice
    let mut tabs: Vec<_> =
        (0..10).flat_map(|_| [rig.at("/"), second.at("/")]).map(|url| (browser.clone(), url)).collect();
    let answers = futures_util::future::join_all(tabs.iter_mut().map(|(tab, url)| tab.get(url))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert!(answers.iter().all(|answer| answer.json()["x-access-token"] != before["x-access-token"]));
    // a request that reads what was renewed before it, and finds that expired too, renews once more
    let renewed = rig.provider.count("/token").await - calls;
    assert!((1..=10).contains(&renewed), "{renewed} renewals");
    assert_eq!(browser.get(&second.at("/")).await.status, 200, "the log-in has not been ended");
}

#[tokio::test]
async fn sec_auth_09_without_redis_nobody_passes_and_nobody_waits() {
    let (rig, mut redis) = (Rig::start().await, Redis::start(&[]));
    let mut browser = Browser::new();
    rig.protect(kept(&rig, &redis, json!({})));
    assert_eq!(browser.log_in(&rig.at("/"), "alice").await.status, 200);
    for action in ["auth", "deny", "pass"] {
        rig.protect(kept(&rig, &redis, json!({ "unauth_action": action })));
        redis.freeze();
        let began = std::time::Instant::now();
        assert_eq!(browser.get(&rig.at("/")).await.status, 503, "{action}");
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{action}");
        redis.thaw();
        let deadline = std::time::Instant::now() + DEADLINE;
        while browser.get(&rig.at("/")).await.status != 200 {
            assert!(std::time::Instant::now() < deadline, "{action}: Redis is back and nobody notices");
        }
    }
    redis.kill();
    assert_eq!(browser.get(&rig.at("/")).await.status, 503);
    assert_eq!(browser.clone().get(&rig.at("/logout")).await.status, 503);
    redis.restart();
    let deadline = std::time::Instant::now() + DEADLINE;
    // with nothing in it: the session is gone, and people can log in again
    rig.protect(kept(&rig, &redis, json!({})));
    while browser.log_in(&rig.at("/"), "alice").await.status != 200 {
        assert!(std::time::Instant::now() < deadline, "Redis is back and nobody notices");
    }
}
