//! The decision.
use std::sync::Arc;

use http::StatusCode;

use super::config::WorkflowConfig;
use crate::error::{Request, reject_error_msg};
use crate::plugin::{AroundLayer, ConfigError, Hop, Plugin as _};
use crate::plugins::limit::set_by_workflow;
use crate::plugins::limit_conn::{LimitConn, LimitConnPlugin};
use crate::plugins::limit_count::{LimitCount, LimitCountPlugin};
use crate::request::RequestVars;
use crate::router::Expr;
use crate::{BoxFuture, Next};

/// Applies [`Workflow`].
pub type WorkflowLayer = AroundLayer<Workflow>;

/// A block of `workflow`, compiled.
pub struct Workflow(pub(super) Vec<Rule>);

/// A condition and its action.
pub(super) struct Rule {
    /// `None` holds always.
    pub(super) case: Option<Expr>,
    pub(super) action: Action,
}

/// What a rule does.
pub(super) enum Action {
    Return(StatusCode),
    LimitCount(Arc<LimitCount>),
    LimitConn(Arc<LimitConn>),
}

impl WorkflowLayer {
    /// A layer with counters of its own.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn new(config: WorkflowConfig) -> Result<Self, ConfigError> {
        super::WorkflowPlugin::default().layer(&config)
    }
}

impl Workflow {
    /// The action for a request, if a rule holds for it.
    fn action<B>(&self, request: &http::Request<B>) -> Option<&Action> {
        let variables = RequestVars::of(request);
        let holds = |rule: &&Rule| rule.case.as_ref().is_none_or(|case| case.holds(&variables));
        self.0.iter().find(holds).map(|rule| &rule.action)
    }
}

impl Hop for Workflow {
    fn run(self: &Arc<Self>, mut request: Request, next: &Next) -> BoxFuture {
        match self.action(&request) {
            None => next.run(request),
            Some(Action::Return(status)) => {
                let response = reject_error_msg(*status, super::WorkflowPlugin::NAME, "rejected by workflow");
                Box::pin(std::future::ready(response))
            }
            Some(Action::LimitCount(limiter)) => {
                set_by_workflow(&mut request, LimitCountPlugin::NAME);
                limiter.run(request, next)
            }
            Some(Action::LimitConn(limiter)) => {
                set_by_workflow(&mut request, LimitConnPlugin::NAME);
                limiter.run(request, next)
            }
        }
    }
}
