//! One snapshot after the other: all or nothing, and what runs stays as it began.
use std::sync::Arc;

use http::{Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tollgate::gateway::{Gateway, Revision};
use tollgate::model::{Snapshot, UpstreamSpec};
use tollgate::plugin::{BuildContext, ConfigError, Plugin, Stage};
use tollgate::{Body, PluginLayer};

use super::support::{Built, builder, get, snapshot, told, with_marks};

fn leading_to(endpoint: &str) -> Value {
    json!({
        "upstreams": [{"id": "u", "nodes": [{"service": endpoint, "weight": 1}]}],
        "routes": [
            {"id": "r1", "uri": "/one", "upstream_id": "u"},
            {"id": "r2", "uri": "/two", "upstream": {"nodes": [{"service": endpoint, "weight": 1}]}},
        ],
    })
}

#[tokio::test]
async fn a_snapshot_replaces_the_one_before_as_a_whole() {
    let gateway = builder().build().unwrap();
    assert_eq!(get(&gateway, "/one").await.status, 404);
    assert_eq!(gateway.apply(snapshot(&leading_to("a"))).unwrap(), Revision(2));
    assert_eq!((told(&gateway, "/one").await.1, told(&gateway, "/two").await.1), ("a".into(), "a".into()));
    assert_eq!(gateway.apply(snapshot(&leading_to("b"))).unwrap(), Revision(3));
    assert_eq!((told(&gateway, "/one").await.1, told(&gateway, "/two").await.1), ("b".into(), "b".into()));
    assert_eq!(gateway.status().routes, 2);
    gateway.apply(Snapshot::default()).unwrap();
    assert_eq!(get(&gateway, "/one").await.status, 404);
    assert_eq!((gateway.status().revision, gateway.status().routes), (4, 0));
}

#[tokio::test]
async fn what_is_in_force_is_not_applied_again() {
    let gateway = builder().build().unwrap();
    assert_eq!(gateway.apply(Snapshot::default()).unwrap(), Revision(1), "it began with nothing");
    gateway.apply(snapshot(&leading_to("a"))).unwrap();
    let before = gateway.status();
    assert_eq!(gateway.apply(snapshot(&leading_to("a"))).unwrap(), Revision(2));
    assert_eq!(gateway.adopt(snapshot(&leading_to("a"))).unwrap(), Revision(2));
    let after = gateway.status();
    assert_eq!((after.revision, after.routes, after.applied_at), (2, 2, before.applied_at));
    // An edit of which nothing can be taken changes nothing either, but is told.
    let mut faulty = leading_to("a");
    faulty["routes"][0]["filter_func"] = json!("nobody");
    assert_eq!(gateway.adopt(snapshot(&faulty)).unwrap(), Revision(2));
    assert_eq!((gateway.status().kept.len(), gateway.status().rejected_total), (1, 1));
    assert_eq!(gateway.adopt(snapshot(&leading_to("a"))).unwrap(), Revision(2));
    assert!(gateway.status().kept.is_empty() && gateway.status().findings.is_empty());
}

#[tokio::test]
async fn every_clone_is_the_same_gateway() {
    let gateway = builder().build().unwrap();
    let clone = gateway.clone();
    gateway.apply(snapshot(&leading_to("a"))).unwrap();
    assert_eq!(told(&clone, "/one").await.1, "a");
}

#[tokio::test]
async fn a_refused_snapshot_changes_nothing_and_every_fault_is_told() {
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(&leading_to("a"))).unwrap();
    let mut faulty = leading_to("b");
    faulty["routes"].as_array_mut().unwrap().extend([
        json!({"id": "r3", "uri": "/three", "upstream_id": "u", "vars": [["uri", "~~", "("]]}),
        json!({"id": "r4", "uri": "/four", "upstream_id": "u", "filter_func": "nobody"}),
        json!({"id": "r5", "uri": "/five", "plugins": {"nothing": {}}, "upstream_id": "u"}),
        json!({"id": "r6", "uri": "/six", "upstream": {"nodes": [{"service": "nowhere", "weight": 1}]}}),
    ]);
    faulty["upstreams"].as_array_mut().unwrap().push(json!({"id": "odd", "type": "dice", "nodes": {"h:1": 1}}));
    let error = gateway.apply(snapshot(&faulty)).unwrap_err();
    let text = error.to_string();
    for says in [
        "route `r3`, field vars",
        "route `r4`, field filter_func: no predicate `nobody` is registered; register it in code",
        "route `r5`, field plugins.nothing: unknown plugin `nothing`",
        "route `r6`, field upstream.nodes",
        "no in-process service `nowhere`",
        "upstream `odd`",
        "balancer `dice`",
    ] {
        assert!(text.contains(says), "{says} is not in {text}");
    }
    assert_eq!(text.lines().count(), 6, "{text}");
    assert_eq!(error.findings().iter().filter(|finding| finding.is_error()).count(), 5, "{text}");
    assert_eq!((told(&gateway, "/one").await.1, told(&gateway, "/two").await.1), ("a".into(), "a".into()));
    let status = gateway.status();
    assert_eq!((status.revision, status.rejected_total), (2, 1));
    // The gateway compares with what is in force, not with what it refused.
    assert_eq!(gateway.snapshot(), snapshot(&leading_to("a")));
    assert_eq!(gateway.apply(snapshot(&leading_to("b"))).unwrap(), Revision(3));
    assert_eq!(told(&gateway, "/one").await.1, "b");
}

#[tokio::test]
async fn a_check_finds_what_apply_would_and_changes_nothing() {
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(&leading_to("a"))).unwrap();
    let mut faulty = leading_to("b");
    faulty["routes"][0]["filter_func"] = json!("nobody");
    faulty["routes"][1]["service_id"] = json!("gone");
    let faulty = snapshot(&faulty);
    let findings: Vec<_> =
        gateway.check(&faulty).iter().map(|finding| (finding.is_error(), finding.to_string())).collect();
    assert!(findings.iter().any(|(error, text)| *error && text.contains("nobody")), "{findings:?}");
    assert!(findings.iter().any(|(error, text)| !error && text.contains("`gone`")), "{findings:?}");
    assert_eq!(told(&gateway, "/one").await.1, "a");
    assert_eq!(gateway.status().rejected_total, 0);
}

#[tokio::test]
async fn a_request_in_flight_keeps_the_configuration_that_it_began_with() {
    let (entered, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (entered, go) = (Arc::clone(&entered), Arc::clone(&go));
        tower::service_fn(move |_: Request<Body>| {
            let (entered, go) = (Arc::clone(&entered), Arc::clone(&go));
            async move {
                entered.notify_one();
                go.notified().await;
                Ok::<_, std::convert::Infallible>(Response::new("slow".to_owned()))
            }
        })
    };
    let gateway = builder().endpoint("slow", slow).build().unwrap();
    gateway.apply(snapshot(&leading_to("slow"))).unwrap();
    let running = tokio::spawn({
        let gateway = gateway.clone();
        async move { told(&gateway, "/one").await }
    });
    entered.notified().await;
    gateway.apply(snapshot(&leading_to("b"))).unwrap();
    assert_eq!(told(&gateway, "/one").await.1, "b");
    gateway.apply(Snapshot::default()).unwrap();
    assert_eq!(get(&gateway, "/one").await.status, 404);
    go.notify_one();
    assert_eq!(running.await.unwrap(), (200, "slow".to_owned()));
}

#[tokio::test]
async fn nobody_sees_an_older_configuration_after_a_newer_one() {
    // Both routes tell the version that they are of, by different ways: a plugin of their own, and one of a service.
    let version = |number: usize| {
        let nodes = json!([{"service": "way", "weight": 1}]);
        let mark = json!({"edge": {"text": number.to_string()}});
        snapshot(&json!({
            "services": [{"id": "s", "plugins": mark, "upstream": {"nodes": nodes}}],
            "routes": [
                {"id": "r1", "uri": "/one", "plugins": mark, "upstream": {"nodes": nodes}},
                {"id": "r2", "uri": "/two", "service_id": "s"},
            ],
        }))
    };
    let gateway = with_marks().build().unwrap();
    gateway.apply(version(1)).unwrap();
    let applying = {
        let gateway = gateway.clone();
        tokio::task::spawn_blocking(move || (2..=200).for_each(|number| drop(gateway.apply(version(number)))))
    };
    let (mut newest, mut done) = (0, false);
    while !done {
        done = applying.is_finished();
        for path in ["/one", "/two"] {
            let (status, text) = told(&gateway, path).await;
            assert_eq!(status, 200);
            let seen = text.strip_prefix("edge:").unwrap().parse::<usize>().unwrap();
            assert!(seen >= newest, "version {seen} after {newest}");
            newest = seen;
        }
    }
    applying.await.unwrap();
    assert_eq!(newest, 200);
}

#[tokio::test]
async fn two_gateways_do_not_touch_each_other() {
    let (first, second) = (builder().build().unwrap(), builder().build().unwrap());
    first.apply(snapshot(&leading_to("a"))).unwrap();
    assert_eq!(get(&second, "/one").await.status, 404);
    second.apply(snapshot(&leading_to("b"))).unwrap();
    assert_eq!((told(&first, "/one").await.1, told(&second, "/one").await.1), ("a".into(), "b".into()));
    // The balancer of one does not turn with the other's requests.
    let turning = json!({
        "upstreams": [{"id": "u", "nodes": [{"service": "a", "weight": 1}, {"service": "b", "weight": 1}]}],
        "routes": [{"id": "r", "uri": "/one", "upstream_id": "u"}],
    });
    first.apply(snapshot(&turning)).unwrap();
    second.apply(snapshot(&turning)).unwrap();
    let mut turns = (Vec::new(), Vec::new());
    for _ in 0..4 {
        turns.0.push(told(&first, "/one").await.1);
        turns.1.push(told(&second, "/one").await.1);
    }
    for turns in [turns.0, turns.1] {
        assert_eq!(turns[..2], turns[2..], "each has its own turn");
        assert_ne!(turns[0], turns[1]);
    }
    drop(first);
    assert_eq!(get(&second, "/one").await.status, 200);
}

#[test]
fn a_gateway_is_built_and_reconfigured_without_a_runtime() {
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(&leading_to("a"))).unwrap();
    gateway
        .apply(snapshot(&json!({
            "routes": [{"id": "r", "uri": "/", "upstream": {"nodes": {"127.0.0.1:1": 1}}}],
        })))
        .unwrap();
    let _: Gateway = gateway;
}

/// Has an upstream of its own.
struct Own(Built);

#[derive(Deserialize)]
struct OwnConfig {
    upstream: UpstreamSpec,
}

impl Plugin for Own {
    const NAME: &'static str = "own";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 1;
    type Config = OwnConfig;

    fn build(&self, config: OwnConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        cx.upstream(Self::NAME, "upstream", &config.upstream)?;
        self.0.add();
        Ok(PluginLayer::from_fn(|next| next))
    }
}

#[test]
fn a_block_with_an_upstream_of_its_own_follows_the_limits_of_the_settings() {
    let built = Built::default();
    let gateway = builder().plugin(Own(built.clone())).build().unwrap();
    let nodes = json!({"nodes": [{"service": "a", "weight": 1}]});
    let document = |settings: Value| {
        json!({"tollgate": settings,
            "routes": [{"id": "r", "uri": "/", "plugins": {"own": {"upstream": nodes}}, "upstream": nodes}]})
    };
    for (settings, builds) in [
        (json!({}), 1),
        (json!({"errors": "problem"}), 1),
        (json!({"limits": {"replay_bytes": 7}}), 2),
        (json!({"limits": {"replay_bytes": 7}, "errors": "problem"}), 2),
        (json!({"limits": {"replay_bytes": 7, "response_header_count": 9}}), 3),
    ] {
        gateway.apply(snapshot(&document(settings.clone()))).unwrap();
        assert_eq!(built.count(), builds, "{settings}");
    }
}

#[test]
fn a_condition_on_what_no_request_has_is_warned_of() {
    let gateway = builder().variable("mine", |_| Some(String::new())).build().unwrap();
    let filter = json!([
        ["post_arg_user", "==", "a"],
        ["remot_addr", "==", "a"],
        ["mine", "==", "a"],
        ["consumer_name", "==", "a"]
    ]);
    let nodes = json!({"nodes": [{"service": "a", "weight": 1}]});
    let document = json!({"routes": [{"id": "r", "uri": "/", "upstream": nodes,
        "vars": [["uri_param_x", "==", "a"], ["http_x", "==", "a"]],
        "plugins": {"cors": {"_meta": {"filter": filter}}}}]});
    gateway.apply(snapshot(&document)).unwrap();
    let mut said: Vec<_> = gateway.status().findings.iter().map(ToString::to_string).collect();
    said.retain(|finding| finding.contains("no request has"));
    said.sort();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].contains("field plugins.cors._meta.filter: no request has the variable `post_arg_user` there"));
    assert!(said[1].contains("`remot_addr`"));
    assert!(said[2].contains("field vars: no request has the variable `uri_param_x` there"));
}
