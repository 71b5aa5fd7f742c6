//! `$1` in templates: what the groups of a regular expression captured.
use regex::bytes::Captures;

use crate::router::{Value, VarName, Variables};

/// Variables, and beside them the captures of a match: `$0` the whole of it, `$1` the first group.
pub(crate) struct Captured<'a> {
    pub(crate) variables: &'a dyn Variables,
    /// `None`: nothing matched, and no number is there.
    pub(crate) captures: Option<Captures<'a>>,
}

impl Variables for Captured<'_> {
    fn get<'a>(&'a self, name: &VarName) -> Option<Value<'a>> {
        match name {
            VarName::Custom(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                let group = self.captures.as_ref()?.get(number.parse().ok()?)?;
                Some(Value::from(group.as_bytes()))
            }
            name => self.variables.get(name),
        }
    }
}
