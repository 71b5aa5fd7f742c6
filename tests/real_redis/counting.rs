//! Exact over all gateways, and apart where it has to be.
use std::sync::Arc;

use serde_json::json;
use tokio::sync::Semaphore;
use tollgate::{Next, Response};

use super::peers::client::Client;
use super::peers::origin::Origin;
use super::peers::redis::Redis;
use super::peers::within;
use super::process::{self, Folder};
use super::rig::{ask, gateway, gateway_before, hammer, held, on, until, with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_and_sixty_four_tasks_get_the_count_and_no_more() {
    let redis = Redis::start(&[]);
    let origin = Origin::saying("origin").await;
    let folder = Folder::new();
    let configuration = format!(
        "routes:\n- uri: /*\n  id: r\n  upstream: {{nodes: {{\"{}\": 1}}}}\n  plugins:\n    limit-count: {{count: 500, \
         time_window: 600, key: server_protocol, policy: redis, redis_host: 127.0.0.1, redis_port: {}}}\n#END\n",
        origin.address(),
        redis.port()
    );
    let file = folder.write("apisix.yaml", &configuration);
    let mut gateways = Vec::new();
    for _ in 0..4 {
        gateways.push(process::Gateway::start(&["--config", &file]).await);
    }
    let tasks = (0..64).map(|task| {
        let address = gateways[task % 4].address();
        tokio::spawn(async move {
            let (mut admitted, mut client) = (0, Client::connect(address).await);
            for _ in 0..16 {
                client.send("GET / HTTP/1.1\r\nhost: gw.test\r\n\r\n").await;
                let answer = client.answer().await;
                assert!([200, 503].contains(&answer.status()), "{answer:?}");
                admitted += u32::from(answer.status() == 200);
            }
            admitted
        })
    });
    let mut admitted = 0;
    for task in tasks.collect::<Vec<_>>() {
        admitted += task.await.unwrap();
    }
    assert_eq!(admitted, 500);
    // one name for one counter, in every process
    let keys = redis.keys("*");
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(keys[0].starts_with("plugin-limit-count:v1:routes/r:") && keys[0].ends_with(":HTTP/1.1"), "{keys:?}");
    assert_eq!(redis.cli(&["get", &keys[0]]), "1024");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_limiter_is_exact_over_four_gateways() {
    let redis = Redis::start(&[]);
    for (plugin, block, admits) in [
        ("limit-count", json!({"count": 100, "time_window": 600, "key": "http_x_key"}), 100),
        ("limit-count", json!({"count": 100, "time_window": 600, "key": "http_x_key", "window_type": "sliding"}), 100),
        ("limit-req", json!({"rate": 0.001, "burst": 99, "key": "http_x_key", "nodelay": true}), 100),
    ] {
        redis.cli(&["flushall"]);
        let gateways: Vec<_> = (0..4).map(|_| gateway(plugin, &on(&redis, block.clone()))).collect();
        assert_eq!(hammer(&gateways, 64, 5).await, admits, "{plugin}");
    }
}

#[tokio::test]
async fn answers_tell_of_the_limit() {
    let redis = Redis::start(&[]);
    for window_type in ["fixed", "sliding"] {
        let block = json!({"count": 2, "time_window": 600, "key": "http_x_key", "window_type": window_type});
        let gateway = gateway("limit-count", &on(&redis, block));
        let mut remaining = Vec::new();
        for _ in 0..3 {
            let told = ask(&gateway, "k").await;
            assert_eq!(told.field("x-ratelimit-limit"), "2");
            let reset: f64 = told.field("x-ratelimit-reset").parse().unwrap();
            assert!((0.0..=600.0).contains(&reset), "{told:?}");
            remaining.push((told.status, told.field("x-ratelimit-remaining").to_owned()));
        }
        assert_eq!(remaining, [(200, "1".to_owned()), (200, "0".to_owned()), (503, "0".to_owned())], "{window_type}");
        assert_eq!(ask(&gateway, "other").await.status, 200);
    }
}

#[tokio::test]
async fn windows_and_buckets_have_an_end() {
    let redis = Redis::start(&[]);
    let fixed = gateway("limit-count", &on(&redis, json!({"count": 1, "time_window": 1, "key": "http_x_key"})));
    assert_eq!([ask(&fixed, "k").await.status, ask(&fixed, "k").await.status], [200, 503]);
    until("the window's end", || redis.keys("*").is_empty()).await;
    assert_eq!(ask(&fixed, "k").await.status, 200);
    // a bucket that leaks one request in 600 s is not forgotten before
    redis.cli(&["flushall"]);
    let slow = gateway("limit-req", &on(&redis, json!({"rate": 0.0016666, "burst": 0, "key": "http_x_key"})));
    assert_eq!([ask(&slow, "k").await.status, ask(&slow, "k").await.status], [200, 503]);
    let key = &redis.keys("limit_req:*")[0];
    assert!(redis.cli(&["ttl", key]).parse::<u64>().unwrap() >= 600);
    // what is over the rate waits
    let fast = gateway("limit-req", &on(&redis, json!({"rate": 10, "burst": 1, "key": "http_x_key"})));
    let (first, second) = tokio::join!(ask(&fast, "k"), ask(&fast, "k"));
    assert_eq!((first.status, second.status), (200, 200));
    assert!(first.took.max(second.took).as_millis() >= 90, "{first:?} {second:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_are_shared_and_come_back() {
    let redis = Redis::start(&[]);
    let permits = Arc::new(Semaphore::new(0));
    let block = json!({"conn": 2, "burst": 0, "default_conn_delay": 0.1, "key": "http_x_key", "key_ttl": 600});
    let block = on(&redis, block);
    let (one, two) = (gateway_before("limit-conn", &block, held(&permits)), gateway("limit-conn", &block));
    let start = |gateway: &tollgate::Gateway| {
        let gateway = gateway.clone();
        tokio::spawn(async move { ask(&gateway, "k").await.status })
    };
    let (first, second) = (start(&one), start(&one));
    let running = || redis.keys("limit_conn:*").first().map_or(0, |key| redis.cli(&["zcard", key]).parse().unwrap());
    until("two running requests", || running() == 2).await;
    assert_eq!(ask(&two, "k").await.status, 503);
    assert_eq!(ask(&two, "other").await.status, 200);
    let key = &redis.keys("limit_conn:*:k")[0];
    assert!(redis.cli(&["pttl", key]).parse::<u64>().unwrap() > 500_000);
    // one goes away, the other one is answered
    first.abort();
    permits.add_permits(1);
    assert_eq!(second.await.unwrap(), 200);
    until("the places to be given back", || redis.keys("limit_conn:*").is_empty()).await;
    assert_eq!(ask(&two, "k").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_than_the_crowd_runs_at_once() {
    let redis = Redis::start(&[]);
    let running = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = running.clone();
    let endpoint = Next::from_fn(move |_| {
        use std::sync::atomic::Ordering::SeqCst;
        let running = counted.clone();
        async move {
            assert!(running.fetch_add(1, SeqCst) < 3);
            tokio::task::yield_now().await;
            running.fetch_sub(1, SeqCst);
            Response::default()
        }
    });
    let block = on(&redis, json!({"conn": 3, "burst": 0, "default_conn_delay": 0.1, "key": "http_x_key"}));
    let gateways: Vec<_> = (0..4).map(|_| gateway_before("limit-conn", &block, endpoint.clone())).collect();
    assert!(hammer(&gateways, 64, 10).await > 0);
}

#[tokio::test]
async fn places_of_a_gateway_that_died_come_free() {
    let redis = Redis::start(&[]);
    let permits = Arc::new(Semaphore::new(0));
    let block = json!({"conn": 1, "burst": 0, "default_conn_delay": 0.1, "key": "http_x_key"});
    let gateway = gateway_before("limit-conn", &on(&redis, block), held(&permits));
    let running = tokio::spawn({
        let gateway = gateway.clone();
        async move { ask(&gateway, "k").await.status }
    });
    until("the place to be taken", || !redis.keys("limit_conn:*").is_empty()).await;
    let crowd = &redis.keys("limit_conn:*")[0];
    // what the other gateway had entered, until a second from now
    let now: u64 = redis.cli(&["time"]).lines().next().unwrap().parse().unwrap();
    redis.cli(&["zadd", crowd, &format!("{}", (now + 2) * 1000), "other:1"]);
    permits.add_permits(2);
    assert_eq!(running.await.unwrap(), 200);
    until("the own place to be given back", || redis.cli(&["zcard", crowd]) == "1").await;
    assert_eq!(ask(&gateway, "k").await.status, 503);
    within(|| "the other place to come free".to_owned(), async { while ask(&gateway, "k").await.status != 200 {} })
        .await;
}

#[tokio::test]
async fn users_and_databases_are_kept_apart() {
    let redis = Redis::start(&["--requirepass", "root"]);
    let cli = |arguments: &[&str]| redis.cli(&[&["-a", "root", "--no-auth-warning"], arguments].concat());
    cli(&["acl", "setuser", "gate", "on", ">opener", "~plugin-limit-count:*", "+@all"]);
    let block = |more| with(on(&redis, json!({"count": 1, "time_window": 600, "key": "http_x_key"})), more);
    let gate = json!({"redis_username": "gate", "redis_password": "opener"});
    let first = gateway("limit-count", &block(gate.clone()));
    assert_eq!([ask(&first, "k").await.status, ask(&first, "k").await.status], [200, 503]);
    // the same block in another database, on a connection of its own
    let second = gateway("limit-count", &block(with(gate, json!({"redis_database": 3}))));
    assert_eq!(ask(&second, "k").await.status, 200);
    assert_eq!([cli(&["-n", "0", "dbsize"]), cli(&["-n", "3", "dbsize"])], ["1", "1"]);
    for wrong in [json!({}), json!({"redis_password": "guess"})] {
        let told = ask(&gateway("limit-count", &block(wrong)), "k").await;
        assert_eq!((told.status, &*told.body), (500, "{\"error_msg\":\"failed to limit count\"}\n"));
    }
}

#[tokio::test]
async fn sentinels_name_the_server() {
    let redis = Redis::start(&[]);
    let sentinel = Redis::sentinel(&redis);
    let block = json!({"count": 1, "time_window": 600, "key": "http_x_key", "policy": "redis-sentinel",
        "redis_master_name": "main", "redis_sentinels": [{"host": "127.0.0.1", "port": sentinel.port()}]});
    let known = gateway("limit-count", &block);
    assert_eq!([ask(&known, "k").await.status, ask(&known, "k").await.status], [200, 503]);
    assert_eq!(redis.keys("plugin-limit-count:v1:*").len(), 1);
    let unknown = gateway("limit-count", &with(block, json!({"redis_master_name": "other"})));
    assert_eq!(ask(&unknown, "k").await.status, 500);
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn encrypted_connections_are_verified_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name).display().to_string();
        std::fs::write(&path, text).unwrap();
        path
    };
    let (certificate, key) = (file("cert.pem", made.cert.pem()), file("key.pem", made.signing_key.serialize_pem()));
    let port = super::peers::redis::free_port().to_string();
    let tls =
        ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-auth-clients", "no"];
    let redis = Redis::start(&tls);
    let block = |verify: bool| {
        let block = on(&redis, json!({"count": 1, "time_window": 600, "key": "http_x_key", "redis_ssl": true}));
        let port: u16 = port.parse().unwrap();
        with(block, json!({"redis_host": "localhost", "redis_port": port, "redis_ssl_verify": verify}))
    };
    let trusting = gateway("limit-count", &block(false));
    assert_eq!([ask(&trusting, "k").await.status, ask(&trusting, "k").await.status], [200, 503]);
    // nobody vouches for the certificate
    assert_eq!(ask(&gateway("limit-count", &block(true)), "k").await.status, 500);
}
