//! The plugin.
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::RANGE;
use http::{HeaderName, StatusCode};

use super::body::{Filter, Filtered, filter};
use super::config::ResponseRewriteConfig;
use super::vars::{AnswerVars, Kept, field_of, is_of_answer, is_of_exchange};
use crate::error::keep_as_it_is;
use crate::plugin::{Around, AroundLayer, BuildContext, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::condition::expression;
use crate::plugins::edit::HeaderEdits;
use crate::plugins::representation;
use crate::request::RequestVars;
use crate::router::{Expr, VarName};
use crate::{Body, Error, Exchange, IntoResponse as _, Next, PluginLayer, Request, Response};

/// Rewrites answers.
#[derive(Debug)]
pub struct ResponseRewrite {
    vars: Option<Expr>,
    status: Option<StatusCode>,
    body: NewBody,
    headers: HeaderEdits,
    /// Fields of the answer that variables stand for.
    fields: Vec<(VarName, HeaderName)>,
    /// Variables of the request that are asked for later.
    wanted: Vec<VarName>,
    /// Whether what the upstream did is asked for.
    wants_exchange: bool,
}

#[derive(Debug)]
enum NewBody {
    Kept,
    Text(Bytes),
    Filtered { filters: Vec<Filter>, limit: usize },
}

/// [`ResponseRewrite`] around a service.
pub type ResponseRewriteLayer = AroundLayer<ResponseRewrite>;

impl ResponseRewrite {
    /// Compiles the options.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: ResponseRewriteConfig) -> Result<Self, ConfigError> {
        let fault = |field: &str, reason: &str| ConfigError::invalid(ResponseRewritePlugin::NAME, field, reason);
        let status = config.status_code.map(|code| {
            let status = StatusCode::from_u16(code).ok().filter(|_| (200..=598).contains(&code));
            status.ok_or_else(|| fault("status_code", "is a status from 200 to 598"))
        });
        let body = match (config.body, config.filters) {
            (Some(_), Some(_)) => return Err(fault("", "write either `body` or `filters`")),
            (Some(text), None) if config.body_base64 => {
                NewBody::Text(STANDARD.decode(text).map_err(|_| fault("body", "invalid base64 content"))?.into())
            }
            (Some(text), None) => NewBody::Text(text.into()),
            (None, Some(filters)) => {
                if filters.is_empty() {
                    return Err(fault("filters", "has at least one entry"));
                }
                if config.max_resp_body_size == 0 {
                    return Err(fault("max_resp_body_size", "is at least 1"));
                }
                let compile = |(index, filter)| {
                    Filter::compile(filter)
                        .map_err(|(field, reason)| fault(&format!("filters.{index}.{field}"), &reason))
                };
                let filters = filters.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
                NewBody::Filtered { filters, limit: config.max_resp_body_size }
            }
            (None, None) => NewBody::Kept,
        };
        let vars = config.vars.map(|vars| expression(ResponseRewritePlugin::NAME, "vars", &vars)).transpose()?;
        let headers = match config.headers {
            Some(headers) => headers.compile(ResponseRewritePlugin::NAME, "headers")?,
            None => HeaderEdits::default(),
        };
        let names: Vec<_> = vars.iter().flat_map(Expr::variables).chain(headers.variables()).cloned().collect();
        let wants_exchange = names.iter().any(is_of_exchange);
        let fields = names.iter().filter_map(|name| Some((name.clone(), field_of(name)?))).collect();
        let wanted = names.into_iter().filter(|name| !is_of_answer(name)).collect();
        Ok(Self { vars, status: status.transpose()?, body, headers, fields, wanted, wants_exchange })
    }

    async fn rewrite(&self, mut response: Response, kept: Kept, exchange: Option<Exchange>) -> Response {
        let edits = {
            let vars = AnswerVars {
                status: response.status(),
                headers: response.headers(),
                fields: &self.fields,
                exchange: exchange.as_ref(),
                kept: &kept,
            };
            if self.vars.as_ref().is_some_and(|expression| !expression.holds(&vars)) {
                return response;
            }
            self.headers.render(&vars)
        };
        if let Some(status) = self.status {
            *response.status_mut() = status;
        }
        match &self.body {
            NewBody::Kept => {}
            NewBody::Text(text) => replace(&mut response, Body::from(text.clone())),
            // The answer to a HEAD tells of the body that a GET would get.
            NewBody::Filtered { .. } if response.body().is_empty() => replace(&mut response, Body::empty()),
            NewBody::Filtered { filters, limit } => {
                let body = std::mem::take(response.body_mut());
                match filter(filters, response.headers(), body, *limit).await {
                    Ok(Filtered::New(body)) => replace(&mut response, body),
                    Ok(Filtered::AsItWas(body)) => *response.body_mut() = body,
                    Err(_) => {
                        let (status, reason) = (StatusCode::BAD_GATEWAY, "body_failed");
                        return Error::Upstream { status, reason, retry_after: None }.into_response();
                    }
                }
            }
        }
        edits.apply(response.headers_mut());
        response
    }
}

/// Gives the answer another body, and takes off what told of the old one.
fn replace(response: &mut Response, body: Body) {
    representation::forget(response.headers_mut());
    *response.body_mut() = body;
    keep_as_it_is(response);
}

impl Around for ResponseRewrite {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        let kept = match &*self.wanted {
            [] => Kept::default(),
            wanted => Kept::of(wanted, &RequestVars::of(&request)),
        };
        let exchange =
            self.wants_exchange.then(|| request.extensions_mut().get_or_insert_default::<Exchange>().clone());
        if !matches!(self.body, NewBody::Kept) {
            // What a filter takes out of the whole is not to be had in parts.
            request.headers_mut().remove(RANGE);
        }
        let response = next.run(request).await;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        self.rewrite(response, kept, exchange).await
    }
}

/// Registry entry of `response-rewrite`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseRewritePlugin;

impl Plugin for ResponseRewritePlugin {
    const NAME: &'static str = "response-rewrite";
    const STAGE: Stage = Stage::Respond;
    const PRIORITY: i32 = 899;
    type Config = ResponseRewriteConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<ResponseRewriteConfig>()
    }

    fn build(&self, config: ResponseRewriteConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        ResponseRewrite::new(config).map(|rewrite| AroundLayer::of(rewrite).into())
    }
}
