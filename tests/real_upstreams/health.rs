//! nginx as the endpoints of upstreams with checks: one that says it is not well, one that is killed, one that is taken out.
use std::collections::BTreeMap;
use std::fs;

use super::peers::nginx::Nginx;
use super::rig::{ACTIVE, PATIENCE, Rig, be_well, endpoint, shares};

/// Probes that it has had.
fn probes(nginx: &Nginx) -> usize {
    fs::read_to_string(nginx.folder().join("access.log")).unwrap().matches("/healthz").count()
}

#[tokio::test]
async fn an_endpoint_that_says_it_is_not_well_gets_nothing_until_it_is() {
    let (one, two, three) = (endpoint("one", 200), endpoint("two", 200), endpoint("three", 200));
    let rig = Rig::new(&[&one, &two, &three], ACTIVE);
    rig.settles(&["one", "two", "three"]).await;
    be_well(&two, false);
    rig.settles(&["one", "three"]).await;
    be_well(&two, true);
    rig.settles(&["one", "two", "three"]).await;
}

#[tokio::test]
async fn an_endpoint_that_is_killed_costs_no_request() {
    let (one, two, three) = (endpoint("one", 200), endpoint("two", 200), endpoint("three", 200));
    // Requests see it before the next probe does: each costs a retry, and there may not be as many as it would take.
    let rig = Rig::new(&[&one, &two, &three], &format!("{ACTIVE}      passive: {{unhealthy: {{tcp_failures: 1}}}}\n"));
    rig.settles(&["one", "two", "three"]).await;
    drop(two);
    let mut asked = 0;
    let settled = async {
        loop {
            let answers = rig.answers(12).await;
            asked += 12;
            assert!(answers.keys().all(|(status, name)| *status == 200 && name != "two"), "{answers:?}");
            if answers.values().all(|count| *count == 6) && asked > 600 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("it settles");
}

#[tokio::test]
async fn what_requests_see_is_enough_and_a_removed_node_is_not_probed() {
    let (good, bad) = (endpoint("good", 200), endpoint("bad", 500));
    let passive = "    checks: {passive: {unhealthy: {http_failures: 3}}}\n";
    let rig = Rig::new(&[&good, &bad], passive);
    let mut failures = 0;
    while rig.in_use() != [true, false] {
        failures += usize::from(rig.get("/", &[]).await.0 == 500);
        assert_eq!(rig.status().endpoints[1].health.unwrap().is_usable(), failures < 3);
    }
    assert_eq!(rig.answers(12).await, shares(&["good"], 12));
    assert_eq!(probes(&good) + probes(&bad), 0);
    // With probes as well it is known to be well again, and then goes out of the configuration.
    rig.apply(&[&good, &bad], ACTIVE);
    let probed = async {
        while probes(&good) < 2 || probes(&bad) < 2 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(PATIENCE, probed).await.expect("probes come");
    rig.apply(&[&good], ACTIVE);
    let (before, other) = (probes(&bad), probes(&good));
    let more = async {
        while probes(&good) < other + 3 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(PATIENCE, more).await.expect("probes go on");
    // One may have been under way.
    assert!(probes(&bad) <= before + 1);
}

#[tokio::test]
async fn each_user_stays_at_an_endpoint_while_it_is_well() {
    let endpoints = ["one", "two", "three"].map(|name| endpoint(name, 200));
    let nodes: Vec<&Nginx> = endpoints.iter().collect();
    let hash = format!("    type: chash\n    hash_on: header\n    key: x-user\n{ACTIVE}");
    let rig = Rig::new(&nodes, &hash);
    let mut places = BTreeMap::new();
    for user in 0..60 {
        let name = rig.get("/", &[("x-user", &user.to_string())]).await.1;
        assert_eq!(rig.get("/", &[("x-user", &user.to_string())]).await.1, name);
        places.insert(user, name);
    }
    be_well(&endpoints[1], false);
    let moved = async {
        loop {
            let mut at_two = 0;
            for (user, place) in &places {
                let name = rig.get("/", &[("x-user", &user.to_string())]).await.1;
                at_two += usize::from(name == "two");
                assert!(place == "two" || name == *place, "who was elsewhere stays there");
            }
            if at_two == 0 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, moved).await.expect("they move");
    be_well(&endpoints[1], true);
    let back = async {
        for (user, place) in &places {
            while rig.get("/", &[("x-user", &user.to_string())]).await.1 != *place {}
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("they come back");
}
