//! Renewal, by a clock that the test turns.
use std::time::Duration;

use tollgate::acme::State;

use super::pebble::Ways;
use super::rig::{Rig, wanted};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn a_certificate_is_renewed_before_it_is_over_and_no_sooner() {
    let rig = Rig::new(Ways { validity: 90 * DAY.as_secs(), ..Ways::default() }).await;
    let mut part = rig.part();
    part.certificates.put(wanted("shop", &["shop.test"]));
    part.run();
    let first = part.until_valid("shop").await;
    let shown = part.shown("shop.test");
    let left = first.not_after.unwrap().duration_since(first.due.unwrap()).unwrap();
    assert!((30 * DAY..=33 * DAY).contains(&(left + Duration::from_secs(1))), "{left:?}");
    rig.clock.advance(56 * DAY);
    part.until("shop", "looked at", |item| item.state == State::Valid).await;
    assert_eq!(rig.pebble.issued(), 1);
    rig.clock.advance(5 * DAY);
    part.until("shop", "renewed", |_| part.shown("shop.test") != shown).await;
    assert_eq!(rig.pebble.issued(), 2);
    // The authority's clock did not go, so the new one is due as well: it is not ordered again at once.
    part.until("shop", "at rest", |item| item.due > first.due && item.state == State::Valid).await;
    assert_eq!(rig.pebble.issued(), 2);
}

#[tokio::test]
async fn what_cannot_be_renewed_stays_in_force_and_is_tried_again() {
    let mut rig = Rig::new(Ways { validity: 90 * DAY.as_secs(), ..Ways::default() }).await;
    let mut part = rig.part();
    part.certificates.put(wanted("shop", &["shop.test"]));
    part.run();
    part.until_valid("shop").await;
    let shown = part.shown("shop.test");
    rig.pebble.kill();
    rig.clock.advance(62 * DAY);
    let failing = part.until("shop", "failing", |item| item.state == State::Failing).await;
    assert!(failing.error.unwrap().contains("refused"), "the reason is named");
    assert_eq!(part.shown("shop.test"), shown);
    rig.clock.advance(Duration::from_secs(61));
    part.until("shop", "failing again", |item| item.failures == 2).await;
    // It comes back and knows nothing, not even the account.
    rig.pebble.restart().await;
    rig.clock.advance(Duration::from_secs(121));
    let failing = part.until("shop", "without an account", |item| item.failures == 3).await;
    assert!(failing.error.unwrap().contains("accountDoesNotExist"));
    rig.clock.advance(Duration::from_secs(241));
    part.until("shop", "renewed", |_| part.shown("shop.test") != shown).await;
    assert_eq!(part.item("shop").unwrap().failures, 0);
    assert_eq!(rig.files("claims"), [""; 0]);
}
