//! Which route a request belongs to: a compiled match table, no I/O.
//!
//! [`Router`] holds [`Rule`]s and finds the one that a [`Query`] belongs to. It is a persistent structure: a clone is a
//! few reference counts and shares everything, a change copies the way to one rule. A gateway keeps one router, clones
//! it, applies what changed and swaps the clone in, off the path of requests.
//!
//! [`canonicalise`] and [`HostName::parse`] bring what a client sent to the form that is compared; [`Expr`] is the
//! language of `vars`; [`SniTable`] picks a certificate.
//!
//! ```
//! use http::Method;
//! use tollgate::router::{NoVariables, Query, Router, RouterOptions, Rule};
//!
//! let mut router = Router::new(RouterOptions::default());
//! router.insert(Rule::new("book", "/books/:isbn", 7))?;
//! router.insert(Rule::new("files", "/files/*path", 8))?;
//! let query = |path| Query { method: &Method::GET, host: None, path, client: None, vars: &NoVariables };
//!
//! let found = router.find(&query(b"/books/978")).expect("it is there");
//! assert_eq!((*found.value, found.params.get("isbn").as_deref()), (7, Some(&b"978"[..])));
//! assert!(router.find(&query(b"/books")).is_err());
//! # Ok::<(), tollgate::router::RuleError>(())
//! ```
mod beginnings;
mod explain;
mod group;
mod host;
mod host_table;
mod lint;
mod path;
mod path_tree;
mod pattern;
mod predicate;
mod query;
mod radix;
mod rule;
mod sni;
mod table;
mod vars;

pub use explain::{Candidate, Explanation, Verdict};
pub use host::{HostFault, HostName, HostPatternFault};
pub use lint::{Finding, Lint};
pub(crate) use path::decode as percent_decode;
pub use path::{Canonical, EncodedSlash, PathFault, PathMode, PathOptions, canonicalise};
pub use pattern::PatternFault;
pub use predicate::Predicate;
pub use query::{Match, NoMatch, Params, PathParams, Query};
pub use rule::{Condition, Rule, RuleError, RuleFault};
pub use sni::{SniFault, SniTable};
pub use table::{Router, RouterOptions};
pub use vars::{Expr, ExprError, ExprFault, NoVariables, Value, VarName, Variables, parse_number};
