//! Certificates of clients: a demand outlives whatever happens to the certificate that it goes with.
use std::fs;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tollgate::gateway::{Gateway, Route};
use tollgate::{Body, TlsClient, TlsInfo};

use super::certificates::{asked, ssl};
use super::secure::{Authority, Certificate};
use super::support::{candidate, snapshot};

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

/// What is left out at a start takes no demand with it, whatever was wrong with it.
#[tokio::test]
async fn sec_tls_02_a_demand_holds_when_its_certificate_is_left_out() {
    let authority = Authority::new();
    let (pair, other) = (authority.certificate(&["t.io"]), authority.certificate(&["t.io"]));
    let expired = authority.expired("t.io");
    let good = || {
        let mut partners = ssl("partners", &["partners.test", "*.partners.test"], &pair);
        partners["client"] = json!({"ca": authority.pem});
        partners
    };
    let document = |partners: &Value| candidate(&json!({"ssls": [partners, ssl("shop", &["*"], &pair)]}));
    let shop = by("shop", None);
    let torn = "-----BEGIN CERTIFICATE-----\nQUFBQUFB\n-----END CERTIFICATE-----\n".repeat(3);
    for change in [
        // What only the certificates themselves tell.
        json!({"key": other.key}),
        json!({"cert": expired.chain, "key": expired.key}),
        json!({"client": {"ca": torn}}),
        json!({"client": {"ca": authority.pem, "skip_mtls_uri_regex": ["("]}}),
        json!({"snis": ["partners.test", "a.partners.test", "*x.io"]}),
        // What the form tells.
        json!({"cert": 7}),
        json!({"client": {}}),
        json!({"client": {"ca": authority.pem, "depth": -1}}),
        json!({"client": "everybody"}),
        json!({"status": "on"}),
        json!({"snis": ["partners.test", "a.partners.test", 5]}),
        json!({"of": "nobody"}),
    ] {
        let mut partners = good();
        partners.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let gateway = gateway();
        gateway.adopt(document(&partners)).unwrap();
        assert_eq!(gateway.status().left_out.len(), 1, "{change}");
        for (host, status) in [("partners.test", 421), ("A.partners.test", 421), ("shop.test", 200)] {
            assert_eq!(asked(&gateway, &shop, host, "/").await, status, "{change} {host}");
        }
        // A connection from when it was there has shown what it demanded then.
        assert_eq!(asked(&gateway, &by("partners", verified()), "partners.test", "/").await, 421, "{change}");
        assert_eq!(gateway.certificates().find("partners.test").unwrap().id(), "shop");
        // Once more, beside something else that changes.
        let mut more = document(&partners);
        more.ssls.push(tollgate::model::SslSpec { id: "new".into(), ..tollgate::model::SslSpec::clone(&more.ssls[0]) });
        gateway.adopt(more).unwrap();
        assert_eq!(asked(&gateway, &shop, "partners.test", "/").await, 421, "{change}");
        // It is mended.
        gateway.adopt(document(&good())).unwrap();
        assert_eq!(asked(&gateway, &by("partners", verified()), "partners.test", "/").await, 200, "{change}");
        assert_eq!(asked(&gateway, &shop, "partners.test", "/").await, 421);
        gateway.adopt(document(&ssl("partners", &["partners.test"], &pair))).unwrap();
        assert_eq!(asked(&gateway, &shop, "partners.test", "/").await, 200);
        assert_eq!(gateway.certificates().all().len(), 2);
    }
}

/// It closes what it would have had, and nothing that others have before it.
#[tokio::test]
async fn a_left_out_certificate_stands_where_it_would_have_stood() {
    let authority = Authority::new();
    let (pair, other) = (authority.certificate(&["t.io"]), authority.certificate(&["t.io"]));
    let faulty = |id: &str, more: Value| {
        let mut one = ssl(id, &["same.test"], &pair);
        one["key"] = json!(other.key);
        one["client"] = json!({"ca": authority.pem});
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        one
    };
    let plain = |id: &str, name: &str| ssl(id, &[name], &pair);
    let nothing = json!({});
    for (ssls, status) in [
        (json!([faulty("a", nothing.clone()), plain("b", "same.test")]), 421),
        (json!([plain("a", "same.test"), faulty("b", nothing.clone())]), 200),
        (json!([plain("x", "x.test"), faulty("a", nothing.clone()), plain("b", "same.test")]), 421),
        (json!([plain("a", "same.test"), faulty("b", nothing.clone()), plain("x", "x.test")]), 200),
        // Those that demand nothing leave nothing, and count for nothing.
        (
            json!([
                faulty("o", json!({"client": "x", "status": 0})),
                faulty("a", nothing.clone()),
                plain("b", "same.test")
            ]),
            421,
        ),
        (
            json!([{"id": "o", "sni": "same.test", "cert": 7}, faulty("a", nothing.clone()), plain("b", "same.test")]),
            421,
        ),
        (json!([faulty("a", json!({"status": 0})), plain("b", "same.test")]), 200),
        (json!([faulty("a", json!({"type": "client"})), plain("b", "same.test")]), 200),
        // The later one of an id.
        (json!([plain("a", "x.test"), faulty("a", nothing.clone())]), 421),
        (json!([plain("a", "same.test"), faulty("a", nothing.clone())]), 200),
    ] {
        let gateway = gateway();
        gateway.adopt(candidate(&json!({"ssls": ssls}))).unwrap();
        let ids: Vec<_> = gateway.certificates().all().iter().map(|one| one.id().to_owned()).collect();
        assert_eq!(asked(&gateway, &by("x", None), "same.test", "/").await, status, "{ids:?}");
        // All have their places anew.
        for count in 0..3 {
            let more = (0..count).map(|number| plain(&format!("m{number}"), "more.test"));
            let ssls: Value = more.chain(ssls.as_array().unwrap().iter().cloned()).collect();
            gateway.adopt(candidate(&json!({"ssls": ssls}))).unwrap();
            assert_eq!(asked(&gateway, &by("x", None), "same.test", "/").await, status, "{count} before {ids:?}");
        }
    }
}

/// Upstreams learn who the client is from the gateway alone.
#[tokio::test]
async fn sec_tls_05_who_a_client_is_stands_in_the_gateways_own_fields_alone() {
    let told = tower::service_fn(|request: http::Request<Body>| async move {
        let values = request.headers().get_all("x-client-dn").iter().map(|value| value.to_str().unwrap().to_owned());
        let values = values.collect::<Vec<_>>().join(" + ");
        Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(values)))
    });
    let gateway = Gateway::builder().endpoint("told", told).build().unwrap();
    let authority = Authority::new();
    let mut partners = ssl("partners", &["partners.test"], &authority.certificate(&["t.io"]));
    partners["client"] = json!({"ca": authority.pem, "skip_mtls_uri_regex": ["^/"]});
    gateway
        .apply(snapshot(&json!({
            "ssls": [partners],
            "routes": [{
                "id": "r", "uri": "/*", "upstream": {"nodes": [{"service": "told", "weight": 1}]},
                "plugins": {"proxy-rewrite": {"headers": {"set": {"X-Client-Dn": "$ssl_client_s_dn"}}}},
            }],
        })))
        .unwrap();
    let client = authority.certificate(&["client"]);
    let shown = [CertificateDer::from_pem_slice(client.chain.as_bytes()).unwrap()];
    let shown = gateway.certificates().get("partners").unwrap().judge_client(&shown);
    for (client, wanted) in [(shown, "CN=rcgen self signed cert"), (None, "")] {
        let info = tollgate::ConnectInfo::new(([192, 0, 2, 1], 4711).into());
        let info = info.with_handshake(std::sync::Arc::new(by("partners", client)));
        let request = http::Request::get("/").header("host", "partners.test");
        let request = request.header("X-Client-Dn", "CN=forged").header("x-client-dn", "CN=again");
        let request = request.body(Body::empty()).unwrap();
        let answer = tower::ServiceExt::oneshot(gateway.connection(info), request).await.unwrap();
        assert_eq!(answer.into_body().buffer(1 << 16).await.unwrap(), wanted);
    }
}
