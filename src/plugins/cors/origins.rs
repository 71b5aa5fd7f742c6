//! Which origin is allowed.
use http::HeaderValue;

use super::layer::NAME;
use crate::plugin::ConfigError;
use crate::plugins::checks::non_empty;
use crate::plugins::patterns::{Patterns, unique};

/// Origins as one field of a block has them.
#[derive(Clone, Debug)]
pub(super) enum Origins {
    /// `*`
    Any,
    /// `**`
    AnyByName,
    /// A single one, or `null`.
    One(HeaderValue),
    Several(Vec<HeaderValue>),
}

impl Origins {
    /// # Errors
    /// What is neither `*`, `**`, `null` nor a list of origins.
    pub(super) fn parse(field: &str, text: &str) -> Result<Self, ConfigError> {
        let invalid = || {
            let reason = "is to be *, **, null, or origins such as https://example.org:8443 with commas between them";
            ConfigError::invalid(NAME, field, reason)
        };
        let origin = |text: &str| {
            let (scheme, rest) = text.split_once("://")?;
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            // An origin has no path: one that is written with a slash behind it would never be met.
            let is_rest = !rest.is_empty() && !rest.contains(['/', '?', '#', '\\', ' ']);
            let is_origin = !scheme.is_empty() && scheme.bytes().all(is_word) && is_rest;
            HeaderValue::from_str(text).ok().filter(|_| is_origin)
        };
        match text {
            "*" => return Ok(Self::Any),
            "**" => return Ok(Self::AnyByName),
            "null" => return Ok(Self::One(HeaderValue::from_static("null"))),
            _ => {}
        }
        let list: Option<Vec<_>> = text.split(',').map(origin).collect();
        match <[HeaderValue; 1]>::try_from(list.ok_or_else(invalid)?) {
            Ok([one]) => Ok(Self::One(one)),
            Err(several) => Ok(Self::Several(several)),
        }
    }

    pub(super) fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }

    /// What is told to a request of that origin.
    fn allow(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        match self {
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::AnyByName => Some(origin.cloned().unwrap_or(HeaderValue::from_static("*"))),
            Self::One(one) => Some(one.clone()),
            Self::Several(several) => origin.filter(|origin| several.contains(origin)).cloned(),
        }
    }

    /// As [`Origins::allow`], but a single one must be the request's.
    fn allow_if_it_fits(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        match self {
            Self::One(one) => origin.filter(|origin| *origin == one).cloned(),
            other => other.allow(origin),
        }
    }
}

/// The rule of a block.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    Origins(Origins),
    Patterns(Patterns),
    /// The first that fits, else what the block's own origins allow.
    Named {
        named: Vec<Origins>,
        otherwise: Option<Origins>,
    },
}

impl Rule {
    /// # Errors
    /// No expression at all, what is none, one that stands twice.
    pub(super) fn patterns(field: &str, texts: &[String]) -> Result<Self, ConfigError> {
        non_empty(NAME, field, texts)?;
        unique(NAME, field, texts)?;
        Patterns::parse(NAME, field, texts, false).map(Self::Patterns)
    }

    /// The origin that is told to a request of that origin; `None` if none is allowed.
    pub(super) fn allow(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        match self {
            Self::Origins(origins) => origins.allow(origin),
            Self::Patterns(patterns) => origin.filter(|origin| patterns.is_match(origin.as_bytes())).cloned(),
            Self::Named { named, otherwise } => {
                let fits = named.iter().find_map(|origins| origins.allow_if_it_fits(origin));
                fits.or_else(|| otherwise.as_ref()?.allow(origin))
            }
        }
    }

    /// Whether what is told depends on the request's origin, or would with another block.
    pub(super) fn varies(&self) -> bool {
        !matches!(self, Self::Origins(Origins::Any))
    }
}
