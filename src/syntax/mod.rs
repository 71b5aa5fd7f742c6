//! Text becomes a JSON value, or is refused with the line of the fault: keys that stand twice, deep nesting, too many
//! aliases. Whoever reads configuration that people wrote reads it by this.
mod bounds;
mod fault;
pub(crate) mod json;
pub(crate) mod lines;
mod strict;
#[cfg(feature = "yaml")]
pub(crate) mod yaml;

pub use bounds::Bounds;
pub(crate) use fault::Syntax;
