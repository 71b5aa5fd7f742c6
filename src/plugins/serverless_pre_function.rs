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
//! A target that a function writes is made canonical at once; dot segments, and what else would be refused of a client, are a 400. What
//! stands behind the function judges what is forwarded, and what stands before has judged another path: **a function that changes the
//! path in phase `before_proxy`, or in `access` as a post-function, leads past `opa`, `authz-keycloak` and all other plugins of stage
//! access** but `uri-blocker`, which is asked again. That is the program's own responsibility; change paths in phase `rewrite`.
//!
//! A consumer's block takes the place of the route's if both are of one stage. Of two stages both run.
//!
//! Functions are Rust, compiled into the program, and run where plugins run: nothing limits their time but what the program
//! does about it (DEVIATE from security.md PLG-02: a function that is cut off amid its work may have half of it done), and a panic of
//! one is a 500 for its request. Source text (the reference takes Lua) is refused when the
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
    const STAGES_DIFFER: bool = true;
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
