//! Whether a request may come by the TLS connection that it came by (router.md §8, security.md TLS-02).
use crate::TlsInfo;
use crate::error::Error;
use crate::tls::Edition;

/// Judges a request of a connection whose handshake is known.
///
/// `paths` are the one that is matched and the one that conditions see; a path is exempt when both are.
///
/// The rules of the configuration that routes the request decide, of which the connection may have seen others:
/// 1. where its own certificate demands one of the client that it has not shown, only exempt paths are served (400); one that
///    was verified, or not asked, under other rules than there are now is to come again (421);
/// 2. a host whose certificate is another one, and demands one of the client, is not served here (421): the client may
///    come again by a connection of its own, of which it shall not be spared the handshake by naming another host in it.
pub(super) fn judge(
    certificates: &Edition,
    handshake: &TlsInfo,
    host: Option<&str>,
    paths: [&[u8]; 2],
) -> Result<(), Error> {
    if !certificates.demands_of_clients() {
        return Ok(());
    }
    if let Some(own) = certificates.get(&handshake.certificate)
        && !paths.iter().all(|path| own.admits(handshake.client.as_ref(), path))
    {
        // Without exempt paths nobody gets through a handshake unverified, so who did saw other rules.
        let was_verified = handshake.client.as_ref().is_some_and(|client| client.verified);
        let was_not_asked = own.client().is_some_and(|rules| !rules.has_exempt_paths());
        let saw_other_rules = was_verified || was_not_asked;
        return Err(if saw_other_rules { Error::Misdirected } else { Error::BadRequest("client_certificate") });
    }
    let other = host.and_then(|host| certificates.guarding(host));
    match other {
        Some(other) if other.client().is_some() && *other.id() != *handshake.certificate => Err(Error::Misdirected),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair};
    use serde_json::{Value, json};

    use super::super::Gateway;
    use super::super::live::Live;
    use super::super::service::Origin;
    use super::*;
    use crate::model::{ReadOptions, read};
    use crate::{Body, ConnectInfo};

    /// How a request ends for `host` on a connection by the certificate `shop`, under this configuration. There is no route.
    fn judged(gateway: &Gateway, live: &Live, host: &str) -> Error {
        let handshake = TlsInfo { certificate: "shop".into(), ..TlsInfo::default() };
        let info = ConnectInfo::new(([192, 0, 2, 1], 4711).into()).with_handshake(Arc::new(handshake));
        let mut request = http::Request::get("/").header("host", host).body(Body::empty()).unwrap();
        gateway.0.find_route(live, &mut request, Some(&info), Origin::Codec).err().unwrap()
    }

    /// Requests that began with the configuration before meet its demands, whatever has been done to the table since: its
    /// routes may be meant for such clients alone.
    #[test]
    fn sec_cfg_01_routes_and_demands_are_of_one_configuration() {
        let key = KeyPair::generate().unwrap();
        let chain = CertificateParams::new(vec!["t.io".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        let ssl = |id: &str, name: &str| json!({"id": id, "sni": name, "cert": chain, "key": key.serialize_pem()});
        let shop = ssl("shop", "shop.test");
        let open = ssl("partners", "*.partners.test");
        let mut closed = open.clone();
        closed["client"] = json!({"ca": chain});
        let (exact, host) = (ssl("exact", "a.partners.test"), "a.partners.test");
        let gateway = Gateway::builder().build().unwrap();
        let put = |document: Value| {
            gateway.apply(read(&document, &ReadOptions::default()).snapshot).unwrap();
            gateway.0.live.load_full()
        };
        let apply = |ssls: Value| put(json!({"ssls": ssls}));
        for relaxed in [json!([shop]), json!([shop, open]), json!([shop, closed, exact])] {
            let before = apply(json!([shop, closed]));
            assert!(matches!(judged(&gateway, &before, host), Error::Misdirected), "{relaxed}");
            let after = apply(relaxed.clone());
            assert!(matches!(judged(&gateway, &before, host), Error::Misdirected), "{relaxed}");
            assert!(matches!(judged(&gateway, &after, host), Error::NoRoute), "{relaxed}");
            // What has nothing to do with certificates leaves them as they are.
            let same = put(json!({"ssls": relaxed, "routes": [{"id": "r", "uri": "/other", "plugins": {}}]}));
            assert_ne!(same.revision, after.revision);
            assert!(Arc::ptr_eq(&same.certificates, &after.certificates));
        }
        // Who was not asked for a certificate may have one to show.
        for (rules, expected) in
            [(json!({"ca": chain}), 421), (json!({"ca": chain, "skip_mtls_uri_regex": ["^/open"]}), 400)]
        {
            let mut shop = shop.clone();
            shop["client"] = rules;
            let live = apply(json!([shop]));
            assert_eq!(judged(&gateway, &live, "shop.test").status(), expected);
        }
        // What a host changes holds for the configuration in force, in both directions.
        let live = apply(json!([shop]));
        let pair = crate::tls::Pair::from_pem(&chain, &key.serialize_pem()).unwrap();
        let own = || crate::tls::Certificate::builder("own").name(host).pair(pair.clone());
        gateway.certificates().put(own().client(crate::tls::ClientRules::new(&*chain)).build().unwrap());
        assert!(matches!(judged(&gateway, &live, host), Error::Misdirected));
        gateway.certificates().put(own().build().unwrap());
        assert!(matches!(judged(&gateway, &live, host), Error::NoRoute));
    }
}
