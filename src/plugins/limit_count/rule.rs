//! A counter of a block, and what a request charges it with.
use http::HeaderValue;
use smallvec::SmallVec;

use super::config::{LimitCountConfig, LimitCountMetadata, LimitCountRule, WindowType};
use super::fields::Names;
use crate::plugin::ConfigError;
use crate::plugins::limit::{CounterKey, Key, KeySpec, Name, Naming, Number, Verdict};
use crate::request::RequestVars;

const PLUGIN: &str = "limit-count";

/// One counter of a block.
pub(super) struct Rule {
    key: CounterKey,
    count: Number,
    /// Seconds.
    window: Number,
    names: Names,
    /// The value of the first field, where it is always the same.
    limit: Option<HeaderValue>,
    /// Counters of windows of different widths are told apart.
    by_width: bool,
}

/// What a request charges one counter with.
#[derive(Clone, Debug)]
pub(super) struct Charge {
    /// The rule, by its place.
    pub(super) rule: usize,
    pub(super) name: Name,
    pub(super) limit: u64,
    /// Milliseconds.
    pub(super) width: u64,
}

/// The charges of a request; a block without rules has one.
pub(super) type Charges = SmallVec<[Charge; 1]>;

/// What a counter said, by its rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) rule: usize,
    pub(super) limit: u64,
    pub(super) verdict: Verdict,
}

impl Rule {
    /// The rules of a block: its own numbers are one rule.
    pub(super) fn all(config: &LimitCountConfig, metadata: &LimitCountMetadata) -> Result<Vec<Self>, ConfigError> {
        let invalid = |field: &str, reason: &str| Err(ConfigError::invalid(PLUGIN, field, reason));
        let sliding = config.window_type == WindowType::Sliding;
        match (&config.count, &config.time_window, &config.rules) {
            (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                invalid("rules", "count/time_window and rules cannot be specified at the same time")
            }
            (_, _, Some(_)) if config.group.is_some() => {
                invalid("rules", "group and rules cannot be specified at the same time")
            }
            (_, _, Some(rules)) if rules.is_empty() => invalid("rules", "needs at least one rule"),
            (_, _, Some(rules)) => {
                let rule = |(index, rule)| Self::listed(rules, index, rule, metadata, sliding);
                rules.iter().enumerate().map(rule).collect()
            }
            (Some(count), Some(window), None) => {
                let key = KeySpec::parse(PLUGIN, "key", &config.key, config.key_type)?;
                let names = Names::new(metadata, None).map_err(bad_metadata)?;
                let count = Number::parse(PLUGIN, "count", count, 1)?;
                let window = Number::parse(PLUGIN, "time_window", window, 1)?;
                Ok(vec![Self::new(CounterKey::of_block(key), count, window, names, sliding)])
            }
            (None, _, None) => invalid("count", "is required, with time_window; or write rules"),
            (_, None, None) => invalid("time_window", "is required, with count; or write rules"),
        }
    }

    fn listed(
        rules: &[LimitCountRule],
        index: usize,
        rule: &LimitCountRule,
        metadata: &LimitCountMetadata,
        sliding: bool,
    ) -> Result<Self, ConfigError> {
        let field = |name: &str| format!("rules.{index}.{name}");
        if rules.iter().take(index).any(|earlier| earlier.key == rule.key) {
            return Err(ConfigError::invalid(PLUGIN, field("key"), format!("duplicate key '{}' in rules", rule.key)));
        }
        let number = (index + 1).to_string();
        let prefix = rule.header_prefix.as_deref().unwrap_or(&number);
        let names = Names::new(metadata, Some(prefix));
        let bad_prefix = |_| ConfigError::invalid(PLUGIN, field("header_prefix"), "cannot stand in a field's name");
        let key = KeySpec::template(PLUGIN, &field("key"), &rule.key)?;
        let count = Number::parse(PLUGIN, &field("count"), &rule.count, 1)?;
        let window = Number::parse(PLUGIN, &field("time_window"), &rule.time_window, 1)?;
        let key = CounterKey::of_rule(key, index + 1);
        Ok(Self::new(key, count, window, names.map_err(bad_prefix)?, sliding))
    }

    fn new(key: CounterKey, count: Number, window: Number, names: Names, sliding: bool) -> Self {
        let limit = count.fixed().map(HeaderValue::from);
        // buckets of one width say nothing about those of another
        let by_width = sliding && window.fixed().is_none();
        Self { key, count, window, names, limit, by_width }
    }

    /// The shortest window in seconds, where it is the same for every request.
    pub(super) fn fixed_window(&self) -> Option<u64> {
        self.window.fixed()
    }

    /// What a request charges the rules with; `None` when one of the numbers is none that counts.
    pub(super) fn charges<B>(rules: &[Self], naming: &Naming, request: &http::Request<B>) -> Option<Charges> {
        let mut charges = Charges::new();
        for (index, rule) in rules.iter().enumerate() {
            let Some(name) = rule.key.name(naming, request) else { continue };
            let (limit, window) = rule.numbers(request)?;
            let mut charge = Charge { rule: index, name, limit, width: window.saturating_mul(1000) };
            if rule.by_width {
                charge.separate(naming, window);
            }
            charges.push(charge);
        }
        Some(charges)
    }

    fn numbers<B>(&self, request: &http::Request<B>) -> Option<(u64, u64)> {
        if let (Some(limit), Some(window)) = (self.count.fixed(), self.window.fixed()) {
            return Some((limit, window));
        }
        let variables = RequestVars::of(request);
        Some((self.count.resolve(&variables)?, self.window.resolve(&variables)?))
    }

    /// The key of a request as text, for logs.
    pub(super) fn key_text<B>(&self, request: &http::Request<B>) -> String {
        self.key.text(request)
    }

    /// Writes what the counter said into an answer.
    pub(super) fn tell(&self, told: Told, headers: &mut http::HeaderMap) {
        match &self.limit {
            Some(limit) => self.names.write(limit, told.verdict, headers),
            None => self.names.write(&told.limit.into(), told.verdict, headers),
        }
    }
}

impl Charge {
    /// Makes the counter one of windows of this many seconds.
    fn separate(&mut self, naming: &Naming, window: u64) {
        let Key(first, second) = self.name.key;
        let parts = [first, second, window].map(u64::to_ne_bytes);
        self.name.key = naming.namespace.key(parts.as_flattened());
        if naming.prefix.is_some() {
            self.name.text.extend_from_slice(format!(":{window}").as_bytes());
        }
    }
}

fn bad_metadata(field: &'static str) -> ConfigError {
    ConfigError::invalid(PLUGIN, field, "is no name of a header field (metadata)")
}
