use serde_json::{Value, json};

use super::super::*;
use crate::plugin::Plugin as _;
use crate::plugins::testing::{build_error, built, configured};

#[test]
fn a_faulty_block_names_its_field() {
    let at = "http://127.0.0.1:1/";
    let with = |more: Value| {
        let mut block = json!({"client_id": "c", "discovery": at});
        block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        block
    };
    for (block, says) in [
        (json!({"discovery": at}), "client_id: property \"client_id\" is required"),
        (json!({"client_id": "c"}), "discovery: property \"discovery\" or \"token_endpoint\" is required"),
        (json!({"client_id": "c", "discovery": "x"}), "discovery: is no address"),
        (json!({"client_id": "c", "token_endpoint": "x"}), "token_endpoint: is no address"),
        (json!({"client_id": "c", "token_endpoint": at, "lazy_load_paths": true}), "lazy_load_paths"),
        (with(json!({"timeout": 10})), "timeout: 10 is out of range"),
        (with(json!({"access_denied_redirect_uri": "a\nb"})), "access_denied_redirect_uri"),
        (with(json!({"policy_enforcement_mode": "OFF"})), "unknown variant `OFF`"),
        (with(json!({"grant_type": "password"})), "grant_type: is not one of those that there are"),
        (with(json!({"permissions": ["a", ""]})), "permissions.1: names nothing"),
        (with(json!({"permissions": ["a", "b", "a"]})), "permissions.2: stands there twice"),
        (with(json!({"permissions": ["a#b#c"]})), "permissions.0: has several `#`"),
        (
            with(json!({"permissions": ["a", "orders#read"], "http_method_as_scope": true})),
            "permissions.1: has a scope, and Keycloak says yes to several",
        ),
    ] {
        let error = build_error(AuthzKeycloakPlugin::default(), &block);
        assert!(error.contains(says), "{block}: {error}");
    }
    for block in [
        json!({"audience": "c", "discovery": at}),
        with(json!({"timeout": 600_000, "lazy_load_paths": true})),
        with(json!({"password_grant_token_generation_incoming_uri": "/t"})),
    ] {
        built(AuthzKeycloakPlugin::default(), &block);
    }
}

#[test]
fn what_a_block_leaves_open_is_warned_of() {
    let fields = |block: Value| {
        let config: AuthzKeycloakConfig = configured(block);
        let caveats = AuthzKeycloakPlugin::default().caveats(&config).into_iter();
        caveats.map(|caveat| caveat.field).collect::<Vec<_>>()
    };
    assert_eq!(
        fields(json!({"policy_enforcement_mode": "PERMISSIVE", "ssl_verify": false, "permissions": ["a", "b"]})),
        ["policy_enforcement_mode", "permissions", "ssl_verify"]
    );
    assert_eq!(
        fields(json!({"audience": "c", "access_token_expires_leeway": 300, "lazy_load_paths": true})),
        ["audience", "access_token_expires_leeway", "client_secret"]
    );
    assert!(fields(json!({"client_id": "c", "permissions": ["a"]})).is_empty());
}
