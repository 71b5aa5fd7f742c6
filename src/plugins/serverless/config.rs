//! The block of configuration.
use serde::Deserialize;

use crate::plugin::Stage;

/// Options of `serverless-pre-function` and `serverless-post-function`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ServerlessConfig {
    /// When the functions are called. Default `access`.
    pub phase: Phase,
    /// Names of functions that the host program registered, called in this order. Required, at least one.
    pub functions: Vec<String>,
}

impl ServerlessConfig {
    /// These functions, in this phase.
    pub fn new<N: Into<String>>(phase: Phase, functions: impl IntoIterator<Item = N>) -> Self {
        Self { phase, functions: functions.into_iter().map(Into::into).collect() }
    }
}

/// When functions are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// With the request: before it is known who calls (`pre`), or where paths are rewritten (`post`).
    Rewrite,
    /// With the request, among the plugins that decide about it.
    #[default]
    Access,
    /// With the request, last before the upstream.
    BeforeProxy,
    /// With the answer, its body still to come.
    HeaderFilter,
    /// As `header_filter`: an answer comes with its body as a stream, which a function may wrap.
    BodyFilter,
    /// When the exchange has ended.
    Log,
}

impl Phase {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rewrite => "rewrite",
            Self::Access => "access",
            Self::BeforeProxy => "before_proxy",
            Self::HeaderFilter => "header_filter",
            Self::BodyFilter => "body_filter",
            Self::Log => "log",
        }
    }

    /// The place of a block in the chain; `rewrite` is that of its functions in phase `rewrite`.
    pub(in crate::plugins) fn stage(self, rewrite: Stage) -> Stage {
        match self {
            Self::Rewrite => rewrite,
            Self::Access => Stage::Access,
            Self::BeforeProxy => Stage::Forward,
            Self::HeaderFilter | Self::BodyFilter => Stage::Respond,
            Self::Log => Stage::Observe,
        }
    }
}
