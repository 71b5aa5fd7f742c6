//! Where a request comes from: client networks, pages of a browser, names that were rebound (security.md ADM-04).
use std::net::IpAddr;

use http::{HeaderMap, StatusCode, Uri};

use super::answer::Answer;
use crate::ConnectInfo;
use crate::model::{AdminSettings, IpOrCidr};

/// What is let in.
#[derive(Debug)]
pub(super) struct Origins {
    networks: Vec<IpOrCidr>,
    origins: Vec<String>,
    names: Vec<String>,
    /// Without keys, only clients of this machine.
    only_loopback: bool,
    /// Whether a client whose address is unknown is let in.
    unknown: bool,
}

impl Origins {
    /// `unknown` clients are let in as well where no key is asked for.
    pub(super) fn new(settings: &AdminSettings, unknown: bool) -> Self {
        Self {
            networks: settings.allow_networks.clone(),
            origins: settings.allow_origins.clone(),
            names: settings.names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            only_loopback: !settings.admin_key_required,
            unknown: unknown || settings.admin_key_required,
        }
    }

    /// Judges where a request comes from. A client whose address is unknown (a host program that does not tell) passes if
    /// a key is asked for.
    ///
    /// # Errors
    /// 403 with what is wrong.
    pub(super) fn judge(&self, info: Option<&ConnectInfo>, uri: &Uri, headers: &HeaderMap) -> Result<(), Answer> {
        let refuse = |why: &str| Err(Answer::error(StatusCode::FORBIDDEN, why));
        match info {
            Some(info) if !self.lets_in(info.ip()) => return refuse("this client's address is not let in"),
            None if !self.unknown => return refuse("this client's address is unknown"),
            _ => {}
        }
        if headers.get_all(http::header::ORIGIN).iter().any(|origin| !self.is_origin(origin.as_bytes())) {
            return refuse("pages of this origin are not let in");
        }
        if !self.is_host(info, uri, headers) {
            return refuse("this is not a name of the Admin API");
        }
        Ok(())
    }

    fn lets_in(&self, client: IpAddr) -> bool {
        (!self.only_loopback || client.is_loopback())
            && self.networks.iter().any(|network| network.network().contains(&client))
    }

    fn is_origin(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|known| known.as_bytes() == origin)
    }

    /// A request that names no host cannot have come by a name that was rebound.
    fn is_host(&self, info: Option<&ConnectInfo>, uri: &Uri, headers: &HeaderMap) -> bool {
        let authority = uri.authority().map(http::uri::Authority::as_str);
        let mut fields = headers.get_all(http::header::HOST).iter();
        let host = match authority {
            Some(authority) => authority,
            None => match (fields.next().map(http::HeaderValue::to_str), fields.next()) {
                (None, _) => return true,
                (Some(Ok(host)), None) => host,
                _ => return false,
            },
        };
        let name = without_port(host).to_ascii_lowercase();
        if name == "localhost" || self.names.contains(&name) {
            return true;
        }
        let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
        let local = info.and_then(|info| info.local).map(|local| local.ip().to_canonical());
        literal.parse::<IpAddr>().is_ok_and(|address| local.is_none_or(|local| local == address.to_canonical()))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn judge(
        settings: &AdminSettings,
        info: Option<ConnectInfo>,
        uri: &'static str,
        fields: &[(&'static str, &'static str)],
    ) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Origins::new(settings, false).judge(info.as_ref(), &Uri::from_static(uri), &headers).is_ok()
    }

    fn from(client: &str) -> Option<ConnectInfo> {
        Some(ConnectInfo::new(client.parse().unwrap()).with_local("10.0.0.1:9180".parse().unwrap()))
    }

    #[test]
    fn clients_by_their_network() {
        let settings = AdminSettings::default();
        let open = AdminSettings { allow_networks: vec!["0.0.0.0/0".parse().unwrap()], ..AdminSettings::default() };
        let keyless = AdminSettings { admin_key_required: false, ..open.clone() };
        for (client, by_default, by_open, by_keyless) in [
            ("127.0.0.1:5", true, true, true),
            ("[::ffff:127.0.0.1]:5", true, true, true),
            ("192.0.2.1:5", false, true, false),
        ] {
            assert_eq!(judge(&settings, from(client), "/", &[]), by_default, "{client}");
            assert_eq!(judge(&open, from(client), "/", &[]), by_open, "{client}");
            assert_eq!(judge(&keyless, from(client), "/", &[]), by_keyless, "{client}");
        }
        assert!(judge(&settings, None, "/", &[]));
        assert!(!judge(&keyless, None, "/", &[]), "nothing at all is known of who that is");
        let told = Origins::new(&keyless, true);
        assert!(told.judge(None, &Uri::from_static("/"), &HeaderMap::new()).is_ok());
        assert!(told.judge(from("192.0.2.1:5").as_ref(), &Uri::from_static("/"), &HeaderMap::new()).is_err());
    }

    #[test]
    fn pages_and_rebound_names_stay_out() {
        let settings = AdminSettings {
            allow_origins: vec!["https://console.test".to_owned()],
            names: vec!["Admin.test".to_owned()],
            ..AdminSettings::default()
        };
        for (fields, expected) in [
            (&[("host", "127.0.0.1:9180")][..], true),
            (&[("host", "10.0.0.1:9180")], true),
            (&[("host", "LOCALHOST:9180")], true),
            (&[("host", "localhost")], true),
            (&[("host", "admin.TEST:1")], true),
            (&[("host", "evil.test")], false),
            (&[("host", "localhost.evil.test")], false),
            (&[("host", "127.0.0.1.evil.test")], false),
            (&[("host", "localhost"), ("host", "evil.test")], false),
            (&[("host", "localhost"), ("origin", "http://evil.test")], false),
            (&[("host", "localhost"), ("origin", "null")], false),
            (&[("host", "localhost"), ("origin", "https://console.test")], true),
            (&[("host", "localhost"), ("origin", "https://console.test"), ("origin", "null")], false),
            (&[("host", "")], false),
            (&[], true),
        ] {
            assert_eq!(judge(&settings, None, "/", fields), expected, "{fields:?}");
        }
        assert!(judge(&settings, from("127.0.0.1:5"), "/", &[("host", "10.0.0.1")]), "the listener's address");
        assert!(!judge(&settings, from("127.0.0.1:5"), "/", &[("host", "10.0.0.2")]), "another address");
        assert!(!judge(&settings, None, "http://evil.test/", &[]), "in the target");
        assert!(judge(&settings, None, "/", &[("host", "[::1]:9180")]));
        assert!(judge(&settings, None, "/", &[("host", "[::1]")]));
    }
}
