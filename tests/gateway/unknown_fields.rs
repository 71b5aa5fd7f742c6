//! Fields that plugins do not know: faults, or left out with a warning (`tollgate.unknown_fields`).
use serde_json::{Value, json};
use tollgate::gateway::Gateway;
use tollgate::model::Severity;

use super::support::{candidate, get, snapshot, told};

fn document(unknown_fields: &str) -> Value {
    json!({
        "tollgate": {"unknown_fields": unknown_fields},
        "routes": [{
            "id": "r", "uri": "/*", "upstream": {"nodes": [{"service": "a", "weight": 1}]},
            "plugins": {
                "uri-blocker": {"block_rules": ["^/no"], "block_rule": ["^/a"], "title": "x"},
                "fault-injection": {"abort": {"http_status": 418, "reason.x": "tea", "vars": [[["uri", "==", "/tea"]]]}},
                "proxy-rewrite": {"headers": {"add": {"x-way": "1"}, "append": {"x-way": "2"}}},
                "workflow": {"rules": [{"actions": [
                    ["limit-count", {"count": 1, "time_window": 60, "rejected_code": 429, "burst": 2}],
                ], "case": [["uri", "==", "/once"]]}]},
            },
        }],
        "consumers": [{"username": "u", "plugins": {"key-auth": {"key": "k", "realm": "r"}}}],
        "plugin_metadata": [{"id": "cors", "allow_origins": {"a": "https://a.test"}, "origins": {}}],
    })
}

/// Where the findings of plugins are, and how much they weigh.
fn findings(gateway: &Gateway) -> Vec<(Severity, String)> {
    let status = gateway.status();
    let of_plugins = status.findings.iter().filter(|finding| finding.path != "unknown_fields");
    let mut all: Vec<_> = of_plugins.map(|finding| (finding.severity, finding.path.clone())).collect();
    all.sort_by(|left, right| left.1.cmp(&right.1));
    all
}

const PLACES: [&str; 7] = [
    "origins",
    "plugins.fault-injection.abort.reason.x",
    "plugins.key-auth.realm",
    "plugins.proxy-rewrite.headers.append",
    "plugins.uri-blocker.block_rule",
    "plugins.uri-blocker.title",
    "plugins.workflow.rules.0.actions.0.1.burst",
];

#[tokio::test]
async fn under_warn_they_are_left_out_and_the_rest_of_the_block_holds() {
    let gateway = super::support::builder().build().unwrap();
    gateway.apply(snapshot(&document("warn"))).unwrap();
    let warned = PLACES.map(|place| (Severity::Warning, place.to_owned()));
    assert_eq!(findings(&gateway), warned);
    let says = gateway.status().findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(says.contains("unknown field `title`") && says.contains("it is left out"), "{says}");
    assert_eq!(get(&gateway, "/no").await.status, 403);
    assert_eq!(get(&gateway, "/tea").await.status, 418);
    assert_eq!(told(&gateway, "/a").await, (200, "a".to_owned()));
    assert_eq!([get(&gateway, "/once").await.status, get(&gateway, "/once").await.status], [200, 429]);

    // What is said is said as long as it is so.
    let mut more = document("warn");
    more["routes"][0]["desc"] = json!("other");
    gateway.apply(snapshot(&more)).unwrap();
    assert_eq!(findings(&gateway), warned);
}

#[tokio::test]
async fn else_they_are_faults_also_of_blocks_that_were_taken_before() {
    let gateway = super::support::builder().build().unwrap();
    assert!(gateway.apply(snapshot(&document("reject"))).is_err());
    gateway.apply(snapshot(&document("warn"))).unwrap();
    let error = gateway.apply(candidate(&document("reject"))).unwrap_err().to_string();
    // Of each block the first.
    for field in ["block_rule", "reason.x", "append", "burst", "realm", "origins"] {
        assert!(error.contains(&format!("unknown field `{field}`")), "{field}: {error}");
    }
    assert_eq!(get(&gateway, "/no").await.status, 403, "the last good one serves on");
}
