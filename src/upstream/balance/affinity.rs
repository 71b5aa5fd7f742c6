//! Sessions that stay with an endpoint, by a cookie.
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

/// Characters of a cookie's value: 96 bits.
const LENGTH: usize = 16;

/// A cookie that brings the requests of a session back to the endpoint which answered the first one.
///
/// Its value is a keyed digest of upstream and endpoint: it shows nothing of either, and without the secret nobody can make
/// one. A value that is no endpoint's of this upstream is as good as none. Gateways that have the same secret understand
/// each other's cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AffinityConfig {
    /// The cookie's name. Upstreams of one site need one each, or they take each other's away.
    pub cookie: String,
    /// How long a browser keeps it (`Max-Age`). `None`: until the browser is closed.
    pub ttl: Option<Duration>,
    /// `Path`. Default `/`.
    pub path: String,
    /// `HttpOnly`: not for scripts. Default `true`.
    pub http_only: bool,
    /// `SameSite`. Default [`SameSite::Lax`].
    pub same_site: SameSite,
    /// `Secure`: over HTTPS only. Default `false`; browsers want it for [`SameSite::None`].
    pub secure: bool,
    /// What values are digested with. `None`: something random of this process, which forgets its sessions when it ends and
    /// shares them with no other gateway.
    pub secret: Option<AffinitySecret>,
}

impl AffinityConfig {
    /// A cookie of that name, for the whole site, until the browser is closed.
    pub fn new(cookie: impl Into<String>) -> Self {
        Self {
            cookie: cookie.into(),
            ttl: None,
            path: String::from("/"),
            http_only: true,
            same_site: SameSite::Lax,
            secure: false,
            secret: None,
        }
    }

    /// Why there cannot be such a cookie, if it cannot (RFC 6265 §4.1.1).
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b';';
        if self.cookie.is_empty() || !self.cookie.bytes().all(token) {
            return Some("affinity.cookie");
        }
        (!self.path.starts_with('/') || !self.path.bytes().all(printable)).then_some("affinity.path")
    }
}

/// When a browser sends a cookie along with what another site asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When the user goes from there to here.
    Lax,
    /// Always.
    None,
}

/// The key of the digests.
#[derive(Clone, PartialEq, Eq)]
pub struct AffinitySecret([u8; 32]);

impl AffinitySecret {
    /// The key that comes of a text, the same everywhere.
    pub fn new(text: &str) -> Self {
        Self(blake3::derive_key("tollgate 2026 session affinity", text.as_bytes()))
    }

    /// A key that nobody else has.
    pub(crate) fn random() -> Self {
        let mut key = [0; 32];
        // What std itself falls back on when the system has no randomness to give.
        if getrandom::fill(&mut key).is_err() {
            for chunk in key.chunks_mut(8) {
                chunk.copy_from_slice(&RandomState::new().hash_one(0_u8).to_le_bytes());
            }
        }
        Self(key)
    }
}

impl fmt::Debug for AffinitySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The cookies of a set of endpoints.
pub(crate) struct Affinity {
    /// `name=`.
    prefix: Box<[u8]>,
    /// Value → index of the endpoint.
    by_value: HashMap<[u8; LENGTH], usize>,
    /// The field that sets each endpoint's.
    fields: Box<[HeaderValue]>,
}

impl Affinity {
    /// Of the endpoints of an upstream, given by name and, where they have one name together, address.
    pub(crate) fn new<'a>(
        config: &AffinityConfig,
        secret: &AffinitySecret,
        upstream: &str,
        endpoints: impl Iterator<Item = (&'a str, Option<IpAddr>)>,
    ) -> Self {
        let mut by_value = HashMap::new();
        let fields = endpoints.enumerate().filter_map(|(index, (name, address))| {
            let value = value(secret, upstream, name, address);
            // The same endpoint may stand in several priorities; one of them will do.
            by_value.entry(value).or_insert(index);
            HeaderValue::from_str(&field(config, std::str::from_utf8(&value).ok()?)).ok()
        });
        let fields = fields.collect();
        Self { prefix: format!("{}=", config.cookie).into_bytes().into(), by_value, fields }
    }

    /// The endpoint that a request wants to come back to, if it says so and there is such a one.
    pub(crate) fn wanted(&self, headers: &HeaderMap) -> Option<usize> {
        let pairs = headers.get_all(COOKIE).iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
        let values = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(&*self.prefix));
        values.filter_map(|value| self.by_value.get(value)).copied().next()
    }

    /// Has the client come back to endpoint `index`, unless that is where it `wanted` to go anyway.
    pub(crate) fn mark(&self, response: &mut HeaderMap, wanted: Option<usize>, index: usize) {
        if wanted != Some(index)
            && let Some(field) = self.field(index)
        {
            response.append(SET_COOKIE, field.clone());
        }
    }

    /// The `Set-Cookie` that brings a session back to endpoint `index`.
    fn field(&self, index: usize) -> Option<&HeaderValue> {
        self.fields.get(index)
    }
}

impl fmt::Debug for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Affinity({} endpoints)", self.fields.len())
    }
}

fn value(secret: &AffinitySecret, upstream: &str, name: &str, address: Option<IpAddr>) -> [u8; LENGTH] {
    let mut hasher = blake3::Hasher::new_keyed(&secret.0);
    // Neither holds a zero byte.
    hasher.update(upstream.as_bytes()).update(&[0]).update(name.as_bytes()).update(&[0]);
    match address {
        Some(IpAddr::V4(v4)) => hasher.update(&v4.octets()),
        Some(IpAddr::V6(v6)) => hasher.update(&v6.octets()),
        None => &mut hasher,
    };
    let mut digest = [0; LENGTH / 4 * 3];
    hasher.finalize_xof().fill(&mut digest);
    let mut value = [0; LENGTH];
    // As long as it is, so it fits.
    let _ = URL_SAFE_NO_PAD.encode_slice(digest, &mut value);
    value
}

fn field(config: &AffinityConfig, value: &str) -> String {
    let mut field = format!("{}={value}; Path={}", config.cookie, config.path);
    if let Some(ttl) = config.ttl {
        // Writing to a String cannot fail.
        let _ = write!(field, "; Max-Age={}", ttl.as_secs());
    }
    if config.secure {
        field.push_str("; Secure");
    }
    if config.http_only {
        field.push_str("; HttpOnly");
    }
    field.push_str(match config.same_site {
        SameSite::Strict => "; SameSite=Strict",
        SameSite::Lax => "; SameSite=Lax",
        SameSite::None => "; SameSite=None",
    });
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];

    fn affinity(secret: &str, upstream: &str, names: &[&str]) -> Affinity {
        let endpoints = names.iter().map(|name| (*name, None));
        Affinity::new(&AffinityConfig::new("stay"), &AffinitySecret::new(secret), upstream, endpoints)
    }

    /// The fields of a client that was set this cookie.
    fn client(affinity: &Affinity, index: usize) -> HeaderMap {
        let field = affinity.field(index).unwrap().to_str().unwrap();
        cookies(&format!("a=1; {}; b=2", field.split(';').next().unwrap()))
    }

    fn cookies(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(text).unwrap())])
    }

    #[test]
    fn a_cookie_leads_back_whatever_else_changes() {
        let before = affinity("s", "upstream/1", &NAMES);
        let after = affinity("s", "upstream/1", &[NAMES[2], NAMES[0]]);
        assert_eq!(after.wanted(&client(&before, 0)), Some(1));
        assert_eq!(after.wanted(&client(&before, 2)), Some(0));
        assert_eq!(after.wanted(&client(&before, 1)), None);
    }

    #[test]
    fn foreign_and_forged_cookies_are_none() {
        let own = affinity("s", "upstream/1", &NAMES);
        for other in [affinity("other", "upstream/1", &NAMES), affinity("s", "upstream/2", &NAMES)] {
            assert_eq!(own.wanted(&client(&other, 0)), None);
        }
        for text in ["stay=", "stay", "stay=AAAAAAAAAAAAAAAA", "stay=10.0.0.1:80", "", ";;=", "stayx=1"] {
            assert_eq!(own.wanted(&cookies(text)), None, "{text}");
        }
        let value = own.field(1).unwrap().to_str().unwrap().split(';').next().unwrap().to_owned();
        assert_eq!(own.wanted(&cookies(&format!("stay=forged;{value}"))), Some(1));
        assert_eq!(own.wanted(&cookies(&format!("x{value}"))), None);
        assert_eq!(own.wanted(&HeaderMap::new()), None);
    }

    #[test]
    fn addresses_of_a_name_are_told_apart() {
        let secret = AffinitySecret::random();
        let value = |last| value(&secret, "u", "a.test:80", Some(IpAddr::from([10, 0, 0, last])));
        assert_ne!(value(1), value(2));
    }

    #[test]
    fn the_field_says_what_was_configured() {
        let mut config = AffinityConfig::new("stay");
        assert_eq!(field(&config, "v"), "stay=v; Path=/; HttpOnly; SameSite=Lax");
        config.ttl = Some(Duration::from_secs(60));
        (config.secure, config.http_only, config.same_site) = (true, false, SameSite::None);
        config.path = String::from("/shop");
        assert_eq!(field(&config, "v"), "stay=v; Path=/shop; Max-Age=60; Secure; SameSite=None");
    }

    #[test]
    fn what_would_break_the_field_is_refused() {
        let fault =
            |cookie: &str, path: &str| AffinityConfig { path: path.to_owned(), ..AffinityConfig::new(cookie) }.fault();
        assert_eq!(fault("stay", "/a"), None);
        for cookie in ["", "a b", "a;b", "a=b", "é"] {
            assert_eq!(fault(cookie, "/"), Some("affinity.cookie"));
        }
        for path in ["", "a", "/;x", "/\n"] {
            assert_eq!(fault("stay", path), Some("affinity.path"));
        }
        assert!(!format!("{:?}", AffinitySecret::new("hush")).contains("hush"));
    }
}
