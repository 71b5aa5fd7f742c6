//! `real-ip`: takes the client's address out of a field or variable, for everything behind it: variables, lists, limits,
//! logs, and the forwarding fields that the upstream gets. Stage: edge, before all others.
//!
//! Decision: 1. with `trusted_addresses`, a request from a peer that is not among them stays as it is; 2. the address is
//! taken out of `source`: of `X-Forwarded-For` the last one, or with `recursive` and `trusted_addresses`, from the right,
//! the first that is not trusted (where all are, the leftmost); of anything else the whole value; 3. `192.0.2.1`,
//! `192.0.2.1:80`, `2001:db8::1` and `[2001:db8::1]:80` are addresses; where there is none, the request stays as it is.
//!
//! It answers nothing. Fields are read as they came, before the gateway took forwarding fields of untrusted peers off
//! (security.md HOP-03). It calls [`set_client_addr`].
//!
//! **Without `trusted_addresses` anybody can be whom he likes**: whoever reaches the gateway may write the field. Leave it
//! out only where nobody but your own proxies can connect; the load warns of it. Behind proxies that speak `X-Forwarded-For`,
//! `trusted_proxies` in the gateway's settings does the same for all routes, and needs no plugin.
//!
//! ```
//! use tollgate::plugins::real_ip::{RealIp, RealIpConfig, RealIpLayer};
//!
//! let mut config = RealIpConfig::default();
//! config.source = "http_x_forwarded_for".to_owned();
//! config.trusted_addresses = Some(vec!["10.0.0.0/8".to_owned()]);
//! let layer = RealIpLayer::of(RealIp::new(config)?);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"real-ip": {"source": "http_x_forwarded_for", "trusted_addresses": ["10.0.0.0/8"], "recursive": true}}
//! ```
use std::net::{IpAddr, SocketAddr};

use http::HeaderName;
use http::header::HeaderMap;
use serde::Deserialize;

use super::checks::non_empty;
use super::networks::Networks;
use crate::plugin::{BuildContext, Caveat, ConfigError, Gate, GateLayer, Plugin, SchemaOf, Stage};
use crate::request::{RequestVars, SharedFacts, SubRequest, peer_addr, set_client_addr};
use crate::router::{Value, VarName, Variables};
use crate::{PluginLayer, Response};

/// Options of `real-ip`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RealIpConfig {
    /// The variable that has the address, without `$`: `http_x_forwarded_for`, `http_x_real_ip`, `arg_realip`, … Required.
    pub source: String,
    /// Addresses and networks of the peers that are believed; at least one. By default every peer is, which is safe only
    /// where none but your own proxies can connect.
    pub trusted_addresses: Option<Vec<String>>,
    /// Of several addresses in `X-Forwarded-For`, take the right-most that is not among `trusted_addresses`, and not the
    /// last. Default `false`.
    pub recursive: bool,
}

/// The decision of `real-ip`.
#[derive(Clone, Debug)]
pub struct RealIp {
    source: Source,
    trusted: Option<Networks>,
    recursive: bool,
}

#[derive(Clone, Debug)]
enum Source {
    /// `X-Forwarded-For`, a list.
    ForwardedFor,
    /// Any other field.
    Field(HeaderName),
    Variable(VarName),
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl RealIp {
    /// Compiles a block.
    ///
    /// # Errors
    /// No source, what is no address.
    pub fn new(config: RealIpConfig) -> Result<Self, ConfigError> {
        const NAME: &str = RealIpPlugin::NAME;
        let source = match VarName::parse(&config.source) {
            _ if config.source.is_empty() => {
                let reason = "is required: name a variable such as http_x_forwarded_for, without `$`";
                return Err(ConfigError::invalid(NAME, "source", reason));
            }
            VarName::Custom(name) if name.starts_with('$') => {
                return Err(ConfigError::invalid(NAME, "source", "is the name of a variable; write it without `$`"));
            }
            VarName::Header(name) if name == FORWARDED_FOR => Source::ForwardedFor,
            VarName::Header(name) => Source::Field(name),
            name => Source::Variable(name),
        };
        let trusted = match &config.trusted_addresses {
            None => None,
            Some(list) => {
                non_empty(NAME, "trusted_addresses", list)?;
                Some(Networks::parse(NAME, "trusted_addresses", list)?)
            }
        };
        Ok(Self { source, trusted, recursive: config.recursive })
    }

    /// Whether the peer is believed.
    fn trusts<B>(&self, request: &http::Request<B>) -> bool {
        let Some(trusted) = &self.trusted else { return true };
        peer_addr(request).is_some_and(|peer| trusted.contains(peer))
    }

    /// The client that the source tells of.
    fn client<B>(&self, request: &http::Request<B>) -> Option<(IpAddr, Option<u16>)> {
        match &self.source {
            Source::ForwardedFor => self.hop(received(request, &FORWARDED_FOR)),
            Source::Field(name) => address(received(request, name).get_all(name).iter().next_back()?.as_bytes()),
            Source::Variable(name) => match RequestVars::of(request).get(name)? {
                Value::Text(text) => address(&text),
                _ => None,
            },
        }
    }

    /// The hop that counts in `X-Forwarded-For`, whose lines are one list (RFC 9110 §5.3).
    fn hop(&self, headers: &HeaderMap) -> Option<(IpAddr, Option<u16>)> {
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let Some(trusted) = self.trusted.as_ref().filter(|_| self.recursive) else { return address(hops.next()?) };
        let mut leftmost = None;
        for hop in hops {
            // What stands left of a hop that cannot be read was not written by anybody who is trusted.
            leftmost = Some(address(hop)?);
            if leftmost.is_some_and(|(hop, _)| !trusted.contains(hop)) {
                break;
            }
        }
        leftmost
    }
}

/// The fields as they were received, where the gateway has kept any of that name.
fn received<'r, B>(request: &'r http::Request<B>, name: &HeaderName) -> &'r HeaderMap {
    let original = SharedFacts::of(request).and_then(|facts| facts.arrival.original.as_deref());
    original.filter(|original| original.contains_key(name)).unwrap_or_else(|| request.headers())
}

/// An address, with its port if there is one.
fn address(text: &[u8]) -> Option<(IpAddr, Option<u16>)> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address.to_canonical(), None));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.port() > 0).then(|| (address.ip().to_canonical(), Some(address.port())));
    }
    let bare = text.strip_prefix('[')?.strip_suffix(']')?;
    Some((bare.parse::<std::net::Ipv6Addr>().ok()?.to_canonical(), None))
}

impl Gate for RealIp {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        if SubRequest::is(request) || !self.trusts(request) {
            return Ok(());
        }
        let client = self.client(request);
        #[cfg(feature = "tracing")]
        if client.is_none() {
            tracing::warn!(plugin = RealIpPlugin::NAME, "no address in the source; the client stays who he was");
        }
        if let Some((address, port)) = client {
            set_client_addr(request, address, port);
        }
        Ok(())
    }
}

/// Puts [`RealIp`] before a service.
pub type RealIpLayer = GateLayer<RealIp>;

/// Registry entry: builds [`RealIpLayer`] from configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealIpPlugin;

impl Plugin for RealIpPlugin {
    const NAME: &'static str = "real-ip";
    const STAGE: Stage = Stage::Edge;
    const PRIORITY: i32 = 23000;
    type Config = RealIpConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<RealIpConfig>()
    }

    fn build(&self, config: RealIpConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        RealIp::new(config).map(|real_ip| RealIpLayer::of(real_ip).into())
    }

    fn caveats(&self, config: &RealIpConfig) -> Vec<Caveat> {
        let anybody = config.trusted_addresses.is_none().then(|| {
            let message = "is not set: whoever connects can say that he is any client";
            Caveat::new("trusted_addresses", message, "name the addresses of your proxies")
        });
        anybody.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::super::testing::{build_error, configured};
    use super::*;
    use crate::ConnectInfo;
    use crate::request::client_addr;

    /// The client of a request from 10.0.0.9, after the block has seen it.
    fn client(block: Json, fields: &[(&str, &str)]) -> String {
        let mut request = http::Request::builder().uri("/?realip=192.0.2.8").body(()).unwrap();
        request.extensions_mut().insert(ConnectInfo::new("10.0.0.9:1234".parse().unwrap()));
        for (name, value) in fields {
            request.headers_mut().append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        RealIp::new(configured(block)).unwrap().check(&mut request).unwrap();
        let port = RequestVars::of(&request).get(&VarName::RemotePort).and_then(|port| port.as_number());
        format!("{} {}", client_addr(&request).unwrap(), port.unwrap_or_default())
    }

    #[test]
    fn addresses_are_taken_out_of_fields_and_variables() {
        let real_ip = |value: &str| client(json!({"source": "http_x_real_ip"}), &[("x-real-ip", value)]);
        for (value, wanted) in [
            ("192.0.2.1", "192.0.2.1 0"),
            (" 192.0.2.1 ", "192.0.2.1 0"),
            ("192.0.2.1:80", "192.0.2.1 80"),
            ("2001:db8::1", "2001:db8::1 0"),
            ("[2001:db8::1]", "2001:db8::1 0"),
            ("[2001:db8::1]:80", "2001:db8::1 80"),
            ("::ffff:192.0.2.1", "192.0.2.1 0"),
            // Nothing of these is an address: the client stays who he was.
            ("", "10.0.0.9 1234"),
            ("unknown", "10.0.0.9 1234"),
            ("192.0.2.1:0", "10.0.0.9 1234"),
            ("192.0.2.1:65536", "10.0.0.9 1234"),
            ("192.0.2.300", "10.0.0.9 1234"),
            ("[192.0.2.1]", "10.0.0.9 1234"),
            ("192.0.2.1, 192.0.2.2", "10.0.0.9 1234"),
        ] {
            assert_eq!(real_ip(value), wanted, "{value}");
        }
        assert_eq!(client(json!({"source": "arg_realip"}), &[]), "192.0.2.8 0");
        assert_eq!(client(json!({"source": "http_x_real_ip"}), &[]), "10.0.0.9 1234");
    }

    #[test]
    fn forwarded_for_is_a_list() {
        let block = |trusted: &[&str], recursive: bool| match trusted {
            [] => json!({"source": "http_x_forwarded_for", "recursive": recursive}),
            trusted => json!({
                "source": "http_x_forwarded_for", "trusted_addresses": trusted, "recursive": recursive,
            }),
        };
        for (lines, trusted, recursive, wanted) in [
            (&["192.0.2.1, 192.0.2.2"][..], &[][..], false, "192.0.2.2"),
            (&["192.0.2.1", "192.0.2.2,192.0.2.3"], &[], false, "192.0.2.3"),
            (&["192.0.2.1, 192.0.2.2"], &[], true, "192.0.2.2"),
            (&["192.0.2.1, 10.0.0.1"], &["10.0.0.0/8"], false, "10.0.0.1"),
            (&["192.0.2.1, 10.0.0.1"], &["10.0.0.0/8"], true, "192.0.2.1"),
            (&["192.0.2.7, 192.0.2.1, 10.0.0.1"], &["10.0.0.0/8"], true, "192.0.2.1"),
            (&["192.0.2.1", "10.0.0.1, 10.0.0.2"], &["10.0.0.0/8"], true, "192.0.2.1"),
            (&["10.0.0.3, 10.0.0.1"], &["10.0.0.0/8"], true, "10.0.0.3"),
            (&["192.0.2.1, junk, 10.0.0.1"], &["10.0.0.0/8"], true, "10.0.0.9"),
            // The peer itself is not trusted.
            (&["192.0.2.1"], &["11.0.0.0/8"], false, "10.0.0.9"),
            (&["192.0.2.1"], &["11.0.0.0/8"], true, "10.0.0.9"),
            (&[], &[], false, "10.0.0.9"),
        ] {
            let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            let found = client(block(trusted, recursive), &fields);
            assert_eq!(found.split(' ').next(), Some(wanted), "{lines:?} {trusted:?} {recursive}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_as_an_address_is_read_as_it(ip in any::<IpAddr>(), port in 1..=u16::MAX) {
            prop_assert_eq!(address(ip.to_string().as_bytes()), Some((ip.to_canonical(), None)));
            let socket = SocketAddr::new(ip, port);
            prop_assert_eq!(address(socket.to_string().as_bytes()), Some((ip.to_canonical(), Some(port))));
        }

        #[test]
        fn no_bytes_make_it_stumble(bytes in any::<Vec<u8>>(), text in "[0-9a-f.:\\[\\] ]{0,24}") {
            for bytes in [&bytes, text.as_bytes()] {
                let readable = std::str::from_utf8(bytes).is_ok();
                prop_assert!(readable || address(bytes).is_none());
            }
        }
    }

    #[test]
    fn without_a_peer_nobody_is_trusted() {
        let block = json!({"source": "http_x_real_ip", "trusted_addresses": ["0.0.0.0/0", "::/0"]});
        let mut request = http::Request::builder().header("x-real-ip", "192.0.2.1").body(()).unwrap();
        RealIp::new(configured(block)).unwrap().check(&mut request).unwrap();
        assert_eq!(client_addr(&request), None);
    }

    #[test]
    fn faulty_blocks_are_refused() {
        for (block, says) in [
            (json!({}), "source: is required"),
            (json!({"source": 1}), "source: invalid type"),
            (json!({"source": "$http_x_real_ip"}), "source: is the name of a variable; write it without `$`"),
            (json!({"source": "arg_a", "trusted_addresses": []}), "trusted_addresses: is empty"),
            (
                json!({"source": "arg_a", "trusted_addresses": ["::1", "x"]}),
                "trusted_addresses.1: invalid ip address: x",
            ),
            (json!({"source": "arg_a", "recursiv": true}), "unknown field `recursiv`"),
        ] {
            let error = build_error(RealIpPlugin, &block);
            assert!(error.contains(says), "{block}: {error}");
        }
    }
}
