//! The code around the chain.
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::algorithm::{Algorithm, ksuid, nano_id, range_id, uuid_v4, uuid_v7};
use super::config::{RangeId, RequestIdConfig};
use crate::plugin::{Around, AroundLayer, BuildContext, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::checks::own_field;
use crate::plugins::random::Random;
use crate::request::RequestIdentity;
use crate::{Next, PluginLayer, Request, Response};

const NAME: &str = RequestIdPlugin::NAME;

/// Gives ids to requests.
#[derive(Debug)]
pub struct RequestId {
    header: HeaderName,
    algorithm: Algorithm,
    range: RangeId,
    trust_incoming: bool,
    include_in_response: bool,
    random: Random,
}

impl RequestId {
    /// Compiles a block.
    ///
    /// # Errors
    /// What is no name of a field, or one of those that only the gateway writes; a length or set of characters out of bounds.
    pub fn new(config: RequestIdConfig) -> Result<Self, ConfigError> {
        let RequestIdConfig { header_name, include_in_response, algorithm, range_id: range, trust_incoming } = config;
        let invalid = |field: &str, reason: &str| ConfigError::invalid(NAME, field, reason);
        let header = own_field(NAME, "header_name", &header_name)?;
        if !(6..=256).contains(&range.length) {
            return Err(invalid("range_id.length", "is to be 6 to 256 characters"));
        }
        if range.char_set.len() < 6 || !range.char_set.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid("range_id.char_set", "is to have at least 6 characters, all visible ASCII"));
        }
        let random = Random::new().map_err(|error| invalid("", &format!("the system has no randomness: {error}")))?;
        Ok(Self { header, algorithm, range, trust_incoming, include_in_response, random })
    }

    /// A new id.
    pub fn generate(&self) -> HeaderValue {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let id = match self.algorithm {
            Algorithm::Uuid => uuid_v4(&self.random),
            Algorithm::UuidV7 => uuid_v7(&self.random, now()),
            Algorithm::NanoId => nano_id(&self.random),
            Algorithm::RangeId => range_id(&self.random, self.range.char_set.as_bytes(), self.range.length),
            Algorithm::Ksuid => ksuid(&self.random, now()),
        };
        // Ids are of visible ASCII, each of them.
        HeaderValue::from_maybe_shared(id).unwrap_or(HeaderValue::from_static("-"))
    }

    /// The id of a request with these fields.
    fn identify(&self, headers: &mut HeaderMap) -> HeaderValue {
        let incoming = headers.get(&self.header).filter(|id| self.trust_incoming && !id.is_empty());
        if let Some(id) = incoming {
            return id.clone();
        }
        let id = self.generate();
        headers.insert(self.header.clone(), id.clone());
        id
    }
}

impl Around for RequestId {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        let id = self.identify(request.headers_mut());
        request.extensions_mut().insert(RequestIdentity(id.clone()));
        let mut response = next.run(request).await;
        let headers = response.headers_mut();
        if self.include_in_response && headers.get(&self.header).is_none_or(HeaderValue::is_empty) {
            headers.insert(self.header.clone(), id);
        }
        response
    }
}

/// Puts [`RequestId`] around a service.
pub type RequestIdLayer = AroundLayer<RequestId>;

/// Registry entry: builds [`RequestIdLayer`] from configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestIdPlugin;

impl Plugin for RequestIdPlugin {
    const NAME: &'static str = "request-id";
    const STAGE: Stage = Stage::Edge;
    const PRIORITY: i32 = 12015;
    type Config = RequestIdConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<RequestIdConfig>()
    }

    fn build(&self, config: RequestIdConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        RequestId::new(config).map(|ids| RequestIdLayer::of(ids).into())
    }
}
