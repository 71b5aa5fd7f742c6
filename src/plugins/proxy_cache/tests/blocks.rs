//! Faults and doubts of blocks.
use serde_json::{Value, json};

use super::super::ProxyCachePlugin;
use crate::plugin::Plugin as _;
use crate::plugins::testing::{build_error, configured};

#[test]
fn faults_name_their_field() {
    for (block, says) in [
        (json!({"cache_zone": "none"}), "cache_zone: cache_zone none not found"),
        (json!({"cache_zone": "memory_cache"}), "invalid or empty cache_zone for cache_strategy: disk"),
        (json!({"cache_strategy": "memory", "cache_zone": "disk_cache_one"}), "for cache_strategy: memory"),
        (json!({"cache_zone": ""}), "cache_zone: is empty"),
        (json!({"cache_key": []}), "cache_key: is empty"),
        (
            json!({"cache_key": ["$uri", "$request_method"]}),
            "cache_key.1: cache_key variable $request_method unsupported",
        ),
        (json!({"cache_key": ["${"]}), "cache_key.0: "),
        (json!({"cache_method": []}), "cache_method: is empty"),
        (json!({"cache_method": ["GET", "GET"]}), "cache_method: has a method twice"),
        (json!({"cache_method": ["PUT"]}), "unknown variant"),
        (json!({"cache_http_status": [100]}), "cache_http_status: has a status that is none"),
        (json!({"cache_http_status": [200, 301, 200]}), "cache_http_status: has a status twice"),
        (json!({"cache_ttl": 0}), "cache_ttl: is at least 1"),
        (json!({"max_resp_body_size": 0}), "max_resp_body_size: is at least 1"),
        (json!({"collapse_timeout_ms": 600_001}), "collapse_timeout_ms: is at most"),
        (json!({"purge_from": ["all"]}), "purge_from.0: "),
        (json!({"status_header": "Content-Length"}), "status_header: "),
        (json!({"ttl": 1}), "unknown field"),
    ] {
        let error = build_error(ProxyCachePlugin::default(), &block);
        assert!(error.contains(says), "{block}: {error}");
    }
}

#[test]
fn doubts_are_told() {
    let doubts = |block: Value| {
        let doubts = ProxyCachePlugin::default().caveats(&configured(block));
        doubts.into_iter().map(|doubt| doubt.field).collect::<Vec<_>>()
    };
    assert_eq!(doubts(json!({})), [""; 0]);
    assert_eq!(doubts(json!({"cache_key": ["$host"]})), ["cache_key"]);
    assert_eq!(
        doubts(json!({"purge_from": ["0.0.0.0/0"], "cache_set_cookie": true})),
        ["purge_from", "cache_set_cookie"]
    );
}
