//! Orders, from nothing to a handshake.
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use tollgate::acme::{Challenge, KeyType};

use super::pebble::Ways;
use super::rig::{Part, Rig, answer_tls, wanted};

#[tokio::test]
async fn a_certificate_is_ordered_over_http_and_a_restart_orders_nothing() {
    let rig = Rig::new(Ways::default()).await;
    let mut part = rig.part();
    part.certificates.put(wanted("shop", &["shop.test", "www.shop.test"]));
    part.run();
    let item = part.until_valid("shop").await;
    assert_eq!((item.failures, item.error), (0, None));
    assert!(item.not_after > item.due);
    let shown = part.shown("www.shop.test").unwrap();
    assert_eq!(part.shown("shop.test"), Some(shown.clone()));
    assert_eq!(part.shown("other.test"), None);
    assert_eq!((rig.files("answers"), rig.files("claims")), (vec![], vec![]), "nothing is left of the order");
    for entry in walk(rig.path()) {
        let mode = std::fs::metadata(&entry).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if entry.is_dir() { 0o700 } else { 0o600 }, "{entry:?}");
    }
    part.end().await;

    let mut again = rig.part();
    again.certificates.put(wanted("shop", &["shop.test", "www.shop.test"]));
    again.issuer.load(&again.certificates);
    assert_eq!(again.shown("shop.test"), Some(shown), "before anything ran");
    again.run();
    again.until_valid("shop").await;
    assert_eq!(rig.pebble.issued(), 1);
}

#[tokio::test]
async fn a_certificate_is_ordered_over_tls_by_the_listener_that_it_is_for() {
    let rig = Rig::new(Ways::default()).await;
    let mut part = Part::new(rig.builder(Challenge::TlsAlpn01).build().unwrap(), None);
    let _server = answer_tls(&part.certificates, rig.ports.1);
    part.certificates.put(wanted("shop", &["shop.test", "www.shop.test"]));
    part.run();
    part.until_valid("shop").await;
    assert!(part.shown("www.shop.test").is_some());
    assert_eq!((rig.files("proofs"), rig.pebble.issued()), (vec![], 1));
}

#[tokio::test]
async fn after_a_failure_the_other_challenge_goes_first() {
    let rig = Rig::new(Ways::default()).await;
    // Nobody listens for TLS, so the first one cannot succeed.
    let both = rig.builder(Challenge::TlsAlpn01).challenges([Challenge::TlsAlpn01, Challenge::Http01]);
    let issuer = both.build().unwrap();
    let server = rig.answer_http(&issuer);
    let mut part = Part::new(issuer, Some(server));
    part.certificates.put(wanted("shop", &["shop.test"]));
    part.run();
    part.until("shop", "failing", |item| item.failures == 1).await;
    rig.clock.advance(Duration::from_secs(61));
    part.until_valid("shop").await;
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

#[tokio::test]
async fn items_come_go_and_change_while_it_runs() {
    let rig = Rig::new(Ways::default()).await;
    let mut part = rig.part();
    part.run();
    part.certificates.put(wanted("a", &["a.test"]));
    part.until_valid("a").await;
    part.certificates.put(wanted("b", &["b.test"]));
    part.until_valid("b").await;
    let (a, b) = (part.shown("a.test"), part.shown("b.test"));
    // the same names: nothing is ordered, and what was there is there
    part.certificates.put(wanted("a", &["a.test"]));
    part.until("a", "in force", |_| part.shown("a.test") == a).await;
    // one name more: ordered anew
    part.certificates.put(wanted("a", &["a.test", "more.test"]));
    part.until("a", "for both names", |_| part.shown("more.test").is_some_and(|new| Some(new) != a)).await;
    part.until_valid("a").await;
    assert!(part.certificates.remove("b"));
    part.until("a", "alone", |_| part.item("b").is_none()).await;
    // it comes back: what was kept is used
    part.certificates.put(wanted("b", &["b.test"]));
    part.until_valid("b").await;
    assert_eq!(part.shown("b.test"), b);
    assert_eq!(rig.pebble.issued(), 3);
}

#[tokio::test]
async fn keys_may_be_of_rsa_and_accounts_bound_to_others() {
    let binding = ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");
    let rig = Rig::new(Ways { binding: Some(binding), ..Ways::default() }).await;
    let issuer = rig.builder(Challenge::Http01).eab(binding.0, binding.1).key_type(KeyType::Rsa).build().unwrap();
    let server = rig.answer_http(&issuer);
    let mut part = Part::new(issuer, Some(server));
    part.certificates.put(wanted("shop", &["shop.test"]));
    part.run();
    part.until_valid("shop").await;
    let kept = std::fs::read_to_string(walk(rig.path()).into_iter().find(|path| path.ends_with("shop.pem")).unwrap());
    let key = rcgen::KeyPair::from_pem(&kept.unwrap()).unwrap();
    assert!(key.is_compatible(&rcgen::PKCS_RSA_SHA256));
}

#[tokio::test]
async fn wildcards_are_not_ordered_and_it_is_said_why() {
    let rig = Rig::new(Ways::default()).await;
    let mut part = rig.part();
    part.certificates.put(wanted("wild", &["*.shop.test"]));
    part.certificates.put(wanted("shop", &["shop.test"]));
    part.run();
    part.until_valid("shop").await;
    let wild = part.item("wild").unwrap();
    assert!(wild.error.unwrap().contains("dns-01"));
    assert_eq!((wild.due, rig.pebble.issued()), (None, 1));
}
