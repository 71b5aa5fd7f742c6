use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::Request;
use serde_json::{Value, json};
use tokio::time::advance;

use super::*;
use crate::plugin::{BuildContext, Scope, shape};
use crate::{Body, Exchange, Next, PluginLayer, Response};

fn config(block: Value) -> LimitCountConfig {
    shape("limit-count", block.as_object().unwrap()).unwrap()
}

fn refused(block: Value) -> String {
    let config = match shape("limit-count", block.as_object().unwrap()) {
        Ok(config) => config,
        Err(error) => return error.to_string(),
    };
    match LimitCountLayer::new(config) {
        Ok(_) => panic!("{block} is taken"),
        Err(error) => error.to_string(),
    }
}

/// The rest of the chain answers with limits of its own.
fn chain(block: Value) -> Next {
    let upstream = Next::from_fn(|_| async {
        let mut response = Response::new(Body::from("up"));
        response.headers_mut().insert("x-ratelimit-limit", "upstream".parse().unwrap());
        response
    });
    PluginLayer::from(LimitCountLayer::new(config(block)).unwrap()).wrap(upstream)
}

/// Status, the three fields, and the body.
async fn ask(chain: &Next, fields: &[(&str, &str)]) -> (u16, String, String) {
    let mut request = Request::builder();
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (head, body) = chain.run(request.body(Body::empty()).unwrap()).await.into_parts();
    let field = |name| head.headers.get(name).map_or("-", |value| value.to_str().unwrap());
    let told = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"].map(field).join(" ");
    let body = body.buffer(1000).await.unwrap();
    (head.status.as_u16(), told, String::from_utf8(body.to_vec()).unwrap())
}

async fn statuses(chain: &Next, fields: &[(&str, &str)], times: usize) -> Vec<u16> {
    let mut all = Vec::new();
    for _ in 0..times {
        all.push(ask(chain, fields).await.0);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_fixed_window_admits_the_count_and_tells_of_it() {
    let chain =
        chain(json!({"count": 2, "time_window": 60, "rejected_code": 429, "rejected_msg": "quota \"used\" up"}));
    assert_eq!(ask(&chain, &[]).await, (200, "2 1 60".to_owned(), "up".to_owned()));
    advance(Duration::from_millis(10_250)).await;
    assert_eq!(ask(&chain, &[]).await, (200, "2 0 49.75".to_owned(), "up".to_owned()));
    let body = "{\"error_msg\":\"quota \\\"used\\\" up\"}\n".to_owned();
    assert_eq!(ask(&chain, &[]).await, (429, "2 0 49.75".to_owned(), body));
    advance(Duration::from_millis(49_750)).await;
    assert_eq!(ask(&chain, &[]).await.1, "2 1 60");
}

#[tokio::test(start_paused = true)]
async fn a_rejection_without_text_has_no_body() {
    let chain = chain(json!({"count": 1, "time_window": 60, "show_limit_quota_header": false}));
    assert_eq!(ask(&chain, &[]).await, (200, "upstream - -".to_owned(), "up".to_owned()));
    assert_eq!(ask(&chain, &[]).await, (503, "- - -".to_owned(), String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_sliding_window_tells_when_one_more_fits() {
    let chain = chain(json!({"count": 10, "time_window": 10, "window_type": "sliding"}));
    assert_eq!(statuses(&chain, &[], 11).await.iter().filter(|status| **status == 200).count(), 10);
    advance(Duration::from_secs(10)).await;
    assert_eq!(ask(&chain, &[]).await.1, "10 0 1");
    advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&chain, &[]).await.1, "10 0 9");
}

#[tokio::test(start_paused = true)]
async fn keys_have_counters_of_their_own() {
    let tenant = chain(json!({"count": 1, "time_window": 60, "key": "http_x_tenant"}));
    assert_eq!(statuses(&tenant, &[("x-tenant", "a")], 2).await, [200, 503]);
    assert_eq!(statuses(&tenant, &[("x-tenant", "A")], 2).await, [200, 503]);
    let all = chain(json!({"count": 1, "time_window": 60, "key": "http_x_tenant", "key_type": "constant"}));
    assert_eq!(statuses(&all, &[("x-tenant", "a")], 1).await, [200]);
    assert_eq!(statuses(&all, &[("x-tenant", "b")], 1).await, [503]);
}

#[tokio::test(start_paused = true)]
async fn numbers_come_from_the_request_or_it_is_not_counted() {
    let block = json!({"count": "${http_x_quota ?? 1}", "time_window": "${http_x_window ?? 60}"});
    let strict = chain(block.clone());
    assert_eq!(statuses(&strict, &[], 2).await, [200, 503]);
    // two are counted in the window, with this one three
    assert_eq!(ask(&strict, &[("x-quota", "4")]).await.1, "4 1 60");
    for bad in ["0", "-1", "many", "1.5", ""] {
        assert_eq!(ask(&strict, &[("x-quota", bad)]).await, (500, "- - -".to_owned(), String::new()), "{bad}");
        assert_eq!(ask(&strict, &[("x-window", bad)]).await.0, 500, "{bad}");
    }
    let mut block = block;
    block["allow_degradation"] = json!(true);
    assert_eq!(ask(&chain(block), &[("x-quota", "no")]).await, (200, "upstream - -".to_owned(), "up".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn sliding_windows_of_two_widths_do_not_meet() {
    let chain = chain(json!({"count": 1, "time_window": "$http_x_window", "window_type": "sliding"}));
    assert_eq!(statuses(&chain, &[("x-window", "10")], 2).await, [200, 503]);
    assert_eq!(statuses(&chain, &[("x-window", "20")], 2).await, [200, 503]);
}

#[tokio::test(start_paused = true)]
async fn rules_are_charged_in_order_until_one_rejects() {
    let block = json!({"rejected_code": 429, "rules": [
        {"count": 2, "time_window": 10, "key": "$http_x_user"},
        {"count": 3, "time_window": 60, "key": "$http_x_user $http_x_org", "header_prefix": "Org"},
        {"count": 1, "time_window": 1, "key": "never"},
    ]});
    let chain = chain(block);
    let ask = async |fields: &[(&str, &str)]| {
        let mut request = Request::builder();
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = chain.run(request.body(Body::empty()).unwrap()).await;
        let field = |name| response.headers().get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
        let remaining = ["x-1-ratelimit-remaining", "x-org-ratelimit-remaining"].map(field);
        (response.status().as_u16(), remaining.join(" "))
    };
    let user = [("x-user", "u")];
    assert_eq!(ask(&user).await, (200, "1 2".to_owned()));
    assert_eq!(ask(&user).await, (200, "0 1".to_owned()));
    // the first rejects: the second is not charged
    assert_eq!(ask(&user).await, (429, "0 -".to_owned()));
    advance(Duration::from_secs(10)).await;
    assert_eq!(ask(&user).await, (200, "1 0".to_owned()));
    // the second rejects: the first has been charged
    assert_eq!(ask(&user).await, (429, "0 0".to_owned()));
    assert_eq!(ask(&user).await, (429, "0 -".to_owned()));
    // the same text by another rule is another counter, and a rule without its variable is left out
    assert_eq!(ask(&[("x-org", "o")]).await, (200, "- 2".to_owned()));
    assert_eq!(ask(&[]).await, (500, "- -".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn loggers_that_ask_are_told() {
    let chain = chain(json!({"count": 5, "time_window": 60, "key": "http_x_tenant"}));
    let exchange = Exchange::wanting_rate_limit();
    let mut request = Request::builder().header("x-tenant", "acme").body(Body::empty()).unwrap();
    request.extensions_mut().insert(exchange.clone());
    chain.run(request).await;
    let told: Value = serde_json::from_str(&exchange.rate_limit().unwrap().to_string()).unwrap();
    let wanted = json!({"rate_limiting_key": "acme", "rate_limiting_limit": 5, "rate_limiting_remaining": 4,
        "rate_limiting_reset": 60.0});
    assert_eq!(told, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_tasks_on_one_key_get_the_count_and_no_more() {
    for window_type in ["fixed", "sliding"] {
        let chain = chain(json!({"count": 1000, "time_window": 3600, "window_type": window_type}));
        let admitted = Arc::new(AtomicU64::new(0));
        let tasks = (0..64).map(|_| {
            let (chain, admitted) = (chain.clone(), Arc::clone(&admitted));
            tokio::spawn(async move {
                for _ in 0..50 {
                    let status = chain.run(Request::new(Body::empty())).await.status();
                    admitted.fetch_add(u64::from(status == 200), Relaxed);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(admitted.load(Relaxed), 1000, "{window_type}");
    }
}

#[test]
fn counters_belong_to_the_resource_and_the_block_and_outlive_a_reload() {
    let plugin = LimitCountPlugin::default();
    let remaining = |scope: &Scope, block: Value| {
        let limiter = plugin.limiter(&config(block.clone()), &in_block(scope, &block), None).unwrap();
        let end = Next::from_fn(|_| async { Response::default() });
        let chain = PluginLayer::from(LimitCountLayer::of(limiter)).wrap(end);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let response = runtime.block_on(chain.run(Request::new(Body::empty())));
        response.headers()["x-ratelimit-remaining"].to_str().unwrap().to_owned()
    };
    let (route, consumer) = (Scope::Route("1".into()), Scope::Consumer("1".into()));
    let block = json!({"count": 9, "time_window": 3600});
    assert_eq!(remaining(&route, block.clone()), "8");
    assert_eq!(remaining(&route, block.clone()), "7");
    assert_eq!(remaining(&consumer, block.clone()), "8");
    assert_eq!(remaining(&route, json!({"count": 9, "time_window": 3600, "rejected_code": 429})), "8");
    assert_eq!(remaining(&route, block), "6");
    let grouped = json!({"count": 9, "time_window": 3600, "group": "g"});
    assert_eq!(remaining(&route, grouped.clone()), "8");
    assert_eq!(remaining(&consumer, grouped), "7");
    assert_eq!((plugin.keys(), plugin.evicted()), (4, 0));
}

fn in_block<'a>(scope: &'a Scope, block: &'a Value) -> BuildContext<'a> {
    BuildContext::new(scope).with_block(block.as_object().unwrap())
}

#[test]
fn equal_blocks_make_a_group() {
    let plugin = LimitCountPlugin::default();
    let enter = |scope: &Scope, block: &Value| {
        plugin.limiter(&config(block.clone()), &in_block(scope, block), None).map_err(|error| error.to_string())
    };
    let (one, two) = (Scope::Route("1".into()), Scope::Route("2".into()));
    let block = json!({"count": 2, "time_window": 60, "group": "g"});
    let first = enter(&one, &block);
    assert!(first.is_ok() && enter(&two, &block).is_ok());
    let other = json!({"count": 3, "time_window": 60, "group": "g"});
    assert!(enter(&two, &other).err().unwrap().contains("group: group conf mismatched"));
    drop(first);
    assert!(enter(&two, &other).is_ok());
}

#[test]
fn wrong_blocks_are_refused_with_the_place() {
    for (block, says) in [
        (json!({"time_window": 60}), "count: is required"),
        (json!({"count": 1}), "time_window: is required"),
        (json!({"count": 0, "time_window": 60}), "count: needs a whole number from 1"),
        (json!({"count": 1, "time_window": "x"}), "time_window: needs a whole number"),
        (json!({"count": -1, "time_window": 60}), "count"),
        (json!({"count": 1, "time_window": 60, "cuont": 2}), "unknown field `cuont`"),
        (json!({"count": 1, "time_window": 60, "key": "$remote_addr"}), "key: names one variable"),
        (json!({"count": 1, "time_window": 60, "key_type": "vars"}), "key_type"),
        (json!({"count": 1, "time_window": 60, "rejected_code": 199}), "rejected_code: needs a status"),
        (json!({"count": 1, "time_window": 60, "rejected_code": 600}), "rejected_code: needs a status"),
        (json!({"count": 1, "time_window": 60, "rejected_msg": ""}), "rejected_msg: is empty"),
        (json!({"count": 1, "time_window": 60, "policy": "memcached"}), "policy"),
        (json!({"count": 1, "time_window": 60, "window_type": "rolling"}), "window_type"),
        (json!({"count": 1, "time_window": 60, "group": ""}), "group: is empty"),
        (json!({"rules": []}), "rules: needs at least one"),
        (
            json!({"count": 1, "rules": [{"count": 1, "time_window": 1, "key": "$a"}]}),
            "count/time_window and rules cannot be specified at the same time",
        ),
        (
            json!({"group": "g", "rules": [{"count": 1, "time_window": 1, "key": "$a"}]}),
            "group and rules cannot be specified at the same time",
        ),
        (
            json!({"rules": [{"count": 1, "time_window": 1, "key": "$a"}, {"count": 2, "time_window": 1, "key": "$a"}]}),
            "rules.1.key: duplicate key '$a' in rules",
        ),
        (json!({"rules": [{"count": 1, "time_window": 0, "key": "$a"}]}), "rules.0.time_window: needs"),
        (json!({"rules": [{"count": 1, "time_window": 1, "key": "$a", "x": 1}]}), "unknown field `x`"),
        (
            json!({"rules": [{"count": 1, "time_window": 1, "key": "$a", "header_prefix": "a b"}]}),
            "rules.0.header_prefix",
        ),
    ] {
        let error = refused(block.clone());
        assert!(error.starts_with("failed to check the configuration of plugin limit-count err: "), "{error}");
        assert!(error.contains(says), "{block}: {error}");
    }
}

#[cfg(feature = "redis")]
#[test]
fn wrong_blocks_of_redis_are_refused_with_the_place() {
    let with = |more: Value| {
        let mut block = json!({"count": 1, "time_window": 60});
        block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        block
    };
    for (more, says) in [
        (json!({"policy": "redis"}), "redis_host: is required"),
        (json!({"policy": "redis", "redis_host": "r"}), "redis_host: needs at least 2"),
        (json!({"policy": "redis", "redis_host": "redis", "redis_port": 0}), "redis_port: needs"),
        (json!({"policy": "redis", "redis_host": "redis", "redis_timeout": 0}), "redis_timeout: needs"),
        (json!({"policy": "redis", "redis_host": "redis", "redis_keepalive_timeout": 10}), "redis_keepalive_timeout"),
        (json!({"policy": "redis", "redis_host": "redis", "redis_hots": "x"}), "redis_hots"),
        (json!({"policy": "redis", "redis_host": "redis", "sync_interval": 0.01}), "sync_interval: needs 0.1"),
        (json!({"policy": "redis", "redis_host": "redis", "sync_interval": 60}), "less than time_window"),
        (json!({"policy": "redis-cluster", "redis_cluster_name": "c"}), "redis_cluster_nodes: is required"),
        (json!({"policy": "redis-cluster", "redis_cluster_nodes": ["a:1"]}), "redis_cluster_name: is required"),
        (json!({"policy": "redis-cluster", "redis_cluster_nodes": ["a"], "redis_cluster_name": "c"}), "`host:port`"),
        (json!({"policy": "redis-sentinel", "redis_master_name": "m"}), "redis_sentinels: is required"),
        (
            json!({"policy": "redis-sentinel", "redis_master_name": "m", "redis_sentinels": [{"host": "a1", "port": 1, "x": 1}]}),
            "unknown field `x`",
        ),
    ] {
        let error = refused(with(more.clone()));
        assert!(error.contains(says), "{more}: {error}");
    }
    // what another policy has is not looked at
    assert!(LimitCountLayer::new(config(with(json!({"redis_port": 0, "sync_interval": 0.01})))).is_ok());
}

#[cfg(feature = "schema")]
#[test]
fn the_schema_has_the_fields_of_the_backend_beside_its_own() {
    let schema = schemars::schema_for!(LimitCountConfig);
    for field in ["count", "rules", "sync_interval", "policy", "degradation", "redis_host", "redis_sentinels"] {
        let pointer = format!("/properties/{field}");
        assert!(schema.pointer(&pointer).is_some(), "{field}: {}", serde_json::to_string(&schema).unwrap());
    }
}
