//! Variables of a request, and expressions over them (router.md §6).
//!
//! Names are parsed and expressions compiled at load; a request only compares. Usable without a router: a plugin's
//! `_meta.filter` is the same grammar.
mod compare;
mod expr;
mod name;
mod value;

pub use compare::parse_number;
pub use expr::{Expr, ExprError, ExprFault};
pub use name::VarName;
pub use value::{NoVariables, Value, Variables};
