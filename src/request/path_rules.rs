//! Rules about paths, which are asked again when a layer has changed the path (security.md PATH-07).
use std::sync::Arc;

use smallvec::SmallVec;

use super::RequestVars;
use crate::Response;
use crate::router::{Value, VarName, Variables};

/// A rule about the path and query of requests.
pub(crate) trait PathRule: Send + Sync {
    /// The answer to a request of that path and query, if it is not to go on.
    fn refuse(&self, target: &[u8]) -> Option<Response>;
}

/// Request extension: the rules that layers have asked, which hold for the path that is forwarded as well.
#[derive(Clone, Default)]
pub(crate) struct PathRules(SmallVec<[Arc<dyn PathRule>; 1]>);

impl PathRules {
    /// Asks a rule about the path and query that the client sent, and leaves it with the request.
    pub(crate) fn ask<B>(request: &mut http::Request<B>, rule: &Arc<dyn PathRule>) -> Option<Response> {
        let refusal = match RequestVars::of(request).get(&VarName::RequestUri) {
            Some(Value::Text(target)) => rule.refuse(&target),
            _ => rule.refuse(b""),
        };
        request.extensions_mut().get_or_insert_default::<Self>().0.push(Arc::clone(rule));
        refusal
    }

    /// Asks all rules about the path and query as they are now.
    pub(crate) fn ask_again<B>(request: &http::Request<B>) -> Option<Response> {
        let Self(rules) = request.extensions().get()?;
        let uri = request.uri();
        let target = uri.path_and_query().map_or_else(|| uri.path(), |target| target.as_str());
        rules.iter().find_map(|rule| rule.refuse(target.as_bytes()))
    }
}
