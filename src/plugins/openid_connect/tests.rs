use serde_json::{Value, json};

use super::settings::{Landing, Place};
use super::*;
use crate::plugin::{ConfigError, Scope};

fn built(changes: Value) -> Result<OpenidConnect, ConfigError> {
    let mut block = json!({
        "client_id": "c", "client_secret": "s", "discovery": "http://op.test/d", "session": {"secret": "sixteen characters"},
    });
    for (key, value) in changes.as_object().unwrap().clone() {
        block[&key] = value;
    }
    let config: OpenidConnectConfig = serde_json::from_value(block).unwrap();
    OpenidConnect::new(&config, &Scope::Code)
}

#[test]
fn a_faulty_block_names_its_field() {
    for (changes, field, says) in [
        (json!({"client_id": ""}), "client_id", "is required"),
        (json!({"discovery": ""}), "discovery", "is required"),
        (json!({"discovery": "op.test"}), "discovery", "no address"),
        (json!({"client_secret": null}), "client_secret", "property \"client_secret\" is required"),
        (json!({"client_secret": null, "bearer_only": true}), "client_secret", "is required"),
        (json!({"session": null}), "session.secret", "is required when \"bearer_only\" is false"),
        (json!({"session": {"secret": "fifteen letters"}}), "session.secret", "16 characters"),
        (json!({"token_endpoint_auth_method": "private_key_jwt"}), "client_rsa_private_key", "is required"),
        (json!({"client_rsa_private_key": "x"}), "client_rsa_private_key", "PEM"),
        (json!({"accept_none_alg": true}), "accept_none_alg", "never accepted"),
        (json!({"accept_unsupported_alg": true}), "accept_unsupported_alg", "never accepted"),
        (json!({"force_reauthorize": true}), "force_reauthorize", "refresh_session_interval"),
        (json!({"proxy_opts": {"http_proxy": "http://p"}}), "proxy_opts", "not supported"),
        (json!({"dpop": {"enabled": true}}), "dpop.enabled", "not supported"),
        (json!({"timeout": 0}), "timeout", "1 or more"),
        (json!({"jwk_expires_in": 0}), "jwk_expires_in", "1 or more"),
        (json!({"refresh_session_interval": 0}), "refresh_session_interval", "1 or more"),
        (json!({"realm": "a\"b"}), "realm", "printable"),
        (json!({"public_key": "-----BEGIN"}), "public_key", "PEM"),
        (json!({"token_signing_alg_values_expected": "none"}), "token_signing_alg_values_expected", "`none`"),
        (json!({"token_signing_alg_values_expected": []}), "token_signing_alg_values_expected", "one algorithm"),
        (
            json!({"client_jwt_assertion_alg": "HS256", "token_endpoint_auth_method": "client_secret_jwt",
            "introspection_endpoint_auth_method": "private_key_jwt", "client_rsa_private_key": "x"}),
            "client_rsa_private_key",
            "PEM",
        ),
        (
            json!({"client_jwt_assertion_alg": "RS256", "token_endpoint_auth_method": "client_secret_jwt"}),
            "client_jwt_assertion_alg",
            "does not fit",
        ),
        (
            json!({"claim_validator": {"issuer": {"valid_issuers": []}}}),
            "claim_validator.issuer.valid_issuers",
            "one issuer",
        ),
        (json!({"claim_schema": {"type": "objekt"}}), "claim_schema", "JSON Schema"),
        (json!({"claim_schema": {"$ref": "http://evil.test/schema"}}), "claim_schema", "JSON Schema"),
        (json!({"introspection_addon_headers": []}), "introspection_addon_headers", "one field"),
        (json!({"introspection_addon_headers": ["Host"]}), "introspection_addon_headers.0", "cannot be sent along"),
        (json!({"introspection_endpoint": "ftp://op.test"}), "introspection_endpoint", "no address"),
        (json!({"logout_path": "logout"}), "logout_path", "a path"),
        (json!({"scope": "email"}), "scope", "openid"),
        (json!({"authorization_params": {"state": "x"}}), "authorization_params.state", "the flow"),
        (json!({"redirect_uri": "back"}), "redirect_uri", "absolute URL"),
        (json!({"redirect_uri": "//evil.test/back"}), "redirect_uri", "absolute URL"),
        (json!({"post_logout_redirect_uri": "bye"}), "post_logout_redirect_uri", "absolute URL"),
        (json!({"session": {"secret": "sixteen characters", "storage": "redis"}}), "session.redis", "is required"),
        (
            json!({"session": {"secret": "sixteen characters", "storage": "redis", "redis": {}}}),
            if cfg!(feature = "redis") { "session.redis.host" } else { "session.storage" },
            "",
        ),
        (json!({"session": {"secret": "sixteen characters", "redis": {}}}), "session.redis", "storage: redis"),
        (
            json!({"session": {"secret": "sixteen characters", "cookie_same_site": "None", "cookie_secure": false}}),
            "session.cookie_same_site",
            "cookie_secure",
        ),
        (
            json!({"session": {"secret": "sixteen characters", "cookie_path": "/; Domain=x"}}),
            "session.cookie_path",
            "a path",
        ),
        (
            json!({"session": {"secret": "sixteen characters", "cookie_domain": "x; y"}}),
            "session.cookie_domain",
            "a domain",
        ),
        (json!({"session": {"secret": "sixteen characters", "cookie_name": "a=b"}}), "session.cookie_name", "letters"),
    ] {
        let error = built(changes.clone()).unwrap_err();
        assert_eq!(error.field(), field, "{changes}: {error}");
        assert!(error.reason().contains(says), "{changes}: {error}");
    }
}

#[test]
fn blocks_that_work() {
    for changes in [
        json!({}),
        json!({"client_secret": null, "use_pkce": true}),
        json!({"client_secret": null, "bearer_only": true, "use_jwks": true, "session": null}),
        json!({"accept_none_alg": false, "accept_unsupported_alg": false, "force_reauthorize": false, "dpop": {"enabled": false}}),
        json!({"jwt_verification_cache_ignore": true, "cache_segment": "a"}),
        json!({"redirect_uri": "https://shop.test/back", "post_logout_redirect_uri": "https://shop.test/bye"}),
        json!({"token_signing_alg_values_expected": ["RS256", "ES256", "EdDSA"]}),
    ] {
        assert!(built(changes.clone()).is_ok(), "{changes}");
    }
}

#[test]
fn what_a_block_leaves_open_is_warned_of() {
    let fields = |block: Value| {
        let config: OpenidConnectConfig = serde_json::from_value(block).unwrap();
        let caveats = crate::plugin::Plugin::caveats(&OpenidConnectPlugin::default(), &config);
        caveats.into_iter().map(|caveat| caveat.field).collect::<Vec<_>>()
    };
    let strict = json!({"required": true, "match_with_client_id": true});
    assert_eq!(fields(json!({"discovery": "https://op.test/d", "session": {}})), [""; 0]);
    let bearer = json!({"discovery": "https://op.test/d", "use_jwks": true, "claim_validator": {"audience": strict}});
    assert_eq!(fields(bearer), [""; 0]);
    let lax = json!({"discovery": "http://op.test/d", "ssl_verify": false, "use_nonce": false, "use_pkce": false,
        "introspection_endpoint": "http://op.test/i", "session": {"cookie_secure": false, "cookie_http_only": false}});
    let expected = [
        "discovery",
        "ssl_verify",
        "use_nonce",
        "use_pkce",
        "claim_validator.audience",
        "introspection_interval",
        "session.cookie_secure",
        "session.cookie_http_only",
    ];
    assert_eq!(fields(lax), expected);
}

#[test]
fn unknown_fields_are_refused_at_every_depth() {
    for block in [
        json!({"cllient_id": "c"}),
        json!({"session": {"secrett": "s"}}),
        json!({"session": {"redis": {"hosst": "h"}}}),
        json!({"claim_validator": {"audiences": {}}}),
        json!({"claim_validator": {"audience": {"claims": "aud"}}}),
        json!({"par": {"enable": true}}),
        json!({"dpop": {"enable": true}}),
        json!({"unauth_action": "allow"}),
    ] {
        assert!(serde_json::from_value::<OpenidConnectConfig>(block.clone()).is_err(), "{block}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let block = json!({"client_secret": "canary-1", "session": {"secret": "canary-2 canary-2", "redis": {"password": "canary-3"}},
        "dpop": {"private_key": "canary-4"}, "client_rsa_private_key": "canary-5"});
    let config: OpenidConnectConfig = serde_json::from_value(block).unwrap();
    assert!(!format!("{config:?}").contains("canary"));
    let built = built(json!({"client_secret": "canary-1", "session": {"secret": "canary-2 canary-2"}})).unwrap();
    assert!(!format!("{built:?}").contains("canary"));
}

#[test]
fn the_way_back_is_where_the_block_says() {
    let place = |path: &str| Place { origin: "https://shop.test".to_owned(), path: path.to_owned(), query: None };
    let absolute = Landing::Absolute { uri: "https://login.test/back".to_owned(), path: "/back".to_owned() };
    assert_eq!(absolute.uri(&place("/a")), "https://login.test/back");
    assert!(absolute.is_at("/back") && !absolute.is_at("/back/"));
    assert_eq!(Landing::Path("/back".to_owned()).uri(&place("/a")), "https://shop.test/back");
    for (path, uri) in [("/", "/.apisix/redirect"), ("/a", "/a/.apisix/redirect"), ("/a/", "/a/.apisix/redirect")] {
        let landing = Landing::Beside.uri(&place(path));
        assert_eq!(landing, format!("https://shop.test{uri}"));
        assert_eq!(Landing::Beside.uri(&place(uri)), landing, "the same when the browser comes back");
    }
}
