//! `traffic-split` as its example has it.
use std::collections::BTreeMap;

use tollgate::gateway::Gateway;

use super::peers::origin::{Origin, Step};
use super::support::{Rig, example, refused, route_with};

/// How often each `Host` was forwarded, over so many requests of that target.
async fn shares(rig: &Rig, target: &str, fields: &[(&str, &str)], count: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..count {
        assert_eq!(rig.get(target, fields).await.status(), 200);
        let host = rig.forwarded().field("host").unwrap().to_owned();
        *shares.entry(host).or_insert(0) += 1;
    }
    shares
}

fn counted(shares: &[(&str, usize)]) -> BTreeMap<String, usize> {
    shares.iter().map(|(host, count)| ((*host).to_owned(), *count)).collect()
}

#[tokio::test]
async fn shares_are_exact_and_testers_have_their_own() {
    let rig = Rig::example("traffic-split").await;
    let all = counted(&[("canary.internal", 10), ("gw.test", 40)]);
    assert_eq!(shares(&rig, "/shop/1", &[], 50).await, all);
    for field in [("x-tester", "yes"), ("cookie", "a=b; tester=yes")] {
        assert_eq!(shares(&rig, "/shop/1", &[field], 3).await, counted(&[("beta.internal", 3)]));
    }
    // The cycle goes on where it stood when the configuration is read anew with another fault-free change.
    assert_eq!(shares(&rig, "/shop/1", &[], 3).await.values().sum::<usize>(), 3);
    rig.apply(&example("traffic-split").replace("id: account", "id: accounts"));
    let mut rest = shares(&rig, "/shop/1", &[], 2).await;
    rest.remove("gw.test");
    assert!(rest.values().sum::<usize>() <= 1);
    assert_eq!(shares(&rig, "/shop/1", &[], 10).await, counted(&[("canary.internal", 2), ("gw.test", 8)]));
}

#[tokio::test]
async fn a_user_stays_where_she_is() {
    let rig = Rig::example("traffic-split").await;
    let mut places = BTreeMap::new();
    for user in 0..24 {
        let user = user.to_string();
        let mut seen = shares(&rig, "/account/1", &[("x-user", &user)], 3).await;
        let (host, count) = seen.pop_first().unwrap();
        assert_eq!((count, seen.len()), (3, 0), "user {user} moved");
        *places.entry(host).or_insert(0) += 1;
    }
    assert!(places.len() == 2 && places.values().all(|users| *users > 4), "{places:?}");
    // Whoever is nobody takes turns.
    assert_eq!(shares(&rig, "/account/1", &[], 4).await, counted(&[("canary.internal", 2), ("gw.test", 2)]));
}

#[tokio::test]
async fn a_missing_upstream_fails_only_when_it_is_picked() {
    let rig = Rig::of(&route_with(
        "{traffic-split: {rules: [{match: [{vars: [[arg_a, ==, '1']]}], weighted_upstreams: [{upstream_id: gone}]}, \
         {weighted_upstreams: [{upstream_id: gone, weight: 0}, {weight: 1}]}]}}",
    ))
    .await;
    let answer = rig.get("/?a=1", &[]).await;
    let text = "failed to fetch upstream info by upstream id: gone";
    assert_eq!((answer.status(), answer.text().as_str()), (500, text));
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(rig.get("/", &[]).await.status(), 200);
    // It is picked up when it appears.
    let there = "upstreams: [{id: gone, nodes: {\"127.0.0.1:7001\": 1}}]\n";
    let route = route_with(
        "{traffic-split: {rules: [{match: [{vars: [[arg_a, ==, '1']]}], weighted_upstreams: [{upstream_id: gone}]}, \
         {weighted_upstreams: [{upstream_id: gone, weight: 0}, {weight: 1}]}]}}",
    );
    rig.apply(&format!("{route}{there}"));
    assert_eq!(rig.get("/?a=1", &[]).await.status(), 200);
}

#[tokio::test]
async fn retries_stay_inside_the_picked_upstream() {
    // Two nodes that refuse, and the route's own upstream that would answer.
    let closed = Origin::scripted(|_| vec![Step::Reset]).await;
    let nodes = format!("{{\"{0}\": 1, \"localhost:{1}\": 1}}", closed.address(), closed.address().port());
    let rig = Rig::of(&route_with(&format!(
        "{{traffic-split: {{rules: [{{weighted_upstreams: [{{upstream: {{nodes: {nodes}, retries: 1}}}}]}}]}}}}"
    )))
    .await;
    assert_eq!(rig.get("/", &[]).await.status(), 502);
    assert_eq!(rig.forwarded_count(), 0);
}

#[tokio::test]
async fn a_split_in_an_outer_rule_is_undone_by_the_routes_own() {
    let own = route_with("{traffic-split: {rules: [{match: [{vars: [[arg_own, ==, '1']]}]}]}}");
    let global = "global_rules: [{id: g, plugins: {traffic-split: {rules: [{weighted_upstreams: [{upstream: \
                  {nodes: {\"127.0.0.1:7001\": 1}, pass_host: rewrite, upstream_host: global.test}}]}]}}}]\n";
    let origin = Origin::saying("origin").await;
    let rig = Rig::before(origin, Gateway::builder(), &format!("{own}{global}")).await;
    assert_eq!(shares(&rig, "/", &[], 2).await, counted(&[("global.test", 2)]));
    assert_eq!(shares(&rig, "/?own=1", &[], 2).await, counted(&[("gw.test", 2)]));
}

#[test]
fn faults_are_named_by_their_place() {
    for (rules, says) in [
        ("[{weighted_upstreams: []}]", "err: has 1 to 20 entries"),
        (
            "[{weighted_upstreams: [{upstream: {nodes: {\"a:1\": 1}, type: none}}]}]",
            "rules.0.weighted_upstreams.0.upstream: ",
        ),
        ("[{weighted_upstreams: [{upstream: {node: {}}}]}]", "rules.0.weighted_upstreams.0.upstream.node"),
    ] {
        let text = refused(&route_with(&format!("{{traffic-split: {{rules: {rules}}}}}")));
        assert!(text.contains(says), "{text}");
    }
}
