//! `serverless-pre-function`: calls functions of the host program, before other plugins of their phase. Stage: access.
//!
//! A block names functions that the program which embeds the gateway has registered; they are called in order. Another
//! `phase` gives the block another stage:
//!
//! | `phase` | stage | the functions |
//! |---|---|---|
//! | `rewrite` | edge | change the request, or answer it at once; later ones are then not called |
//! | `access` | access | the same |
//! | `before_proxy` | forward | the same |
//! | `header_filter`, `body_filter` | respond | change the answer, its head, its body, or both |
//! | `log` | observe | are told how the exchange ended |
//!
//! Functions are Rust, compiled into the program, and run where plugins run: nothing limits their time but what the program
//! does about it, and a panic of one is a 500 for its request. Source text (the reference takes Lua) is refused when the
//! configuration is loaded, and so is a name that nobody registered, or one that is not for the phase.
//!
//! ```
//! use http::HeaderValue;
//! use tollgate::Gateway;
//! use tollgate::plugins::serverless::Functions;
//!
//! let functions = Functions::new().request("stamp", |mut request| async move {
//!     request.headers_mut().insert("x-stamp", HeaderValue::from_static("edge"));
//!     Ok(request)
//! });
//! // any block may now say {"serverless-pre-function": {"phase": "rewrite", "functions": ["stamp"]}}
//! let gateway = Gateway::builder().functions(functions).build()?;
//! # let _ = gateway;
//! # Ok::<(), tollgate::gateway::ApplyError>(())
//! ```
//!
//! ```yaml
//! serverless-pre-function:
//!   phase: rewrite
//!   functions: [stamp]
//! ```
use super::serverless::{Functions, Serverless, ServerlessConfig, ServerlessLayer};
use crate::PluginLayer;
use crate::plugin::{BuildContext, ConfigError, Plugin, SchemaOf, Stage};

/// Registry entry of `serverless-pre-function`. Without functions every block of it is refused.
#[derive(Clone, Debug, Default)]
pub struct ServerlessPreFunctionPlugin {
    functions: Functions,
}

impl ServerlessPreFunctionPlugin {
    /// The plugin with these functions.
    pub fn new(functions: Functions) -> Self {
        Self { functions }
    }
}

impl Plugin for ServerlessPreFunctionPlugin {
    const NAME: &'static str = "serverless-pre-function";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 10_000;
    type Config = ServerlessConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<ServerlessConfig>()
    }

    fn stage(&self, config: &ServerlessConfig) -> Stage {
        config.phase.stage(Stage::Edge)
    }

    fn build(&self, config: ServerlessConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(ServerlessLayer::of(Serverless::new(Self::NAME, &config, &self.functions)?).into())
    }
}
