//! Which answers are compressed.
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, StatusCode, Version};
use serde::Deserialize;

use crate::plugin::{Caveat, ConfigError};

/// Media types: `"*"` for all, or a list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Types {
    /// All.
    Any(Star),
    /// These; parameters such as `charset` do not count.
    Listed(Vec<String>),
}

/// `"*"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Star {
    /// `"*"`.
    #[serde(rename = "*")]
    Star,
}

impl Default for Types {
    /// `text/html`.
    fn default() -> Self {
        Self::Listed(vec!["text/html".to_owned()])
    }
}

/// The fields that the plugins have in common, as they are written.
pub(crate) struct Written {
    pub(crate) types: Types,
    pub(crate) min_length: u64,
    pub(crate) http_version: f64,
    pub(crate) vary: bool,
}

/// The compiled form.
#[derive(Debug)]
pub(super) struct Rules {
    /// In lower case; `None` for all.
    types: Option<Box<[String]>>,
    min_length: u64,
    pub(super) version: Version,
    pub(super) vary: bool,
}

/// Fields that tell of the very bytes of the content (RFC 9530, and what came before it).
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

impl Rules {
    pub(super) fn compile(plugin: &'static str, written: Written) -> Result<Self, ConfigError> {
        let invalid = |field: &str, reason: &str| ConfigError::invalid(plugin, field, reason);
        let types = match written.types {
            Types::Any(Star::Star) => None,
            Types::Listed(types) if types.is_empty() => {
                return Err(invalid("types", "is empty: name media types such as text/html, or write \"*\" for all"));
            }
            Types::Listed(types) => Some(types),
        };
        for (at, listed) in types.iter().flatten().enumerate() {
            if !listed.contains('/') || listed.contains([';', '*', ' ', ',']) {
                let reason = format!("`{listed}` is no media type: write one such as text/html, without parameters");
                return Err(invalid(&format!("types.{at}"), &reason));
            }
        }
        let version = match written.http_version {
            1.0 => Version::HTTP_10,
            1.1 => Version::HTTP_11,
            _ => return Err(invalid("http_version", "is 1.0 or 1.1")),
        };
        let types = types.map(|types| types.into_iter().map(|listed| listed.to_ascii_lowercase()).collect());
        Ok(Self { types, min_length: written.min_length, version, vary: written.vary })
    }

    /// Whether an answer of that length may be compressed for clients that accept it.
    pub(super) fn allow(&self, status: StatusCode, headers: &HeaderMap, length: Option<u64>) -> bool {
        let bodiless = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
        let partial = status == StatusCode::PARTIAL_CONTENT || headers.contains_key(CONTENT_RANGE);
        !bodiless
            && !partial
            && length.is_none_or(|length| length >= self.min_length && length > 0)
            && self.lists(headers)
            && !is_encoded(headers)
            && !forbids_transforming(headers)
            && !DIGESTS.iter().any(|name| headers.contains_key(name))
    }

    /// Whether it may be one of those, by a head that need not say what its body would be: that of a 304.
    pub(super) fn may_be_of(&self, headers: &HeaderMap) -> bool {
        !headers.contains_key(CONTENT_TYPE) || self.lists(headers)
    }

    fn lists(&self, headers: &HeaderMap) -> bool {
        let Some(told) = headers.get(CONTENT_TYPE) else { return false };
        let told = told.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is_grpc = told.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"));
        match &self.types {
            _ if is_grpc || told.is_empty() => false,
            None => true,
            Some(types) => types.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(told)),
        }
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|coding| {
        let coding = coding.as_bytes().trim_ascii();
        !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
    })
}

/// `Cache-Control: no-transform` (RFC 9111 §5.2.1.6, §5.2.2.6).
pub(super) fn forbids_transforming(headers: &HeaderMap) -> bool {
    let mut directives =
        headers.get_all(CACHE_CONTROL).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

/// The doubt about `vary: false`.
pub(crate) fn untold(vary: bool) -> Option<Caveat> {
    let message = "is off: a cache on the way may give a compressed answer to clients that cannot read it";
    (!vary).then(|| Caveat::new("vary", message, "leave it out"))
}

#[cfg(test)]
mod unit {
    use super::*;

    fn rules(types: Types) -> Rules {
        let written = Written { types, min_length: 20, http_version: 1.1, vary: true };
        Rules::compile("test", written).unwrap()
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn types_are_those_listed_whatever_their_parameters() {
        let any = rules(Types::Any(Star::Star));
        let two = rules(Types::Listed(vec!["text/html".to_owned(), "Application/JSON".to_owned()]));
        for (told, by_two, by_any) in [
            ("text/html", true, true),
            ("TEXT/HTML ; charset=utf-8", true, true),
            ("application/json", true, true),
            ("text/htmlx", false, true),
            ("text/plain", false, true),
            ("application/grpc+proto", false, false),
            ("", false, false),
        ] {
            let headers = headers(&[("content-type", told)]);
            let allowed = [&two, &any].map(|rules| rules.allow(StatusCode::OK, &headers, None));
            assert_eq!(allowed, [by_two, by_any], "{told}");
        }
        assert!(!any.allow(StatusCode::OK, &HeaderMap::new(), None));
    }

    #[test]
    fn what_must_not_be_touched_is_left_alone() {
        let rules = rules(Types::default());
        let html = ("content-type", "text/html");
        for (status, length, more, allowed) in [
            (200, None, None, true),
            (404, Some(20), None, true),
            (200, Some(19), None, false),
            (204, None, None, false),
            (205, None, None, false),
            (206, None, None, false),
            (304, None, None, false),
            (101, None, None, false),
            (200, None, Some(("content-range", "bytes 0-9/10")), false),
            (200, None, Some(("content-encoding", "gzip")), false),
            (200, None, Some(("content-encoding", "identity")), true),
            (200, None, Some(("cache-control", "public, No-Transform")), false),
            (200, None, Some(("cache-control", "no-transformers")), true),
            (200, None, Some(("content-digest", "sha-256=:x:")), false),
        ] {
            let fields: Vec<_> = [html].into_iter().chain(more).collect();
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(rules.allow(status, &headers(&fields), length), allowed, "{status} {length:?} {more:?}");
        }
    }

    #[test]
    fn faults_name_their_field() {
        for (types, version, field) in [
            (vec![], 1.1, "types"),
            (vec!["text/html", "text/plain;q=1"], 1.1, "types.1"),
            (vec!["html"], 1.1, "types.0"),
            (vec!["text/html"], 2.0, "http_version"),
        ] {
            let types = Types::Listed(types.into_iter().map(str::to_owned).collect());
            let written = Written { types, min_length: 0, http_version: version, vary: true };
            assert_eq!(Rules::compile("test", written).unwrap_err().field(), field);
        }
    }
}
