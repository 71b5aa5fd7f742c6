//! What happens to a request's fields before anything else sees them (security.md §4): fields that only the gateway may
//! set come off, and the client's address is found out.
//!
//! The hop-by-hop fields have come off before: in our codec, or by [`strip_hop_by_hop`] for requests of a host's server.
//!
//! [`strip_hop_by_hop`]: crate::hop::strip_hop_by_hop
use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName, HeaderValue, VIA};
use ipnet::IpNet;

/// Fields that tell the upstream about the way so far. They come off and are written anew by the upstream client.
const FORWARDING: [&str; 7] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-real-ip",
    "forwarded",
];

/// What the fields said on arrival.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    /// The client: the peer, or behind trusted proxies the right-most hop that is not one.
    pub(crate) client: Option<IpAddr>,
    /// What a trusted peer reported of the way before it.
    pub(crate) reported: Option<Box<Reported>>,
    /// The forwarding fields as received, for `original_x_forwarded_*`.
    pub(crate) original: Option<Box<HeaderMap>>,
    /// How often the request has passed this gateway before.
    pub(crate) passes: u32,
    /// The client takes trailers: it said `TE`, of which that word alone has come this far.
    pub(crate) trailers: bool,
    /// `Host`, as the client sees it.
    pub(crate) host: Option<HeaderValue>,
}

/// What a trusted proxy reported.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    /// `X-Forwarded-For`, to be appended to.
    pub(crate) forwarded_for: Option<HeaderValue>,
    /// `X-Forwarded-Proto`.
    pub(crate) proto: Option<HeaderValue>,
    /// `X-Forwarded-Host`.
    pub(crate) host: Option<HeaderValue>,
    /// `X-Forwarded-Port`.
    pub(crate) port: Option<HeaderValue>,
}

/// Takes protected fields off `headers`.
///
/// `token` is this gateway's name in `Via`.
pub(crate) fn arrive(headers: &mut HeaderMap, peer: Option<IpAddr>, trusted: &[IpNet], token: &str) -> Arrival {
    let mut arrival = Arrival { client: peer, ..Arrival::default() };
    let mut forwarding = false;
    let mut doomed: Vec<HeaderName> = Vec::new();
    for name in headers.keys() {
        match judge(name.as_str()) {
            Verdict::Pass => {}
            Verdict::Drop => doomed.push(name.clone()),
            Verdict::Forwarding => {
                forwarding = true;
                doomed.push(name.clone());
            }
            Verdict::Via => arrival.passes = passes(headers, token),
            Verdict::Trailers => arrival.trailers = true,
        }
    }
    if doomed.is_empty() {
        return arrival;
    }
    if forwarding {
        let from_proxy = peer.is_some_and(|peer| trusted.iter().any(|net| net.contains(&peer)));
        arrival.keep_forwarding(headers, from_proxy, trusted);
    }
    for name in doomed {
        headers.remove(name);
    }
    arrival
}

impl Arrival {
    fn keep_forwarding(&mut self, headers: &HeaderMap, from_proxy: bool, trusted: &[IpNet]) {
        let mut original = HeaderMap::new();
        for (name, value) in headers {
            if matches!(judge(name.as_str()), Verdict::Forwarding) {
                original.append(name.clone(), value.clone());
            }
        }
        if from_proxy {
            let reported = Reported {
                forwarded_for: joined(&original, "x-forwarded-for"),
                proto: one_token(&original, "x-forwarded-proto"),
                host: one_token(&original, "x-forwarded-host"),
                port: one_token(&original, "x-forwarded-port"),
            };
            if let Some(list) = reported.forwarded_for.as_ref().and_then(|value| value.to_str().ok()) {
                self.client = right_most_untrusted(list, trusted).or(self.client);
            }
            self.reported = Some(Box::new(reported));
        }
        self.original = Some(Box::new(original));
    }
}

/// Takes off what the upstream client writes by itself of the way so far, so that a layer's word of it is no second line.
pub(crate) fn drop_what_is_written(headers: &mut HeaderMap) {
    const WRITTEN: [&str; 5] =
        ["x-real-ip", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"];
    if headers.keys().any(|name| WRITTEN.contains(&name.as_str())) {
        for name in WRITTEN {
            headers.remove(name);
        }
    }
}

enum Verdict {
    Pass,
    Drop,
    Forwarding,
    Via,
    Trailers,
}

/// Judges one field name, which is lower-case. Most names are done after their first byte and a look for `_`.
fn judge(name: &str) -> Verdict {
    let bytes = name.as_bytes();
    match bytes.first() {
        Some(b'x' | b'f' | b'p' | b'v' | b't') => judge_closely(name),
        _ if bytes.contains(&b'_') => judge_closely(name),
        _ => Verdict::Pass,
    }
}

fn judge_closely(name: &str) -> Verdict {
    if name.contains('_') {
        // CGI-style origins read `_` as `-` (security.md HOP-04).
        let dashed = name.replace('_', "-");
        let protected = FORWARDING.contains(&dashed.as_str())
            || is_identity(&dashed)
            || matches!(
                dashed.as_str(),
                "content-length" | "transfer-encoding" | "host" | "connection" | "authorization" | "cookie" | "proxy"
            );
        return if protected { Verdict::Drop } else { Verdict::Pass };
    }
    if name == "via" {
        Verdict::Via
    } else if name == "te" {
        Verdict::Trailers
    } else if name == "proxy" || is_identity(name) {
        Verdict::Drop
    } else if FORWARDING.contains(&name) {
        Verdict::Forwarding
    } else {
        Verdict::Pass
    }
}

/// Fields by which the gateway tells the upstream who calls (security.md HOP-05).
fn is_identity(name: &str) -> bool {
    name.starts_with("x-consumer-") || name.starts_with("x-credential-") || name == "x-userinfo"
}

/// Takes fields off by which plugins tell the upstream who calls, and those that CGI-style origins read alike (security.md
/// HOP-04, HOP-05).
pub(crate) fn take_off(headers: &mut HeaderMap, fields: &[HeaderName]) {
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
    let reads_alike = |a: &str, b: &str| a.len() == b.len() && a.bytes().map(dashed).eq(b.bytes().map(dashed));
    let is_named = |name: &&HeaderName| fields.iter().any(|field| reads_alike(name.as_str(), field.as_str()));
    let doomed: Vec<_> = headers.keys().filter(is_named).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

/// How many of our own tokens stand in `Via` (RFC 9110 §7.6.3).
fn passes(headers: &HeaderMap, token: &str) -> u32 {
    let ours = |entry: &&str| entry.split_ascii_whitespace().nth(1).is_some_and(|by| by == token);
    let count = headers
        .get_all(VIA)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter(ours)
        .count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// All values of a field as one list.
fn joined(headers: &HeaderMap, name: &str) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.clone();
    let mut whole = first.as_bytes().to_vec();
    let mut single = true;
    for value in values {
        single = false;
        whole.extend_from_slice(b", ");
        whole.extend_from_slice(value.as_bytes());
    }
    if single { Some(first) } else { HeaderValue::from_bytes(&whole).ok() }
}

/// The value of a field that stands once and is no list.
fn one_token(headers: &HeaderMap, name: &str) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    let clean = values.next().is_none() && !value.is_empty() && !value.as_bytes().contains(&b',');
    clean.then(|| value.clone())
}

/// Walks a list of hops from the right over trusted proxies. Garbage ends the walk: the hop right of it is the client.
fn right_most_untrusted(list: &str, trusted: &[IpNet]) -> Option<IpAddr> {
    let mut last = None;
    for hop in list.rsplit(',') {
        let Some(address) = parse_hop(hop.trim()) else { break };
        last = Some(address);
        if !trusted.iter().any(|net| net.contains(&address)) {
            break;
        }
    }
    last
}

/// An address as proxies write it: bare, in brackets, with or without a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = match hop.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if hop.matches(':').count() == 1 => hop.split_once(':')?.0,
        None => hop,
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn run(fields: &[(&str, &str)], trusted: &[&str]) -> (HeaderMap, Arrival) {
        let mut map = headers(fields);
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let arrival = arrive(&mut map, Some("10.0.0.9".parse().unwrap()), &trusted, "gw1");
        (map, arrival)
    }

    #[test]
    fn sec_hop_03_an_untrusted_peer_names_nothing() {
        let fields = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "2.2.2.2"),
            ("forwarded", "for=3.3.3.3"),
            ("x-forwarded-prefix", "/x"),
            ("accept", "*/*"),
        ];
        let (map, arrival) = run(&fields, &[]);
        assert_eq!(map.len(), 1);
        assert_eq!(arrival.client, Some("10.0.0.9".parse().unwrap()));
        assert!(arrival.reported.is_none());
        assert_eq!(arrival.original.unwrap()["x-forwarded-for"], "1.1.1.1");
    }

    #[test]
    fn sec_hop_03_a_trusted_peer_names_the_right_most_untrusted_hop() {
        for (list, client) in [
            ("6.6.6.6, 1.1.1.1, 10.0.0.5", "1.1.1.1"),
            ("1.1.1.1:8080", "1.1.1.1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("6.6.6.6, unknown, 10.0.0.5", "10.0.0.5"),
            ("garbage", "10.0.0.9"),
            ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
        ] {
            let (_, arrival) = run(&[("x-forwarded-for", list), ("x-forwarded-proto", "https")], &["10.0.0.0/8"]);
            assert_eq!(arrival.client, Some(client.parse().unwrap()), "{list}");
            assert_eq!(arrival.reported.unwrap().proto.unwrap(), "https");
        }
        let (_, arrival) = run(&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.1.1.1")], &["10.0.0.0/8"]);
        assert_eq!(arrival.reported.unwrap().forwarded_for.unwrap(), "6.6.6.6, 1.1.1.1");
        assert_eq!(arrival.client, Some("1.1.1.1".parse().unwrap()));
    }

    #[test]
    fn sec_hop_04_underscores_do_not_smuggle_protected_names() {
        let fields = [
            ("x_forwarded_for", "1"),
            ("x-consumer_id", "1"),
            ("content_length", "5"),
            ("my_own", "stays"),
            ("proxy", "x"),
        ];
        let (map, _) = run(&fields, &[]);
        assert_eq!(map.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["my_own"]);
    }

    #[test]
    fn sec_hop_05_identity_fields_come_off() {
        let fields = [("x-consumer-username", "root"), ("x-credential-identifier", "1"), ("x-userinfo", "e30=")];
        assert!(run(&fields, &["10.0.0.0/8"]).0.is_empty());
    }

    #[test]
    fn sec_hop_10_passes_are_counted_in_via() {
        let (_, arrival) = run(&[("via", "1.1 gw1, 1.1 other"), ("via", "1.1 gw1 (x)")], &[]);
        assert_eq!(arrival.passes, 2);
    }
}
