//! nginx as the endpoints that balancers choose from: by what they are busy with, how fast they are, how long they
//! are there, who has been there before, and what they are for.
use std::time::{Duration, Instant};

use super::rig::{ACTIVE, Desk, PATIENCE, Rig, endpoint, get, node, read, shares, until};

#[tokio::test]
async fn least_conn_spares_who_is_busy_through_changes_of_the_file() {
    let desk = Desk::open().await;
    let (one, two, three) = (desk.endpoint("one"), desk.endpoint("two"), endpoint("three", 200));
    let rig = Rig::new(&[&one, &two], "    type: least_conn\n");
    let held = rig.begin("/held");
    desk.holds(1).await;
    let busy = desk.came().remove(0);
    let free = if busy == "one" { "two" } else { "one" };
    assert_eq!(rig.answers(6).await, shares(&[free], 6));
    rig.apply(&[&one, &two, &three], "    type: least_conn\n");
    assert_eq!(rig.answers(6).await, shares(&[free, "three"], 3));
    desk.let_go(1);
    assert_eq!(held.await.unwrap(), (200, busy));
    rig.settles(&["one", "two", "three"]).await;
}

#[tokio::test]
async fn ewma_leaves_who_was_slow() {
    let desk = Desk::open().await;
    let (fast, slow) = (endpoint("fast", 200), desk.endpoint("slow"));
    let rig = Rig::new(&[&fast, &slow], "    type: ewma\n    per_try_timeout_ms: 300\n");
    let met = async {
        while desk.came().is_empty() {
            // Who is too slow costs no request, as there is another one.
            assert_eq!(rig.get("/held", &[]).await, (200, "fast".to_owned()));
        }
    };
    tokio::time::timeout(PATIENCE, met).await.expect("equals are picked at random");
    assert_eq!(rig.answers(40).await, shares(&["fast"], 40));
}

#[tokio::test]
async fn slow_start_gives_a_newcomer_its_share_by_and_by() {
    let (one, two, new) = (endpoint("one", 200), endpoint("two", 200), endpoint("new", 200));
    let slowly = "    slow_start: {window_ms: 2000}\n";
    let (rig, began) = (Rig::new(&[&one, &two], slowly), Instant::now());
    // Who begins together is alike.
    assert_eq!(rig.answers(12).await, shares(&["one", "two"], 6));
    until("the first two to be of age", || began.elapsed() > Duration::from_secs(2)).await;
    rig.apply(&[&one, &two, &new], slowly);
    let weights = || rig.status().endpoints.iter().map(|endpoint| endpoint.weight).collect::<Vec<_>>();
    let first = weights();
    assert!(first[0] == first[1] && first[2] < first[0] / 2, "{first:?}");
    assert!(rig.answers(12).await.get(&(200, "new".to_owned())).is_none_or(|share| *share < 4));
    until("the newcomer to have grown", || weights() == [weights()[0]; 3]).await;
    rig.settles(&["one", "two", "new"]).await;
}

#[tokio::test]
async fn a_session_stays_with_its_endpoint_at_every_gateway_until_that_is_gone() {
    let (one, two, three) = (endpoint("one", 200), endpoint("two", 200), endpoint("three", 200));
    let affine = "    affinity: {cookie: node, secret: one and the same for all gateways}\n";
    let nodes = [&one, &two, &three];
    let (rig, other) = (Rig::new(&nodes, affine), Rig::new(&nodes, affine));
    let first = rig.send(get("/", &[])).await;
    let cookie = first.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let (_, place) = read(first).await;
    for gateway in [&rig, &other] {
        for _ in 0..6 {
            let answer = gateway.send(get("/", &[("cookie", &cookie)])).await;
            assert!(!answer.headers().contains_key("set-cookie"), "nothing is new");
            assert_eq!(read(answer).await, (200, place.clone()));
        }
    }
    let mut endpoints = vec![("one", one), ("two", two), ("three", three)];
    endpoints.retain(|(name, _)| *name != place);
    let answer = rig.send(get("/", &[("cookie", &cookie)])).await;
    let anew = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(anew, cookie);
    let (status, place) = read(answer).await;
    assert_eq!((status, endpoints.iter().any(|(name, _)| *name == place)), (200, true));
    for _ in 0..6 {
        assert_eq!(rig.get("/", &[("cookie", &anew)]).await, (200, place.clone()));
    }
}

#[tokio::test]
async fn a_lower_priority_serves_while_nobody_above_can() {
    let (first, second) = (endpoint("first", 200), endpoint("second", 200));
    let (above, below) = (node(first.address().port(), 0), node(second.address().port(), -1));
    let rig = Rig::of(&format!("[{above}, {below}]"), ACTIVE);
    assert_eq!(rig.answers(12).await, shares(&["first"], 12));
    drop(first);
    // Until probes have seen it, each request tries the one above first.
    assert_eq!(rig.answers(12).await, shares(&["second"], 12));
    rig.settles(&["second"]).await;
}
