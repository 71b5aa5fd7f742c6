//! [`ListenerSpec`]: an address of our own and what is spoken there, in the settings' `listeners`.
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::check::shape::{Field, List, Rule, Shape, Struct, Text};

/// An address of our own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListenerSpec {
    /// Where: see [`ListenAddress`]. Required.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub address: ListenAddress,
    /// What is spoken there. Default `[h1]`.
    #[serde(default = "h1")]
    pub protocols: Vec<Protocol>,
}

fn h1() -> Vec<Protocol> {
    vec![Protocol::H1]
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.
    H1,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

/// Where a listener is. As text, which is how it is written in documents:
///
/// | text | meaning |
/// |---|---|
/// | `127.0.0.1:9080`, `[::1]:9080` | an address of this machine and a port; port 0 takes a free one |
/// | `0.0.0.0:80`, `[::]:80` | all addresses of this machine, of IPv4 or of both kinds |
/// | `unix:/run/tollgate/web.sock` | a Unix socket at an absolute path |
/// | `unix:@web` | a Unix socket by an abstract name (Linux), which is in no folder |
/// | `systemd:web` | a socket that the process was started with, or given by its host, under this name |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket in the file system.
    Unix(PathBuf),
    /// A Unix socket with an abstract name.
    Abstract(String),
    /// A socket that somebody else opened.
    Inherited(String),
}

/// Why a text is no [`ListenAddress`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address to listen on: write {EXPECTED}")]
pub struct NoListenAddress(String);

const EXPECTED: &str = "an address and a port, such as 127.0.0.1:9080 or [::1]:9080, or `unix:/path/of/a/socket`, \
                        `unix:@name`, `systemd:name`";

/// Longest path or abstract name of a Unix socket, which the system gives 108 bytes with an end mark.
const UNIX_PATH: usize = 107;

impl FromStr for ListenAddress {
    type Err = NoListenAddress;

    fn from_str(text: &str) -> Result<Self, NoListenAddress> {
        let refused = || NoListenAddress(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            let fits = path.len() <= UNIX_PATH && !path.contains('\0');
            return match path.strip_prefix('@') {
                Some(name) if fits && !name.is_empty() => Ok(Self::Abstract(name.to_owned())),
                None if fits && path.starts_with('/') && !path.ends_with('/') => Ok(Self::Unix(path.into())),
                _ => Err(refused()),
            };
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            // As systemd.socket(5) has names of descriptors.
            let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
            return if fits { Ok(Self::Inherited(name.to_owned())) } else { Err(refused()) };
        }
        text.parse().map(Self::Tcp).map_err(|_| refused())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
            Self::Inherited(name) => write!(f, "systemd:{name}"),
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

const ADDRESS: Rule = Rule { holds: |text| text.parse::<ListenAddress>().is_ok(), expects: EXPECTED };

const LISTENER: Struct = Struct::new(&[
    Field::required("address", Shape::Text(Text { min: 1, max: 128, rule: Some(&ADDRESS) })),
    Field::new(
        "protocols",
        Shape::List(&List { of: Shape::Word(&["h1", "h2c"]), min: 1, max: usize::MAX, unique: true }),
    ),
]);

pub(crate) const LISTENERS: Shape =
    Shape::List(&List { of: Shape::Struct(&LISTENER), min: 0, max: 1024, unique: false });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for good in [
            "127.0.0.1:9080",
            "[::1]:0",
            "[::]:80",
            "unix:/run/web.sock",
            "unix:@web",
            "systemd:web",
            "systemd:web.socket",
        ] {
            assert_eq!(good.parse::<ListenAddress>().unwrap().to_string(), good);
        }
        let long = format!("unix:/{}", "x".repeat(107));
        for bad in [
            "",
            "localhost:80",
            "127.0.0.1",
            ":80",
            "unix:",
            "unix:web.sock",
            "unix:@",
            "unix:/run/",
            "systemd:",
            "systemd:a b",
            "systemd:a:b",
            "127.0.0.1:70000",
            &long,
        ] {
            let error = bad.parse::<ListenAddress>().unwrap_err();
            assert!(error.to_string().contains("such as 127.0.0.1:9080"), "{bad}: {error}");
        }
    }
}
