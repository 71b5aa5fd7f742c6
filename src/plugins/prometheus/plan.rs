//! The attributes, checked and compiled.
use super::config::{ExtraLabel, PrometheusAttr, PrometheusMetadata};
use super::labels::{Family, LABELS, Masks};
use crate::plugin::ConfigError;
use crate::request::Template;

const NAME: &str = "prometheus";

/// What holds until the process ends.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) attr: PrometheusAttr,
    /// The bounds of buckets in microseconds.
    pub(super) bounds: Box<[u64]>,
    /// All extra labels: whose they are, their name and value.
    pub(super) extra: Box<[Extra]>,
}

/// An extra label.
#[derive(Clone, Debug)]
pub(super) struct Extra {
    pub(super) family: Family,
    pub(super) name: String,
    pub(super) value: Template,
}

impl Plan {
    /// Checks attributes.
    pub(super) fn new(attr: PrometheusAttr) -> Result<Self, ConfigError> {
        let fault = |field: &str, reason: &str| Err(ConfigError::invalid(NAME, field, reason));
        if !attr.export_uri.starts_with('/') {
            return fault("export_uri", "must begin with `/`");
        }
        if !is_name(&format!("{}x", attr.metric_prefix)) {
            return fault("metric_prefix", "must be letters, digits and `_`, and begin with no digit");
        }
        if attr.refresh_interval > 3600 {
            return fault("refresh_interval", "must be 0 to 3600 seconds");
        }
        if !(1..=1_000_000).contains(&attr.max_label_sets) {
            return fault("max_label_sets", "must be 1 to 1000000");
        }
        let ascending = attr.default_buckets.windows(2).all(|pair| matches!(pair, [low, high] if low < high));
        let within = attr.default_buckets.iter().all(|bound| *bound > 0.0 && *bound <= 1e9);
        if attr.default_buckets.is_empty() || attr.default_buckets.len() > 64 || !ascending || !within {
            return fault("default_buckets", "must be 1 to 64 ascending numbers above 0, in milliseconds");
        }
        let mut extra = Vec::new();
        for (metric, said) in &attr.metrics {
            let field = format!("metrics.{metric}");
            let Some(family) = Family::named(metric) else {
                return fault(&field, "is no metric here; known are http_status, http_latency and bandwidth");
            };
            if said.extra_labels.len() > 8 {
                return fault(&format!("{field}.extra_labels"), "must be at most 8");
            }
            for (index, label) in said.extra_labels.iter().enumerate() {
                let field = format!("{field}.extra_labels.{index}");
                extra.push(compile(family, label).map_err(|reason| ConfigError::invalid(NAME, field, reason))?);
            }
        }
        let bounds = attr.default_buckets.iter().map(|bound| microseconds(*bound)).collect();
        Ok(Self { bounds, extra: extra.into_boxed_slice(), attr })
    }

    /// How a product calls the gateway itself, in labels.
    pub(super) fn gateway(&self) -> &'static str {
        if self.attr.metric_prefix == "apisix_" { "apisix" } else { "gateway" }
    }

    /// After how many seconds a metric forgets a series; `None` for never.
    pub(super) fn expiry(&self, family: Family) -> Option<u32> {
        self.attr.metrics.get(family.name()).map(|said| said.expire).filter(|expire| *expire > 0)
    }
}

impl Default for Plan {
    fn default() -> Self {
        let attr = PrometheusAttr::default();
        let bounds = attr.default_buckets.iter().map(|bound| microseconds(*bound)).collect();
        Self { attr, bounds, extra: Box::default() }
    }
}

/// Checks metadata.
pub(super) fn masks(metadata: &PrometheusMetadata) -> Result<Masks, ConfigError> {
    let mut masks = Masks::default();
    for (metric, labels) in &metadata.disabled_labels {
        let field = format!("disabled_labels.{metric}");
        let Some(family) = Family::named(metric) else {
            let reason = "is no metric here; known are http_status, http_latency and bandwidth";
            return Err(ConfigError::invalid(NAME, field, reason));
        };
        for (index, label) in labels.iter().enumerate() {
            if !masks.disable(family, label) {
                let known: Vec<_> = family.labels().collect();
                let reason = format!("is no label that can be disabled; those are {}", known.join(", "));
                return Err(ConfigError::invalid(NAME, format!("{field}.{index}"), reason));
            }
        }
    }
    Ok(masks)
}

fn compile(family: Family, label: &ExtraLabel) -> Result<Extra, String> {
    let mut pairs = label.iter();
    let (Some((name, value)), None) = (pairs.next(), pairs.next()) else {
        return Err("must be one pair of name and value".to_owned());
    };
    let taken = LABELS.contains(&name.as_str()) || matches!(name.as_str(), "code" | "type" | "le");
    if !is_name(name) || name.starts_with("__") || taken {
        return Err(format!("`{name}` cannot be a label's name: letters, digits and `_`, and no label that is there"));
    }
    let value = Template::parse(value).map_err(|error| error.to_string())?;
    Ok(Extra { family, name: name.clone(), value })
}

fn is_name(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(word) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

fn microseconds(milliseconds: f64) -> u64 {
    std::time::Duration::try_from_secs_f64(milliseconds / 1e3)
        .map_or(u64::MAX, |bound| u64::try_from(bound.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::labels::FAMILIES;
    use super::*;

    fn refused(attr: Value) -> String {
        Plan::new(serde_json::from_value(attr).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn attributes_are_checked() {
        for (attr, field) in [
            (json!({"export_uri": "metrics"}), "export_uri"),
            (json!({"metric_prefix": "a-"}), "metric_prefix"),
            (json!({"metric_prefix": "1"}), "metric_prefix"),
            (json!({"refresh_interval": 3601}), "refresh_interval"),
            (json!({"max_label_sets": 0}), "max_label_sets"),
            (json!({"default_buckets": []}), "default_buckets"),
            (json!({"default_buckets": [2, 1]}), "default_buckets"),
            (json!({"default_buckets": [0, 1]}), "default_buckets"),
            (json!({"metrics": {"llm_latency": {}}}), "metrics.llm_latency"),
            (json!({"metrics": {"bandwidth": {"extra_labels": [{"le": "1"}]}}}), "metrics.bandwidth.extra_labels.0"),
            (json!({"metrics": {"bandwidth": {"extra_labels": [{"a": "${"}]}}}), "metrics.bandwidth.extra_labels.0"),
            (json!({"metrics": {"bandwidth": {"extra_labels": [{}]}}}), "metrics.bandwidth.extra_labels.0"),
        ] {
            let text = refused(attr.clone());
            assert!(text.contains(&format!("err: {field}: ")), "{attr}: {text}");
        }
        assert_eq!(Plan::new(PrometheusAttr::default()).unwrap().bounds, Plan::default().bounds);
        assert_eq!(Plan::default().bounds.first(), Some(&1_000));
    }

    #[test]
    fn labels_that_make_a_series_what_it_is_stay() {
        let metadata = |json: Value| serde_json::from_value(json!({"disabled_labels": json})).unwrap();
        assert!(masks(&metadata(json!({"http_status": ["consumer", "response_source"]}))).is_ok());
        for (labels, field) in [
            (json!({"http_status": ["node", "code"]}), "disabled_labels.http_status.1"),
            (json!({"http_latency": ["type"]}), "disabled_labels.http_latency.0"),
            (json!({"http_latency": ["matched_uri"]}), "disabled_labels.http_latency.0"),
            (json!({"latency": []}), "disabled_labels.latency"),
        ] {
            let error = masks(&metadata(labels)).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }

    #[test]
    fn every_family_is_found_by_name() {
        for family in FAMILIES {
            assert_eq!(Family::named(family.name()), Some(family));
        }
    }
}
