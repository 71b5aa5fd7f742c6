//! `ip-restriction` and `real-ip` as their examples have them.
use std::net::SocketAddr;

use tollgate::plugin::{BuildContext, ConfigError, Gate, GateLayer, Plugin, Stage};
use tollgate::{Body, ConnectInfo, Exchange, Gateway, PluginLayer, Response};
use tower::ServiceExt as _;

use super::support::{Rig, refused, route_with, said};

#[tokio::test]
async fn addresses_decide_before_or_behind_authentication() {
    let rig = Rig::example("ip-restriction").await;
    assert_eq!(rig.get("/internal/1", &[("apikey", "key-of-acme")]).await.status(), 200);
    assert_eq!(rig.get("/internal/1", &[]).await.status(), 401);
    assert_eq!(rig.get("/public/1", &[]).await.status(), 200);

    // What a client says of its address does not count.
    let spoofed =
        [("X-Forwarded-For", "198.51.100.7"), ("X-Real-IP", "198.51.100.7"), ("Forwarded", "for=198.51.100.7")];
    assert_eq!(rig.get("/public/1", &spoofed).await.status(), 200);

    let block =
        |more: &str| route_with(&format!("{{key-auth: {{}}, ip-restriction: {{blacklist: [127.0.0.1]{more}}}}}"));
    rig.apply(&block(""));
    assert_eq!(rig.get("/", &[]).await.status(), 401);
    rig.apply(&block(", early: true"));
    let answer = rig.get("/", &[]).await;
    assert_eq!((answer.status(), said(&answer, "message").as_str()), (403, "Your IP address is not allowed"));
    assert_eq!(answer.field("content-type"), Some("application/json"));
    rig.apply(&block(", early: true, message: gone, response_code: 404"));
    let answer = rig.get("/", &[]).await;
    assert_eq!((answer.status(), said(&answer, "message").as_str()), (404, "gone"));
    assert_eq!(rig.forwarded_count(), 3);
}

#[tokio::test]
async fn a_consumers_list_counts_in_whatever_place_it_stands() {
    const DENIES: &str = "blacklist: [127.0.0.0/8]";
    const ALLOWS: &str = "whitelist: [127.0.0.0/8]";
    let document = |consumer: &str, route: &str| {
        format!(
            "consumers: [{{username: acme, plugins: {{key-auth: {{key: k}}, ip-restriction: {{{consumer}}}}}}}]\n{}",
            route_with(&format!("{{key-auth: {{}}, ip-restriction: {{{route}}}}}"))
        )
    };
    let early = |list: &str| format!("{list}, early: true");
    let rig = Rig::of(&document(DENIES, ALLOWS)).await;
    for (consumer, route, status) in [
        (DENIES.to_owned(), ALLOWS.to_owned(), 403),
        (ALLOWS.to_owned(), DENIES.to_owned(), 200),
        (early(DENIES), ALLOWS.to_owned(), 403),
        (early(ALLOWS), DENIES.to_owned(), 200),
        // The route's has judged before anybody knew who calls.
        (ALLOWS.to_owned(), early(DENIES), 403),
        (DENIES.to_owned(), early(ALLOWS), 403),
    ] {
        rig.apply(&document(&consumer, &route));
        assert_eq!(rig.get("/", &[("apikey", "k")]).await.status(), status, "{consumer} on {route}");
    }
    // Of two early ones the route's stays in force, and that is said.
    rig.apply(&document(&early(DENIES), &early(ALLOWS)));
    assert_eq!(rig.get("/", &[("apikey", "k")]).await.status(), 200);
    let told: Vec<_> = rig.gateway.status().findings.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|text| text.contains("plugins.ip-restriction")), "{told:?}");
}

#[tokio::test]
async fn ten_thousand_networks_are_one_look() {
    let networks: Vec<_> = (0..10_000).map(|index| format!("100.{}.{}.0/25", index / 256, index % 256)).collect();
    let block =
        |list: &str, more: &str| route_with(&format!("{{ip-restriction: {{{list}: [{}{more}]}}}}", networks.join(",")));
    let rig = Rig::of(&block("whitelist", "")).await;
    assert_eq!(rig.get("/", &[]).await.status(), 403);
    rig.apply(&block("whitelist", ",127.0.0.0/8"));
    assert_eq!(rig.get("/", &[]).await.status(), 200);
}

#[tokio::test]
async fn the_client_is_the_right_most_address_that_is_not_trusted() {
    let rig = Rig::example("real-ip").await;
    for (lines, status, client) in [
        (&["192.0.2.1, 10.0.0.1"][..], 200, "192.0.2.1"),
        (&["6.6.6.6, 192.0.2.1", "10.0.0.1,10.0.0.2"], 200, "192.0.2.1"),
        (&["198.51.100.9, 10.0.0.1"], 403, ""),
        (&["192.0.2.1, 198.51.100.9"], 403, ""),
        (&["2001:db8::1"], 200, "2001:db8::1"),
        (&["192.0.2.1:4711"], 200, "192.0.2.1"),
        (&["10.0.0.2, 10.0.0.1"], 200, "10.0.0.2"),
        // Nothing to be read: the peer it stays.
        (&["unknown"], 200, "127.0.0.1"),
        (&[""], 200, "127.0.0.1"),
        (&[], 200, "127.0.0.1"),
    ] {
        let before = rig.forwarded_count();
        let fields: Vec<_> = lines.iter().map(|line| ("X-Forwarded-For", *line)).collect();
        assert_eq!(rig.get("/", &fields).await.status(), status, "{lines:?}");
        if status == 200 {
            let seen = rig.forwarded();
            assert_eq!(
                (seen.field("x-real-ip"), seen.field("x-forwarded-for")),
                (Some(client), Some(client)),
                "{lines:?}"
            );
        }
        assert_eq!(rig.forwarded_count() - before, usize::from(status == 200));
    }
}

#[tokio::test]
async fn a_peer_that_is_not_trusted_names_nobody() {
    let rig = Rig::of(&route_with(
        "{real-ip: {source: http_x_real_ip, trusted_addresses: [10.0.0.0/8]}, ip-restriction: {blacklist: [192.0.2.1]}}",
    ))
    .await;
    assert_eq!(rig.get("/", &[("X-Real-IP", "192.0.2.1")]).await.status(), 200);
    assert_eq!(rig.forwarded().field("x-real-ip"), Some("127.0.0.1"));
    // Without a list of peers, anybody is believed; arguments are sources, too.
    rig.apply(&route_with("{real-ip: {source: arg_ip}, ip-restriction: {blacklist: [192.0.2.1]}}"));
    assert_eq!(rig.get("/?ip=192.0.2.1", &[]).await.status(), 403);
    assert_eq!(rig.get("/?ip=192.0.2.2", &[]).await.status(), 200);
    assert_eq!(rig.forwarded().field("x-real-ip"), Some("192.0.2.2"));
}

/// Says of the way so far what only the gateway knows.
struct Liar;

impl Gate for Liar {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        for name in ["x-real-ip", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"] {
            request.headers_mut().insert(name, "6.6.6.6".parse().unwrap());
        }
        Ok(())
    }
}

impl Plugin for Liar {
    const NAME: &'static str = "liar";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 1;
    type Config = serde_json::Map<String, serde_json::Value>;

    fn build(&self, _: Self::Config, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(GateLayer::of(Self).into())
    }
}

#[tokio::test]
async fn sec_hop_03_a_layers_word_of_the_way_is_no_second_line() {
    let rig = Rig::with(Gateway::builder().plugin(Liar), &route_with("{liar: {}}")).await;
    assert_eq!(rig.get("/", &[]).await.status(), 200);
    let seen = rig.forwarded();
    assert_eq!(seen.all("x-real-ip"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.all("x-forwarded-host"), ["gw.test"]);
    assert_eq!(seen.all("x-forwarded-port"), [rig.address.port().to_string()]);
}

#[tokio::test]
async fn logs_are_told_of_the_client_behind_the_peer() {
    let trusting = |block: &str| format!("tollgate: {{trusted_proxies: [10.0.0.0/8]}}\n{}", route_with(block));
    let rig = Rig::of(&trusting("{}")).await;
    let client = async |peer: SocketAddr| {
        let exchange = Exchange::new();
        let request = http::Request::builder()
            .uri("/?ip=192.0.2.9")
            .header("host", "gw.test")
            .header("x-forwarded-for", "192.0.2.1")
            .extension(ConnectInfo::new(peer))
            .extension(exchange.clone());
        rig.gateway.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        exchange.client().map(|client| client.to_string())
    };
    assert_eq!(client(([10, 0, 0, 1], 80).into()).await.as_deref(), Some("192.0.2.1"));
    assert_eq!(client(([11, 0, 0, 1], 80).into()).await, None);
    rig.apply(&trusting("{real-ip: {source: arg_ip}}"));
    assert_eq!(client(([10, 0, 0, 1], 80).into()).await.as_deref(), Some("192.0.2.9"));
    assert_eq!(client(([11, 0, 0, 1], 80).into()).await.as_deref(), Some("192.0.2.9"));
}

#[tokio::test]
async fn trust_in_anybody_is_warned_of() {
    let rig = Rig::of(&route_with("{real-ip: {source: http_x_real_ip}}")).await;
    let told: Vec<_> = rig.gateway.status().findings.iter().map(ToString::to_string).collect();
    assert!(
        told.len() == 1 && told[0].contains("route `r`, field plugins.real-ip.trusted_addresses: is not set"),
        "{told:?}"
    );
    // Also when the block is taken over from before.
    rig.apply(&(route_with("{real-ip: {source: http_x_real_ip}}") + "services: [{id: other}]\n"));
    assert_eq!(rig.gateway.status().findings.len(), 1);
    rig.apply(&route_with("{real-ip: {source: http_x_real_ip, trusted_addresses: [127.0.0.1]}}"));
    assert!(rig.gateway.status().findings.is_empty());
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, says) in [
        ("{ip-restriction: {blacklist: [10.0.0.1, 10.0.0.256]}}", "invalid ip address: 10.0.0.256"),
        ("{ip-restriction: {blacklist: [10.0.0.256]}}", "plugins.ip-restriction.blacklist.0"),
        ("{ip-restriction: {blacklist: ['::1'], whitelist: ['::1']}}", "exactly one of `whitelist` and `blacklist`"),
        ("{ip-restriction: {blacklist: ['::1'], messages: x}}", "unknown field `messages`"),
        ("{real-ip: {}}", "plugins.real-ip.source"),
        ("{real-ip: {source: arg_a, trusted_addresses: [x]}}", "plugins.real-ip.trusted_addresses.0"),
    ] {
        let faults = refused(&route_with(block));
        assert!(faults.contains(says), "{says} is not in\n{faults}");
    }
}
