//! Certificates of clients: a demand outlives whatever happens to the certificate that it goes with.
use std::fs;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tollgate::gateway::{Gateway, Route};
use tollgate::{Body, TlsClient, TlsInfo};

use super::certificates::{asked, ssl};
use super::secure::{Authority, Certificate};
use super::support::snapshot;

/// A gateway that answers every request.
fn gateway() -> Gateway {
    let answers =
        tower::service_fn(|_| async { Ok::<_, std::convert::Infallible>(http::Response::new(Body::empty())) });
    Gateway::builder().route(Route::new("/*").to_service(answers)).build().unwrap()
}

fn by(id: &str, client: Option<TlsClient>) -> TlsInfo {
    let mut info = TlsInfo::default();
    (info.certificate, info.sni) = (id.into(), Some(format!("{id}.test").as_str().into()));
    info.client = client;
    info
}

fn verified() -> Option<TlsClient> {
    Some(TlsClient::new(&b"a certificate"[..], true))
}

#[tokio::test]
async fn sec_tls_02_a_demand_holds_before_there_is_a_certificate_to_show() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let pair = authority.certificate(&["t.io"]);
    let demand = json!({"ca": authority.pem});
    let refers = json!({
        "id": "partners", "sni": "partners.test", "client": demand,
        "cert": "$secret://file/f/cert", "key": "$secret://file/f/key",
    });
    let issued = json!({"id": "partners", "sni": "partners.test", "client": demand, "acme": true});
    let document = |partners: &Value| {
        let ssls = json!([partners, ssl("shop", &["shop.test", "*"], &pair)]);
        snapshot(&json!({"secrets": [{"id": "file/f", "path": folder.path()}], "ssls": ssls}))
    };
    let shop = by("shop", None);
    for partners in [&refers, &issued] {
        let gateway = gateway();
        gateway.apply(document(partners)).unwrap();
        assert_eq!(asked(&gateway, &shop, "shop.test", "/").await, 200);
        assert_eq!(asked(&gateway, &shop, "partners.test", "/").await, 421, "{partners}");
        // Handshakes fall to the next one all the same.
        assert_eq!(gateway.certificates().find("partners.test").unwrap().id(), "shop");
    }
    let gateway = gateway();
    gateway.apply(document(&refers)).unwrap();
    assert_eq!(asked(&gateway, &by("partners", verified()), "partners.test", "/").await, 421);
    fs::write(folder.path().join("cert"), &pair.chain).unwrap();
    fs::write(folder.path().join("key"), &pair.key).unwrap();
    gateway.refresh_secrets().unwrap();
    assert_eq!(asked(&gateway, &by("partners", verified()), "partners.test", "/").await, 200);
    // It is edited while its key cannot be had.
    fs::remove_file(folder.path().join("key")).unwrap();
    let mut edited = refers.clone();
    edited["desc"] = json!("other");
    gateway.apply(document(&edited)).unwrap();
    assert_eq!(asked(&gateway, &shop, "partners.test", "/").await, 421);
    // Who takes the demand away takes it away.
    gateway.apply(document(&ssl("partners", &["partners.test"], &pair))).unwrap();
    assert_eq!(asked(&gateway, &shop, "partners.test", "/").await, 200);
}

#[tokio::test]
async fn sec_tls_02_who_was_verified_under_other_rules_comes_again() {
    let (old, new) = (Authority::new(), Authority::new());
    let pair = old.certificate(&["t.io"]);
    let gateway = gateway();
    let demand = |ca: &str, depth: u32| {
        let mut partners = ssl("partners", &["partners.test"], &pair);
        partners["client"] = json!({"ca": ca, "depth": depth, "skip_mtls_uri_regex": ["^/open$"]});
        gateway.apply(snapshot(&json!({"ssls": [partners]}))).unwrap();
    };
    let judged = |client: &Certificate| {
        let chain = [CertificateDer::from_pem_slice(client.chain.as_bytes()).unwrap()];
        gateway.certificates().get("partners").unwrap().judge_client(&chain)
    };
    demand(&old.pem, 1);
    let client = old.certificate(&["client"]);
    let before = by("partners", judged(&client));
    assert_eq!(asked(&gateway, &before, "partners.test", "/").await, 200);
    let stranger = by("partners", judged(&new.certificate(&["client"])));
    assert!(!stranger.client.as_ref().unwrap().verified);
    assert_eq!(asked(&gateway, &stranger, "partners.test", "/").await, 400);
    for (ca, depth) in [(&new.pem, 1), (&old.pem, 0)] {
        demand(ca, depth);
        assert_eq!(asked(&gateway, &before, "partners.test", "/").await, 421, "{depth}");
        assert_eq!(asked(&gateway, &before, "partners.test", "/open").await, 200);
    }
    let again = by("partners", judged(&client));
    assert_eq!(asked(&gateway, &again, "partners.test", "/").await, 200);
}

#[tokio::test]
async fn sec_tls_02_a_path_is_exempt_by_the_path_that_chooses_the_route_too() {
    let authority = Authority::new();
    let pair = authority.certificate(&["t.io"]);
    let gateway = gateway();
    let mut partners = ssl("partners", &["partners.test"], &pair);
    partners["client"] = json!({"ca": authority.pem, "skip_mtls_uri_regex": ["^/a/public$"]});
    let router = json!({"path_mode": "compatible", "match_uri_encoded_slash": true, "encoded_slash": "keep"});
    let read = json!({"ssls": [partners], "tollgate": {"router": router}});
    gateway.apply(snapshot(&read)).unwrap();
    assert_eq!(asked(&gateway, &by("partners", None), "partners.test", "/a/public").await, 200);
    assert_eq!(asked(&gateway, &by("partners", None), "partners.test", "/a%2Fpublic").await, 400);
    assert_eq!(asked(&gateway, &by("partners", verified()), "partners.test", "/a%2Fpublic").await, 200);
}
