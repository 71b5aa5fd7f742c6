//! The decision, and the layer.
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, DATE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};

use super::replays::{Replays, Seen};
use super::signature::{Parameters, REQUEST_TARGET, targets};
use super::{HmacAlgorithm, HmacAuthConfig, HmacAuthPlugin};
use crate::Body;
use crate::error::{Request, Response, reject};
use crate::plugin::bodies::{Bodies, Unread};
use crate::plugin::{AroundLayer, Authenticate, Authenticating, ConfigError, ConsumerLookup, Plugin as _};
use crate::plugins::consumer_auth::{Admit, Entrance, authorization, single};
#[cfg(feature = "cache")]
use crate::request::CallerIdentity;
use crate::request::Consumer;

const DIGEST: HeaderName = HeaderName::from_static("digest");
/// How many bytes are hashed before others have their turn on the thread: less than a millisecond's.
const PIECE: usize = 256 << 10;
/// What a client is told of most failures.
const REFUSAL: &str = "client request can't be validated";

/// Why `hmac-auth` turned a request away. The log tells it; the client reads [`HmacAuthRejection::told`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HmacAuthRejection {
    /// There is no `Authorization`.
    #[error("missing Authorization header")]
    Missing,
    /// It is of another scheme.
    #[error("Authorization header does not start with 'Signature'")]
    OtherScheme,
    /// Its parameters cannot be read, or `keyId` or `signature` is not among them.
    #[error("keyId or signature missing")]
    NoSignature,
    /// `algorithm` is not among its parameters.
    #[error("algorithm missing")]
    NoAlgorithm,
    /// The key is nobody's.
    #[error("Invalid key_id")]
    UnknownKey,
    /// The algorithm is not known, or not allowed.
    #[error("Invalid algorithm")]
    Algorithm,
    /// There is no `Date`, or more than one.
    #[error("Date header missing")]
    NoDate,
    /// `Date` is none.
    #[error("Invalid GMT format time")]
    Date,
    /// `Date` is too far away.
    #[error("Clock skew exceeded")]
    Skew,
    /// A header that must be signed is not.
    #[error("expected header \"{0}\" missing in signing")]
    Unsigned(String),
    /// The signature is another.
    #[error("Invalid signature")]
    Signature,
    /// The signature was taken before.
    #[error("Signature was used before")]
    Replayed,
    /// `Digest` is not the body's.
    #[error("Invalid digest")]
    Digest,
}

impl HmacAuthRejection {
    /// What the client is told.
    pub fn told(&self) -> String {
        match self {
            Self::Missing | Self::OtherScheme => format!("{REFUSAL}: {self}"),
            _ => REFUSAL.to_owned(),
        }
    }
}

/// The compiled block.
#[derive(Debug)]
pub struct HmacAuth {
    allowed: Vec<HmacAlgorithm>,
    skew: u64,
    /// In lower case; with `date`.
    signed: Vec<String>,
    /// The longest body that is validated, if any is.
    validated: Option<usize>,
    replays: Option<Arc<Replays>>,
    hide: bool,
    entrance: Entrance,
    bodies: Bodies,
}

/// [`HmacAuth`] as a layer.
pub type HmacAuthLayer = AroundLayer<HmacAuth>;

impl HmacAuth {
    /// Compiles a block for these consumers; `plugin` remembers signatures for all its layers.
    ///
    /// # Errors
    /// [`ConfigError`] when a field is not as its documentation says.
    pub fn new(
        config: HmacAuthConfig,
        consumers: impl Into<ConsumerLookup>,
        plugin: &HmacAuthPlugin,
    ) -> Result<Self, ConfigError> {
        if config.allowed_algorithms.is_empty() {
            return Err(invalid("allowed_algorithms", "is empty: name an algorithm, or remove the field to allow all"));
        }
        if config.clock_skew == 0 {
            return Err(invalid("clock_skew", "is 0: write 1 second or more"));
        }
        if config.max_req_body_size == 0 {
            return Err(invalid("max_req_body_size", "is 0: write 1 byte or more"));
        }
        let mut signed = vec!["date".to_owned()];
        for (at, name) in config.signed_headers.iter().enumerate() {
            let lower = name.to_ascii_lowercase();
            let known = lower == REQUEST_TARGET || HeaderName::try_from(&lower).is_ok();
            if !known || lower.len() > 50 {
                let reason = "is neither `@request-target` nor a name of a header of 1 to 50 characters";
                return Err(ConfigError::invalid(HmacAuthPlugin::NAME, format!("signed_headers.{at}"), reason));
            }
            if !signed.contains(&lower) {
                signed.push(lower);
            }
        }
        let (realm, anonymous) = (&config.realm, config.anonymous_consumer);
        Ok(Self {
            allowed: config.allowed_algorithms,
            skew: config.clock_skew,
            signed,
            validated: config.validate_request_body.then_some(config.max_req_body_size),
            replays: config.refuse_replays.then(|| Arc::clone(&plugin.replays)),
            hide: config.hide_credentials,
            entrance: Entrance::new(HmacAuthPlugin::NAME, "hmac", realm, anonymous, consumers.into())?,
            bodies: Bodies::default(),
        })
    }

    /// The same, reading bodies within these limits.
    #[must_use]
    pub fn within(self, bodies: Bodies) -> Self {
        Self { bodies, ..self }
    }

    /// Who signed the head of the request, at `now`, in seconds since 1970.
    fn identify(&self, request: &Request, value: Option<&HeaderValue>, now: u64) -> Result<Signed, HmacAuthRejection> {
        let value = value.ok_or(HmacAuthRejection::Missing)?;
        let parameters = parameters(value.as_bytes()).ok_or(HmacAuthRejection::OtherScheme)?;
        let parameters = std::str::from_utf8(parameters).ok().and_then(Parameters::read);
        let parameters = parameters.ok_or(HmacAuthRejection::NoSignature)?;
        let (Some(key_id), Some(signature)) = (parameters.key_id, parameters.signature) else {
            return Err(HmacAuthRejection::NoSignature);
        };
        let algorithm = parameters.algorithm.ok_or(HmacAuthRejection::NoAlgorithm)?;
        let (consumer, secret) = self
            .entrance
            .consumers
            .find::<HmacAuthPlugin, _>(request, key_id.as_bytes())
            .ok_or(HmacAuthRejection::UnknownKey)?;
        let algorithm = HmacAlgorithm::of(algorithm)
            .filter(|algorithm| self.allowed.contains(algorithm))
            .ok_or(HmacAuthRejection::Algorithm)?;
        let date = self.judge_date(request, now)?;
        for name in &self.signed {
            if !parameters.signed().any(|signed| signed.eq_ignore_ascii_case(name)) {
                return Err(HmacAuthRejection::Unsigned(name.clone()));
            }
        }
        let signature = STANDARD.decode(signature).map_err(|_| HmacAuthRejection::Signature)?;
        let key = hmac::Key::new(algorithm.hmac(), secret.expose().as_bytes());
        // In constant time (security.md AUTH-01).
        let signs = |target: Vec<u8>| hmac::verify(&key, &parameters.message(request, &target), &signature).is_ok();
        if !targets(request).into_iter().any(signs) {
            return Err(HmacAuthRejection::Signature);
        }
        Ok(Signed { consumer: consumer.clone(), key_id: key_id.to_owned(), signature, date })
    }

    /// The seconds since 1970 that `Date` says, if they are near enough.
    fn judge_date(&self, request: &Request, now: u64) -> Result<u64, HmacAuthRejection> {
        let date = single(request.headers(), &DATE).ok().flatten().ok_or(HmacAuthRejection::NoDate)?;
        let date = date.to_str().ok().and_then(|date| httpdate::parse_http_date(date).ok());
        let date = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok()).ok_or(HmacAuthRejection::Date)?;
        match date.as_secs().abs_diff(now) > self.skew {
            true => Err(HmacAuthRejection::Skew),
            false => Ok(date.as_secs()),
        }
    }

    /// Whether a signature comes for the first time.
    fn judge_replay(&self, signed: &Signed, now: u64) -> Result<Result<(), HmacAuthRejection>, Response> {
        let Some(replays) = &self.replays else { return Ok(Ok(())) };
        match replays.see(&signed.key_id, &signed.signature, now, signed.date.saturating_add(self.skew)) {
            Seen::First => Ok(Ok(())),
            Seen::Again => Ok(Err(HmacAuthRejection::Replayed)),
            Seen::Full => {
                let message = "Too many signed requests at once";
                let mut answer = reject(StatusCode::SERVICE_UNAVAILABLE, HmacAuthPlugin::NAME, message);
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                Err(answer)
            }
        }
    }

    /// The whole decision but for the body.
    fn judge_head(&self, request: &Request, now: u64) -> Result<Result<Signed, HmacAuthRejection>, Response> {
        let value = authorization(HmacAuthPlugin::NAME, request.headers())?;
        match self.identify(request, value, now) {
            Ok(signed) => Ok(self.judge_replay(&signed, now)?.map(|()| signed)),
            Err(rejection) => Ok(Err(rejection)),
        }
    }

    /// Attaches the consumer.
    pub(super) async fn admit_at(&self, request: &mut Request, now: u64) -> Result<(), Response> {
        let mut identified = self.judge_head(request, now)?;
        if let (Ok(_), Some(max)) = (&identified, self.validated)
            && !is_of_digest(request, &self.bodies, max).await?
        {
            identified = Err(HmacAuthRejection::Digest);
        }
        let consumer = match identified {
            Ok(signed) => {
                // A signature is another one in each request.
                #[cfg(feature = "cache")]
                CallerIdentity::add_key(request.extensions_mut(), signed.key_id, true);
                signed.consumer
            }
            Err(rejection) => {
                #[cfg(feature = "tracing")]
                tracing::warn!(plugin = HmacAuthPlugin::NAME, reason = %rejection, "a signature was refused");
                self.entrance.anonymous(request, rejection.told())?
            }
        };
        if self.hide {
            request.headers_mut().remove(AUTHORIZATION);
        }
        consumer.attach(request);
        Ok(())
    }
}

impl Admit for HmacAuth {
    async fn admit(&self, request: &mut Request) -> Result<(), Response> {
        // A clock before 1970 makes every date a wrong one.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.admit_at(request, now).await
    }
}

/// A head that is signed.
struct Signed {
    consumer: Consumer,
    key_id: String,
    signature: Vec<u8>,
    date: u64,
}

/// What stands behind the scheme, if it is `Signature`.
fn parameters(value: &[u8]) -> Option<&[u8]> {
    let (scheme, parameters) = value.split_at_checked("Signature".len())?;
    let separated = parameters.first().is_none_or(|byte| byte.is_ascii_whitespace());
    (scheme.eq_ignore_ascii_case(b"Signature") && separated).then_some(parameters)
}

/// Reads the whole body and holds it against `Digest`.
async fn is_of_digest(request: &mut Request, bodies: &Bodies, max: usize) -> Result<bool, Response> {
    let told = single(request.headers(), &DIGEST).ok().flatten().and_then(|value| {
        let (name, encoded) = value.as_bytes().split_at_checked("SHA-256=".len())?;
        name.eq_ignore_ascii_case(b"SHA-256=").then(|| STANDARD.decode(encoded).ok())?
    });
    // A body that nothing can be held against is not read.
    let Some(told) = told else { return Ok(false) };
    let body = bodies.collect(std::mem::take(request.body_mut()), max).await.map_err(|unread| match unread {
        Unread::TooLarge(_) => reject(StatusCode::PAYLOAD_TOO_LARGE, HmacAuthPlugin::NAME, REFUSAL),
        unread => unread.into_response(HmacAuthPlugin::NAME),
    })?;
    let mut sum = digest::Context::new(&digest::SHA256);
    for piece in body.chunks(PIECE) {
        sum.update(piece);
        if piece.len() == PIECE {
            tokio::task::yield_now().await;
        }
    }
    *request.body_mut() = Body::from(body);
    Ok(sum.finish().as_ref() == told)
}

impl Authenticate for HmacAuth {
    fn authenticate<'a>(&'a self, request: &'a mut Request) -> Authenticating<'a> {
        Box::pin(self.admit(request))
    }
}

fn invalid(field: &str, reason: &str) -> ConfigError {
    ConfigError::invalid(HmacAuthPlugin::NAME, field, reason)
}
