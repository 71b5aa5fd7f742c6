//! The code around the chain.
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::SET_COOKIE;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::config::CsrfConfig;
use super::token::{Signer, Version, same};
use crate::plugin::{Around, AroundLayer, BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::random::Random;
use crate::request::RequestVars;
use crate::router::{Value, VarName, Variables};
use crate::{IntoResponse, Next, PluginLayer, Request, Response, reject_error_msg};

const NAME: &str = CsrfPlugin::NAME;
/// The longest that a token may be good for, in seconds: 100 years.
const LONGEST: i64 = 3_155_760_000;
/// What a key of fewer bytes is warned about.
const SHORT_KEY: usize = 16;
/// The last second that a date can tell: 9999-12-31T23:59:59Z.
const LAST_DATE: u64 = 253_402_300_799;

/// Asks for tokens, and hands them out.
#[derive(Debug)]
pub struct Csrf {
    name: String,
    header: HeaderName,
    cookie: VarName,
    signer: Signer,
    random: Random,
}

/// Why `csrf` turned a request away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsrfRejection {
    /// The field is missing or empty.
    #[error("no csrf token in headers")]
    NoHeader,
    /// The cookie is missing.
    #[error("no csrf cookie")]
    NoCookie,
    /// Field and cookie differ.
    #[error("csrf token mismatch")]
    Mismatch,
    /// The token is none of ours, or too old.
    #[error("Failed to verify the csrf token signature")]
    Signature,
}

impl IntoResponse for CsrfRejection {
    fn into_response(self) -> Response {
        reject_error_msg(StatusCode::UNAUTHORIZED, NAME, self)
    }
}

impl Csrf {
    /// Compiles a block.
    ///
    /// # Errors
    /// No key, what is no name of a field, a version other than 1 and 2, more than 100 years.
    pub fn new(config: CsrfConfig) -> Result<Self, ConfigError> {
        let CsrfConfig { key, expires, name, token_version } = config;
        let invalid = |field: &str, reason: &str| ConfigError::invalid(NAME, field, reason);
        if key.expose().is_empty() {
            return Err(invalid("key", "is required: write a long random text that nobody knows"));
        }
        if expires > LONGEST {
            return Err(invalid("expires", "is more than 3155760000 seconds (100 years); write 0 for ever"));
        }
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| invalid("name", "is no name of a field and of a cookie: write one such as csrf-token"))?;
        let version = match token_version {
            1 => Version::Sha256,
            2 => Version::Hmac,
            _ => return Err(invalid("token_version", "is to be 1 or 2")),
        };
        let random = Random::new().map_err(|error| invalid("", &format!("the system has no randomness: {error}")))?;
        let cookie = VarName::Cookie(name.as_str().into());
        let signer = Signer { key, version, expires: u64::try_from(expires).unwrap_or_default() };
        Ok(Self { name, header, cookie, signer, random })
    }

    /// Whether a request may pass at a second since 1970.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn judge<B>(&self, request: &http::Request<B>, now: u64) -> Result<(), CsrfRejection> {
        if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        let header = request.headers().get(&self.header).filter(|token| !token.is_empty());
        let header = header.ok_or(CsrfRejection::NoHeader)?.as_bytes();
        let vars = RequestVars::of(request);
        let Some(Value::Text(cookie)) = vars.get(&self.cookie) else { return Err(CsrfRejection::NoCookie) };
        if !same(header, &cookie) {
            return Err(CsrfRejection::Mismatch);
        }
        if self.signer.verify(header, now) { Ok(()) } else { Err(CsrfRejection::Signature) }
    }

    /// The cookie with a new token.
    pub(super) fn cookie(&self, now: u64) -> Option<HeaderValue> {
        let token = self.signer.issue(self.random.bytes(), now);
        let mut cookie = format!("{}={token};path=/;SameSite=Lax", self.name);
        if self.signer.expires > 0 {
            let end = now.saturating_add(self.signer.expires).min(LAST_DATE);
            // Writing to a String cannot fail.
            let _ = write!(cookie, ";Expires={}", httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(end)));
        }
        HeaderValue::from_maybe_shared(bytes::Bytes::from(cookie)).ok()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Around for Csrf {
    async fn handle(self: Arc<Self>, request: Request, next: Next) -> Response {
        let mut response = match self.judge(&request, now()) {
            Ok(()) => next.run(request).await,
            Err(rejection) => rejection.into_response(),
        };
        if let Some(cookie) = self.cookie(now()) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }
}

/// Puts [`Csrf`] around a service.
pub type CsrfLayer = AroundLayer<Csrf>;

/// Registry entry: builds [`CsrfLayer`] from configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct CsrfPlugin;

impl Plugin for CsrfPlugin {
    const NAME: &'static str = "csrf";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 2980;
    const SECRET_FIELDS: &'static [&'static str] = &["key"];
    type Config = CsrfConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<CsrfConfig>()
    }

    fn build(&self, config: CsrfConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Csrf::new(config).map(|csrf| CsrfLayer::of(csrf).into())
    }

    fn caveats(&self, config: &CsrfConfig) -> Vec<Caveat> {
        let short = (config.key.expose().len() < SHORT_KEY).then(|| {
            let message =
                format!("has less than {SHORT_KEY} bytes: whoever guesses it out of one token can make others");
            Caveat::new("key", message, "write a long random text")
        });
        short.into_iter().collect()
    }
}
