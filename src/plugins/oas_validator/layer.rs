//! The plugin.
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;

use super::api::{Api, Skipped};
use super::body::BodyRule;
use super::remote::{Address, Remote, Remotes};
use super::sent::Sent;
use super::{OasValidatorConfig, OasValidatorMetadata, OasValidatorPlugin, document};
use crate::plugin::bodies::{Bodies, Unread};
use crate::plugin::{Around, AroundLayer, Bench, ConfigError, Plugin as _};
use crate::plugins::callout::http_uri;
use crate::plugins::json_schema;
use crate::{Body, Next, Request, Response, reject};

const NAME: &str = OasValidatorPlugin::NAME;

/// From so many bytes on a body is judged at the bench, so that it holds up no other request.
const LARGE: usize = 64 * 1024;

/// One block of `oas-validator`, compiled.
#[derive(Debug)]
pub struct OasValidator {
    source: Source,
    skipped: Skipped,
    tells: bool,
    rejects: bool,
    status: StatusCode,
    most: usize,
    bodies: Bodies,
    bench: Bench,
}

#[derive(Debug)]
enum Source {
    Here(Arc<Api>),
    There(Arc<Remote>),
}

/// [`OasValidator`] around a service.
pub type OasValidatorLayer = AroundLayer<OasValidator>;

/// What a plugin lends to its blocks.
pub(super) struct Lent<'a> {
    pub(super) bodies: Bodies,
    pub(super) remotes: &'a Remotes,
    pub(super) metadata: OasValidatorMetadata,
}

/// Why a request does not go on.
enum Refused {
    /// It does not fit.
    Unfit(String),
    /// Its body cannot be had.
    Unread(Unread),
}

impl OasValidator {
    /// Compiles the options, and the document if it is `spec`, with the default limits of bodies.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: OasValidatorConfig) -> Result<Self, ConfigError> {
        Self::with_bodies(config, Bodies::default())
    }

    /// As [`OasValidator::new`]; bodies are read within these limits.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn with_bodies(config: OasValidatorConfig, bodies: Bodies) -> Result<Self, ConfigError> {
        let metadata = OasValidatorMetadata::default();
        Self::with(config, Lent { bodies, remotes: &Remotes::default(), metadata })
    }

    pub(super) fn with(config: OasValidatorConfig, lent: Lent<'_>) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: String| ConfigError::invalid(NAME, field, reason);
        let status = StatusCode::from_u16(config.rejection_status_code).ok();
        let status = status.filter(|status| (400..600).contains(&status.as_u16()));
        let status = status.ok_or_else(|| wrong("rejection_status_code", "is a status from 400 to 599".to_owned()))?;
        if config.max_req_body_size == 0 {
            return Err(wrong("max_req_body_size", "is at least 1".to_owned()));
        }
        if !(1000..=60_000).contains(&config.timeout) {
            return Err(wrong("timeout", format!("{} is out of range: write 1000 to 60000", config.timeout)));
        }
        let source = match (config.spec, config.spec_url) {
            (Some(text), None) => {
                let api = document::compile(text.as_bytes());
                Source::Here(Arc::new(
                    api.map_err(|reason| wrong("spec", format!("failed to parse openapi spec: {reason}")))?,
                ))
            }
            (None, Some(url)) => {
                let uri = http_uri(&url).map_err(|error| wrong("spec_url", error.to_string()))?;
                let mut fields: Vec<_> = config
                    .spec_url_request_headers
                    .into_iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), value))
                    .collect();
                fields.sort();
                Source::There(lent.remotes.get(Address {
                    uri,
                    fields,
                    verify: config.ssl_verify,
                    timeout: Duration::from_millis(config.timeout),
                    lifetime: Duration::from_secs(lent.metadata.spec_url_ttl),
                })?)
            }
            _ => return Err(wrong("", "write exactly one of `spec` and `spec_url`".to_owned())),
        };
        Ok(Self {
            source,
            skipped: Skipped {
                path: config.skip_path_params_validation,
                query: config.skip_query_param_validation,
                headers: config.skip_request_header_validation,
                body: config.skip_request_body_validation,
            },
            tells: config.verbose_errors,
            rejects: config.reject_if_not_match,
            status,
            most: usize::try_from(config.max_req_body_size).unwrap_or(usize::MAX),
            bodies: lent.bodies,
            bench: Bench::default(),
        })
    }

    /// The same, where large bodies are judged at a bench that is shared.
    pub(super) fn at(self, bench: &Bench) -> Self {
        Self { bench: bench.clone(), ..self }
    }

    async fn api(&self) -> Option<Arc<Api>> {
        match &self.source {
            Source::Here(api) => Some(Arc::clone(api)),
            Source::There(remote) => remote.get().await,
        }
    }

    /// Judges a request but for its body; tells what its body is to be.
    fn judge<'a, B>(&self, api: &'a Api, request: &http::Request<B>) -> Result<Option<&'a BodyRule>, String> {
        let (operation, captures) = api.operation(request.method(), request.uri().path())?;
        let sent = Sent::new(captures, request.uri().query().unwrap_or_default(), request.headers());
        operation.judge(&sent, self.skipped, &self.bodies)?;
        Ok(operation.body.as_ref().filter(|_| !self.skipped.body))
    }

    /// Reads and judges a body, and puts it back as it was sent. One that there is nothing to judge by is not read.
    async fn judge_body(&self, rule: &BodyRule, request: &mut Request) -> Result<(), Refused> {
        let broken = |error| Refused::Unread(Unread::Broken(error));
        let missing = || if rule.required { Err(Refused::Unfit("the body is missing".to_owned())) } else { Ok(()) };
        // its first piece tells whether there is one
        let body = self.bodies.read_ahead(std::mem::take(request.body_mut()), 0).await.map_err(broken)?;
        let is_empty = body.as_bytes().is_some_and(<[u8]>::is_empty);
        let length = body.size_hint().lower();
        *request.body_mut() = body;
        if is_empty {
            return missing();
        }
        let content_type = content_type(request.headers()).map_err(Refused::Unfit)?.unwrap_or_default().to_owned();
        let media = Arc::clone(rule.media(&content_type).map_err(Refused::Unfit)?);
        if length > self.most as u64 {
            return Err(Refused::Unread(Unread::TooLarge(self.most as u64)));
        }
        if media.schema.is_none() {
            return Ok(());
        }
        let body = std::mem::take(request.body_mut());
        let sent = if self.rejects {
            self.bodies.collect(body, self.most).await.map_err(Refused::Unread)?
        } else {
            match self.bodies.read_ahead(body, self.most).await.map_err(broken)?.into_bytes() {
                Ok(sent) => sent,
                Err(body) => {
                    *request.body_mut() = body;
                    return Err(Refused::Unread(Unread::TooLarge(self.most as u64)));
                }
            }
        };
        *request.body_mut() = Body::from(sent.clone());
        let plain = self.bodies.unpack(request.headers(), sent).await.map_err(Refused::Unread)?;
        if plain.is_empty() {
            return missing();
        }
        if plain.len() < LARGE {
            return media.judge(&content_type, &plain, &self.bodies).map_err(Refused::Unfit);
        }
        let bodies = self.bodies.clone();
        let judging = self.bench.run(move || media.judge(&content_type, &plain, &bodies));
        judging.await.unwrap_or_else(|| Err("judging it failed".to_owned())).map_err(Refused::Unfit)
    }

    /// The answer to a request that does not fit, unless it goes on all the same.
    fn unfit(&self, reason: &str) -> Option<Response> {
        let reason = json_schema::shortened(reason);
        #[cfg(feature = "tracing")]
        tracing::warn!(%reason, "oas-validator: failed to validate request");
        self.rejects.then(|| match self.tells {
            true => reject(self.status, NAME, format_args!("failed to validate request. {reason}")),
            false => reject(self.status, NAME, "failed to validate request."),
        })
    }
}

impl Around for OasValidator {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        let Some(api) = self.api().await else {
            return reject(StatusCode::INTERNAL_SERVER_ERROR, NAME, "failed to parse openapi spec");
        };
        let judged = match self.judge(&api, &request) {
            Ok(None) => Ok(()),
            Ok(Some(rule)) => self.judge_body(rule, &mut request).await,
            Err(reason) => Err(Refused::Unfit(reason)),
        };
        let answer = match judged {
            Ok(()) => None,
            Err(Refused::Unfit(reason)) => self.unfit(&reason),
            // its body is gone
            Err(Refused::Unread(unread @ Unread::Broken(_))) => Some(unread.into_response(NAME)),
            Err(Refused::Unread(unread)) if self.rejects => Some(unread.into_response(NAME)),
            Err(Refused::Unread(unread)) => self.unfit(&unread.to_string()),
        };
        // what was judged by need not be held while the rest of the chain works
        drop(api);
        match answer {
            None => next.run(request).await,
            Some(response) => response,
        }
    }
}

/// The one `Content-Type`.
fn content_type(headers: &HeaderMap) -> Result<Option<&str>, String> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let first = types.next();
    match types.next() {
        Some(_) => Err("`Content-Type` stands there several times".to_owned()),
        None => first.map(|value| value.to_str().map_err(|_| "`Content-Type` is no text".to_owned())).transpose(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::PluginLayer;
    use crate::plugins::testing::{ask, configured};

    #[tokio::test]
    async fn large_bodies_wait_for_a_place_and_small_ones_need_none() {
        let content = json!({"application/json": {"schema": {"type": "array"}}});
        let paths = json!({"/a": {"post": {"requestBody": {"content": content}}}});
        let spec = json!({"openapi": "3.0.3", "paths": paths}).to_string();
        let (bench, place) = Bench::taken();
        let validator = OasValidator::new(configured(json!({"spec": spec}))).unwrap();
        let layer = PluginLayer::from(OasValidatorLayer::of(validator.at(&bench)));
        let answer = async |length: usize| {
            let body = format!("[{}]", " ".repeat(length - 2));
            let request = http::Request::post("/a").header(CONTENT_TYPE, "application/json").body(Body::from(body));
            ask(&layer, request.unwrap()).await
        };
        assert_eq!(answer(LARGE - 1).await.status(), 200);
        let mut large = std::pin::pin!(answer(LARGE));
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert!(futures_util::poll!(&mut large).is_pending());
        }
        drop(place);
        assert_eq!(large.await.status(), 200);
    }
}
