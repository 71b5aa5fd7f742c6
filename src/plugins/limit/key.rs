//! Which text of a request names its counter.
use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Deserialize;

use super::hash::KeyWriter;
use crate::plugin::ConfigError;
use crate::request::{Consumer, RequestVars, Template, client_addr, write_value};
use crate::router::{Value, VarName, Variables as _};

/// How the field `key` is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// The name of one variable, without `$`. Where the variable is missing, the client's address is the key.
    #[default]
    Var,
    /// A template, with `$`. Where none of its variables is there, the client's address is the key.
    VarCombination,
    /// The text itself: all requests have one counter.
    Constant,
}

/// A key that was judged at load.
#[derive(Clone, Debug)]
pub(crate) enum KeySpec {
    Var(VarName),
    Combination(Template),
    Constant(Box<[u8]>),
}

impl KeySpec {
    /// Judges the key of a block at `field`.
    pub(crate) fn parse(plugin: &'static str, field: &str, key: &str, key_type: KeyType) -> Result<Self, ConfigError> {
        match key_type {
            KeyType::Var if key.is_empty() => Err(ConfigError::invalid(plugin, field, "needs the name of a variable")),
            KeyType::Var if key.starts_with('$') => {
                let mend =
                    "names one variable, without `$`; for a text with variables write `key_type: var_combination`";
                Err(ConfigError::invalid(plugin, field, mend))
            }
            KeyType::Var => Ok(Self::Var(VarName::parse(key))),
            KeyType::VarCombination => Self::template(plugin, field, key),
            KeyType::Constant => Ok(Self::Constant(key.as_bytes().into())),
        }
    }

    /// A template, whatever `key_type` says.
    pub(crate) fn template(plugin: &'static str, field: &str, key: &str) -> Result<Self, ConfigError> {
        let template = Template::parse(key).map_err(|error| ConfigError::invalid(plugin, field, error.to_string()))?;
        Ok(Self::Combination(template))
    }

    /// Writes the key of a request, with the client's address in place of what is missing.
    pub(crate) fn write<B>(&self, request: &http::Request<B>, to: &mut impl Pieces) {
        match self {
            Self::Var(VarName::RemoteAddr) => write_client(request, to),
            // the most frequent key needs one look at the request
            Self::Var(VarName::ConsumerName) => match Consumer::of(request) {
                Some(consumer) => to.piece(consumer.name().as_bytes()),
                None => write_client(request, to),
            },
            Self::Var(name) => match RequestVars::of(request).get(name) {
                Some(Value::Text(text)) => to.piece(&text),
                // numbers, lists and arguments without a value
                Some(value) => {
                    let mut text = Vec::new();
                    write_value(&value, &mut text);
                    to.piece(&text);
                }
                None => write_client(request, to),
            },
            Self::Combination(_) => {
                if !self.write_resolved(request, to) {
                    write_client(request, to);
                }
            }
            Self::Constant(text) => to.piece(text),
        }
    }

    /// Writes the key of a request, unless it has none of the variables in it.
    pub(crate) fn write_resolved<B>(&self, request: &http::Request<B>, to: &mut impl Pieces) -> bool {
        let Self::Combination(template) = self else {
            self.write(request, to);
            return true;
        };
        let rendered = template.render(&RequestVars::of(request));
        if rendered.resolved > 0 {
            to.piece(&rendered.text);
        }
        rendered.resolved > 0
    }
}

/// What a key is written to: its hash, or text.
pub(crate) trait Pieces {
    /// Takes a piece of it.
    fn piece(&mut self, bytes: &[u8]);
}

impl Pieces for KeyWriter {
    fn piece(&mut self, bytes: &[u8]) {
        self.write(bytes);
    }
}

impl Pieces for Vec<u8> {
    fn piece(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Where nothing is known of the client, as in a tower stack without `ConnectInfo`, all have one key.
fn write_client<B>(request: &http::Request<B>, to: &mut impl Pieces) {
    if let Some(ip) = client_addr(request) {
        to.piece(AddressText::of(ip).as_bytes());
    }
}

/// An address as text, without an allocation.
struct AddressText {
    bytes: [u8; Self::MOST],
    length: usize,
}

impl AddressText {
    /// `0000:0000:0000:0000:0000:ffff:255.255.255.255`
    const MOST: usize = 45;

    fn of(ip: IpAddr) -> Self {
        let mut text = Self { bytes: [0; Self::MOST], length: 0 };
        // cannot fail: there is room for the longest
        let _ = write!(text, "{ip}");
        text
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl std::fmt::Write for AddressText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self.bytes.get_mut(self.length..self.length + text.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::ConnectInfo;
    use crate::model::ConsumerSpec;

    fn request() -> http::Request<()> {
        let mut request = http::Request::builder()
            .uri("/a?user=bo&flag")
            .header("x-tenant", "T1")
            .header("x-empty", "")
            .body(())
            .unwrap();
        let peer: SocketAddr = "192.0.2.9:4711".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo::new(peer));
        request
    }

    fn key_of(request: &http::Request<()>, key: &str, key_type: KeyType) -> String {
        let mut text = Vec::new();
        KeySpec::parse("limit-count", "key", key, key_type).unwrap().write(request, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn keys_are_exact_and_fall_back_to_the_address() {
        use KeyType::{Constant, Var, VarCombination};
        let mut request = request();
        for (key, key_type, wanted) in [
            ("remote_addr", Var, "192.0.2.9"),
            ("http_x_tenant", Var, "T1"),
            ("http_x_empty", Var, ""),
            ("http_x_missing", Var, "192.0.2.9"),
            ("consumer_name", Var, "192.0.2.9"),
            ("arg_user", Var, "bo"),
            ("arg_flag", Var, "true"),
            ("remote_port", Var, "4711"),
            ("$http_a $http_x_tenant", VarCombination, " T1"),
            ("$http_a $http_b", VarCombination, "192.0.2.9"),
            ("no variable", VarCombination, "192.0.2.9"),
            ("$remote_addr|$arg_user", VarCombination, "192.0.2.9|bo"),
            ("remote_addr", Constant, "remote_addr"),
        ] {
            assert_eq!(key_of(&request, key, key_type), wanted, "{key}");
        }
        let consumer: ConsumerSpec = serde_json::from_value(serde_json::json!({"username": "alice"})).unwrap();
        Consumer::new(&consumer).attach(&mut request);
        assert_eq!(key_of(&request, "consumer_name", Var), "alice");
    }

    #[test]
    fn a_hash_is_the_hash_of_the_text() {
        let names = crate::plugins::limit::store::Store::<crate::plugins::limit::Bucket>::default().namespace(b"n");
        let key = KeySpec::parse("limit-req", "key", "$remote_addr $arg_user", KeyType::VarCombination).unwrap();
        let mut writer = names.writer();
        key.write(&request(), &mut writer);
        assert_eq!(writer.finish(), names.key(b"192.0.2.9 bo"));
    }

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        let refused = |key, key_type| KeySpec::parse("limit-req", "key", key, key_type).unwrap_err().to_string();
        assert!(refused("", KeyType::Var).contains("key: needs the name"));
        assert!(refused("$remote_addr", KeyType::Var).contains("without `$`"));
        assert!(refused("${x", KeyType::VarCombination).contains("closing"));
    }

    #[test]
    fn every_address_has_room() {
        for text in ["255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:255.255.255.255", "::1"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(AddressText::of(ip).as_bytes(), ip.to_string().as_bytes());
        }
    }
}
