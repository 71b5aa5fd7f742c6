//! `serverless-post-function`: calls functions of the host program, after other plugins of their phase. Stage: access.
//!
//! As [serverless-pre-function](#serverless-pre-function), with the lowest priority of all: in phase `access` its functions
//! see what every limit and list has let pass. In phase `rewrite` it stands in stage rewrite, so who calls is known.
//!
//! ```
//! use tollgate::Gateway;
//! use tollgate::plugins::serverless::Functions;
//!
//! let functions = Functions::new().log("slow", |ended| {
//!     if ended.took.as_secs() > 1 {
//!         eprintln!("slow: {} {}", ended.request.method(), ended.request.uri());
//!     }
//! });
//! let gateway = Gateway::builder().functions(functions).build()?;
//! # let _ = gateway;
//! # Ok::<(), tollgate::gateway::ApplyError>(())
//! ```
//!
//! ```yaml
//! serverless-post-function:
//!   phase: log
//!   functions: [slow]
//! ```
use super::serverless::{Functions, Serverless, ServerlessConfig, ServerlessLayer};
use crate::PluginLayer;
use crate::plugin::{BuildContext, ConfigError, Plugin, SchemaOf, Stage};

/// Registry entry of `serverless-post-function`. Without functions every block of it is refused.
#[derive(Clone, Debug, Default)]
pub struct ServerlessPostFunctionPlugin {
    functions: Functions,
}

impl ServerlessPostFunctionPlugin {
    /// The plugin with these functions.
    pub fn new(functions: Functions) -> Self {
        Self { functions }
    }
}

impl Plugin for ServerlessPostFunctionPlugin {
    const NAME: &'static str = "serverless-post-function";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = -2000;
    const STAGES_DIFFER: bool = true;
    type Config = ServerlessConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<ServerlessConfig>()
    }

    fn stage(&self, config: &ServerlessConfig) -> Stage {
        config.phase.stage(Stage::Rewrite)
    }

    fn build(&self, config: ServerlessConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(ServerlessLayer::of(Serverless::new(Self::NAME, &config, &self.functions)?).into())
    }
}
