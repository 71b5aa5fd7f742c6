//! Several gateways on one folder.
use tollgate::acme::Challenge;

use super::pebble::Ways;
use super::rig::{Part, Rig, answer_tls, wanted};

#[tokio::test]
async fn of_three_gateways_one_orders_any_answers_and_all_have_the_certificate() {
    let rig = Rig::new(Ways::default()).await;
    let names = ["a.test", "b.test", "c.test", "d.test"];
    // The authority asks the first one only.
    let silent = || Part::new(rig.builder(Challenge::Http01).build().unwrap(), None);
    let mut parts = [rig.part(), silent(), silent()];
    for part in &mut parts {
        names.iter().for_each(|name| part.certificates.put(wanted(name, &[name])));
    }
    // Those that nobody asks order first.
    parts.iter_mut().rev().for_each(Part::run);
    for name in names {
        for part in &parts {
            part.until_valid(name).await;
        }
        let shown: Vec<_> = parts.iter().map(|part| part.shown(name).unwrap()).collect();
        assert!(shown.windows(2).all(|two| two[0] == two[1]), "{name}");
    }
    assert_eq!(rig.pebble.issued(), names.len());
}

#[tokio::test]
async fn a_gateway_that_nobody_asks_orders_over_tls_and_the_other_one_answers() {
    let rig = Rig::new(Ways::default()).await;
    let part = || Part::new(rig.builder(Challenge::TlsAlpn01).build().unwrap(), None);
    let (mut asked, mut orders) = (part(), part());
    // It has the listener, and no certificate that it would order itself.
    let _server = answer_tls(&asked.certificates, rig.ports.1);
    asked.run();
    orders.certificates.put(wanted("shop", &["shop.test", "www.shop.test"]));
    orders.run();
    orders.until_valid("shop").await;
    assert_eq!((rig.files("proofs"), rig.pebble.issued()), (vec![], 1));
    // What it answered by is gone, and what came serves it as well.
    asked.certificates.put(wanted("shop", &["shop.test", "www.shop.test"]));
    asked.until_valid("shop").await;
    assert_eq!(asked.shown("shop.test"), orders.shown("shop.test"));
    assert_eq!(rig.pebble.issued(), 1);
}
