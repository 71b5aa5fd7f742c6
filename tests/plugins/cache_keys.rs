//! `proxy-cache` among other plugins and routes: who is given whose answer, and what takes it out.
use tollgate::gateway::Gateway;

use super::peers::origin::Origin;
use super::peers::strict::Message;
use super::support::{Rig, route_with};

fn status(answer: &Message) -> &str {
    answer.field("apisix-cache-status").unwrap_or("none")
}

/// A route before the origin, as an item of a list.
fn route(id: &str, more: &str, plugins: &str) -> String {
    format!("  - {{id: {id}, uri: '/*', {more} plugins: {plugins}, upstream: {{nodes: {{'127.0.0.1:7001': 1}}}}}}\n")
}

const CACHE: &str = "proxy-cache: {cache_strategy: memory}";

#[tokio::test]
async fn sec_cache_01_what_is_sent_is_part_of_the_key_however_paths_are_read() {
    for (how, targets) in [
        ("path_mode: compatible", ["/a%3Fb=1", "/a?b=1"]),
        ("path_mode: compatible", ["/a%2Fb", "/a/b"]),
        ("delete_uri_tail_slash: true", ["/docs", "/docs/"]),
        ("delete_uri_tail_slash: true", ["/docs?x", "/docs/?x"]),
        ("normalize_uri_like_servlet: true", ["/account;jsessionid=A", "/account;jsessionid=B"]),
    ] {
        let yaml = format!("tollgate: {{router: {{{how}}}}}\n{}", route_with(&format!("{{{CACHE}}}")));
        let rig = Rig::of(&yaml).await;
        for wanted in ["MISS", "HIT"] {
            for target in targets {
                assert_eq!(status(&rig.get(target, &[]).await), wanted, "{how}: {target}");
            }
        }
        assert_eq!(rig.origin.requests().iter().map(Message::target).collect::<Vec<_>>(), targets, "{how}");
    }
}

#[cfg(feature = "callout")]
#[tokio::test]
async fn sec_cache_02_whom_a_policy_names_has_answers_of_his_own() {
    use super::peers::origin::Step;
    let server = Origin::scripted(|connection| {
        let user = if connection % 2 == 0 { "ann" } else { "bob" };
        let body = format!("{{\"result\": {{\"allow\": true, \"headers\": {{\"X-Forwarded-User\": \"{user}\"}}}}}}");
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        vec![Step::Request, Step::send(format!("{head}{body}")), Step::Close]
    })
    .await;
    let opa = format!("host: 'http://{}', policy: p, send_headers_upstream: [X-Forwarded-User]", server.address());
    let rig = Rig::of(&route_with(&format!("{{opa: {{{opa}}}, {CACHE}}}"))).await;
    for (user, wanted) in [("ann", "MISS"), ("bob", "MISS"), ("ann", "HIT"), ("bob", "HIT")] {
        assert_eq!(status(&rig.get("/", &[]).await), wanted, "{user}");
        assert_eq!(rig.origin.requests().len(), if user == "ann" && wanted == "MISS" { 1 } else { 2 });
    }
    assert_eq!(rig.forwarded().field("x-forwarded-user"), Some("bob"), "the origin learns who it is");
}

#[cfg(feature = "jwe")]
#[tokio::test]
async fn sec_cache_02_what_was_in_a_token_is_for_its_bearer() {
    let jwe = "jwe-decrypt: {header: X-Token, forward_header: X-Claims, strict: false}";
    let example = super::support::example("jwe-decrypt");
    let consumers = example.lines().take_while(|line| !line.starts_with("routes")).collect::<Vec<_>>().join("\n");
    let rig = Rig::of(&format!("{consumers}\n{}", route_with(&format!("{{{jwe}, {CACHE}}}")))).await;
    let bearer = [("x-token", super::jwe_decrypt::TOKEN)];
    for wanted in ["MISS", "HIT"] {
        assert_eq!(status(&rig.get("/", &bearer).await), wanted);
        assert_eq!(status(&rig.get("/", &[]).await), wanted, "nobody is given what is the bearer's");
    }
}

#[tokio::test]
async fn sec_cache_02_a_cache_of_all_routes_answers_nobody_whom_a_route_forbids() {
    for access in ["ua-restriction: {denylist: [evil]}", "ip-restriction: {blacklist: ['203.0.113.9']}"] {
        let rules = format!("global_rules: [{{id: g, plugins: {{{CACHE}}}}}]\n");
        let trusts = "tollgate: {trusted_proxies: ['127.0.0.1']}\n";
        let rig = Rig::of(&format!("{trusts}{rules}{}", route_with(&format!("{{{access}}}")))).await;
        let from = |address: &'static str| ("x-forwarded-for", address);
        let friend = [("user-agent", "good"), from("198.51.100.1")];
        for wanted in ["MISS", "HIT"] {
            assert_eq!(status(&rig.get("/", &friend).await), wanted, "{access}");
        }
        assert_eq!(rig.get("/", &[("user-agent", "evil"), from("203.0.113.9")]).await.status(), 403, "{access}");
    }
}

#[tokio::test]
async fn a_cache_of_all_routes_gives_way_to_a_routes_own() {
    let rules = format!("global_rules: [{{id: g, plugins: {{{CACHE}}}}}]\n");
    let own = "{proxy-cache: {cache_strategy: memory, no_cache: ['$http_x_once'], status_header: X-Own}}";
    let rig = Rig::of(&format!("{rules}{}", route_with(own))).await;
    for wanted in ["MISS", "MISS"] {
        let answer = rig.get("/", &[("x-once", "1")]).await;
        assert_eq!((answer.field("x-own"), answer.field("apisix-cache-status")), (Some(wanted), None));
    }
}

#[tokio::test]
async fn sec_cache_02_each_upstream_of_a_split_answers_its_own() {
    let beta = Origin::saying("beta").await;
    let split = format!(
        "traffic-split: {{rules: [{{match: [{{vars: [[http_x_beta, '==', '1']]}}], \
         weighted_upstreams: [{{upstream: {{nodes: {{'{}': 1}}}}}}]}}]}}",
        beta.address()
    );
    let rig = Rig::of(&route_with(&format!("{{{split}, {CACHE}}}"))).await;
    for wanted in ["MISS", "HIT"] {
        for (sent, said) in [("1", "beta"), ("0", "origin")] {
            let answer = rig.get("/", &[("x-beta", sent)]).await;
            assert_eq!((status(&answer), answer.text().as_str()), (wanted, said));
        }
    }
    assert_eq!(rig.ask("PURGE /", &[]).await.status(), 200);
    assert_eq!(status(&rig.get("/", &[("x-beta", "1")]).await), "MISS", "a purge takes out both");
}

#[tokio::test]
async fn what_an_upstream_says_that_stands_in_is_not_kept() {
    let stand_in = Origin::saying("stand-in").await;
    let breaker = "api-breaker: {break_response_code: 503, fallback_upstream_id: other, unhealthy: {failures: 1}}";
    let upstreams = format!("upstreams: [{{id: other, nodes: {{'{}': 1}}}}]\n", stand_in.address());
    let failing = Origin::answering("HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\ntheirs").await;
    let yaml = format!("{upstreams}{}", route_with(&format!("{{{breaker}, {CACHE}}}")));
    let rig = Rig::before(failing, Gateway::builder(), &yaml).await;
    for said in ["theirs", "stand-in", "stand-in"] {
        let answer = rig.get("/", &[]).await;
        assert_eq!((status(&answer), answer.text().as_str()), ("MISS", said));
    }
}

#[tokio::test]
async fn a_prefix_that_a_plugin_tells_reaches_the_origin_and_is_part_of_the_key() {
    let rewrite = "proxy-rewrite: {headers: {set: {X-Forwarded-Prefix: /$http_x_tenant}}}";
    let rig = Rig::of(&route_with(&format!("{{{rewrite}, {CACHE}}}"))).await;
    for (tenant, wanted) in [("a", "MISS"), ("b", "MISS"), ("a", "HIT")] {
        let fields = [("x-tenant", tenant), ("x-forwarded-prefix", "/forged")];
        assert_eq!(status(&rig.get("/", &fields).await), wanted, "{tenant}");
    }
    assert_eq!(rig.forwarded().all("x-forwarded-prefix"), ["/b"]);
}

#[tokio::test]
async fn what_goes_goes_on_all_ways_to_it() {
    let trusts = "tollgate: {trusted_proxies: ['127.0.0.1']}\nroutes:\n";
    let reads = route("reads", "methods: [GET, PURGE],", &format!("{{{CACHE}}}"));
    let staff = route("staff", "priority: 9, vars: [[http_x_staff, '==', '1']],", &format!("{{{CACHE}}}"));
    let writes = route("writes", "methods: [PUT],", &format!("{{{CACHE}}}"));
    let rig = Rig::of(&format!("{trusts}{reads}{staff}{writes}")).await;
    let ways: [&[(&str, &str)]; 3] =
        [&[], &[("x-forwarded-host", "shop.test"), ("x-forwarded-proto", "https")], &[("x-staff", "1")]];
    // from this machine past the balancer, and by a change on a route of its own
    for taken_out_by in ["PURGE /news/1", "PUT /news/1"] {
        for wanted in ["MISS", "HIT"] {
            for way in ways {
                assert_eq!(status(&rig.get("/news/1", way).await), wanted, "{taken_out_by}: {way:?}");
                let other = status(&rig.get("/news/2", way).await).to_owned();
                assert_eq!(other, if taken_out_by.starts_with("PUT") { "HIT" } else { wanted }, "another URL stays");
            }
        }
        assert_eq!(rig.ask(taken_out_by, &[]).await.status(), 200);
    }
}

#[tokio::test]
async fn sec_cache_02_a_page_under_the_clients_name_of_a_file_is_not_kept() {
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\npage";
    let plugins = format!("{{proxy-rewrite: {{uri: /index.php}}, {CACHE}}}");
    let rig = Rig::before(Origin::answering(page).await, Gateway::builder(), &route_with(&plugins)).await;
    for (target, second) in [("/account/x.css", "MISS"), ("/account", "HIT")] {
        assert_eq!(status(&rig.get(target, &[]).await), "MISS");
        assert_eq!(status(&rig.get(target, &[]).await), second, "{target}");
    }
}
