//! The options.
use serde::Deserialize;

/// Options of `body-transformer`. At least one of `request` and `response`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BodyTransformerConfig {
    /// What becomes of bodies of requests. Default: they stay.
    pub request: Option<Transformation>,
    /// What becomes of bodies of answers. Default: they stay.
    pub response: Option<Transformation>,
    /// **Extension.** What becomes of an answer that `response` cannot work on. Default `pass`.
    pub on_error: OnError,
    /// Longest body of a request in bytes, also of the new one, 1 or more. Default 67,108,864 (64 MiB).
    pub max_req_body_size: usize,
    /// Longest body of an answer in bytes, also of the new one, 1 or more. Default 67,108,864 (64 MiB).
    pub max_resp_body_size: usize,
}

impl Default for BodyTransformerConfig {
    fn default() -> Self {
        const MOST: usize = 64 * 1024 * 1024;
        Self {
            request: None,
            response: None,
            on_error: OnError::default(),
            max_req_body_size: MOST,
            max_resp_body_size: MOST,
        }
    }
}

/// What becomes of an answer that cannot be worked on: one that is too long, encoded, a part, or not of its format, or
/// whose template fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OnError {
    /// It passes as it is.
    #[default]
    Pass,
    /// It is replaced by a 502: for templates that leave out what clients are not to see.
    Refuse,
}

/// How a body is made.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Transformation {
    /// How the body that comes is decoded. Default: by `Content-Type`. A `GET` is decoded as `args`, whatever stands
    /// here.
    #[serde(default)]
    pub input_format: Option<InputFormat>,
    /// The new body. Required.
    pub template: String,
    /// Whether `template` is base64 (RFC 4648 §4, with padding). Default `false`.
    #[serde(default)]
    pub template_is_base64: bool,
}

impl Transformation {
    /// By a template, decoded by `Content-Type`.
    pub fn new(template: impl Into<String>) -> Self {
        Self { input_format: None, template: template.into(), template_is_base64: false }
    }
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum InputFormat {
    /// XML 1.0.
    Xml,
    /// JSON (RFC 8259).
    Json,
    /// A form, `application/x-www-form-urlencoded`.
    Encoded,
    /// The query of the request, in place of its body.
    Args,
    /// Anything: it is not decoded.
    Plain,
    /// A form, `multipart/form-data` (RFC 7578).
    Multipart,
}

impl InputFormat {
    /// What a `Content-Type` says.
    pub(super) fn of(content_type: &[u8]) -> Self {
        let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        match &*media_type.to_ascii_lowercase() {
            b"text/xml" | b"application/xml" => Self::Xml,
            b"application/json" => Self::Json,
            b"application/x-www-form-urlencoded" => Self::Encoded,
            media_type if media_type.starts_with(b"multipart/") => Self::Multipart,
            _ => Self::Plain,
        }
    }
}
