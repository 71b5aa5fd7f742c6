//! The path that a layer has written is made canonical before it is sent on (security.md PATH-07).
use http::uri::PathAndQuery;

use super::SharedFacts;
use crate::error::{Error, Request};
use crate::router::{PathOptions, canonicalise};

/// What the path of a request was when its layers got it, and how paths are read.
pub(crate) struct Given {
    /// Canonical.
    pub(crate) target: Option<PathAndQuery>,
    /// With encoded slashes as the route has them.
    pub(crate) options: PathOptions,
}

impl Given {
    /// Makes a changed path canonical; one that was not changed is so already.
    ///
    /// A dot segment that a layer leaves behind is refused and not resolved: what stands before it was never judged
    /// with what stands behind it. Stripping `/api` off `/api../admin` would otherwise lead to `/admin`.
    ///
    /// Tells whether it was changed.
    ///
    /// # Errors
    /// 400 for what would be refused in a client's path, and for dot segments.
    pub(crate) fn settle(&self, request: &mut Request) -> Result<bool, Error> {
        let now = request.uri().path_and_query();
        if now == self.target.as_ref() {
            return Ok(false);
        }
        let verbatim = request.extensions().get::<Verbatim>();
        if verbatim.is_some_and(|verbatim| now.is_some_and(|now| now.path() == verbatim.0.path())) {
            return Ok(true);
        }
        if let Some(canonical) = canonical(now, &self.options)? {
            *request.uri_mut() = canonical.into();
        }
        Ok(true)
    }
}

/// Request extension: a target whose path is forwarded as a layer wrote it, because its operator asked for that.
#[derive(Clone, Debug)]
pub(crate) struct Verbatim(pub(crate) PathAndQuery);

/// Gives a request another target, made canonical at once, so that the layers behind judge what is forwarded
/// (security.md PATH-07, PLG-03).
///
/// # Errors
/// As [`Given::settle`].
pub(crate) fn rewrite_target<B>(request: &mut http::Request<B>, target: PathAndQuery) -> Result<(), Error> {
    let given = SharedFacts::of(request).and_then(|facts| facts.given.as_ref());
    let canonical = match given {
        Some(given) => canonical(Some(&target), &given.options)?,
        None => canonical(Some(&target), &PathOptions::default())?,
    };
    *request.uri_mut() = canonical.unwrap_or(target).into();
    Ok(())
}

/// The canonical form of a target that a layer wrote; `None` when it is so already.
fn canonical(now: Option<&PathAndQuery>, options: &PathOptions) -> Result<Option<PathAndQuery>, Error> {
    const FAULT: Error = Error::BadRequest("rewritten_path");
    let sent = now.map_or("/", PathAndQuery::as_str);
    if has_dot_segment(now.map_or("/", PathAndQuery::path)) {
        return Err(FAULT);
    }
    let canonical = canonicalise(sent, options).map_err(|_| FAULT)?;
    if canonical.is_as_sent() {
        return Ok(None);
    }
    let mut target = canonical.forward().to_owned();
    if let Some(query) = canonical.query() {
        target.push('?');
        target.push_str(query);
    }
    PathAndQuery::try_from(target).map(Some).map_err(|_| FAULT)
}

/// Whether a segment is `.` or `..`, also with its dots encoded.
fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| {
        let mut rest = segment;
        let mut dots = 0;
        while let Some(behind) = strip_dot(rest) {
            rest = behind;
            dots += 1;
        }
        rest.is_empty() && (1..=2).contains(&dots)
    })
}

fn strip_dot(text: &str) -> Option<&str> {
    text.strip_prefix('.').or_else(|| text.strip_prefix("%2e")).or_else(|| text.strip_prefix("%2E"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;

    fn settle(before: &'static str, after: &str) -> Result<String, Error> {
        let given = Given { target: Some(PathAndQuery::from_static(before)), options: PathOptions::default() };
        let mut request = http::Request::builder().uri(after).body(Body::empty()).unwrap();
        given.settle(&mut request).map(|_| request.uri().to_string())
    }

    #[test]
    fn sec_path_07_a_rewritten_path_is_canonical_or_refused() {
        for (after, wanted) in [
            ("/a?b=c", "/a?b=c"),
            ("/x", "/x"),
            ("/%61b//c?d=%2f", "/ab/c?d=%2f"),
            ("/...", "/..."),
            ("/a..b/.c", "/a..b/.c"),
        ] {
            assert_eq!(settle("/a?b=c", after).unwrap(), wanted);
        }
        let mut request = http::Request::new(Body::empty());
        rewrite_target(&mut request, PathAndQuery::from_static("/%61//b?c")).unwrap();
        assert_eq!(request.uri(), "/a/b?c");
        assert!(rewrite_target(&mut request, PathAndQuery::from_static("/a/%2e%2e/b")).is_err());
        for after in ["/../admin", "/%2e./admin", "/a/%2E%2e", "/./a", "/a%2fb", "/a%00", "/a%zz", "/..;/a"] {
            assert!(settle("/a", after).is_err(), "{after}");
        }
    }
}
