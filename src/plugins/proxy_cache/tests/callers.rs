//! Who is given whose answers.
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::rig::{Origin, Rig, reply, request, status};
use crate::Consumer;
use crate::model::ConsumerSpec;
use crate::request::{CallerFields, CallerIdentity, ExternalUser};

#[tokio::test(start_paused = true)]
async fn sec_cache_02_credentials_and_callers_are_kept_apart() {
    for (fields, second) in [(&[][..], "MISS"), (&[("cache-control", "public")], "HIT")] {
        let rig = Rig::new(json!({}), &[reply(200, fields, "x")]);
        assert_eq!(rig.status("/", &[("authorization", "Bearer a")]).await, "MISS");
        assert_eq!(rig.status("/", &[("authorization", "Bearer b")]).await, second);
        assert_eq!(rig.status("/", &[]).await, second, "{fields:?}");
        // what was kept of somebody without credentials is not for those with some
        assert_eq!(rig.status("/", &[("authorization", "Bearer a")]).await, second);
    }
    let named = |name: &str| {
        let mut request = request("GET", "/", &[]);
        Consumer::new(&ConsumerSpec { username: name.into(), ..ConsumerSpec::default() }).attach(&mut request);
        request
    };
    let rig = Rig::new(json!({}), &[reply(200, &[], "x")]);
    for (name, wanted) in [("ann", "MISS"), ("bob", "MISS"), ("ann", "HIT"), ("bob", "HIT")] {
        assert_eq!(status(&rig.send(named(name)).await), wanted, "{name}");
    }
    assert_eq!(rig.status("/", &[]).await, "MISS");
    let shared = Rig::new(json!({"consumer_isolation": false}), &[reply(200, &[], "x")]);
    assert_eq!(status(&shared.send(named("ann")).await), "MISS");
    assert_eq!(status(&shared.send(named("ann")).await), "MISS", "nobody said that it is public");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_holds_one_sign_of_the_caller_tells_the_others_apart_too() {
    let by = |name: &str, credentials: &'static str| {
        let fields = [("authorization", credentials)];
        let mut request = request("GET", "/", if credentials.is_empty() { &[] } else { &fields });
        Consumer::new(&ConsumerSpec { username: name.into(), ..ConsumerSpec::default() }).attach(&mut request);
        request
    };
    for (part, asks) in [
        ("$remote_user", [("ann", "", "MISS"), ("bob", "", "MISS"), ("ann", "", "HIT")]),
        ("$http_authorization", [("ann", "k", "MISS"), ("bob", "k", "MISS"), ("ann", "k", "HIT")]),
        ("$consumer_name", [("ann", "k", "MISS"), ("ann", "other", "MISS"), ("ann", "k", "HIT")]),
    ] {
        let rig = Rig::new(json!({"cache_key": ["$uri", part]}), &[reply(200, &[], "x")]);
        for (name, credentials, wanted) in asks {
            assert_eq!(status(&rig.send(by(name, credentials)).await), wanted, "{part}: {name} {credentials}");
        }
        let shared = json!({"cache_key": ["$uri", part], "consumer_isolation": false});
        let rig = Rig::new(shared, &[reply(200, &[], "x")]);
        for _ in 0..2 {
            assert_eq!(status(&rig.send(by("ann", "k")).await), "MISS", "{part}: one of two signs is not held");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_user_is_not_given_what_another_was_told_to_check_each_time() {
    for control in ["max-age=0, must-revalidate", "s-maxage=0", "public, max-age=0", "proxy-revalidate, max-age=60"] {
        let rig = Rig::new(json!({}), &[reply(200, &[("cache-control", control)], "account")]);
        for user in ["a", "b"] {
            assert_eq!(rig.status("/", &[("authorization", user)]).await, "MISS", "{control}");
        }
        assert_eq!(rig.status("/", &[]).await, "MISS", "{control}");
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_do_not_send_everybody_else_to_the_origin() {
    let gate = Arc::new(Notify::new());
    let mut origin = Origin::answering(&[reply(200, &[], "x")]);
    origin.gate = Some(Arc::clone(&gate));
    let rig = Arc::new(Rig::over(json!({}), origin));
    let ask = |fields: &'static [(&'static str, &'static str)]| {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move { rig.status("/", fields).await })
    };
    let alone = ask(&[("authorization", "a")]);
    tokio::task::yield_now().await;
    let first = ask(&[]);
    tokio::task::yield_now().await;
    assert_eq!(rig.origin.count(), 2, "who brings none does not wait for who does");
    gate.notify_one();
    assert_eq!(alone.await.unwrap(), "MISS");
    let others = [ask(&[]), ask(&[]), ask(&[])];
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.origin.count(), 2);
    gate.notify_one();
    assert_eq!(first.await.unwrap(), "MISS");
    for other in others {
        assert_eq!(other.await.unwrap(), "HIT");
    }
}

#[tokio::test(start_paused = true)]
async fn users_of_one_consumer_are_told_apart_by_what_was_verified_and_by_nothing_else() {
    let by = |claims: Value, credentials: &'static str, is_authorization| {
        let mut request = request("GET", "/", &[("authorization", credentials)]);
        Consumer::new(&ConsumerSpec { username: "app".into(), ..ConsumerSpec::default() }).attach(&mut request);
        let user = ExternalUser::new(claims);
        CallerIdentity::add_user(request.extensions_mut(), user, is_authorization);
        request
    };
    let rig = Rig::new(json!({}), &[reply(200, &[], "x")]);
    for (claims, credentials, is_authorization, wanted) in [
        (json!({"sub": "ann", "exp": 1}), "Bearer 1", true, "MISS"),
        (json!({"sub": "bob", "exp": 1}), "Bearer 1", true, "MISS"),
        (json!({"sub": "ann", "exp": 2}), "Bearer 2", true, "HIT"),
        // a token from elsewhere, and credentials that the origin reads
        (json!({"sub": "ann"}), "Basic 1", false, "MISS"),
        (json!({"sub": "ann"}), "Basic 2", false, "MISS"),
        (json!({"sub": "ann"}), "Basic 1", false, "HIT"),
    ] {
        let told = format!("{claims} {credentials}");
        let answer = rig.send(by(claims, credentials, is_authorization)).await;
        assert_eq!(status(&answer), wanted, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_several_layers_tell_the_origin_of_the_caller_counts_together() {
    let told = |user: &str, role: &str| {
        let mut request = request("GET", "/", &[("x-user", user), ("x-role", role)]);
        for name in ["x-user", "x-role"] {
            CallerFields::add(request.extensions_mut(), &[http::HeaderName::from_static(name)].into());
        }
        request
    };
    let rig = Rig::new(json!({}), &[reply(200, &[], "x")]);
    for (user, role, wanted) in [("ann", "a", "MISS"), ("bob", "a", "MISS"), ("ann", "b", "MISS"), ("ann", "a", "HIT")]
    {
        assert_eq!(status(&rig.send(told(user, role)).await), wanted, "{user} {role}");
    }
    // nobody is told of without the mark of a layer
    assert_eq!(rig.status("/", &[("x-user", "ann"), ("x-role", "a")]).await, "MISS");
}
