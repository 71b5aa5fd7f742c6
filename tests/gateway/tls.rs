//! TLS to upstreams as the configuration has it: certificates, references to them, and what is refused.
use std::fs;

use serde_json::{Value, json};
use tollgate::gateway::Gateway;
use tollgate::model::Finding;

use super::secure::{Authority, Certificate, Secure};
use super::support::{candidate, get, snapshot, told};

/// One route to `origin`, whose upstream has this `tls`, and these `ssls`.
fn document(origin: &Secure, tls: &Value, ssls: &Value) -> Value {
    json!({
        "upstreams": [{
            "id": "u", "scheme": "https", "tls": tls,
            "nodes": [{"host": "localhost", "port": origin.address.port(), "weight": 1}],
        }],
        "routes": [{"id": "r", "uri": "/*", "upstream_id": "u"}],
        "ssls": ssls,
    })
}

fn ssl(certificate: &Certificate) -> Value {
    json!({"id": "gateway", "type": "client", "cert": certificate.chain, "key": certificate.key})
}

fn gateway(document: &Value) -> Gateway {
    let gateway = Gateway::builder().build().unwrap();
    gateway.apply(snapshot(document)).unwrap();
    gateway
}

fn served() -> (u16, String) {
    (200, "HTTP/1.1 - gw.test ".to_owned())
}

#[tokio::test]
async fn a_changed_certificate_is_shown_on_the_next_request() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let config = authority.certificate(&["localhost"]).server(Some(&clients));
    let origin = Secure::echo(config, &["http/1.1"]).await;
    let tls = json!({"ca": authority.pem, "client_cert_id": "gateway"});
    let document = |certificate| document(&origin, &tls, &json!([ssl(certificate)]));
    let (one, two) = (clients.certificate(&["one"]), clients.certificate(&["two"]));
    let gateway = gateway(&document(&one));
    assert_eq!(gateway.status().findings.len(), 0);
    for _ in 0..2 {
        assert_eq!(told(&gateway, "/").await, served());
    }
    assert_eq!(origin.seen().len(), 1);
    // Nothing but the certificate differs.
    gateway.apply(snapshot(&document(&two))).unwrap();
    assert_eq!(told(&gateway, "/").await, served());
    assert_eq!((origin.seen().len(), origin.seen()[1].resumed), (2, false));
    // One that is not taken is refused, and what was in force stays.
    let mixed = Certificate { chain: two.chain.clone(), key: one.key.clone() };
    let refused = gateway.apply(snapshot(&document(&mixed))).unwrap_err();
    assert!(refused.to_string().contains("tls.client_cert_id"), "{refused}");
    assert_eq!(told(&gateway, "/").await, served());
}

#[tokio::test]
async fn a_reference_closes_the_upstream_until_it_has_a_value_and_follows_it_then() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let config = authority.certificate(&["localhost"]).server(Some(&clients));
    let origin = Secure::echo(config, &["http/1.1"]).await;
    let folder = tempfile::tempdir().unwrap();
    let one = clients.certificate(&["one"]);
    let tls = json!({"ca": authority.pem, "client_cert": one.chain, "client_key": "$secret://file/tls/key"});
    let mut document = document(&origin, &tls, &json!([]));
    document["secrets"] = json!([{"id": "file/tls", "path": folder.path().to_str().unwrap()}]);
    let gateway = gateway(&document);
    assert_eq!(get(&gateway, "/").await.status, 502);
    let warned = |gateway: &Gateway| gateway.status().findings.iter().any(|finding| finding.path == "tls.client_key");
    assert!(warned(&gateway));
    fs::write(folder.path().join("key"), &one.key).unwrap();
    gateway.refresh_secrets().unwrap();
    assert_eq!(told(&gateway, "/").await, served());
    assert!(!warned(&gateway));
    // While it cannot be had, what is in force stays.
    fs::remove_file(folder.path().join("key")).unwrap();
    gateway.refresh_secrets().unwrap();
    assert_eq!(told(&gateway, "/").await, served());
    assert!(warned(&gateway));
}

#[tokio::test]
async fn sec_tls_04_what_cannot_be_used_is_a_fault_of_its_field() {
    let authority = Authority::new();
    let origin = Secure::echo(authority.certificate(&["localhost"]).server(None), &["http/1.1"]).await;
    let (one, two) = (authority.certificate(&["one"]), authority.certificate(&["two"]));
    let hollow = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", "A".repeat(128));
    let faults = |tls: Value, ssls: Value| {
        let gateway = Gateway::builder().build().unwrap();
        let findings = gateway.check(&candidate(&document(&origin, &tls, &ssls)));
        let text = |finding: &Finding| format!("{}: {}", finding.path, finding.message);
        findings.iter().filter(|finding| finding.is_error()).map(text).collect::<Vec<_>>()
    };
    let disabled = {
        let mut disabled = ssl(&one);
        disabled["status"] = json!(0);
        disabled
    };
    let server = {
        let mut server = ssl(&one);
        (server["type"], server["sni"]) = (json!("server"), json!("a.test"));
        server
    };
    for (tls, ssls, fault) in [
        (json!({"ca": hollow}), json!([]), "tls.ca: certificate 1 in it does not parse"),
        (
            json!({"client_cert": one.chain, "client_key": two.key}),
            json!([]),
            "tls.client_key: is not the key of the certificate",
        ),
        (
            json!({"client_cert": hollow, "client_key": two.key}),
            json!([]),
            "tls.client_cert: certificate 1 in it does not parse",
        ),
        (json!({"client_cert_id": "gateway"}), json!([]), "tls.client_cert_id: there is no ssl `gateway`"),
        (
            json!({"client_cert_id": "gateway"}),
            json!([server]),
            "tls.client_cert_id: the ssl `gateway` is not of type client",
        ),
        (json!({"client_cert_id": "gateway"}), json!([disabled]), "tls.client_cert_id: the ssl `gateway` is disabled"),
    ] {
        let mut tls = tls;
        tls.as_object_mut().unwrap().entry("ca").or_insert(json!(authority.pem));
        assert_eq!(faults(tls, ssls), [fault]);
    }
}

#[tokio::test]
async fn what_is_not_verified_is_warned_of() {
    let authority = Authority::new();
    let one = authority.certificate(&["one"]);
    let origin = Secure::echo(one.server(None), &["http/1.1"]).await;
    let server = json!({"id": "front", "cert": one.chain, "key": one.key, "sni": "a.test"});
    let gateway = gateway(&document(&origin, &json!({"verify": false}), &json!([ssl(&one), server])));
    assert_eq!(told(&gateway, "/").await, served());
    let warnings: Vec<_> = gateway.status().findings.iter().map(|finding| finding.message.clone()).collect();
    assert_eq!(warnings, ["does not verify the upstream's certificate"]);
}
