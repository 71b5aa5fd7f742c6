//! Who shares one counter: every line of the scope matrix (plugins/traffic.md §0.7), for every limiter, counted in this
//! process and in Redis.
//!
//! Every limit here is one. The origin begins an answer and does not end it, so that what was let pass stays charged by
//! `limit-conn` as well.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tollgate::gateway::Gateway;

use super::peers::origin::{Origin, Step};
use super::peers::within;
use super::support::Rig;

const LIMITERS: [&str; 3] = ["limit-count", "limit-req", "limit-conn"];

/// The address that a caller calls from.
#[derive(Clone, Copy)]
enum Client {
    C1,
    C2,
}

/// Who calls (the key that is presented; `-` presents none), from where, what, and whether it is let pass.
type Call = (&'static str, Client, &'static str, bool);

/// A block and what stands around it.
struct Case {
    name: &'static str,
    /// Where the block is put.
    place: fn(&mut Value, &str, &Value),
    key: &'static str,
    key_type: &'static str,
    calls: &'static [Call],
}

/// Consumers `a` (credentials `a1`, `a2`) and `b` in group `g`, `c` without group, `n` for nobody; routes `r1` and `r2` of
/// service `s`, `open` without authentication.
fn document() -> Value {
    json!({
        "consumers": [
            {"username": "a", "group_id": "g", "plugins": {"key-auth": {"key": "a0"}}},
            {"id": "a/credentials/a1", "plugins": {"key-auth": {"key": "a1"}}},
            {"id": "a/credentials/a2", "plugins": {"key-auth": {"key": "a2"}}},
            {"username": "b", "group_id": "g", "plugins": {"key-auth": {"key": "b1"}}},
            {"username": "c", "plugins": {"key-auth": {"key": "c1"}}},
            {"username": "n", "plugins": {}},
        ],
        "consumer_groups": [{"id": "g", "plugins": {}}],
        "services": [{"id": "s", "upstream": {"nodes": {"127.0.0.1:7001": 1}}, "plugins": {}}],
        "plugin_configs": [{"id": "p", "plugins": {}}, {"id": "q", "plugins": {}}],
        "global_rules": [{"id": "all", "plugins": {}}],
        "routes": [
            {"id": "r1", "uri": "/r1", "service_id": "s", "plugins": {"key-auth": {}}},
            {"id": "r2", "uri": "/r2", "service_id": "s", "plugins": {"key-auth": {}}},
            {"id": "open", "uri": "/open", "service_id": "s", "plugins": {}},
        ],
    })
}

fn put(document: &mut Value, pointer: &str, limiter: &str, block: &Value) {
    let plugins = document.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}"));
    plugins[limiter] = block.clone();
}

fn on_r1(document: &mut Value, limiter: &str, block: &Value) {
    put(document, "/routes/0/plugins", limiter, block);
}

fn on_service(document: &mut Value, limiter: &str, block: &Value) {
    put(document, "/services/0/plugins", limiter, block);
}

fn on_a(document: &mut Value, limiter: &str, block: &Value) {
    put(document, "/consumers/0/plugins", limiter, block);
}

fn on_group(document: &mut Value, limiter: &str, block: &Value) {
    put(document, "/consumer_groups/0/plugins", limiter, block);
}

fn with_anonymous(document: &mut Value) {
    for route in [0, 1] {
        document["routes"][route]["plugins"]["key-auth"] = json!({"anonymous_consumer": "n"});
    }
}

use Client::{C1, C2};

const CASES: &[Case] = &[
    Case {
        name: "route, by address: all callers from one address on it",
        place: on_r1,
        key: "remote_addr",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("b1", C1, "/r1", false), ("a1", C2, "/r1", true), ("a1", C1, "/r2", true)],
    },
    Case {
        name: "route, by consumer: all its credentials together",
        place: on_r1,
        key: "consumer_name",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("a2", C2, "/r1", false), ("b1", C1, "/r1", true), ("a1", C1, "/r2", true)],
    },
    Case {
        name: "route without authentication, by consumer: the address",
        place: |document, limiter, block| put(document, "/routes/2/plugins", limiter, block),
        key: "consumer_name",
        key_type: "var",
        calls: &[("-", C1, "/open", true), ("-", C1, "/open", false), ("-", C2, "/open", true)],
    },
    Case {
        name: "route, by consumer and address",
        place: on_r1,
        key: "$consumer_name $remote_addr",
        key_type: "var_combination",
        calls: &[("a1", C1, "/r1", true), ("a1", C2, "/r1", true), ("a2", C1, "/r1", false), ("b1", C1, "/r1", true)],
    },
    Case {
        name: "route, by group: its members together, others by address",
        place: on_r1,
        key: "consumer_group_id",
        key_type: "var",
        calls: &[
            ("a1", C1, "/r1", true),
            ("b1", C2, "/r1", false),
            ("c1", C1, "/r1", true),
            ("c1", C1, "/r1", false),
            ("c1", C2, "/r1", true),
        ],
    },
    Case {
        name: "route, by credential: the gateway's field counts, not the client's",
        place: on_r1,
        key: "http_x_credential_identifier",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("a2", C1, "/r1", true), ("a1", C2, "/r1", false)],
    },
    Case {
        name: "service, by consumer: over its routes",
        place: on_service,
        key: "consumer_name",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("a2", C2, "/r2", false), ("b1", C1, "/r2", true)],
    },
    Case {
        name: "service, by service: everybody",
        place: on_service,
        key: "service_id",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("b1", C2, "/r2", false)],
    },
    Case {
        name: "service, by consumer and route",
        place: on_service,
        key: "$consumer_name $route_id",
        key_type: "var_combination",
        calls: &[("a1", C1, "/r1", true), ("a1", C1, "/r2", true), ("a2", C2, "/r1", false)],
    },
    Case {
        name: "plugin config, by consumer: over the routes that use it, apart from an equal one",
        place: |document, limiter, block| {
            put(document, "/plugin_configs/0/plugins", limiter, block);
            put(document, "/plugin_configs/1/plugins", limiter, block);
            for (route, config) in [(0, "p"), (1, "p"), (2, "q")] {
                document["routes"][route]["plugin_config_id"] = json!(config);
            }
            document["routes"][2]["plugins"]["key-auth"] = json!({});
        },
        key: "consumer_name",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("a1", C1, "/r2", false), ("a1", C1, "/open", true)],
    },
    Case {
        name: "consumer, by address: over all routes",
        place: on_a,
        key: "remote_addr",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("a2", C1, "/r2", false), ("a1", C2, "/r2", true), ("b1", C1, "/r1", true)],
    },
    Case {
        name: "consumer, by consumer: over all routes and addresses",
        place: on_a,
        key: "consumer_name",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("a2", C2, "/r2", false), ("b1", C1, "/r1", true), ("b1", C1, "/r1", true)],
    },
    Case {
        name: "consumer, by route",
        place: on_a,
        key: "route_id",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("a1", C1, "/r2", true), ("a2", C2, "/r1", false)],
    },
    Case {
        name: "two consumers, equal blocks: apart",
        place: |document, limiter, block| {
            on_a(document, limiter, block);
            put(document, "/consumers/3/plugins", limiter, block);
        },
        key: "remote_addr",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("b1", C1, "/r1", true), ("a1", C1, "/r2", false), ("b1", C1, "/r2", false)],
    },
    Case {
        name: "group, by address: all members from it",
        place: on_group,
        key: "remote_addr",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("b1", C1, "/r2", false), ("b1", C2, "/r2", true), ("c1", C1, "/r1", true)],
    },
    Case {
        name: "group, by consumer: each member over all routes",
        place: on_group,
        key: "consumer_name",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("b1", C1, "/r1", true), ("a2", C2, "/r2", false)],
    },
    Case {
        name: "group, by group: all of it",
        place: on_group,
        key: "consumer_group_id",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("b1", C2, "/r2", false)],
    },
    Case {
        name: "consumer and its group: the consumer's alone",
        place: |document, limiter, block| {
            on_group(document, limiter, block);
            let mut own = block.clone();
            own["key"] = json!("consumer_name");
            on_a(document, limiter, &own);
        },
        key: "consumer_group_id",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("b1", C1, "/r1", true), ("a2", C2, "/r2", false), ("b1", C2, "/r2", false)],
    },
    Case {
        name: "route and consumer: the consumer's alone",
        place: |document, limiter, block| {
            on_r1(document, limiter, block);
            on_a(document, limiter, block);
        },
        key: "remote_addr",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("b1", C1, "/r1", true), ("a1", C1, "/r2", false), ("c1", C1, "/r1", false)],
    },
    Case {
        name: "global rule and route: both",
        place: |document, limiter, block| {
            on_r1(document, limiter, block);
            let mut global = block.clone();
            global["key"] = json!("consumer_name");
            put(document, "/global_rules/0/plugins", limiter, &global);
        },
        key: "remote_addr",
        key_type: "var",
        calls: &[
            ("a1", C1, "/r1", true),
            // the global one rejects
            ("a1", C2, "/r1", false),
            ("a1", C2, "/r2", false),
            // the route's rejects
            ("b1", C1, "/r1", false),
            ("c1", C2, "/r1", true),
        ],
    },
    Case {
        name: "global rule, by consumer: over all routes",
        place: |document, limiter, block| put(document, "/global_rules/0/plugins", limiter, block),
        key: "consumer_name",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("a2", C2, "/r2", false), ("b1", C1, "/r2", true), ("-", C1, "/open", true)],
    },
    Case {
        name: "anonymous consumer, by consumer: all who are not known",
        place: |document, limiter, block| {
            with_anonymous(document);
            put(document, "/consumers/5/plugins", limiter, block);
        },
        key: "consumer_name",
        key_type: "var",
        calls: &[("-", C1, "/r1", true), ("-", C2, "/r2", false), ("a1", C1, "/r1", true)],
    },
    Case {
        name: "anonymous consumer, by address",
        place: |document, limiter, block| {
            with_anonymous(document);
            put(document, "/consumers/5/plugins", limiter, block);
        },
        key: "remote_addr",
        key_type: "var",
        calls: &[("-", C1, "/r1", true), ("-", C2, "/r1", true), ("-", C1, "/r2", false)],
    },
    Case {
        name: "route with multi-auth, by consumer: of the child that succeeded",
        place: |document, limiter, block| {
            on_r1(document, limiter, block);
            let plugins = document["routes"][0]["plugins"].as_object_mut().unwrap();
            plugins.remove("key-auth");
            let children = json!([{"basic-auth": {}}, {"key-auth": {}}]);
            plugins.insert("multi-auth".to_owned(), json!({"auth_plugins": children}));
        },
        key: "consumer_name",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("a2", C2, "/r1", false), ("b1", C1, "/r1", true)],
    },
];

/// Of `limit-count` alone.
const OF_COUNT: &[Case] = &[
    Case {
        name: "route, constant: everybody on it",
        place: on_r1,
        key: "anything",
        key_type: "constant",
        calls: &[("a1", C1, "/r1", true), ("b1", C2, "/r1", false), ("b1", C2, "/r2", true)],
    },
    Case {
        name: "service, constant: everybody on its routes",
        place: on_service,
        key: "anything",
        key_type: "constant",
        calls: &[("a1", C1, "/r1", true), ("b1", C2, "/r2", false)],
    },
    Case {
        name: "consumer, constant: all that it calls",
        place: on_a,
        key: "anything",
        key_type: "constant",
        calls: &[("a1", C1, "/r1", true), ("a2", C2, "/r2", false), ("b1", C1, "/r1", true)],
    },
    Case {
        name: "two routes with one group, by consumer",
        place: |document, limiter, block| {
            let mut block = block.clone();
            block["group"] = json!("shared");
            on_r1(document, limiter, &block);
            put(document, "/routes/1/plugins", limiter, &block);
        },
        key: "consumer_name",
        key_type: "var",
        calls: &[("a1", C1, "/r1", true), ("a2", C2, "/r2", false), ("b1", C1, "/r2", true)],
    },
];

/// A block that lets one pass.
fn block(limiter: &str, case: &Case, policy: &Value) -> Value {
    let mut block = match limiter {
        "limit-count" => json!({"count": 1, "time_window": 600}),
        "limit-req" => json!({"rate": 0.001, "burst": 0}),
        _ => json!({"conn": 1, "burst": 0, "default_conn_delay": 0.1}),
    };
    let fields = block.as_object_mut().unwrap();
    fields.extend(json!({"key": case.key, "key_type": case.key_type}).as_object().unwrap().clone());
    fields.extend(policy.as_object().unwrap().clone());
    block
}

async fn run(limiter: &str, case: &Case, policy: &Value) {
    let mut document = document();
    (case.place)(&mut document, limiter, &block(limiter, case, policy));
    let begun = vec![Step::Request, Step::send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n.")];
    let origin = Origin::scripted(move |_| begun.clone()).await;
    let rig = Rig::before(origin, Gateway::builder(), &format!("{document}\n#END\n")).await;
    let mut open = Vec::new();
    for (number, (caller, from, path, passes)) in case.calls.iter().enumerate() {
        let (status, connection) = call(rig.address, caller, *from, path).await;
        open.push(connection);
        let wanted = if *passes { 200 } else { 503 };
        assert_eq!(status, wanted, "{limiter}, {}: call {}", case.name, number + 1);
    }
}

/// The status, and the connection, which holds what was let pass.
async fn call(gateway: SocketAddr, caller: &str, from: Client, path: &str) -> (u16, TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    let last = match from {
        C1 => 1,
        C2 => 2,
    };
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0)).unwrap();
    let mut stream = socket.connect(gateway).await.unwrap();
    let key = if caller == "-" { String::new() } else { format!("apikey: {caller}\r\n") };
    let spoofed = "x-credential-identifier: me\r\nx-consumer-username: me\r\n";
    let request = format!("GET {path} HTTP/1.1\r\nhost: gw.test\r\n{key}{spoofed}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    within(|| format!("an answer to {caller} for {path}"), async {
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0, "{}", String::from_utf8_lossy(&head));
        }
    })
    .await;
    let status = head.split(|byte| *byte == b' ').nth(1).unwrap();
    (String::from_utf8_lossy(status).parse().unwrap(), stream)
}

#[tokio::test]
async fn counters_of_this_process_are_shared_as_the_matrix_says() {
    for limiter in LIMITERS {
        for case in CASES {
            run(limiter, case, &json!({})).await;
        }
    }
    for case in OF_COUNT {
        run("limit-count", case, &json!({})).await;
    }
}

#[tokio::test]
async fn sliding_windows_are_shared_in_the_same_way() {
    for case in CASES.iter().chain(OF_COUNT) {
        run("limit-count", case, &json!({"window_type": "sliding"})).await;
    }
}

#[cfg(all(feature = "real-servers", feature = "redis"))]
#[tokio::test]
async fn counters_in_redis_are_shared_as_the_matrix_says() {
    let redis = super::peers::redis::Redis::start(&[]);
    let policy = json!({"policy": "redis", "redis_host": "127.0.0.1", "redis_port": redis.port()});
    for limiter in LIMITERS {
        for case in CASES {
            redis.cli(&["flushall"]);
            run(limiter, case, &policy).await;
        }
    }
    for case in OF_COUNT {
        redis.cli(&["flushall"]);
        run("limit-count", case, &policy).await;
    }
}
