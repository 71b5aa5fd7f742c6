//! The canonical form of a target: the switches, the faults, and the steps that both path modes share.
use std::borrow::Cow;

use super::{compatible, strict};

/// How the path of a target is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathMode {
    /// Only what no hop can read differently is decoded, and what hops read differently is refused (security.md §3).
    #[default]
    Strict,
    /// Everything is decoded once, as nginx does for APISIX; the target is forwarded as it was sent.
    Compatible,
}

/// What becomes of `%2F` and `%5C` in a strict path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodedSlash {
    /// The request is refused (400).
    #[default]
    Reject,
    /// They stay as they are and separate nothing.
    Keep,
}

/// Switches of [`canonicalise`]. All off by default: strict, and encoded slashes refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PathOptions {
    /// How the path is read.
    pub path_mode: PathMode,
    /// What becomes of encoded slashes, in strict mode. A caller whose routes decide that asks for
    /// [`EncodedSlash::Keep`] here and judges [`Canonical::has_encoded_slash`] after the match.
    pub encoded_slash: EncodedSlash,
    /// Match without one trailing slash; `/` stays `/`.
    pub delete_uri_tail_slash: bool,
    /// Match without `;parameters`.
    pub normalize_uri_like_servlet: bool,
    /// Compatible mode: an encoded slash does not separate segments while matching. In strict mode the same as
    /// [`EncodedSlash::Keep`].
    pub match_uri_encoded_slash: bool,
    /// Strict mode: percent-encode what is no URI character instead of refusing it.
    pub lenient_target: bool,
}

/// Why a target has no canonical path: the request is to be refused with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PathFault {
    /// It does not begin with a slash.
    #[error("the path does not begin with /")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits behind it.
    #[error("a percent escape of the path is not two hexadecimal digits")]
    BadEscape,
    /// A control character, plain or encoded.
    #[error("the target has a control character")]
    Control,
    /// `%2F` or `%5C`.
    #[error("the path has an encoded slash")]
    EncodedSlash,
    /// A plain backslash.
    #[error("the target has a backslash")]
    Backslash,
    /// A character that no URI has.
    #[error("the target has a character that is to be percent-encoded")]
    BadByte,
    /// A `#`.
    #[error("the target has a fragment")]
    Fragment,
    /// A segment that is empty, `.` or `..` once its `;parameters` are dropped, or that would be once an encoded slash
    /// is decoded.
    #[error("a segment of the path reads as a dot segment to some servers")]
    HiddenDots,
    /// `..` at the root, in compatible mode and in patterns.
    #[error("the path climbs above the root")]
    AboveRoot,
}

/// The canonical form of a target's path and query. Borrowed from the target where nothing had to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical<'a> {
    pub(super) forward: Cow<'a, str>,
    /// Where it differs from what is forwarded.
    pub(super) uri: Option<Cow<'a, [u8]>>,
    /// Where it differs from `uri`.
    pub(super) matched: Option<Vec<u8>>,
    pub(super) query: Option<Cow<'a, str>>,
    pub(super) has_encoded_slash: bool,
}

impl Canonical<'_> {
    /// The path that patterns are compared with.
    #[inline]
    pub fn matched(&self) -> &[u8] {
        match &self.matched {
            Some(matched) => matched,
            None => self.uri(),
        }
    }

    /// The path that plugins and the variable `uri` see. In compatible mode it need not be UTF-8.
    #[inline]
    pub fn uri(&self) -> &[u8] {
        match &self.uri {
            Some(uri) => uri,
            None => self.forward.as_bytes(),
        }
    }

    /// The path that the upstream gets, unless a plugin rewrites it.
    pub fn forward(&self) -> &str {
        &self.forward
    }

    /// The query without its `?`; `None` if there is no `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Whether the path kept a `%2F` or `%5C` (strict mode).
    pub fn has_encoded_slash(&self) -> bool {
        self.has_encoded_slash
    }

    /// Whether the path and query to forward are, byte for byte, what was sent.
    pub fn is_as_sent(&self) -> bool {
        matches!(self.forward, Cow::Borrowed(_)) && !matches!(self.query, Some(Cow::Owned(_)))
    }
}

/// Makes the canonical form of a path and query: an origin-form target, or what follows the authority of an absolute
/// one. Nothing is allocated when nothing changes.
///
/// In strict mode the result is a fixed point: canonicalised again it stays the same.
///
/// ```
/// use tollgate::router::{PathFault, PathOptions, canonicalise};
///
/// let options = PathOptions::default();
/// let canonical = canonicalise("/a/%2e%2e//%62?x=1", &options)?;
/// assert_eq!((canonical.forward(), canonical.query()), ("/b", Some("x=1")));
/// assert_eq!(canonicalise("/a%2fb", &options), Err(PathFault::EncodedSlash));
/// # Ok::<(), PathFault>(())
/// ```
///
/// # Errors
/// [`PathFault`]: the request is to be answered with 400.
pub fn canonicalise<'a>(target: &'a str, options: &PathOptions) -> Result<Canonical<'a>, PathFault> {
    let target = if target.is_empty() { "/" } else { target };
    if !target.starts_with('/') {
        return Err(PathFault::NotAbsolute);
    }
    let mut canonical = match options.path_mode {
        PathMode::Strict => strict::canonicalise(target, options)?,
        PathMode::Compatible => compatible::canonicalise(target, options)?,
    };
    if options.normalize_uri_like_servlet && canonical.uri().contains(&b';') {
        canonical.uri = Some(Cow::Owned(cut_parameters(canonical.uri())?));
        canonical.matched = None;
    }
    if options.delete_uri_tail_slash {
        match canonical.uri() {
            [] | [b'/'] => {}
            [head @ .., b'/'] => {
                canonical.uri = Some(Cow::Owned(head.to_vec()));
                canonical.matched = None;
            }
            _ => {}
        }
    }
    Ok(canonical)
}

/// Drops the `;parameters` of each segment.
fn cut_parameters(path: &[u8]) -> Result<Vec<u8>, PathFault> {
    let mut cut = Vec::with_capacity(path.len());
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        let hides = matches!(name, b"." | b"..") || (name.is_empty() && segments.peek().is_some());
        if hides && name.len() < segment.len() {
            return Err(PathFault::HiddenDots);
        }
        cut.push(b'/');
        cut.extend_from_slice(name);
    }
    Ok(cut)
}
