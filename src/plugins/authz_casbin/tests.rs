use http::HeaderValue;
use serde_json::json;

use super::*;
use crate::plugin::{Bench, Plugin as _};
use crate::plugins::testing::{ask as ask_layer, configured};
use crate::{Body, Request};

const MODEL: &str = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n\
                     [policy_effect]\ne = some(where (p.eft == allow))\n\
                     [matchers]\nm = r.sub == p.sub && keyMatch(r.obj, p.obj) && r.act == p.act\n";
const POLICY: &str = "p, alice, /orders/*, GET\np, anonymous, /, GET\n";

fn gate() -> AuthzCasbinLayer {
    of(json!({"username": "X-User", "model": MODEL, "policy": POLICY}))
}

fn of(block: serde_json::Value) -> AuthzCasbinLayer {
    AuthzCasbinLayer::of(AuthzCasbin::new(configured(block)).unwrap())
}

async fn ask(gate: &AuthzCasbinLayer, method: &str, target: &str, users: &[&[u8]]) -> Option<(u16, String)> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method.parse().unwrap();
    *request.uri_mut() = target.parse().unwrap();
    for user in users {
        request.headers_mut().append("x-user", HeaderValue::from_bytes(user).unwrap());
    }
    let answer = ask_layer(&gate.clone().into(), request).await;
    (answer.status() != 200).then(|| (answer.status(), answer.body().to_owned()))
}

#[tokio::test]
async fn the_field_the_path_and_the_method_decide() {
    let gate = gate();
    let denied = || Some((403, "{\"message\":\"Access Denied\"}\n".to_owned()));
    assert_eq!(ask(&gate, "GET", "/orders/1?x=/", &[b"alice"]).await, None);
    assert_eq!(ask(&gate, "GET", "/", &[]).await, None, "without the field one is anonymous");
    for (method, target, users) in [
        ("GET", "/orders/1", &[][..]),
        ("POST", "/orders/1", &[&b"alice"[..]]),
        ("GET", "/other", &[b"alice"]),
        ("GET", "/orders/1", &[b"Alice"]),
        ("GET", "/orders/1", &[b"alice", b"alice"]),
        ("GET", "/orders/1", &[b"\xff"]),
        ("GET", "/", &[b""]),
    ] {
        assert_eq!(ask(&gate, method, target, users).await, denied(), "{method} {target} {users:?}");
    }
}

/// On a runtime of one thread the other task could not run while the worker decides.
#[tokio::test]
async fn long_policies_hold_up_nobody() {
    let others = "p, bob, /things/*, POST\n".repeat(10)
        + &*(0..5000).fold(String::new(), |mut all, other| {
            all.push_str(&format!("p, user-{other}, /things/*, POST\n"));
            all
        });
    let gate = of(json!({"username": "X-User", "model": MODEL, "policy": others + POLICY}));
    let asked = ask(&gate, "GET", "/orders/1", &[b"alice"]);
    tokio::pin!(asked);
    let mut turns = 0;
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut asked => break answer,
            () = tokio::task::yield_now() => turns += 1,
        }
    };
    assert!(answer.is_none() && turns > 0, "{answer:?} after {turns} turns of others");
    assert_eq!(ask(&gate, "POST", "/orders/1", &[b"alice"]).await.map(|(status, _)| status), Some(403));
}

/// Ten thousand blocks with long policies take no more processors than one.
#[tokio::test]
async fn long_policies_of_all_blocks_wait_for_a_place_at_one_bench_and_short_ones_do_not() {
    let long = "p, bob, /things/*, POST\n".repeat(501) + POLICY;
    let (bench, place) = Bench::taken();
    let gate = |policy: &str| {
        let gate = AuthzCasbin::new(configured(json!({"username": "X-User", "model": MODEL, "policy": policy})));
        AuthzCasbinLayer::of(gate.unwrap().at(&bench))
    };
    assert_eq!(ask(&gate(POLICY), "GET", "/orders/1", &[b"alice"]).await, None);
    let gates = [gate(&long), gate(&long)];
    let asked = gates.map(|gate| tokio::spawn(async move { ask(&gate, "GET", "/orders/1", &[b"alice"]).await }));
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(asked.iter().all(|asked| !asked.is_finished()));
    }
    drop(place);
    for asked in asked {
        assert_eq!(asked.await.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_place_within_a_second_is_sent_away() {
    let long = "p, bob, /things/*, POST\n".repeat(501) + POLICY;
    let (bench, _place) = Bench::taken();
    let gate = AuthzCasbin::new(configured(json!({"username": "X-User", "model": MODEL, "policy": long})));
    let gate = AuthzCasbinLayer::of(gate.unwrap().at(&bench));
    assert_eq!(ask(&gate, "GET", "/orders/1", &[b"alice"]).await, Some((503, String::new())));
}

#[tokio::test]
async fn files_and_metadata_stand_for_texts() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let block = json!({"username": "x-user", "model_path": file("m", MODEL), "policy_path": file("p", POLICY)});
    let gate = of(block);
    assert_eq!(ask(&gate, "GET", "/orders/1", &[b"alice"]).await, None);
    let metadata: AuthzCasbinMetadata = configured(json!({"model": MODEL, "policy": POLICY}));
    let bare = || configured(json!({"username": "x-user"}));
    let gate = AuthzCasbinLayer::of(AuthzCasbin::with_metadata(bare(), Some(&metadata)).unwrap());
    assert_eq!(ask(&gate, "GET", "/orders/1", &[b"alice"]).await, None);
    let gate = AuthzCasbinLayer::of(AuthzCasbin::new(bare()).unwrap());
    assert_eq!(ask(&gate, "GET", "/orders/1", &[b"alice"]).await, Some((503, String::new())));
}

#[test]
fn faults_of_files_do_not_tell_what_is_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    for (model, policy) in [
        ("root:hunter2:0\n", ""),
        ("[hunter2\nhunter2", ""),
        (MODEL, "hunter2, hunter2"),
        (MODEL, "p, a, b, c\nhunter2 and `hunter2`"),
        (&MODEL.replace("r.act == p.act", "r.act == p.hunter2"), POLICY),
    ] {
        let file = |name: &str, text: &str| {
            std::fs::write(path.with_extension(name), text).unwrap();
            path.with_extension(name).to_str().unwrap().to_owned()
        };
        let block = json!({"username": "u", "model_path": file("m", model), "policy_path": file("p", policy)});
        let error = AuthzCasbin::new(configured(block)).unwrap_err().to_string();
        assert!(error.contains("_path") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn blocks_that_cannot_work_are_refused_by_field() {
    for (block, field) in [
        (json!({"model": MODEL, "policy": POLICY}), "username"),
        (json!({"username": "a b", "model": MODEL, "policy": POLICY}), "username"),
        (json!({"username": "u", "model": MODEL}), ""),
        (json!({"username": "u", "model": MODEL, "policy_path": "p"}), ""),
        (json!({"username": "u", "model": "x", "policy": POLICY}), "model"),
        (json!({"username": "u", "model": MODEL, "policy": "p, a"}), "policy"),
        (json!({"username": "u", "model_path": "/no/such", "policy_path": "/no/such"}), "model_path"),
        (json!({"username": "u", "model_path": "/dev/zero", "policy_path": "/no/such"}), "model_path"),
    ] {
        let error = AuthzCasbin::new(configured(block.clone())).unwrap_err();
        assert_eq!(error.field(), field, "{block}: {error}");
    }
    let metadata = json!({"model": MODEL, "policy": "p, a"});
    let error = AuthzCasbinPlugin::default().check_metadata(metadata.as_object().unwrap()).unwrap_err();
    assert_eq!(error.field(), "policy");
}

#[test]
fn a_field_that_clients_can_send_is_warned_of() {
    let caveats = |name: &str| {
        let config: AuthzCasbinConfig = configured(json!({"username": name}));
        AuthzCasbinPlugin::default().caveats(&config).len()
    };
    assert_eq!((caveats("X-User"), caveats("x-consumer-username"), caveats("X-Userinfo")), (1, 0, 0));
}
