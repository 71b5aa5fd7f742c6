//! A crowd of a block, and a request's part in it.
use smallvec::SmallVec;

use super::config::LimitConnConfig;
use crate::plugin::ConfigError;
use crate::plugins::limit::{CounterKey, Crowd, KeySpec, KeyType, Name, Naming, Number};
use crate::request::RequestVars;

const PLUGIN: &str = "limit-conn";

/// One crowd of a block.
pub(super) struct Rule {
    key: CounterKey,
    conn: Number,
    burst: Number,
}

/// A crowd that a request is to enter.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Name,
    pub(super) crowd: Crowd,
}

/// The crowds of a request; a block without rules has one.
pub(super) type Entries = SmallVec<[Entry; 1]>;

impl Rule {
    /// The rules of a block: its own numbers are one rule.
    pub(super) fn all(config: &LimitConnConfig) -> Result<Vec<Self>, ConfigError> {
        let invalid = |field: &str, reason: &str| ConfigError::invalid(PLUGIN, field, reason);
        if config.key_type == KeyType::Constant {
            return Err(invalid("key_type", "needs `var` or `var_combination`"));
        }
        if let Some(rules) = &config.rules {
            if config.conn.is_some() || config.burst.is_some() || config.key.is_some() {
                return Err(invalid("rules", "conn/burst/key and rules cannot be specified at the same time"));
            }
            if rules.is_empty() {
                return Err(invalid("rules", "needs at least one rule"));
            }
            let rule = |(index, rule): (usize, &super::LimitConnRule)| {
                let field = |name: &str| format!("rules.{index}.{name}");
                Ok(Self {
                    key: CounterKey::of_rule(KeySpec::template(PLUGIN, &field("key"), &rule.key)?, index + 1),
                    conn: Number::parse(PLUGIN, &field("conn"), &rule.conn, 1)?,
                    burst: Number::parse(PLUGIN, &field("burst"), &rule.burst, 0)?,
                })
            };
            return rules.iter().enumerate().map(rule).collect();
        }
        let required = |field: &str| invalid(field, "is required; or write rules");
        let conn = config.conn.as_ref().ok_or_else(|| required("conn"))?;
        let burst = config.burst.as_ref().ok_or_else(|| required("burst"))?;
        let key = config.key.as_deref().ok_or_else(|| required("key"))?;
        Ok(vec![Self {
            key: CounterKey::of_block(KeySpec::parse(PLUGIN, "key", key, config.key_type)?),
            conn: Number::parse(PLUGIN, "conn", conn, 1)?,
            burst: Number::parse(PLUGIN, "burst", burst, 0)?,
        }])
    }

    /// The crowds of a request. Rules that it has no variable for, or whose numbers are none, are left out.
    pub(super) fn entries<B>(rules: &[Self], naming: &Naming, request: &http::Request<B>) -> Entries {
        rules.iter().filter_map(|rule| rule.entry(naming, request)).collect()
    }

    fn entry<B>(&self, naming: &Naming, request: &http::Request<B>) -> Option<Entry> {
        let crowd = self.crowd(request)?;
        Some(Entry { name: self.key.name(naming, request)?, crowd })
    }

    fn crowd<B>(&self, request: &http::Request<B>) -> Option<Crowd> {
        if let (Some(conn), Some(burst)) = (self.conn.fixed(), self.burst.fixed()) {
            return Some(Crowd { conn, burst });
        }
        let variables = RequestVars::of(request);
        Some(Crowd { conn: self.conn.resolve(&variables)?, burst: self.burst.resolve(&variables)? })
    }
}
