//! What a router is asked, and what it answers.
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderValue, Method};

use super::host::HostName;
use super::path::decode;
use super::pattern::Pattern;
use super::rule::Entry;
use super::vars::Variables;

/// A request as a router sees it.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// The method.
    pub method: &'a Method,
    /// The host, if the request names one.
    pub host: Option<&'a HostName<'a>>,
    /// The path: [`Canonical::matched`](super::Canonical::matched).
    pub path: &'a [u8],
    /// The client's address, if it is known.
    pub client: Option<IpAddr>,
    /// Everything else.
    pub vars: &'a dyn Variables,
}

impl fmt::Debug for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("method", self.method)
            .field("host", &self.host)
            .field("path", &String::from_utf8_lossy(self.path))
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// The rule that won.
#[derive(Debug)]
pub struct Match<'r, 'q, T> {
    /// What it stands for.
    pub value: &'r T,
    /// Its id.
    pub id: &'r Arc<str>,
    /// The path pattern that matched, as written.
    pub pattern: &'r Arc<str>,
    /// The host pattern that matched, as written.
    pub host_pattern: Option<&'r Arc<str>>,
    /// The captures, found when they are read.
    pub params: Params<'r, 'q>,
}

impl<'r, 'q, T> Match<'r, 'q, T> {
    pub(super) fn new(entry: &'r Entry<T>, path: &'q [u8], decodes: bool) -> Self {
        Self {
            value: &entry.value,
            id: &entry.id,
            pattern: &entry.pattern.source,
            host_pattern: entry.host.as_ref(),
            params: Params { pattern: &entry.pattern, path, decodes },
        }
    }
}

/// Why no rule won.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoMatch {
    /// No rule matches: 404.
    #[error("no route matches")]
    NotFound,
    /// All that is wrong is the method: 405, if [`RouterOptions::method_not_allowed`](super::RouterOptions) is on.
    #[error("no route takes this method")]
    MethodNotAllowed {
        /// The value of `Allow`: the methods that would have won.
        allow: HeaderValue,
    },
}

/// Captures of a match, borrowed from rule and path.
#[derive(Clone, Copy)]
pub struct Params<'r, 'q> {
    pattern: &'r Pattern,
    path: &'q [u8],
    decodes: bool,
}

impl<'r, 'q> Params<'r, 'q> {
    /// Whether the pattern captures nothing.
    pub fn is_empty(&self) -> bool {
        self.pattern.is_literal()
    }

    /// The captures in the order of the pattern. The name of an unnamed `*` is `:ext`. In strict mode values are
    /// percent-decoded, so they are bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&'r str, Cow<'q, [u8]>)> {
        let Self { pattern, path, decodes } = *self;
        pattern.captures(path).map(move |(name, span)| (name, read(path, span, decodes)))
    }

    /// One capture.
    pub fn get(&self, name: &str) -> Option<Cow<'q, [u8]>> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The captures on their own. Free when there are none; else the path is copied.
    pub fn to_owned(&self) -> PathParams {
        self.keep(|path| Path::Copied(path.into()))
    }

    /// As [`Params::to_owned`], without a copy where `target` has the very path that was matched.
    pub(crate) fn to_owned_of(self, target: Option<&PathAndQuery>) -> PathParams {
        self.keep(|path| match target.filter(|target| target.path().as_bytes() == path) {
            Some(target) => Path::Shared(target.clone()),
            None => Path::Copied(path.into()),
        })
    }

    fn keep(&self, path: impl FnOnce(&[u8]) -> Path) -> PathParams {
        let kept = || Owned { pattern: self.pattern.clone(), path: path(self.path), decodes: self.decodes };
        PathParams((!self.is_empty()).then(kept))
    }
}

impl fmt::Debug for Params<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())))
            .finish()
    }
}

/// Captures of a match, to keep.
#[derive(Clone, Default)]
pub struct PathParams(Option<Owned>);

#[derive(Clone)]
struct Owned {
    pattern: Pattern,
    path: Path,
    decodes: bool,
}

/// A path that was matched.
#[derive(Clone)]
enum Path {
    Copied(Box<[u8]>),
    Shared(PathAndQuery),
}

impl Path {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Copied(path) => path,
            Self::Shared(target) => target.path().as_bytes(),
        }
    }
}

impl PathParams {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// As [`Params::iter`].
    pub fn iter(&self) -> impl Iterator<Item = (&str, Cow<'_, [u8]>)> {
        self.0.iter().flat_map(|owned| {
            let path = owned.path.bytes();
            owned.pattern.captures(path).map(move |(name, span)| (name, read(path, span, owned.decodes)))
        })
    }

    /// As [`Params::get`].
    pub fn get(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl fmt::Debug for PathParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())))
            .finish()
    }
}

fn read(path: &[u8], span: Range<usize>, decodes: bool) -> Cow<'_, [u8]> {
    let value = path.get(span).unwrap_or_default();
    if decodes { decode(value) } else { Cow::Borrowed(value) }
}
