//! [`EtcdSettings`], judged and taken apart.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http::uri::Scheme;

use super::super::StoreError;
#[cfg(feature = "tls")]
use super::tls::Tls;
use crate::model::{EtcdSettings, Sensitive};

/// The port of an address that names none.
const PORT: u16 = 2379;
/// The longest time until a connection is there and the server on it has answered once.
const CONNECT: Duration = Duration::from_secs(5);

/// What a client is told.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) place: Arc<str>,
    pub(super) servers: Vec<Server>,
    /// What all keys begin with, with a slash at its end.
    pub(super) prefix: String,
    pub(super) connect: Duration,
    pub(super) timeout: Duration,
    pub(super) watch_timeout: Duration,
    pub(super) resync_delay: Duration,
    pub(super) down: Duration,
    pub(super) startup_retry: u32,
    pub(super) user: Option<User>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Tls>,
}

/// One server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// What requests are sent to: scheme and authority.
    pub(super) origin: Uri,
}

/// Who logs in.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: Sensitive,
}

impl Options {
    /// # Errors
    /// [`StoreError::Refused`] for what cannot work; the message names the field and the mend.
    pub(super) fn new(settings: &EtcdSettings) -> Result<Self, StoreError> {
        let place: Arc<str> =
            format!("etcd {}", settings.host.iter().map(|host| bare(host)).collect::<Vec<_>>().join(",")).into();
        let refused = |message: String| StoreError::Refused { place: Arc::clone(&place), message };
        let servers: Result<Vec<_>, _> = settings.host.iter().map(|host| Server::new(host)).collect();
        let servers = servers.map_err(refused)?;
        if servers.is_empty() {
            return Err(refused("`host` names no server; write `http://HOST:PORT`".to_owned()));
        }
        if servers.iter().any(|server| server.tls) && cfg!(not(feature = "tls")) {
            return Err(refused("`https` needs the feature `tls`, which this program was built without".to_owned()));
        }
        let user = match (&settings.user, &settings.password) {
            (None, None) => None,
            (Some(name), Some(password)) => Some(User { name: name.clone(), password: password.clone() }),
            _ => return Err(refused("has one of `user` and `password` only; write both, or none".to_owned())),
        };
        Ok(Self {
            #[cfg(feature = "tls")]
            tls: servers
                .iter()
                .any(|server| server.tls)
                .then(|| Tls::new(&settings.tls))
                .transpose()
                .map_err(refused)?,
            servers,
            prefix: format!("{}/", settings.prefix.trim_end_matches('/')),
            connect: CONNECT.min(settings.timeout()),
            timeout: settings.timeout(),
            watch_timeout: settings.watch_timeout(),
            resync_delay: settings.resync_delay(),
            down: settings.health_check_timeout(),
            startup_retry: settings.startup_retry,
            user,
            place,
        })
    }

    /// The key of an item in etcd.
    pub(super) fn key(&self, key: &str) -> Bytes {
        format!("{}{key}", self.prefix).into()
    }
}

impl Server {
    fn new(address: &str) -> Result<Self, String> {
        let wrong = || format!("`host` has `{}`, which is no address; write `http://HOST:PORT`", bare(address));
        let uri: Uri = address.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
        let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
        let port = authority.port_u16().unwrap_or(PORT);
        let scheme = if tls { Scheme::HTTPS } else { Scheme::HTTP };
        let named = format!("{}:{port}", authority.host());
        let origin = Uri::builder().scheme(scheme).authority(named).path_and_query("/").build();
        Ok(Self { host, port, tls, origin: origin.map_err(|_| wrong())? })
    }
}

/// An address as messages show it: without scheme, and without what might be a password.
fn bare(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or(rest);
    rest.rsplit_once('@').map_or(rest, |(_, host)| host)
}

/// The end of the range of all keys that begin with `prefix`: its last byte plus one (`rpc.proto`, `RangeRequest`).
pub(super) fn end_of(prefix: &str) -> Bytes {
    let mut end = prefix.as_bytes().to_vec();
    // Text has no byte 0xff.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_passwords_in_them_not_shown() {
        for (text, expected) in [
            ("http://127.0.0.1:1234", Some(("127.0.0.1", 1234, false, "http://127.0.0.1:1234/"))),
            ("http://Etcd.test", Some(("etcd.test", 2379, false, "http://Etcd.test:2379/"))),
            ("https://[::1]:2379/", Some(("::1", 2379, true, "https://[::1]:2379/"))),
            ("127.0.0.1:2379", None),
            ("ftp://a", None),
            ("http://root:canary@a:1", None),
        ] {
            let server = Server::new(text);
            let seen = server
                .as_ref()
                .ok()
                .map(|server| (server.host.as_str(), server.port, server.tls, server.origin.to_string()));
            let expected =
                expected.map(|(host, port, tls, origin): (_, _, _, &str)| (host, port, tls, origin.to_owned()));
            assert_eq!(seen, expected, "{text}");
            if let Err(message) = server {
                assert!(!message.contains("canary"), "{message}");
            }
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_mend() {
        let refused = |settings: EtcdSettings| Options::new(&settings).unwrap_err().to_string();
        let none = EtcdSettings { host: Vec::new(), ..EtcdSettings::default() };
        assert!(refused(none).contains("names no server"));
        let half = EtcdSettings { user: Some("root".to_owned()), ..EtcdSettings::default() };
        assert!(refused(half).contains("write both"));
        let options = Options::new(&EtcdSettings::default()).unwrap();
        assert_eq!(options.prefix, "/apisix/");
        assert_eq!(&*options.place, "etcd 127.0.0.1:2379");
        assert_eq!(end_of(&options.prefix), "/apisix0");
    }
}
