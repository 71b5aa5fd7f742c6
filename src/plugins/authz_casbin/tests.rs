use http::{HeaderValue, Request};
use serde_json::json;

use super::*;
use crate::plugin::{Gate as _, Plugin as _};
use crate::plugins::testing::configured;

const MODEL: &str = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n\
                     [policy_effect]\ne = some(where (p.eft == allow))\n\
                     [matchers]\nm = r.sub == p.sub && keyMatch(r.obj, p.obj) && r.act == p.act\n";
const POLICY: &str = "p, alice, /orders/*, GET\np, anonymous, /, GET\n";

fn gate() -> AuthzCasbin {
    AuthzCasbin::new(configured(json!({"username": "X-User", "model": MODEL, "policy": POLICY}))).unwrap()
}

fn ask(gate: &AuthzCasbin, method: &str, target: &str, users: &[&[u8]]) -> Option<(u16, Vec<u8>)> {
    let mut request = Request::builder().method(method).uri(target).body(()).unwrap();
    for user in users {
        request.headers_mut().append("x-user", HeaderValue::from_bytes(user).unwrap());
    }
    let answer = gate.check(&mut request).err()?;
    Some((answer.status().as_u16(), answer.body().as_bytes().unwrap().to_vec()))
}

#[test]
fn the_field_the_path_and_the_method_decide() {
    let gate = gate();
    let denied = || Some((403, b"{\"message\":\"Access Denied\"}\n".to_vec()));
    assert_eq!(ask(&gate, "GET", "/orders/1?x=/", &[b"alice"]), None);
    assert_eq!(ask(&gate, "GET", "/", &[]), None, "without the field one is anonymous");
    for (method, target, users) in [
        ("GET", "/orders/1", &[][..]),
        ("POST", "/orders/1", &[&b"alice"[..]]),
        ("GET", "/other", &[b"alice"]),
        ("GET", "/orders/1", &[b"Alice"]),
        ("GET", "/orders/1", &[b"alice", b"alice"]),
        ("GET", "/orders/1", &[b"\xff"]),
        ("GET", "/", &[b""]),
    ] {
        assert_eq!(ask(&gate, method, target, users), denied(), "{method} {target} {users:?}");
    }
}

#[test]
fn files_and_metadata_stand_for_texts() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let block = json!({"username": "x-user", "model_path": file("m", MODEL), "policy_path": file("p", POLICY)});
    let gate = AuthzCasbin::new(configured(block)).unwrap();
    assert_eq!(ask(&gate, "GET", "/orders/1", &[b"alice"]), None);
    let metadata: AuthzCasbinMetadata = configured(json!({"model": MODEL, "policy": POLICY}));
    let bare = || configured(json!({"username": "x-user"}));
    let gate = AuthzCasbin::with_metadata(bare(), Some(&metadata)).unwrap();
    assert_eq!(ask(&gate, "GET", "/orders/1", &[b"alice"]), None);
    let gate = AuthzCasbin::new(bare()).unwrap();
    assert_eq!(ask(&gate, "GET", "/orders/1", &[b"alice"]), Some((503, Vec::new())));
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
    ] {
        let error = AuthzCasbin::new(configured(block.clone())).unwrap_err();
        assert_eq!(error.field(), field, "{block}: {error}");
    }
    let metadata = json!({"model": MODEL, "policy": "p, a"});
    let error = AuthzCasbinPlugin.check_metadata(metadata.as_object().unwrap()).unwrap_err();
    assert_eq!(error.field(), "policy");
}

#[test]
fn a_field_that_clients_can_send_is_warned_of() {
    let caveats = |name: &str| {
        let config: AuthzCasbinConfig = configured(json!({"username": name}));
        AuthzCasbinPlugin.caveats(&config).len()
    };
    assert_eq!((caveats("X-User"), caveats("x-consumer-username"), caveats("X-Userinfo")), (1, 0, 0));
}
