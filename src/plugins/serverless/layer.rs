//! The layer.
use std::fmt;
use std::sync::Arc;

use super::ended::Ending;
use super::functions::{Asked, OnEnd, OnRequest, OnResponse};
use super::{Functions, Phase, ServerlessConfig};
use crate::error::answer_of;
use crate::plugin::{Around, AroundLayer, ConfigError};
use crate::{Exchange, Fault, Next, Request, Response};

/// Applies [`Serverless`].
pub type ServerlessLayer = AroundLayer<Serverless>;

/// One block, compiled: the functions themselves.
pub struct Serverless {
    plugin: &'static str,
    calls: Calls,
}

enum Calls {
    Request(Box<[OnRequest]>),
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
                Calls::Request(all(plugin, config, |name| functions.on_request(name, phase))?)
            }
            Phase::HeaderFilter | Phase::BodyFilter => {
                Calls::Response(all(plugin, config, |name| functions.on_response(name, phase))?)
            }
            Phase::Log => Calls::End(all(plugin, config, |name| functions.on_end(name, phase))?),
        };
        Ok(Self { plugin, calls })
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
                for function in functions {
                    request = match function(request).await {
                        Ok(request) => request,
                        // what a function made with `reject` says so itself
                        Err(answer) if answer.extensions().get::<Fault>().is_some() => return answer,
                        Err(answer) => return answer_of(self.plugin, answer),
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
