//! The small types of fields: hosts, addresses, methods, seconds, secrets.
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};

/// Free labels of a resource: any key, values of 1–256 characters without blanks (model.md §1).
pub type Labels = BTreeMap<String, String>;

/// A host pattern: `*`, `*.example.com`, `example.com`, `example.com:8443`, `[::1]`. Lower-cased when made.
///
/// How it matches says router.md §5. The type takes any text; [`check`](crate::model::check) judges it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Host(Arc<str>);

impl Host {
    /// The pattern as lower-case text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text, shared.
    pub(crate) fn to_shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl From<&str> for Host {
    fn from(text: &str) -> Self {
        // A secret reference names a key, whose case counts.
        if text.starts_with('$') { Self(text.into()) } else { Self(text.to_ascii_lowercase().into()) }
    }
}

impl From<String> for Host {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl AsRef<str> for Host {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// An address (`10.0.0.1`, `::1`) or a network (`10.0.0.0/8`, `fc00::/7`), parsed strictly: the prefix of an IPv4
/// network is 0–32, of an IPv6 network 0–128 (the reference takes any three digits).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IpOrCidr(#[cfg_attr(feature = "schema", schemars(with = "String"))] IpNet);

impl IpOrCidr {
    /// The network; a single address has the full prefix.
    pub const fn network(self) -> IpNet {
        self.0
    }
}

impl From<IpAddr> for IpOrCidr {
    fn from(address: IpAddr) -> Self {
        Self(address.into())
    }
}

impl From<IpNet> for IpOrCidr {
    fn from(network: IpNet) -> Self {
        Self(network)
    }
}

impl FromStr for IpOrCidr {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Self(address.into())),
            Err(_) => text.parse().map(Self).map_err(|_| NotAnAddress),
        }
    }
}

/// The text is neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address or network: write one such as 10.0.0.1, 10.0.0.0/8, ::1 or fc00::/7")]
pub struct NotAnAddress;

impl fmt::Display for IpOrCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            fmt::Display::fmt(&self.0.addr(), f)
        } else {
            fmt::Display::fmt(&self.0, f)
        }
    }
}

impl fmt::Debug for IpOrCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for IpOrCidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IpOrCidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A request method that a route can name (model.md §1). Other methods match routes without `methods` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "each variant is the method that it is called after")]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
    Patch,
    Head,
    Options,
    Connect,
    Trace,
    Purge,
}

impl Method {
    /// Every method, as written.
    pub(crate) const NAMES: &'static [&'static str] =
        &["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"];

    /// The method as it stands in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
            Self::Purge => "PURGE",
        }
    }
}

/// A length of time in seconds, fractions allowed, as the wire format has it.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default, Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Seconds(#[serde(serialize_with = "whole_or_float")] pub f64);

impl Seconds {
    /// The longest time that means anything: 100 years.
    pub const MAX: Self = Self(3_155_760_000.0);

    /// As a [`Duration`], held between nothing and [`Seconds::MAX`], so that it can be added to any clock reading.
    pub fn duration(self) -> Duration {
        // Not a number stays that, and becomes no time at all.
        Duration::try_from_secs_f64(self.0.clamp(0.0, Self::MAX.0)).unwrap_or_default()
    }
}

impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Self {
        Self(duration.as_secs_f64())
    }
}

/// A text that no log may show: a private key, a token, or a reference to one. `Debug` prints `[redacted]`.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("writeOnly" = true)))]
#[serde(transparent)]
pub struct Sensitive(Arc<str>);

/// As a text. What is none, such as a password of digits alone that stands without quotes, is refused without being shown.
impl<'de> Deserialize<'de> for Sensitive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl serde::de::Visitor<'_> for Read {
            type Value = Sensitive;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Sensitive, E> {
                Ok(text.into())
            }

            fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Sensitive, E> {
                Err(E::custom(NO_TEXT))
            }

            fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Sensitive, E> {
                Err(E::custom(NO_TEXT))
            }

            fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Sensitive, E> {
                Err(E::custom(NO_TEXT))
            }

            fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Sensitive, E> {
                Err(E::custom(NO_TEXT))
            }
        }

        // Asked for a text, a deserializer would show what there is in its place.
        deserializer.deserialize_any(Read)
    }
}

const NO_TEXT: &str = "wrong type: expected text; write it in quotes";

impl Sensitive {
    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Sensitive {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Sensitive {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// `status` of a route or certificate: on the wire 1 (default) or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Status {
    /// 1: in use.
    #[default]
    Enabled,
    /// 0: kept, but not in use.
    Disabled,
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(u8::from(*self == Self::Enabled))
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Self::Disabled),
            1 => Ok(Self::Enabled),
            _ => Err(D::Error::custom("neither 0 nor 1: write 1 for in use, 0 for not in use")),
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Status {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Status".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer"})
    }
}

/// Whole seconds are written as `60`, not `60.0`, as an operator would.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
#[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53 fits")]
fn whole_or_float<S: Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if seconds.fract() == 0.0 && seconds.abs() < EXACT {
        serializer.serialize_i64(*seconds as i64)
    } else {
        serializer.serialize_f64(*seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_strict() {
        for good in ["10.0.0.1", "10.0.0.0/8", "::1", "fc00::/7", "0.0.0.0/0", "::/0", "1.2.3.4/32"] {
            assert!(good.parse::<IpOrCidr>().is_ok(), "{good}");
        }
        for bad in ["10.0.0.1/33", "::1/129", "10.0.0", "10.0.0.256", "", "/8", "a/8", "10.0.0.0/", "10.0.0.1 "] {
            assert_eq!(bad.parse::<IpOrCidr>(), Err(NotAnAddress), "{bad}");
        }
    }

    #[test]
    fn seconds_become_durations_that_no_clock_chokes_on() {
        assert_eq!(Seconds(0.25).duration(), Duration::from_millis(250));
        assert_eq!(Seconds(-1.0).duration(), Duration::ZERO);
        assert_eq!(Seconds(f64::NAN).duration(), Duration::ZERO);
        assert_eq!(Seconds(f64::INFINITY).duration(), Seconds::MAX.duration());
        assert_eq!(serde_json::to_string(&Seconds(60.0)).unwrap(), "60");
        assert_eq!(serde_json::to_string(&Seconds(0.5)).unwrap(), "0.5");
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Sensitive::from("-----BEGIN")), "[redacted]");
        let read =
            |json: serde_json::Value| serde_json::from_value::<Sensitive>(json).map_err(|error| error.to_string());
        assert_eq!(read("s".into()).unwrap().expose(), "s");
        for json in
            [serde_json::json!(918_273), (-918_273).into(), 918_273.5.into(), true.into(), serde_json::json!([918_273])]
        {
            let error = read(json).unwrap_err();
            assert!(error.contains("expected text") && !error.contains("918273") && !error.contains("true"), "{error}");
        }
    }

    #[test]
    fn hosts_are_lower_cased_and_references_are_not() {
        assert_eq!(Host::from("API.Example.COM").as_str(), "api.example.com");
        assert_eq!(Host::from("$env://HOST").as_str(), "$env://HOST");
    }

    #[test]
    fn every_method_is_named_as_it_is_written() {
        for name in Method::NAMES {
            let method: Method = serde_json::from_value((*name).into()).unwrap();
            assert_eq!(method.as_str(), *name);
        }
    }
}
