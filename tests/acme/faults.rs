//! Authorities and networks that fail.
use std::time::Duration;

use tollgate::acme::{Challenge, State};

use super::pebble::Ways;
use super::rig::{Part, Rig, wanted};

#[tokio::test]
async fn nonces_that_are_rejected_cost_no_certificate() {
    let rig = Rig::new(Ways { rejects: 25, ..Ways::default() }).await;
    let mut part = rig.part();
    let names: Vec<_> = (0..4).map(|number| format!("n{number}.test")).collect();
    names.iter().for_each(|name| part.certificates.put(wanted(name, &[name])));
    part.run();
    for name in &names {
        part.until(name, "valid", |item| {
            // An order may see more rejections than it bears; the next one is due within minutes.
            if item.state == State::Failing {
                rig.clock.advance(Duration::from_secs(60));
            }
            item.state == State::Valid
        })
        .await;
    }
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_named_with_the_reason() {
    let rig = Rig::new(Ways::default()).await;
    // nobody answers
    let mut part = Part::new(rig.builder(Challenge::Http01).build().unwrap(), None);
    part.certificates.put(wanted("shop", &["shop.test"]));
    part.run();
    let failing = part.until("shop", "failing", |item| item.state == State::Failing).await;
    let error = failing.error.unwrap();
    assert!(error.contains("shop.test") && error.contains("refused"), "{error}");
    assert_eq!(part.shown("shop.test"), None);
    assert_eq!(rig.files("answers"), [""; 0]);
    // Another process does not try before it is due, and knows why.
    let mut other = rig.part();
    other.certificates.put(wanted("shop", &["shop.test"]));
    other.run();
    let known = other.until("shop", "known to fail", |item| item.failures == 1).await;
    assert_eq!(known.error, Some(error));
    assert_eq!(rig.pebble.issued(), 0);
    rig.clock.advance(Duration::from_secs(61));
    for part in [&part, &other] {
        part.until_valid("shop").await;
    }
    assert_eq!(rig.pebble.issued(), 1);
}

#[tokio::test]
async fn a_directory_that_nobody_vouches_for_is_not_believed() {
    let rig = Rig::new(Ways::default()).await;
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let mut part = Part::new(rig.builder(Challenge::Http01).ca(other).build().unwrap(), None);
    part.certificates.put(wanted("shop", &["shop.test"]));
    part.run();
    let failing = part.until("shop", "failing", |item| item.state == State::Failing).await;
    assert!(failing.error.unwrap().contains("certificate"));
}
