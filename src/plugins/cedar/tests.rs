//! Tables of the decision.
use http::Request;
use serde_json::{Value, json};

use super::*;
use crate::Exchange;
use crate::model::ConsumerSpec;
use crate::plugin::Gate as _;
use crate::plugins::testing::{build_error, configured};
use crate::request::{Consumer, ExternalUser, set_client_addr};

/// The policies before requests that have nothing but what a test gives them.
fn allows(block: &Value, request: &mut Request<()>) -> bool {
    Cedar::new(configured(block.clone())).unwrap().check(request).is_ok()
}

/// Whether one policy allows it, with the condition given.
fn when(condition: &str, request: &mut Request<()>) -> bool {
    allows(&json!({"policies": format!("permit(principal, action, resource) when {{ {condition} }};")}), request)
}

fn request(target: &str) -> Request<()> {
    Request::builder().uri(target).header("host", "api.test").body(()).unwrap()
}

fn by(consumer: Value) -> Request<()> {
    let spec: ConsumerSpec = serde_json::from_value(consumer).unwrap();
    let mut request = request("/");
    Consumer::new(&spec).attach(&mut request);
    request
}

#[test]
fn conditions_see_the_request() {
    let ask = || {
        let mut request = request("/orders/1?page=1&page=2&flag&q=a%20b");
        for (name, value) in [("x-tenant", "a"), ("x-list", "1"), ("x-list", "2")] {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        set_client_addr(&mut request, [10, 0, 0, 9].into(), None);
        request
    };
    for condition in [
        "context.method == \"GET\"",
        "context.path like \"/orders/*\"",
        "context.host == \"api.test\"",
        "context.query.page.containsAll([\"1\", \"2\"]) && context.query.flag.contains(\"\")",
        "context.query.q.contains(\"a b\") && !(context.query has other)",
        "context.headers[\"x-tenant\"] == \"a\" && context.headers[\"x-list\"] == \"1, 2\"",
        "context.address.isInRange(ip(\"10.0.0.0/8\"))",
        "!(context has consumer) && !(context has claims) && !(context has route)",
    ] {
        assert!(when(condition, &mut ask()), "{condition}");
    }
    for condition in
        ["context.path == \"/\"", "context.query.page == \"1\"", "context.headers.other == \"\"", "context.no"]
    {
        assert!(!when(condition, &mut ask()), "{condition}");
    }
}

#[test]
fn a_consumer_a_user_or_nobody_is_the_principal() {
    let principal = |name: &str| json!({"policies": format!("permit(principal == {name}, action, resource);")});
    let acme = || by(json!({"username": "acme", "group_id": "g", "labels": {"tier": "gold"}}));
    assert!(allows(&principal("Consumer::\"acme\""), &mut acme()));
    assert!(!allows(&principal("Consumer::\"bolt\""), &mut acme()));
    assert!(when("context.consumer.labels.tier == \"gold\" && context.consumer.group == \"g\"", &mut acme()));
    let user = |claims: Value| {
        let mut request = request("/");
        request.extensions_mut().insert(ExternalUser::new(claims));
        request
    };
    let claims =
        || json!({"sub": "u7", "groups": ["admin", "ops"], "age": 40, "score": 1.5, "none": null, "deep": {"a": [1]}});
    assert!(allows(&principal("User::\"u7\""), &mut user(claims())));
    let groups =
        "context.claims.groups.contains(\"ops\") && context.claims.age > 39 && context.claims.deep.a.contains(1)";
    assert!(when(groups, &mut user(claims())));
    assert!(when("!(context.claims has score) && !(context.claims has none)", &mut user(claims())));
    for nobody in [user(json!({"sub": ""})), user(json!({"sub": 7})), user(json!("u7")), request("/")] {
        let mut nobody = nobody;
        assert!(allows(&principal("Anonymous::\"anonymous\""), &mut nobody));
    }
}

/// What a client writes is a text, whatever it looks like in Cedar's JSON.
#[test]
fn clients_make_no_entities() {
    let trick = json!({"sub": "u", "admin": {"__entity": {"type": "Consumer", "id": "root"}}});
    let mut request = request("/?__entity=x");
    request.extensions_mut().insert(ExternalUser::new(trick));
    assert!(!when("context.claims.admin == Consumer::\"root\"", &mut request));
    assert!(when("context.claims.admin has __entity && context.query has __entity", &mut request));
}

#[test]
fn entities_tell_what_is_in_what() {
    let block = json!({
        "namespace": "Shop",
        "policies": "permit(principal in Shop::Team::\"ops\", action == Shop::Action::\"get /\", resource in Shop::Api::\"all\");",
        "entities": [
            {"uid": {"type": "Shop::Consumer", "id": "acme"}, "attrs": {}, "parents": [{"type": "Shop::Team", "id": "ops"}]},
            {"uid": {"type": "Shop::Path", "id": "/"}, "attrs": {}, "parents": [{"type": "Shop::Api", "id": "all"}]},
        ],
        "action": "get $uri", "resource_type": "Path", "resource": "$uri",
    });
    assert!(allows(&block, &mut by(json!({"username": "acme"}))));
    assert!(!allows(&block, &mut by(json!({"username": "bolt"}))));
}

#[test]
fn a_policy_that_forbids_and_fails_forbids_all() {
    let permit = "permit(principal, action, resource);";
    let failing = "(principal, action, resource) when { context.headers.tenant == \"x\" };";
    let policies = |texts: &[&str]| json!({"policies": texts.concat()});
    assert!(allows(&policies(&[permit, "permit", failing]), &mut request("/")));
    assert!(!allows(&policies(&[permit, "forbid", failing]), &mut request("/")));
    let overflow = "forbid(principal, action, resource) when { 9223372036854775807 + 1 > 0 };";
    assert!(!allows(&policies(&[permit, overflow]), &mut request("/")));
}

#[test]
fn the_policies_that_decided_are_kept() {
    let policies = "@id(\"readers\")\npermit(principal, action == Action::\"GET\", resource);\n\
                    forbid(principal, action, resource) when { context.path == \"/secret\" };";
    let cedar = Cedar::new(configured(json!({"policies": policies}))).unwrap();
    for (method, path, passes, by) in
        [("GET", "/", true, &["readers"][..]), ("GET", "/secret", false, &["policy1"]), ("POST", "/", false, &[])]
    {
        let exchange = Exchange::new();
        let mut request = Request::builder().method(method).uri(path).extension(exchange.clone()).body(()).unwrap();
        assert_eq!(cedar.check(&mut request).is_ok(), passes, "{method} {path}");
        assert_eq!(exchange.policies(), by, "{method} {path}");
    }
}

#[test]
fn a_refusal_is_worded_as_the_block_has_it() {
    let refusal = |block: Value| {
        let answer = Cedar::new(configured(block)).unwrap().check(&mut request("/")).unwrap_err();
        (answer.status().as_u16(), String::from_utf8(answer.body().as_bytes().unwrap().to_vec()).unwrap())
    };
    let forbid = "forbid(principal, action, resource);";
    assert_eq!(refusal(json!({"policies": forbid})), (403, "{\"message\":\"Access Denied\"}\n".to_owned()));
    let worded = json!({"policies": forbid, "rejected_code": 404, "rejected_msg": "no"});
    assert_eq!(refusal(worded), (404, "{\"message\":\"no\"}\n".to_owned()));
}

#[test]
fn a_faulty_block_names_its_field() {
    let all = "permit(principal, action, resource);";
    for (block, says) in [
        (json!({}), "policies: has no policy"),
        (json!({"policies": "permit(principal"}), "policies: line 1, column "),
        (json!({"policies": all, "namespace": "a b"}), "namespace: `a b::Consumer`"),
        (json!({"policies": all, "resource_type": ""}), "resource_type: `` is no type"),
        (json!({"policies": all, "resource": ""}), "resource: is empty"),
        (json!({"policies": all, "action": "${"}), "action: "),
        (json!({"policies": all, "rejected_code": 99}), "rejected_code: 99"),
    ] {
        let error = build_error(CedarPlugin, &block);
        assert!(error.contains(says), "{block}: {error}");
    }
}
