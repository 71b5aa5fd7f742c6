//! The layer.
use std::fmt;
use std::sync::Arc;

use http::uri::PathAndQuery;

use super::ended::Ending;
use super::functions::{Asked, OnEnd, OnRequest, OnResponse};
use super::{Functions, Phase, ServerlessConfig};
use crate::error::{Error, IntoResponse as _, answer_of};
use crate::plugin::{Around, AroundLayer, ConfigError};
use crate::request::{SharedFacts, rewrite_target};
use crate::{Exchange, Fault, Next, Request, Response};

/// Applies [`Serverless`].
pub type ServerlessLayer = AroundLayer<Serverless>;

/// One block, compiled: the functions themselves.
pub struct Serverless {
    plugin: &'static str,
    calls: Calls,
}

enum Calls {
    /// With the functions' names, for what is told of a faulty one.
    Request(Box<[(Box<str>, OnRequest)]>),
    Response(Box<[OnResponse]>),
    End(Arc<[OnEnd]>),
}

impl Serverless {
    /// Looks the functions of a block up. `plugin` is who answers, when a function does.
    ///
    /// # Errors
    /// [`ConfigError`] with the function that is not there, or not for that phase.
    pub fn new(plugin: &'static str, config: &ServerlessConfig, functions: &Functions) -> Result<Self, ConfigError> {
        if config.functions.is_empty() {
            let reason = "property \"functions\" is required: name at least one function";
            return Err(ConfigError::invalid(plugin, "functions", reason));
        }
        let phase = config.phase;
        let calls = match phase {
            Phase::Rewrite | Phase::Access | Phase::BeforeProxy => {
                let named = |name: &str| Ok((name.into(), functions.on_request(name, phase)?));
                Calls::Request(all(plugin, config, named)?)
            }
            Phase::HeaderFilter | Phase::BodyFilter => {
                Calls::Response(all(plugin, config, |name| functions.on_response(name, phase))?)
            }
            Phase::Log => Calls::End(all(plugin, config, |name| functions.on_end(name, phase))?),
        };
        Ok(Self { plugin, calls })
    }
}

impl Serverless {
    /// Calls one function with a request.
    ///
    /// # Errors
    /// The answer to the request.
    async fn call(&self, name: &str, function: &OnRequest, request: Request) -> Result<Request, Response> {
        let before = request.uri().path_and_query().cloned();
        let is_known = SharedFacts::of(&request).is_some();
        let mut request = function(request).await.map_err(|answer| match answer.extensions().get::<Fault>() {
            // what a function made with `reject` says so itself
            Some(_) => answer,
            None => answer_of(self.plugin, answer),
        })?;
        let refused = |reason: &'static str, error: Error| {
            #[cfg(feature = "tracing")]
            tracing::error!(plugin = self.plugin, function = name, reason, "a function is at fault");
            #[cfg(not(feature = "tracing"))]
            let _ = (name, reason);
            error.into_response()
        };
        if is_known && SharedFacts::of(&request).is_none() {
            let reason = "it handed on another request than the one that it was given";
            return Err(refused(reason, Error::Internal("request_replaced")));
        }
        let now = request.uri().path_and_query();
        if now != before.as_ref() {
            let target = now.cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
            let rewritten = rewrite_target(&mut request, target);
            rewritten.map_err(|error| refused("it wrote a target that is none", error))?;
        }
        Ok(request)
    }
}

/// What `find` makes of each name.
fn all<T, C: FromIterator<T>>(
    plugin: &'static str,
    config: &ServerlessConfig,
    find: impl Fn(&str) -> Result<T, String>,
) -> Result<C, ConfigError> {
    let named = |(at, name): (usize, &String)| {
        find(name).map_err(|reason| ConfigError::invalid(plugin, format!("functions.{at}"), reason))
    };
    config.functions.iter().enumerate().map(named).collect()
}

/// The request without its body, for later.
fn asked(request: &mut Request) -> Asked {
    request.extensions_mut().get_or_insert_default::<Exchange>();
    let mut kept = http::Request::new(());
    *kept.method_mut() = request.method().clone();
    *kept.uri_mut() = request.uri().clone();
    *kept.version_mut() = request.version();
    *kept.headers_mut() = request.headers().clone();
    *kept.extensions_mut() = request.extensions().clone();
    Arc::new(kept)
}

impl Around for Serverless {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        match &self.calls {
            Calls::Request(functions) => {
                for (name, function) in functions {
                    request = match self.call(name, function, request).await {
                        Ok(request) => request,
                        Err(answer) => return answer,
                    };
                }
                next.run(request).await
            }
            Calls::Response(functions) => {
                let asked = asked(&mut request);
                let mut response = next.run(request).await;
                for function in functions {
                    response = function(response, Arc::clone(&asked)).await;
                }
                response
            }
            Calls::End(functions) => {
                let ending = Ending::new(functions, asked(&mut request));
                let response = next.run(request).await;
                ending.behind(response)
            }
        }
    }
}

impl fmt::Debug for Serverless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (calls, count) = match &self.calls {
            Calls::Request(functions) => ("requests", functions.len()),
            Calls::Response(functions) => ("answers", functions.len()),
            Calls::End(functions) => ("ends", functions.len()),
        };
        write!(f, "{} ({count} functions of {calls})", self.plugin)
    }
}
