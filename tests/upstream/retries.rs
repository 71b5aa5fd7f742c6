//! What is sent again, where, and how often (upstream.md §4, security.md RET-01 to RET-06).
use std::collections::HashMap;
use std::time::Duration;

use tollgate::upstream::{ForwardContext, RetryConfig};
use tollgate::{Body, Exchange};

use crate::support::*;

/// Takes each request and then closes or resets the connection.
async fn dropping(reset: bool) -> Origin {
    Origin::start(move |mut conn| async move {
        conn.request().await;
        if reset {
            conn.reset();
        }
    })
    .await
}

fn patient(retries: u32) -> RetryConfig {
    RetryConfig { retries: Some(retries), budget_min_per_second: 1000, ..RetryConfig::default() }
}

#[tokio::test]
async fn sec_ret_04_a_refused_connection_goes_to_another_node_whatever_the_method() {
    let good = Origin::naming().await;
    let client = Client::new(config(&[refusing().await, good.address]));
    for method in ["GET", "POST", "PATCH"] {
        for _ in 0..4 {
            let response = client.send(request(method, "/", "body")).await.unwrap();
            assert_eq!(response.status(), 200, "{method}");
        }
    }
    assert!(good.seen().iter().all(|request| request.ends_with("body")));
}

#[tokio::test]
async fn sec_ret_01_a_post_that_may_have_arrived_is_delivered_once() {
    for reset in [false, true] {
        let (one, two) = (dropping(reset).await, dropping(reset).await);
        let client = Client::new(config(&[one.address, two.address]));
        let error = client.send(request("POST", "/", "once")).await.unwrap_err();
        assert_eq!((error.reason(), error.status().as_u16()), ("closed_before_response", 502));
        assert_eq!(one.seen().len() + two.seen().len(), 1);
    }
}

#[tokio::test]
async fn sec_ret_01_a_put_is_delivered_to_another_node() {
    for reset in [false, true] {
        let (bad, good) = (dropping(reset).await, Origin::naming().await);
        let client = Client::new(config(&[bad.address, good.address]));
        for _ in 0..6 {
            assert_eq!(client.send(request("PUT", "/", "again")).await.unwrap().status(), 200);
        }
        assert_eq!(bad.seen().len(), 3);
        assert_eq!(good.seen().len(), 6);
    }
}

#[tokio::test]
async fn sec_ret_03_a_stream_that_is_not_kept_is_not_sent_again() {
    let (one, two) = (dropping(false).await, dropping(false).await);
    let mut config = config(&[one.address, two.address]);
    config.retry.replay_bytes = 2;
    let client = Client::new(config);
    let frames: Vec<Result<http_body::Frame<bytes::Bytes>, tollgate::BodyError>> =
        vec![Ok(http_body::Frame::data("abc".into()))];
    let body = Body::stream(http_body_util::StreamBody::new(futures_util::stream::iter(frames)));
    assert!(client.send(request("PUT", "/", body)).await.is_err());
    assert_eq!(one.seen().len() + two.seen().len(), 1);
}

#[tokio::test]
async fn sec_ret_04_never_the_same_endpoint_while_another_is_left() {
    let mut origins = Vec::new();
    for _ in 0..4 {
        origins.push(dropping(false).await);
    }
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let mut config = config(&addresses);
    config.retry = patient(9);
    let client = Client::new(config);
    let error = client.get("/").await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("endpoints_exhausted", 502));
    assert!(origins.iter().all(|origin| origin.seen().len() == 1));
}

#[tokio::test]
async fn sec_ret_04_one_retry_by_default_and_none_for_one_node() {
    let origins = [dropping(false).await, dropping(false).await, dropping(false).await];
    let client = Client::new(config(&origins.each_ref().map(|origin| origin.address)));
    client.get("/").await.unwrap_err();
    assert_eq!(origins.iter().map(|origin| origin.seen().len()).sum::<usize>(), 2);
    let single = dropping(false).await;
    Client::of(&single).get("/").await.unwrap_err();
    assert_eq!(single.seen().len(), 1);
}

#[tokio::test]
async fn a_single_node_is_tried_again_when_told_so() {
    let origin = Origin::start(|mut conn| async move {
        conn.request().await;
        if conn.index == 2 {
            conn.send(ok("third")).await;
        }
    })
    .await;
    let mut config = config(&[origin.address]);
    config.retry = patient(2);
    assert_eq!(Client::new(config).get("/").await.unwrap().1, "third");
}

#[tokio::test]
async fn sec_ret_05_an_origin_that_always_fails_gets_its_share_and_no_more() {
    let origin = dropping(false).await;
    let mut config = config(&[origin.address]);
    config.retry = RetryConfig { retries: Some(1), backoff_base: Duration::ZERO, ..RetryConfig::default() };
    let client = Client::new(config);
    for _ in 0..400 {
        client.get("/").await.unwrap_err();
    }
    let deliveries = origin.seen().len();
    assert!((430..=400 + 80).contains(&deliveries), "{deliveries}");
}

#[tokio::test]
async fn sec_ret_06_nothing_is_retried_once_the_response_has_begun() {
    let origin = Origin::start(|mut conn| async move {
        conn.request().await;
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await;
    })
    .await;
    let other = Origin::start(|mut conn| async move {
        conn.request().await;
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await;
    })
    .await;
    let client = Client::new(config(&[origin.address, other.address]));
    let response = client.send(request("GET", "/", Body::empty())).await.unwrap();
    assert!(text(response).await.is_err());
    assert_eq!(origin.seen().len() + other.seen().len(), 1);
}

#[tokio::test]
async fn statuses_are_retried_only_when_listed() {
    let bad = Origin::answering("HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy").await;
    let good = Origin::naming().await;
    let mut config = config(&[bad.address, good.address]);
    let count = |answers: &[u16]| answers.iter().filter(|status| **status == 503).count();
    let ask = async |config| {
        let client = Client::new(config);
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(client.get("/").await.unwrap().0);
        }
        count(&answers)
    };
    assert_eq!(ask(config.clone()).await, 2);
    config.retry.statuses = vec![http::StatusCode::SERVICE_UNAVAILABLE];
    assert_eq!(ask(config.clone()).await, 0);
    // With nowhere else to go the endpoint's own answer is what the client gets.
    config.nodes.truncate(1);
    config.retry.retries = Some(1);
    assert_eq!(ask(config).await, 4);
}

#[tokio::test]
async fn listed_methods_are_retried_too() {
    let (bad, good) = (dropping(false).await, Origin::naming().await);
    let mut config = config(&[bad.address, good.address]);
    config.retry.methods = vec![http::Method::POST];
    let client = Client::new(config);
    for _ in 0..2 {
        client.send(request("POST", "/", "twice")).await.unwrap();
    }
    assert_eq!((bad.seen().len(), good.seen().len()), (1, 2));
}

#[tokio::test]
async fn no_attempt_begins_after_the_retry_time_out() {
    let (one, two) = (dropping(false).await, dropping(false).await);
    let mut config = config(&[one.address, two.address]);
    config.retry.timeout = Duration::from_nanos(1);
    let error = Client::new(config).get("/").await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("retry_deadline", 502));
    assert_eq!(one.seen().len() + two.seen().len(), 1);
}

#[tokio::test]
async fn one_try_can_be_bounded_within_the_whole() {
    let silent = Origin::start(|mut conn| async move {
        conn.request().await;
        conn.closed().await;
    })
    .await;
    let good = Origin::naming().await;
    let mut config = config(&[silent.address, good.address]);
    config.retry.per_try = Some(Duration::from_millis(50));
    let client = Client::new(config);
    for _ in 0..4 {
        assert_eq!(client.get("/").await.unwrap().0, 200);
    }
    assert_eq!(silent.seen().len(), 2);
}

#[tokio::test]
async fn every_attempt_is_recorded() {
    let refused = refusing().await;
    let good = Origin::naming().await;
    let mut config = config(&[refused, good.address]);
    if let [first, second] = &mut config.nodes[..] {
        first.priority = 1;
        second.priority = 0;
    }
    let client = Client::new(config);
    let exchange = Exchange::new();
    let cx = ForwardContext { exchange: Some(&exchange), ..ForwardContext::default() };
    client.forward(request("GET", "/", Body::empty()), cx).await.unwrap();
    let facts: Vec<_> = exchange
        .attempts()
        .map(|attempt| (attempt.address, attempt.status.map(|status| status.as_u16()), attempt.reason))
        .collect();
    assert_eq!(facts, [(None, None, Some("connect_refused")), (Some(good.address), Some(200), None)]);
}

#[tokio::test]
async fn the_host_follows_the_node_over_attempts() {
    let good = Origin::naming().await;
    let mut config = config(&[refusing().await, good.address]);
    config.pass_host = tollgate::upstream::PassHost::Node;
    let client = Client::new(config);
    for _ in 0..4 {
        client.get("/").await.unwrap();
    }
    let host = good.address.to_string();
    assert!(good.seen().iter().all(|request| field(request, "host") == Some(&host)));
}

#[tokio::test]
async fn shares_are_exact() {
    let mut origins = Vec::new();
    for _ in 0..3 {
        origins.push(Origin::naming().await);
    }
    let mut config = config(&[]);
    let weighted = origins.iter().zip([3, 2, 1]);
    config.nodes = weighted.map(|(origin, weight)| node(origin.address).with_weight(weight)).collect();
    let client = Client::new(config);
    for _ in 0..60 {
        client.get("/").await.unwrap();
    }
    let counts: Vec<_> = origins.iter().map(|origin| origin.seen().len()).collect();
    assert_eq!(counts, [30, 20, 10]);
}

#[tokio::test]
async fn a_node_of_weight_0_gets_nothing_while_another_has_some() {
    let origins = [Origin::naming().await, Origin::naming().await];
    for weights in [[0, 7], [0, 0]] {
        let before: Vec<_> = origins.iter().map(|origin| origin.seen().len()).collect();
        let mut config = config(&[]);
        let weighted = origins.iter().zip(weights);
        config.nodes = weighted.map(|(origin, weight)| node(origin.address).with_weight(weight)).collect();
        let client = Client::new(config);
        for _ in 0..10 {
            client.get("/").await.unwrap();
        }
        let counts: Vec<_> = origins.iter().zip(before).map(|(origin, before)| origin.seen().len() - before).collect();
        // All weights 0 are equal weights.
        assert_eq!(counts, if weights == [0, 7] { [0, 10] } else { [5, 5] });
    }
    let mut alone = config(&[]);
    alone.nodes = vec![node(origins[0].address).with_weight(0)];
    Client::new(alone).get("/").await.unwrap();
}

#[tokio::test]
async fn a_lower_priority_serves_what_every_higher_node_failed() {
    let (spare, idle) = (Origin::naming().await, Origin::naming().await);
    let mut config = config(&[refusing().await, refusing().await, spare.address, idle.address]);
    for (node, priority) in config.nodes.iter_mut().zip([10, 10, 0, -5]) {
        node.priority = priority;
    }
    // One retry reaches the other node of the first group only.
    config.retry = patient(1);
    assert_eq!(Client::new(config.clone()).get("/").await.unwrap_err().reason(), "connect_refused");
    config.retry = patient(2);
    let client = Client::new(config);
    for _ in 0..5 {
        assert_eq!(client.get("/").await.unwrap().0, 200);
    }
    assert_eq!((spare.seen().len(), idle.seen().len()), (5, 0));
}

/// Picks the member that the request names.
struct Named(Vec<std::sync::Arc<str>>);

impl tollgate::upstream::balance::Balancer for Named {
    fn pick(&self, pick: &tollgate::upstream::balance::Pick<'_>) -> Option<usize> {
        let wanted = pick.request.headers.get("x-node")?;
        self.0.iter().position(|name| name.as_bytes() == wanted).filter(|index| pick.is_usable(*index))
    }
}

#[tokio::test]
async fn a_balancer_of_the_hosts_own_decides() {
    use tollgate::upstream::balance::{Balancer, Member, Policy};
    let (one, two) = (Origin::naming().await, Origin::naming().await);
    let mut config = config(&[one.address, two.address]);
    config.balancer = "named".into();
    let factory = |members: &[Member], _: &Policy| -> std::sync::Arc<dyn Balancer> {
        std::sync::Arc::new(Named(members.iter().map(|member| member.name.clone()).collect()))
    };
    let upstreams = tollgate::upstream::Upstreams::builder().balancer("named", factory).build();
    let upstream = upstreams.compile(config, &tollgate::upstream::Endpoints::new()).unwrap();
    let client = Client { upstreams, upstream };
    for _ in 0..5 {
        let mut request = request("GET", "/", Body::empty());
        request.headers_mut().insert("x-node", two.address.to_string().parse().unwrap());
        client.send(request).await.unwrap();
    }
    assert_eq!((one.seen().len(), two.seen().len()), (0, 5));
    assert_eq!(client.get("/").await.unwrap_err().reason(), "no_endpoint");
}

/// Random faults, many clients, every exchange with an id of its own (security.md UP-06).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_up_06_no_answer_reaches_another_request() {
    async fn faulty() -> Origin {
        Origin::start(|mut conn| async move {
            let mut served = 0u32;
            while let Some(request) = conn.request().await {
                served += 1;
                let id = field(&request, "x-id").unwrap().to_owned();
                let number: u32 = id.parse().unwrap();
                match number.wrapping_mul(2_654_435_761) >> 28 {
                    0 => return,
                    1 => return conn.reset(),
                    2 => return conn.send(format!("HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{id}")).await,
                    3 => conn.send("HTTP/1.1 200 OK\r\ncontent-length: 4, 4\r\n\r\nevil").await,
                    4 => conn.send(ok(&id) + "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil").await,
                    5 => {
                        let length = id.len();
                        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                        conn.send(format!("{head}{length:x}\r\n{id}\r\n0\r\n\r\n")).await;
                    }
                    _ => conn.send(ok(&id)).await,
                }
                if served > 50 {
                    return;
                }
            }
        })
        .await
    }
    let (one, two) = (faulty().await, faulty().await);
    let mut config = config(&[one.address, two.address]);
    config.retry = RetryConfig { budget_min_per_second: 10_000, backoff_base: Duration::ZERO, ..patient(1) };
    let client = std::sync::Arc::new(Client::new(config));
    let mut tasks = Vec::new();
    for worker in 0..16u32 {
        let client = std::sync::Arc::clone(&client);
        tasks.push(tokio::spawn(async move {
            let mut ends: HashMap<&'static str, u32> = HashMap::new();
            for turn in 0..250 {
                let id = (worker * 1000 + turn).to_string();
                let mut request = request("GET", "/", Body::empty());
                request.headers_mut().insert("x-id", id.parse().unwrap());
                let end = match client.send(request).await {
                    Err(_) => "failed",
                    Ok(response) => match text(response).await {
                        Err(_) => "cut",
                        Ok(body) if body == id => "right",
                        Ok(body) => panic!("{body:?} for {id}"),
                    },
                };
                *ends.entry(end).or_default() += 1;
            }
            ends
        }));
    }
    let mut right = 0;
    for task in tasks {
        right += task.await.unwrap().get("right").copied().unwrap_or_default();
    }
    assert!(right > 2000, "{right}");
}

/// Answers every request like this; the second origin says who it is.
async fn answering_then_naming(answer: &'static str) -> (Origin, Origin, tollgate::upstream::UpstreamConfig) {
    let (first, then) =
        (Origin::answering(answer).await, Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nthen").await);
    let mut config = config(&[]);
    config.nodes = vec![node(first.address).with_priority(1), node(then.address)];
    config.retry = RetryConfig { backoff_base: Duration::ZERO, ..patient(1) };
    (first, then, config)
}

#[tokio::test]
async fn a_trailers_only_answer_is_retried_by_its_grpc_status() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\ngrpc-status: 14\r\n\r\n";
    let (_first, then, mut config) = answering_then_naming(answer).await;
    config.retry.grpc_statuses = vec![14];
    let client = Client::new(config.clone());
    assert_eq!(client.get("/").await.unwrap().1, "then");
    // A POST may have done its work, whatever its answer says.
    let post = client.send(request("POST", "/", "x")).await.unwrap();
    assert_eq!(post.headers()["grpc-status"], "14");
    config.retry.methods = vec![http::Method::POST];
    let post = Client::new(config).send(request("POST", "/", "x")).await.unwrap();
    assert_eq!(text(post).await.unwrap(), "then");
    assert_eq!(then.seen().len(), 2);
}

#[tokio::test]
async fn sec_ret_04_a_retry_after_is_waited_for() {
    let answer = "HTTP/1.1 503 No\r\ncontent-length: 0\r\nretry-after: 3600\r\n\r\n";
    let (_first, _then, mut config) = answering_then_naming(answer).await;
    config.retry.statuses = vec![http::StatusCode::SERVICE_UNAVAILABLE];
    config.retry.backoff_max = Duration::from_millis(80);
    let client = Client::new(config);
    let began = tokio::time::Instant::now();
    assert_eq!(client.get("/").await.unwrap().1, "then");
    assert!((Duration::from_millis(80)..Duration::from_secs(10)).contains(&began.elapsed()));
}

#[tokio::test]
async fn only_named_failures_are_retried() {
    let good = Origin::naming().await;
    let bad = dropping(false).await;
    let mut config = config(&[]);
    config.nodes = vec![node(bad.address).with_priority(1), node(good.address)];
    config.retry.failures.reset = false;
    assert_eq!(Client::new(config.clone()).get("/").await.unwrap_err().reason(), "closed_before_response");
    config.nodes = vec![node(refusing().await).with_priority(1), node(good.address)];
    assert_eq!(Client::new(config).get("/").await.unwrap().0, 200);
}
