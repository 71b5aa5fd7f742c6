//! What the plugins that rewrite messages have in common: edits of fields, field values out of templates, substitution
//! by regular expression, and text of URIs.
mod captures;
mod config;
mod headers;
mod substitution;
mod uri;
mod value;

pub(crate) use captures::Captured;
pub use config::{FieldValues, RequestHeaders, ResponseHeaders};
pub use headers::{HeaderEdits, RenderedEdits};
pub(crate) use headers::{append_fields, compile_fields};
pub(crate) use substitution::compile_regex;
pub use substitution::{Replacement, Substitution};
pub(crate) use uri::{EncodedVars, push_path, push_query, push_target};
pub(crate) use value::{FieldTemplate, field_value};
