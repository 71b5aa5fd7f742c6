//! The certificates of listeners as the configuration has them: which is found for which name, what a change leaves alone,
//! and what is refused.
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate::gateway::{Gateway, admit};
use tollgate::model::Finding;
use tollgate::{Body, ConnectInfo, TlsClient, TlsInfo};
use tower::ServiceExt as _;

use super::secure::{Authority, Certificate};
use super::support::{candidate, snapshot};

fn gateway(ssls: Value) -> Gateway {
    let gateway = Gateway::builder().build().unwrap();
    apply(&gateway, ssls);
    gateway
}

fn apply(gateway: &Gateway, ssls: Value) {
    gateway.apply(snapshot(&json!({"ssls": ssls}))).unwrap();
}

fn found(gateway: &Gateway, name: &str) -> Option<String> {
    gateway.certificates().find(name).map(|certificate| certificate.id().to_owned())
}

pub(super) fn ssl(id: &str, names: &[&str], pair: &Certificate) -> Value {
    json!({"id": id, "snis": names, "cert": pair.chain, "key": pair.key})
}

#[test]
fn names_lead_to_certificates_as_router_md_says() {
    let pair = Authority::new().certificate(&["t.io"]);
    for (row, objects, sni, expected) in [
        ("S1", json!([["a", ["www.t.io"]]]), "www.t.io", Some("a")),
        ("S2", json!([["a", ["www.t.io"]]]), "t.io", None),
        ("S3", json!([["a", ["*.t.io"]]]), "www.t.io", Some("a")),
        ("S4", json!([["a", ["*.t.io"]]]), "x.y.t.io", None),
        ("S5", json!([["a", ["t.io", "*.t.io"]]]), "t.io", Some("a")),
        ("S6", json!([["a", ["*.t.io"]], ["b", ["www.t.io"]]]), "www.t.io", Some("b")),
        ("S7", json!([["a", ["www.t.io."]]]), "WWW.t.io.", Some("a")),
        ("S8", json!([["a", ["*.t.io"], 0], ["b", ["*"]]]), "www.t.io", Some("b")),
        ("S9", json!([["a", ["*.t.io"]], ["b", ["*"]]]), "x.y.t.io", Some("b")),
        ("S10", json!([["a", ["*.t.io", "long-name.example.org"]]]), "x.y.t.io", None),
        ("same name, load order", json!([["b", ["t.io"]], ["a", ["t.io"]]]), "t.io", Some("b")),
        ("same wildcard, load order", json!([["b", ["*.t.io"]], ["a", ["*.t.io"]]]), "x.t.io", Some("b")),
        ("a star among names", json!([["a", ["t.io", "*"]]]), "x.y.z", Some("a")),
        ("a star and one label", json!([["a", ["*"]]]), "localhost", Some("a")),
        ("an A-label in any case", json!([["a", ["XN--BCHER-KVA.t.io"]]]), "xn--bcher-KVA.t.io", Some("a")),
        ("the parent of a wildcard", json!([["a", ["*.t.io"]]]), "t.io", None),
        ("a second dot is part of the name", json!([["a", ["t.io"]]]), "t.io..", None),
        ("nothing", json!([["a", ["*.t.io"]]]), "", None),
    ] {
        let ssls = objects.as_array().unwrap().iter().map(|object| {
            let names: Vec<&str> = object[1].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            let mut ssl = ssl(object[0].as_str().unwrap(), &names, &pair);
            ssl["status"] = object.get(2).cloned().unwrap_or(json!(1));
            ssl
        });
        assert_eq!(found(&gateway(ssls.collect()), sni).as_deref(), expected, "{row}");
    }
}

#[test]
fn certificates_towards_upstreams_are_shown_to_nobody() {
    let pair = Authority::new().certificate(&["t.io"]);
    let mut client = ssl("a", &["t.io"], &pair);
    client["type"] = json!("client");
    assert_eq!(found(&gateway(json!([client])), "t.io"), None);
}

#[test]
fn what_differs_is_read_and_the_rest_is_the_same_as_before() {
    let authority = Authority::new();
    let pairs = [(); 4].map(|()| authority.certificate(&["t.io"]));
    let one = |place: usize, pair: usize| ssl(&format!("s{place}"), &[&format!("{place}.t.io")], &pairs[pair]);
    let gateway = gateway(json!([one(0, 0), one(1, 1), one(2, 2)]));
    let table = gateway.certificates();
    let mut changed = table.changed();
    let before = table.all();
    changed.mark_unchanged();
    apply(&gateway, json!([one(0, 0), one(1, 3), one(2, 2)]));
    let after = table.all();
    let same: Vec<bool> = before.iter().zip(&after).map(|(before, after)| Arc::ptr_eq(before, after)).collect();
    assert_eq!(same, [true, false, true]);
    assert!(changed.has_changed().unwrap());
    assert_ne!(before[1].pairs()[0].chain(), after[1].pairs()[0].chain());
    changed.mark_unchanged();
    // Something else changes.
    let ssls = json!([one(0, 0), one(1, 3), one(2, 2)]);
    gateway.apply(snapshot(&json!({"ssls": ssls, "routes": [{"id": "r", "uri": "/", "plugins": {}}]}))).unwrap();
    assert!(!changed.has_changed().unwrap());
    // One goes.
    apply(&gateway, json!([one(0, 0), one(2, 2)]));
    assert_eq!((found(&gateway, "1.t.io"), found(&gateway, "2.t.io").as_deref()), (None, Some("s2")));
    // What a host has put there is no business of the configuration.
    let own = tollgate::tls::Certificate::builder("own").name("own.test").issued().build().unwrap();
    own.install(before[0].pairs().to_vec()).unwrap();
    table.put(own);
    apply(&gateway, json!([]));
    assert_eq!(table.all().len(), 1);
    assert_eq!(found(&gateway, "own.test").as_deref(), Some("own"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    /// However lists follow upon each other, the last one alone says who is found.
    #[test]
    fn any_way_to_a_list_leads_to_its_table(
        lists in prop::collection::vec(prop::collection::vec((0..6_usize, 0..3_usize, prop::bool::weighted(0.9)), 0..6), 1..6),
    ) {
        static PAIR: std::sync::LazyLock<Certificate> =
            std::sync::LazyLock::new(|| Authority::new().certificate(&["t.io"]));
        let names = ["t.io", "*.t.io", "*"];
        let live = gateway(json!([]));
        let mut last = json!([]);
        for list in &lists {
            let mut seen = std::collections::HashSet::new();
            let ssls = list.iter().filter(|(id, ..)| seen.insert(*id)).map(|(id, name, on)| {
                let mut ssl = ssl(&format!("s{id}"), &[names[*name]], &PAIR);
                ssl["status"] = json!(u8::from(*on));
                ssl
            });
            last = ssls.collect();
            apply(&live, last.clone());
        }
        let fresh = gateway(last);
        let ids = |gateway: &Gateway| -> Vec<String> {
            gateway.certificates().all().iter().map(|certificate| certificate.id().to_owned()).collect()
        };
        prop_assert_eq!(ids(&live), ids(&fresh));
        for name in ["t.io", "x.t.io", "y.x.t.io"] {
            prop_assert_eq!(found(&live, name), found(&fresh, name));
        }
    }
}

#[test]
fn sec_tls_04_what_is_broken_is_refused_by_field_and_the_old_one_stays() {
    let authority = Authority::new();
    let (good, other) = (authority.certificate(&["t.io"]), authority.certificate(&["t.io"]));
    let expired = authority.expired("t.io");
    let pem = |label: &str| format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", "QUFB".repeat(32));
    let gateway = gateway(json!([ssl("a", &["t.io"], &good)]));
    let shown = || gateway.certificates().find("t.io").unwrap().pairs()[0].chain().to_vec();
    let before = shown();
    for (change, field, says) in [
        (json!({"key": other.key}), "key", "does not belong to the certificate"),
        (json!({"cert": expired.chain, "key": expired.key}), "cert", "has expired"),
        (json!({"cert": pem("CERTIFICATE")}), "cert", "certificate 1 in it does not parse"),
        (json!({"cert": pem("X509 CRL")}), "cert", "there is none in it"),
        (json!({"cert": good.chain.clone() + &*pem("CERTIFICATE")}), "cert", "certificate 2 in it does not parse"),
        (json!({"key": pem("PRIVATE KEY")}), "key", "of no kind that can sign"),
        (json!({"key": pem("CERTIFICATE")}), "key", "there is none in it"),
        (json!({"certs": [good.chain], "keys": [other.key]}), "keys[0]", "does not belong to the certificate"),
        (json!({"certs": [expired.chain], "keys": [expired.key]}), "certs[0]", "has expired"),
        (json!({"snis": ["t.io", "*x.io"]}), "snis", "`*x.io` is no server name"),
        (json!({"client": {"ca": pem("CERTIFICATE")}}), "client.ca", "it does not parse"),
        (
            json!({"client": {"ca": authority.pem, "skip_mtls_uri_regex": ["("]}}),
            "client.skip_mtls_uri_regex",
            "is no regular expression",
        ),
        (json!({"ssl_protocols": ["TLSv1.1"]}), "ssl_protocols", "TLS 1.1 is never spoken"),
    ] {
        let mut spec = ssl("a", &["t.io"], &good);
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let candidate = candidate(&json!({"ssls": [spec], "routes": [{"id": "r", "uri": "/", "plugins": {}}]}));
        let refused = gateway.apply(candidate.clone()).unwrap_err();
        let [finding] = refused.findings() else { panic!("{refused}") };
        assert_eq!((&*finding.path, finding.id.as_ref().map(|id| id.as_str())), (field, Some("a")), "{finding}");
        assert!(finding.message.contains(says) && finding.mend.is_some(), "{finding}");
        assert!(!finding.to_string().contains("QUFB"), "{finding}");
        assert_eq!(shown(), before);
        // The rest of that configuration takes effect, with the old one in it.
        let admitted = admit(candidate, refused.findings(), Some(&gateway.snapshot()));
        assert_eq!(admitted.kept.len(), 1);
        gateway.apply(admitted.snapshot).unwrap();
        assert_eq!((shown(), gateway.snapshot().routes.len()), (before.clone(), 1));
        apply(&gateway, json!([ssl("a", &["t.io"], &good)]));
    }
}

/// As keys are to be kept: for their owner alone.
fn write_key(path: &Path, key: &str) {
    fs::write(path, key).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn messages(gateway: &Gateway) -> Vec<String> {
    gateway.status().findings.iter().map(Finding::to_string).collect()
}

#[test]
fn an_item_says_itself_how_it_is_stapled() {
    let authority = Authority::new();
    let pair = authority.certificate(&["t.io"]);
    let gateway = Gateway::builder().build().unwrap();
    let stapling = |said: Value| {
        let mut spec = ssl("a", &["t.io"], &pair);
        if !said.is_null() {
            spec["ocsp_stapling"] = said;
        }
        apply(&gateway, json!([spec]));
        let found = gateway.certificates().get("a").unwrap().stapling();
        (found.map(|one| (one.enabled, one.skip_verify, one.cache_ttl.as_secs())), messages(&gateway))
    };
    assert_eq!(stapling(json!(null)), (None, vec![]));
    assert_eq!(stapling(json!({})), (Some((false, false, 3600)), vec![]));
    assert_eq!(stapling(json!({"enabled": true, "cache_ttl": 60})), (Some((true, false, 60)), vec![]));
    let (said, messages) = stapling(json!({"enabled": true, "skip_verify": true}));
    assert_eq!(said, Some((true, true, 3600)));
    assert!(messages.len() == 1 && messages[0].contains("ocsp_stapling.skip_verify"), "{messages:?}");
}

#[test]
fn references_are_followed_looked_up_again_and_fail_closed() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (one, two) = (authority.certificate(&["t.io"]), authority.certificate(&["t.io"]));
    let write = |pair: &Certificate| {
        fs::write(folder.path().join("cert"), &pair.chain).unwrap();
        write_key(&folder.path().join("key"), &pair.key);
    };
    let refers = json!({
        "id": "a", "sni": "t.io", "cert": "$secret://file/f/cert", "key": "$secret://file/f/key",
    });
    let document = json!({
        "secrets": [{"id": "file/f", "path": folder.path()}],
        "ssls": [refers, ssl("b", &["*"], &two)],
    });
    let gateway = Gateway::builder().build().unwrap();
    gateway.apply(snapshot(&document)).unwrap();
    // Without a value it is as if it were not there.
    assert_eq!(found(&gateway, "t.io").as_deref(), Some("b"));
    let [message] = &messages(&gateway)[..] else { panic!("{:?}", messages(&gateway)) };
    assert!(message.contains("is closed: the file `cert` cannot be read"), "{message}");
    write(&one);
    let revision = gateway.refresh_secrets().unwrap();
    assert_eq!(found(&gateway, "t.io").as_deref(), Some("a"));
    assert_eq!(messages(&gateway), [""; 0]);
    assert_eq!(gateway.refresh_secrets().unwrap(), revision);
    let before = gateway.certificates().find("t.io").unwrap();
    // Half of a renewal is no certificate.
    fs::write(folder.path().join("cert"), &two.chain).unwrap();
    gateway.refresh_secrets().unwrap();
    assert!(messages(&gateway)[0].contains("does not belong to the certificate"), "{:?}", messages(&gateway));
    assert!(Arc::ptr_eq(&gateway.certificates().find("t.io").unwrap(), &before));
    write(&two);
    gateway.refresh_secrets().unwrap();
    assert_eq!(messages(&gateway), [""; 0]);
    let renewed = gateway.certificates().find("t.io").unwrap();
    assert_ne!(renewed.pairs()[0].chain(), before.pairs()[0].chain());
    // What was there and cannot be had at the moment stays.
    fs::remove_file(folder.path().join("key")).unwrap();
    gateway.refresh_secrets().unwrap();
    assert!(Arc::ptr_eq(&gateway.certificates().find("t.io").unwrap(), &renewed));
    assert!(messages(&gateway)[0].contains("is closed"), "{:?}", messages(&gateway));
    // One that differs and cannot be had is closed.
    let mut other = document.clone();
    other["ssls"][0]["desc"] = json!("other");
    gateway.apply(snapshot(&other)).unwrap();
    assert_eq!(found(&gateway, "t.io").as_deref(), Some("b"));
}

/// Half a renewal of one certificate is the fault of nothing else.
#[test]
fn sec_tls_04_half_a_renewal_holds_up_nothing_and_takes_nothing_away() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let [one, two, three] = [(); 3].map(|()| authority.certificate(&["t.io"]));
    let write = |id: &str, chain: &Certificate, key: &Certificate| {
        fs::write(folder.path().join(format!("{id}-cert")), &chain.chain).unwrap();
        write_key(&folder.path().join(format!("{id}-key")), &key.key);
    };
    let refers = |id: &str| {
        let (cert, key) = (format!("$secret://file/f/{id}-cert"), format!("$secret://file/f/{id}-key"));
        json!({"id": id, "sni": format!("{id}.test"), "cert": cert, "key": key})
    };
    let document = json!({
        "secrets": [{"id": "file/f", "path": folder.path()}],
        "ssls": [refers("a"), refers("b")],
    });
    write("a", &one, &one);
    write("b", &one, &one);
    let gateway = Gateway::builder().build().unwrap();
    gateway.apply(snapshot(&document)).unwrap();
    let shown = |id: &str| gateway.certificates().get(id).unwrap().pairs()[0].chain().to_vec();
    let before = shown("a");
    write("a", &two, &one);
    write("b", &two, &two);
    gateway.refresh_secrets().unwrap();
    assert_eq!(shown("a"), before);
    assert_ne!(shown("b"), before);
    write("b", &three, &three);
    let mut more = document.clone();
    more["routes"] = json!([{"id": "r", "uri": "/", "plugins": {}}]);
    for adopt in [true, false] {
        more["routes"][0]["desc"] = json!(format!("{adopt}"));
        let _ = if adopt { gateway.adopt(candidate(&more)) } else { gateway.apply(candidate(&more)) }.unwrap();
        assert_eq!(shown("a"), before);
        assert_eq!((gateway.snapshot().routes.len(), gateway.snapshot().ssls.len()), (1, 2));
        assert!(gateway.status().left_out.is_empty() && gateway.status().kept.is_empty());
        assert!(
            messages(&gateway).iter().any(|message| message.contains("does not belong")),
            "{:?}",
            messages(&gateway)
        );
    }
    // What was taken back is no fault any more.
    write("a", &one, &one);
    gateway.refresh_secrets().unwrap();
    assert_eq!((shown("a"), messages(&gateway).len()), (before, 0));
}

#[test]
fn sec_tls_04_a_key_that_others_may_use_is_warned_of_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Authority::new().certificate(&["t.io"]);
    let path = folder.path().join("key");
    write_key(&path, &pair.key);
    let document = |desc: &str| {
        let more = json!({"certs": [pair.chain], "keys": ["$secret://file/f/key"], "desc": desc});
        let mut refers = ssl("a", &["t.io"], &pair);
        refers.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        snapshot(&json!({"secrets": [{"id": "file/f", "path": folder.path()}], "ssls": [refers]}))
    };
    let gateway = Gateway::builder().build().unwrap();
    for (mode, warned) in [(0o600, false), (0o640, true), (0o604, true), (0o400, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        gateway.apply(document(&format!("{mode:o}"))).unwrap();
        assert_eq!(gateway.certificates().find("t.io").unwrap().pairs().len(), 2);
        let status = gateway.status();
        let found: Vec<_> = status.findings.iter().map(|one| (one.is_error(), &*one.path)).collect();
        assert_eq!(found, if warned { vec![(false, "keys[0]")] } else { vec![] }, "{mode:o}");
        for finding in &*status.findings {
            assert!(finding.message.contains(&format!("{mode:03o}")), "{finding}");
            assert!(finding.mend.as_deref().unwrap().starts_with("chmod 600"), "{finding}");
        }
    }
}

/// What was said of many whose secrets could not be had is over for each of them when they can.
#[test]
fn of_many_that_were_closed_each_is_judged_anew() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Authority::new().certificate(&["t.io"]);
    let refers = |number: usize| {
        let name = format!("{number}.t.io");
        json!({"id": format!("s{number}"), "sni": name, "cert": pair.chain, "key": format!("$secret://file/f/{}", number % 2)})
    };
    let ssls: Vec<Value> = (0..300).map(refers).collect();
    let gateway = Gateway::builder().build().unwrap();
    let document = json!({"secrets": [{"id": "file/f", "path": folder.path()}], "ssls": ssls});
    gateway.apply(snapshot(&document)).unwrap();
    assert_eq!((messages(&gateway).len(), gateway.certificates().all().len()), (300, 0));
    for (known, left) in [("0", 150), ("1", 0)] {
        write_key(&folder.path().join(known), &pair.key);
        gateway.refresh_secrets().unwrap();
        assert_eq!((messages(&gateway).len(), gateway.certificates().all().len()), (left, 300 - left));
        assert!(messages(&gateway).iter().all(|message| message.contains("the file `1` cannot be read")));
    }
}

/// One that was closed while all were numbered anew comes back in its place.
#[test]
fn what_was_closed_comes_back_where_it_stands_in_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Authority::new().certificate(&["t.io"]);
    let closed = json!({"id": "closed", "sni": "t.io", "cert": pair.chain, "key": "$secret://file/f/key"});
    let gateway = Gateway::builder().build().unwrap();
    let mut between = Vec::new();
    // Each directly behind the first: half of the room is gone each time, until there is none.
    for number in 0..30 {
        let name = if number == 0 { "t.io".to_owned() } else { format!("{number}.test") };
        between.insert(0, ssl(&format!("m{number}"), &[&name], &pair));
        let mut ssls = vec![ssl("first", &["first.test"], &pair)];
        ssls.extend(between.iter().cloned().chain([closed.clone(), ssl("last", &["t.io"], &pair)]));
        let document = json!({"secrets": [{"id": "file/f", "path": folder.path()}], "ssls": ssls});
        gateway.apply(snapshot(&document)).unwrap();
    }
    write_key(&folder.path().join("key"), &pair.key);
    gateway.refresh_secrets().unwrap();
    let ids: Vec<_> = gateway.certificates().all().iter().map(|one| one.id().to_owned()).collect();
    assert_eq!(ids[ids.len() - 3..], ["m0", "closed", "last"], "{ids:?}");
    assert_eq!(found(&gateway, "t.io").as_deref(), Some("m0"));
}

#[test]
fn a_host_s_own_certificates_stand_behind_those_of_the_configuration_whenever_they_are_put() {
    let pair = Authority::new().certificate(&["t.io"]);
    let own = || {
        let own = tollgate::tls::Certificate::builder("own").name("*").name("t.io");
        own.pair(tollgate::tls::Pair::from_pem(&pair.chain, &pair.key).unwrap()).build().unwrap()
    };
    let ssls = json!([ssl("a", &["t.io"], &pair), ssl("b", &["*"], &pair)]);
    for first in [true, false] {
        let gateway = Gateway::builder().build().unwrap();
        if first {
            gateway.certificates().put(own());
        }
        apply(&gateway, ssls.clone());
        if !first {
            gateway.certificates().put(own());
        }
        let ids = gateway.certificates().all().iter().map(|one| one.id().to_owned()).collect::<Vec<_>>();
        assert_eq!(ids, ["a", "b", "own"], "put first: {first}");
        assert_eq!((found(&gateway, "t.io").as_deref(), found(&gateway, "x.y").as_deref()), (Some("a"), Some("b")));
    }
}

#[test]
fn what_is_issued_is_shown_when_it_is_there_and_outlives_changes() {
    let pair = Authority::new().certificate(&["t.io"]);
    let issued = |desc: &str| json!({"id": "a", "acme": true, "sni": "t.io", "desc": desc});
    let gateway = gateway(json!([issued("one"), ssl("b", &["*"], &pair)]));
    assert_eq!(found(&gateway, "t.io").as_deref(), Some("b"));
    let certificate = gateway.certificates().get("a").unwrap();
    assert!(certificate.is_issued() && certificate.pairs().is_empty());
    let delivered = tollgate::tls::Pair::from_pem(&pair.chain, &pair.key).unwrap();
    let changed = gateway.certificates().changed();
    certificate.install(vec![delivered]).unwrap();
    assert!(!changed.has_changed().unwrap());
    assert_eq!(found(&gateway, "t.io").as_deref(), Some("a"));
    let leaf = certificate.pairs()[0].chain()[0].clone();
    certificate.staple(&leaf, Some(vec![1, 2]));
    assert_eq!(certificate.pairs()[0].staple(), Some(&[1, 2][..]));
    let other = Authority::new().certificate(&["t.io"]);
    let other = tollgate::tls::Pair::from_pem(&other.chain, &other.key).unwrap();
    certificate.staple(&other.chain()[0], Some(vec![3]));
    assert_eq!(certificate.pairs()[0].staple(), Some(&[1, 2][..]));
    certificate.install(Vec::new()).unwrap_err();
    apply(&gateway, json!([issued("two"), ssl("b", &["*"], &pair)]));
    let after = gateway.certificates().find("t.io").unwrap();
    assert_eq!((after.id(), after.pairs().len()), ("a", 1));
}

/// The status of a request for this host and path, on a connection whose handshake was so.
pub(super) async fn asked(gateway: &Gateway, handshake: &TlsInfo, host: &str, path: &str) -> u16 {
    let info = ConnectInfo::new(([192, 0, 2, 1], 4711).into()).with_handshake(Arc::new(handshake.clone()));
    let request = http::Request::get(path).header("host", host).body(Body::empty()).unwrap();
    gateway.connection(info).oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn sec_tls_02_a_request_comes_by_the_connection_of_its_host_or_is_misdirected() {
    let authority = Authority::new();
    let pair = authority.certificate(&["t.io"]);
    let demanding = |id: &str, names: &[&str], skip: &[&str]| {
        let mut spec = ssl(id, names, &pair);
        spec["client"] = json!({"ca": authority.pem});
        if !skip.is_empty() {
            spec["client"]["skip_mtls_uri_regex"] = json!(skip);
        }
        spec
    };
    let answers =
        tower::service_fn(|_| async { Ok::<_, std::convert::Infallible>(http::Response::new(Body::empty())) });
    let gateway = Gateway::builder().route(tollgate::gateway::Route::new("/*").to_service(answers)).build().unwrap();
    let ssls = [
        ssl("open", &["open.test", "also.test"], &pair),
        demanding("strict", &["strict.test", "same.test"], &[]),
        demanding("lax", &["lax.test"], &["^/health$", "^/open/"]),
    ];
    apply(&gateway, json!(ssls));
    let by = |id: &str, sni: &str, client: Option<bool>| {
        let mut info = TlsInfo::default();
        (info.certificate, info.sni) = (id.into(), Some(sni.into()));
        info.client = client.map(|verified| TlsClient::new(&b"a certificate"[..], verified));
        info
    };
    for (handshake, host, path, status) in [
        (by("open", "open.test", None), "open.test", "/", 200),
        // Hosts without demands may share connections, as HTTP/2 has it.
        (by("open", "open.test", None), "also.test", "/", 200),
        (by("open", "open.test", None), "nobody.test", "/", 200),
        (by("strict", "strict.test", Some(true)), "open.test", "/", 200),
        (by("open", "open.test", None), "strict.test", "/", 421),
        (by("open", "open.test", None), "STRICT.test.:8443", "/", 421),
        (by("open", "open.test", None), "lax.test", "/health", 421),
        (by("strict", "strict.test", Some(true)), "lax.test", "/", 421),
        (by("strict", "strict.test", Some(true)), "strict.test", "/", 200),
        // One certificate, one set of rules.
        (by("strict", "strict.test", Some(true)), "same.test", "/", 200),
        // Nobody gets through such a handshake without one: the rules were others then.
        (by("strict", "strict.test", None), "strict.test", "/", 421),
        (by("lax", "lax.test", None), "lax.test", "/health", 200),
        (by("lax", "lax.test", None), "lax.test", "/open/a?b", 200),
        (by("lax", "lax.test", None), "lax.test", "/open/../secret", 400),
        (by("lax", "lax.test", None), "lax.test", "/", 400),
        (by("lax", "lax.test", Some(false)), "lax.test", "/", 400),
        (by("lax", "lax.test", Some(false)), "open.test", "/", 400),
        (by("lax", "lax.test", Some(true)), "lax.test", "/", 200),
    ] {
        assert_eq!(asked(&gateway, &handshake, host, path).await, status, "{handshake:?} {host} {path}");
    }
    // Rules that came later hold for connections that were there before.
    let old = by("open", "open.test", None);
    apply(&gateway, json!([demanding("open", &["open.test"], &[])]));
    assert_eq!(asked(&gateway, &old, "open.test", "/").await, 421);
    apply(&gateway, json!([ssl("open", &["open.test"], &pair)]));
    assert_eq!(asked(&gateway, &old, "open.test", "/").await, 200);
}
