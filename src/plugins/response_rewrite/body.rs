//! New bodies.
use std::collections::VecDeque;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body_util::BodyExt as _;

use super::config::{FilterConfig, FilterScope};
use crate::plugin::bodies::Replay;
#[cfg(feature = "decode")]
use crate::plugin::bodies::unpack::Decoder;
use crate::plugins::edit::{Replacement, Substitution, compile_regex};
use crate::{Body, BodyError};

/// From this size on filters work on a thread of their own, so that they hold up no other request.
const LARGE: usize = 256 * 1024;

/// By how many bytes an encoded body may be longer than what may come out of it.
const SLACK: usize = 64 * 1024;

/// One compiled filter.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    substitution: Substitution,
    scope: FilterScope,
}

impl Filter {
    /// # Errors
    /// The field that is wrong, and how.
    pub(super) fn compile(config: &FilterConfig) -> Result<Self, (&'static str, String)> {
        if config.regex.is_empty() {
            return Err(("regex", "write at least 1 character".to_owned()));
        }
        let known = |flag: char| "ijmosux".contains(flag);
        if let Some(flag) = config.options.chars().find(|flag| !known(*flag)) {
            return Err(("options", format!("`{flag}` is none of i, j, m, o, s, u, x")));
        }
        let has = |flag| config.options.contains(flag);
        let regex = compile_regex(&config.regex, |builder| {
            builder
                .case_insensitive(has('i'))
                .multi_line(has('m'))
                .dot_matches_new_line(has('s'))
                .ignore_whitespace(has('x'))
        });
        let regex = regex.map_err(|reason| ("regex", reason))?;
        let replacement = Replacement::parse(&config.replace).map_err(|reason| ("replace", reason))?;
        Ok(Self { substitution: Substitution::new(regex, replacement), scope: config.scope })
    }

    fn apply(&self, text: &[u8]) -> Option<Vec<u8>> {
        match self.scope {
            FilterScope::Once => self.substitution.replace_first(text),
            FilterScope::Global => self.substitution.replace_all(text),
        }
    }
}

/// A body behind its filters.
pub(super) enum Filtered {
    /// It is another one.
    New(Body),
    /// It could not be read and is as it was.
    AsItWas(Body),
}

/// Reads at most `limit` bytes of a body, undoes its content coding and applies the filters.
///
/// # Errors
/// What the body raised before its end.
pub(super) async fn filter(
    filters: &[Filter],
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Filtered, BodyError> {
    let Some(mut reading) = Reading::begin(headers, limit) else {
        return Ok(Filtered::AsItWas(body));
    };
    let mut read = VecDeque::new();
    let mut held = 0_usize;
    let mut rest = body;
    let mut trailers = None;
    while let Some(frame) = rest.frame().await {
        match frame?.into_data() {
            Ok(data) => {
                let pushed = reading.push(&data);
                held = held.saturating_add(data.len() + size_of::<Bytes>());
                if reading.keeps_what_was_read() {
                    read.push_back(data);
                }
                match pushed {
                    // What decodes to next to nothing would be held for ever.
                    Ok(true) if reading.keeps_what_was_read() && held > limit.saturating_add(SLACK) => {
                        let error = std::io::Error::other("is longer encoded than it may be decoded");
                        return Ok(undecoded(&error, Replay::new(read, rest, trailers)));
                    }
                    Ok(true) => {}
                    Ok(false) => {
                        // The rest is not read: what is cut off need not be sent to us either.
                        rest = Body::empty();
                        break;
                    }
                    Err(error) => return Ok(undecoded(&error, Replay::new(read, rest, trailers))),
                }
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    let text = match reading.finish() {
        Ok(text) => text,
        // Answers to HEAD, and 304, tell of a coding without a body in it.
        Err(_) if held == 0 => Vec::new(),
        Err(error) => return Ok(undecoded(&error, Replay::new(read, rest, trailers))),
    };
    let text = Bytes::from(rewrite(filters, text).await);
    Ok(Filtered::New(match trailers {
        None => Body::from(text),
        trailers => Body::stream(Replay::new(VecDeque::from([text]), Body::empty(), trailers)),
    }))
}

fn undecoded(error: &std::io::Error, body: Replay) -> Filtered {
    #[cfg(feature = "tracing")]
    tracing::error!(error = error as &dyn std::error::Error, "response-rewrite: a body does not decode; left alone");
    let _ = error;
    Filtered::AsItWas(Body::stream(body))
}

async fn rewrite(filters: &[Filter], text: Vec<u8>) -> Vec<u8> {
    let run = |filters: &[Filter], text: Vec<u8>| {
        filters.iter().fold(text, |text, filter| filter.apply(&text).unwrap_or(text))
    };
    if text.len() < LARGE {
        return run(filters, text);
    }
    let filters = filters.to_vec();
    // It ends early only when the runtime does.
    tokio::task::spawn_blocking(move || run(&filters, text)).await.unwrap_or_default()
}

/// A body on its way into memory.
enum Reading {
    Plain {
        text: Vec<u8>,
        limit: usize,
    },
    #[cfg(feature = "decode")]
    Coded(Decoder),
}

impl Reading {
    /// `None` for a content coding that is not known.
    fn begin(headers: &HeaderMap, limit: usize) -> Option<Self> {
        let mut codings = headers.get_all(CONTENT_ENCODING).iter();
        let coding = codings.next().map_or(&b"identity"[..], |coding| coding.as_bytes().trim_ascii());
        let only = codings.next().is_none();
        if only && (coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")) {
            return Some(Self::Plain { text: Vec::new(), limit });
        }
        #[cfg(feature = "decode")]
        if only && let Some(decoder) = Decoder::of(coding, limit) {
            return Some(Self::Coded(decoder));
        }
        #[cfg(feature = "tracing")]
        tracing::error!(coding = %String::from_utf8_lossy(coding), "response-rewrite: a content coding is not known");
        None
    }

    /// Whether what goes in must be kept, in case that nothing useful comes out.
    fn keeps_what_was_read(&self) -> bool {
        !matches!(self, Self::Plain { .. })
    }

    /// Takes some more. `Ok(false)`: it is as much as may be.
    fn push(&mut self, data: &[u8]) -> std::io::Result<bool> {
        match self {
            Self::Plain { text, limit } => {
                let room = *limit - text.len();
                text.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
                // Exactly as much is not too much: more may come, or the end.
                Ok(data.len() <= room)
            }
            #[cfg(feature = "decode")]
            Self::Coded(decoder) => decoder.push(data),
        }
    }

    fn finish(self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Plain { text, .. } => Ok(text),
            #[cfg(feature = "decode")]
            Self::Coded(decoder) => decoder.finish(),
        }
    }
}
