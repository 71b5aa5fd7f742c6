//! `key-auth`: identifies the consumer by an API key in a header or in the query.
//!
//! Decision: 1. the header is there: its value is the key, and the query is not looked at; 2. else the argument of the
//! query is the key; 3. neither is there: 401 `Missing API key in request`; 4. nobody has this key, or it stands there
//! twice: 401 `Invalid API key in request`; 5. else the consumer is attached. Where it ends with 401 and
//! `anonymous_consumer` is set, that consumer is attached instead.
//!
//! * Stage: authenticate.
//! * Answers: 401 with `WWW-Authenticate: apikey realm="…"`; 400 if the header is `Authorization` and stands there twice.
//! * Reads the header and the query; writes the [`Consumer`] extension and the identity headers that it names; under
//!   `hide_credentials` takes the key out of the request.
//! * The key in a query ends up in logs, histories and `Referer`: prefer the header.
//!
//! A look-up is one keyed digest of what was presented, whatever the number of consumers; how long it takes tells nothing
//! of the keys that exist.
//!
//! ```
//! use std::sync::Arc;
//! use tollgate::model::ConsumerSpec;
//! use tollgate::plugin::{AuthPlugin as _, GateLayer};
//! use tollgate::plugins::key_auth::{KeyAuth, KeyAuthConfig, KeyAuthCredential, KeyAuthPlugin};
//! use tollgate::request::{Consumer, Consumers};
//!
//! # fn main() -> Result<(), tollgate::BoxError> {
//! let acme = Consumer::new(&ConsumerSpec { username: "acme".into(), ..ConsumerSpec::default() });
//! let key = KeyAuthPlugin.to_credential(KeyAuthCredential::new("one-of-acme"))?;
//! let consumers = Arc::new(Consumers::builder().consumer(&acme, [key])?.build());
//!
//! let layer = GateLayer::of(KeyAuth::new(KeyAuthConfig::default(), consumers)?); // for any tower stack
//! # let _ = layer;
//! # Ok(())
//! # }
//! ```
//!
//! On a route, and on a consumer or credential:
//!
//! ```json
//! {"key-auth": {"header": "x-api-key", "hide_credentials": true}}
//! ```
//! ```json
//! {"key-auth": {"key": "$env://ACME_KEY"}}
//! ```
use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderName;
use http::header::AUTHORIZATION;
use serde::Deserialize;

use super::consumer_auth::{Argument, Entrance, Repeated, authorization, forwarded, required, single};
use crate::PluginLayer;
use crate::error::Response;
use crate::model::Sensitive;
use crate::plugin::{
    AuthPlugin, Authenticate, BuildContext, Caveat, ConfigError, ConsumerLookup, Gate, GateLayer, Plugin, SchemaOf,
    Stage,
};
use crate::request::Consumer;

/// A longer key is nobody's, and is not looked up.
const MAX_KEY: usize = 4096;

/// Options of `key-auth` on a route.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct KeyAuthConfig {
    /// The header that carries the key. Default `apikey`.
    pub header: String,
    /// The argument of the query that carries the key if the header is absent. Default `apikey`.
    pub query: String,
    /// Takes the key out of the request before it is forwarded: the header, or the argument, whichever was used; both if
    /// the anonymous consumer comes in. Default `false`.
    pub hide_credentials: bool,
    /// The realm in `WWW-Authenticate`: printable ASCII without `"` and `\`. Default `key`.
    pub realm: String,
    /// Name of the consumer that a request without a valid key counts as. Default: none, it is refused.
    pub anonymous_consumer: Option<String>,
}

impl Default for KeyAuthConfig {
    fn default() -> Self {
        Self {
            header: "apikey".to_owned(),
            query: "apikey".to_owned(),
            hide_credentials: false,
            realm: "key".to_owned(),
            anonymous_consumer: None,
        }
    }
}

/// The block of `key-auth` on a consumer or credential.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KeyAuthCredential {
    /// The key, 1 to 4,096 bytes; compared byte for byte. Required, and nobody else's.
    pub key: Sensitive,
}

impl KeyAuthCredential {
    /// The block of this key.
    pub fn new(key: impl Into<Sensitive>) -> Self {
        Self { key: key.into() }
    }
}

/// Why `key-auth` turned a request away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyAuthRejection {
    /// Neither header nor argument is there.
    #[error("Missing API key in request")]
    Missing,
    /// Nobody has the key, or it was presented twice.
    #[error("Invalid API key in request")]
    Invalid,
}

/// Where the key was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    Query,
}

/// The compiled block.
#[derive(Debug)]
pub struct KeyAuth {
    header: HeaderName,
    query: Argument,
    hide: bool,
    entrance: Entrance,
}

/// [`KeyAuth`] as a layer.
pub type KeyAuthLayer = GateLayer<KeyAuth>;

impl KeyAuth {
    /// Compiles a block for these consumers.
    ///
    /// # Errors
    /// [`ConfigError`] when `header` is no name of a header, `query` is empty, or `realm` or `anonymous_consumer` is not
    /// as their documentation says.
    pub fn new(config: KeyAuthConfig, consumers: impl Into<ConsumerLookup>) -> Result<Self, ConfigError> {
        let invalid = |field, reason| ConfigError::invalid(KeyAuthPlugin::NAME, field, reason);
        let header = HeaderName::try_from(&config.header)
            .map_err(|_| invalid("header", "is no name of a header: use letters, digits and `-`"))?;
        if config.query.is_empty() {
            return Err(invalid("query", "is empty: name an argument of the query"));
        }
        let (realm, anonymous) = (&config.realm, config.anonymous_consumer);
        let entrance = Entrance::new(KeyAuthPlugin::NAME, "apikey", realm, anonymous, consumers.into())?;
        Ok(Self { header, query: Argument::new(config.query), hide: config.hide_credentials, entrance })
    }

    /// Whose key it is.
    fn identify<'r, B>(&'r self, request: &'r http::Request<B>) -> Result<(&'r Consumer, Place), KeyAuthRejection> {
        let invalid = |_: Repeated| KeyAuthRejection::Invalid;
        let (key, place) = match single(request.headers(), &self.header).map_err(invalid)? {
            Some(value) => (Cow::Borrowed(value.as_bytes()), Place::Header),
            None => (self.query.of(request.uri()).map_err(invalid)?.ok_or(KeyAuthRejection::Missing)?, Place::Query),
        };
        if key.len() > MAX_KEY {
            return Err(KeyAuthRejection::Invalid);
        }
        let found = self.entrance.consumers.find::<KeyAuthPlugin, B>(request, &key);
        found.map(|(consumer, ())| (consumer, place)).ok_or(KeyAuthRejection::Invalid)
    }
}

impl Gate for KeyAuth {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        if self.header == AUTHORIZATION {
            authorization(KeyAuthPlugin::NAME, request.headers())?;
        }
        let (consumer, place) = match self.identify(request) {
            Ok((consumer, place)) => (consumer.clone(), Some(place)),
            Err(rejection) => (self.entrance.anonymous(request, rejection)?, None),
        };
        if self.hide && place != Some(Place::Query) {
            request.headers_mut().remove(&self.header);
        }
        if self.hide && place != Some(Place::Header) {
            self.query.remove(request.uri_mut());
        }
        consumer.attach(request);
        Ok(())
    }
}

/// Builds [`KeyAuthLayer`]s out of configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyAuthPlugin;

impl Plugin for KeyAuthPlugin {
    const NAME: &'static str = "key-auth";
    const STAGE: Stage = Stage::Authenticate;
    const PRIORITY: i32 = 2500;
    const SECRET_FIELDS: &'static [&'static str] = &["key"];
    type Config = KeyAuthConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<KeyAuthConfig>().or_else(|| of.credential::<KeyAuthCredential>())
    }

    fn build(&self, config: KeyAuthConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(GateLayer::of(KeyAuth::new(config, cx.consumers())?).into())
    }

    fn caveats(&self, config: &KeyAuthConfig) -> Vec<Caveat> {
        forwarded(config.hide_credentials).into_iter().collect()
    }
}

impl AuthPlugin for KeyAuthPlugin {
    const UNIQUE: &'static str = "key";
    type Credential = KeyAuthCredential;
    type Secret = ();

    fn credential(&self, block: KeyAuthCredential) -> Result<(Vec<u8>, ()), ConfigError> {
        required(Self::NAME, "key", block.key.expose(), MAX_KEY)?;
        Ok((block.key.expose().into(), ()))
    }

    fn authenticator(
        &self,
        config: KeyAuthConfig,
        cx: &BuildContext<'_>,
    ) -> Result<Arc<dyn Authenticate>, ConfigError> {
        Ok(Arc::new(KeyAuth::new(config, cx.consumers())?))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;
    use crate::model::ConsumerSpec;
    use crate::request::Consumers;

    fn consumers() -> Arc<Consumers> {
        let consumer = |name: &str| Consumer::new(&ConsumerSpec { username: name.into(), ..ConsumerSpec::default() });
        let key = |key: &str| KeyAuthPlugin.to_credential(KeyAuthCredential::new(key)).unwrap();
        let acme = consumer("acme");
        let built = Consumers::builder().consumer(&acme, [key("k 1")]).unwrap();
        let built = built.consumer(&consumer("ümläut"), [key("schlüssel")]).unwrap();
        Arc::new(built.consumer(&consumer("visitor"), []).unwrap().build())
    }

    fn gate(config: KeyAuthConfig) -> KeyAuth {
        KeyAuth::new(config, consumers()).unwrap()
    }

    fn request(target: &str, keys: &[&[u8]]) -> Request<()> {
        let mut request = Request::builder().uri(target).body(()).unwrap();
        for key in keys {
            request.headers_mut().append("apikey", HeaderValue::from_bytes(key).unwrap());
        }
        request
    }

    #[test]
    fn the_header_is_taken_before_the_query_and_each_only_once() {
        let gate = gate(KeyAuthConfig::default());
        let giant = vec![b'k'; 100_000];
        let invalid = Err("Invalid API key in request");
        for (target, keys, wanted) in [
            ("/", &[][..], Err("Missing API key in request")),
            ("/", &[&b"k 1"[..]], Ok("acme")),
            ("/?apikey=nobody", &[b"k 1"], Ok("acme")),
            ("/?apikey=k+1", &[], Ok("acme")),
            ("/?x&apikey=k%201", &[], Ok("acme")),
            ("/?APIKEY=k+1", &[], Err("Missing API key in request")),
            ("/?apikey=k+1", &[b"nobody"], invalid),
            ("/?apikey=k+1", &[b""], invalid),
            ("/?apikey=", &[], invalid),
            ("/?apikey", &[], invalid),
            ("/?apikey=k+1&apikey=k+1", &[], invalid),
            ("/", &[b"k 1", b"k 1"], invalid),
            ("/", &[b"K 1"], invalid),
            ("/", &[b"k 1,k 1"], invalid),
            ("/", &[&giant], invalid),
            ("/", &[b"schl\xfcssel"], invalid),
            ("/", &["schlüssel".as_bytes()], Ok("ümläut")),
        ] {
            let request = request(target, keys);
            let found = gate.identify(&request).map(|(consumer, _)| consumer.name().to_string());
            let found = found.map_err(|rejection| rejection.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), wanted, "{target} {keys:?}");
        }
    }

    #[test]
    fn a_refusal_challenges_and_leaves_the_request_as_it_was() {
        let gate = gate(KeyAuthConfig { hide_credentials: true, realm: "my api".to_owned(), ..Default::default() });
        let mut request = request("/?apikey=a", &[b"nobody"]);
        let answer = gate.check(&mut request).unwrap_err();
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.headers()["www-authenticate"], "apikey realm=\"my api\"");
        assert_eq!(answer.body().as_bytes().unwrap(), b"{\"message\":\"Invalid API key in request\"}\n");
        assert_eq!(request.uri().to_string(), "/?apikey=a");
        assert_eq!(request.headers()["apikey"], "nobody");
        assert!(Consumer::of(&request).is_none() && !request.headers().contains_key("x-consumer-username"));
    }

    #[test]
    fn sec_auth_08_a_hidden_key_is_taken_out_where_it_was_used() {
        let gate = gate(KeyAuthConfig {
            hide_credentials: true,
            anonymous_consumer: Some("visitor".to_owned()),
            ..Default::default()
        });
        for (target, keys, consumer, forwarded, header) in [
            ("/?apikey=other&a=1", &[&b"k 1"[..]][..], "acme", "/?apikey=other&a=1", false),
            ("/?a=1&apikey=k+1", &[], "acme", "/?a=1", false),
            ("/?apikey=a&b=2", &[b"nobody"], "visitor", "/?b=2", false),
            ("/", &[b"k 1", b"k 1"], "visitor", "/", false),
        ] {
            let mut request = request(target, keys);
            gate.check(&mut request).unwrap();
            assert_eq!(&**Consumer::of(&request).unwrap().name(), consumer);
            assert_eq!(request.headers()["x-consumer-username"], consumer);
            assert_eq!(request.uri().to_string(), forwarded);
            assert_eq!(request.headers().contains_key("apikey"), header);
        }
    }

    #[test]
    fn an_anonymous_consumer_that_is_not_there_lets_nobody_in() {
        let gate = gate(KeyAuthConfig { anonymous_consumer: Some("ghost".to_owned()), ..Default::default() });
        let answer = gate.check(&mut request("/", &[])).unwrap_err();
        assert_eq!(answer.body().as_bytes().unwrap(), b"{\"message\":\"Invalid user authorization\"}\n");
        assert!(answer.headers().contains_key("www-authenticate"));
    }

    #[test]
    fn sec_auth_05_a_repeated_authorization_field_is_400() {
        let gate = gate(KeyAuthConfig {
            header: "Authorization".to_owned(),
            anonymous_consumer: Some("visitor".to_owned()),
            ..Default::default()
        });
        let mut request = request("/", &[]);
        request.headers_mut().append("authorization", HeaderValue::from_static("k 1"));
        assert!(gate.check(&mut request).is_ok());
        request.headers_mut().append("authorization", HeaderValue::from_static("k 1"));
        assert_eq!(gate.check(&mut request).unwrap_err().status(), 400);
    }

    #[test]
    fn blocks_that_cannot_work_are_refused_by_field() {
        let refused = |config| KeyAuth::new(config, consumers()).unwrap_err().field().to_owned();
        assert_eq!(refused(KeyAuthConfig { header: "a b".to_owned(), ..Default::default() }), "header");
        assert_eq!(refused(KeyAuthConfig { query: String::new(), ..Default::default() }), "query");
        let refused = |key: &str| KeyAuthPlugin.credential(KeyAuthCredential::new(key)).unwrap_err().field().to_owned();
        assert_eq!(refused(""), "key");
        assert_eq!(refused(&"k".repeat(4097)), "key");
    }
}
