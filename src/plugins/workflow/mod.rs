//! `workflow`: an answer or a limit by condition. Stage: access, priority 1006.
//!
//! Decision: of the rules, in order, the first whose `case` holds for the request (without `case`: any) runs its first
//! action; other actions and rules count for nothing. Without such a rule the request passes.
//!
//! Actions:
//! * `return`: answers with `code` and `{"error_msg":"rejected by workflow"}`.
//! * `limit-count`, `limit-conn`: as the plugin of that name does ([`limit_count`](crate::plugins::limit_count),
//!   [`limit_conn`](crate::plugins::limit_conn)), with counters of the action's own; `group` is refused. The same plugin
//!   configured elsewhere for the request, on its route, consumer or a global rule, then stands aside: nothing is counted
//!   twice.
//!
//! Reads: what `case` names. Writes: what the actions write. Caveats: in code, [`WorkflowLayer::new`] makes counters of its
//! own; place it outside of the limiters that it replaces.
//!
//! ```
//! use http::Request;
//! use tollgate::plugins::workflow::{WorkflowConfig, WorkflowLayer};
//! use tollgate::{Body, Next, Response};
//! use tower::{Layer as _, ServiceExt as _};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tollgate::BoxError> {
//! let config: WorkflowConfig = serde_json::from_value(serde_json::json!({"rules": [
//!     {"case": [["uri", "==", "/closed"]], "actions": [["return", {"code": 403}]]},
//! ]}))?;
//! let service = WorkflowLayer::new(config)?.layer(Next::from_fn(|_| async { Response::new(Body::from("hello")) }));
//! let ask = |path: &str| service.clone().oneshot(Request::builder().uri(path).body(Body::empty()).unwrap());
//! assert_eq!(ask("/closed").await?.status(), 403);
//! assert_eq!(ask("/open").await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! ```json
//! {"workflow": {"rules": [
//!   {"case": [["uri", "==", "/closed"]], "actions": [["return", {"code": 403}]]},
//!   {"case": [["consumer_group_id", "==", "free"]],
//!    "actions": [["limit-count", {"count": 10, "time_window": 60, "key": "consumer_name", "rejected_code": 429}]]}
//! ]}}
//! ```
mod config;
mod plugin;
mod rule;
#[cfg(test)]
mod tests;

pub use config::{WorkflowAction, WorkflowConfig, WorkflowRule};
pub use plugin::WorkflowPlugin;
pub use rule::{Workflow, WorkflowLayer};
