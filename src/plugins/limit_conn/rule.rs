//! A crowd of a block, and a request's part in it.
use smallvec::SmallVec;

use super::config::LimitConnConfig;
use crate::plugin::ConfigError;
use crate::plugins::limit::{Crowd, Key, KeySpec, KeyType, Namespace, Number, Pieces};
use crate::request::RequestVars;

const PLUGIN: &str = "limit-conn";

/// One crowd of a block.
pub(super) struct Rule {
    key: KeySpec,
    /// Of several rules: the number of this one. It is left out for requests that have none of the key's variables.
    number: Option<String>,
    conn: Number,
    burst: Number,
}

/// A crowd that a request is to enter.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    /// The name of the crowd in Redis; empty where there is none.
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "no Redis is asked"))]
    pub(super) name: Vec<u8>,
    pub(super) crowd: Crowd,
}

/// The crowds of a request; a block without rules has one.
pub(super) type Entries = SmallVec<[Entry; 1]>;

/// How the crowds of a block are named.
pub(super) struct Naming {
    pub(super) namespace: Namespace,
    /// What stands before the key in Redis; `None` where there is none.
    pub(super) prefix: Option<Vec<u8>>,
    /// What stands behind the key: the action of a workflow.
    pub(super) suffix: Option<String>,
}

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
                    key: KeySpec::template(PLUGIN, &field("key"), &rule.key)?,
                    number: Some((index + 1).to_string()),
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
            key: KeySpec::parse(PLUGIN, "key", key, config.key_type)?,
            number: None,
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
        let Some(prefix) = &naming.prefix else {
            let mut writer = naming.namespace.writer();
            self.write_key(request, naming, &mut writer)?;
            return Some(Entry { key: writer.finish(), name: Vec::new(), crowd });
        };
        let mut name = prefix.clone();
        self.write_key(request, naming, &mut name)?;
        let key = naming.namespace.key(name.get(prefix.len()..).unwrap_or_default());
        Some(Entry { key, name, crowd })
    }

    fn crowd<B>(&self, request: &http::Request<B>) -> Option<Crowd> {
        if let (Some(conn), Some(burst)) = (self.conn.fixed(), self.burst.fixed()) {
            return Some(Crowd { conn, burst });
        }
        let variables = RequestVars::of(request);
        Some(Crowd { conn: self.conn.resolve(&variables)?, burst: self.burst.resolve(&variables)? })
    }

    fn write_key<B>(&self, request: &http::Request<B>, naming: &Naming, to: &mut impl Pieces) -> Option<()> {
        match &self.number {
            None => self.key.write(request, to),
            Some(number) => {
                self.key.write_resolved(request, to).then_some(())?;
                // two rules may have the same text for different reasons
                to.piece(b"#");
                to.piece(number.as_bytes());
            }
        }
        if let Some(suffix) = &naming.suffix {
            to.piece(b":");
            to.piece(suffix.as_bytes());
        }
        Some(())
    }
}
