//! Conditional requests: the client's (RFC 9110 §13), and ours to find out whether a kept answer is good still.
use std::time::SystemTime;

use http::header::{
    ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::ranges::is_all;

/// What a client has already, and which part it wants.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    if_none_match: Vec<HeaderValue>,
    if_modified_since: Option<HeaderValue>,
    pub(super) range: Option<HeaderValue>,
    if_range: Option<HeaderValue>,
}

impl Wanted {
    pub(super) fn of(request: &HeaderMap) -> Self {
        Self {
            if_none_match: request.get_all(IF_NONE_MATCH).iter().cloned().collect(),
            if_modified_since: request.get(IF_MODIFIED_SINCE).cloned(),
            range: request.get(RANGE).cloned(),
            if_range: request.get(IF_RANGE).cloned(),
        }
    }

    /// Whether what the client has is the answer still (RFC 9110 §13.2.2). Tags are compared weakly, and stand above dates.
    pub(super) fn has(&self, answer: &HeaderMap) -> bool {
        if !self.if_none_match.is_empty() {
            let tag = answer.get(ETAG).map(|tag| opaque(tag.as_bytes()));
            return self.if_none_match.iter().any(|list| {
                list.as_bytes().trim_ascii() == b"*" || tags(list.as_bytes()).any(|other| tag == Some(opaque(other)))
            });
        }
        let since = self.if_modified_since.as_ref().and_then(date);
        since.zip(answer.get(LAST_MODIFIED).and_then(date)).is_some_and(|(since, changed)| changed <= since)
    }

    /// Whether it is a part that the client wants, and not everything from the first byte on.
    pub(super) fn is_part(&self) -> bool {
        self.range.as_ref().is_some_and(|range| !is_all(range.as_bytes()))
    }

    /// Whether a part may be given (RFC 9110 §13.1.5): the client's other parts are of this answer. Tags are compared
    /// strongly, dates must be the same.
    pub(super) fn may_be_partial(&self, answer: &HeaderMap) -> bool {
        let Some(condition) = &self.if_range else { return true };
        let bytes = condition.as_bytes();
        if bytes.ends_with(b"\"") {
            return !bytes.starts_with(b"W/") && answer.get(ETAG).is_some_and(|tag| tag == condition);
        }
        date(condition).is_some_and(|date_of_part| answer.get(LAST_MODIFIED).and_then(date) == Some(date_of_part))
    }
}

/// Whether a request asks for things that only the origin can judge. What a POST is told is no representation of its URL:
/// conditions and ranges mean something else there (RFC 9110 §13.2.1, §14.2).
pub(super) fn is_for_the_origin(method: &Method, request: &HeaderMap) -> bool {
    let names: &[HeaderName] = match *method == Method::POST {
        true => &[IF_MATCH, IF_UNMODIFIED_SINCE, IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE],
        false => &[IF_MATCH, IF_UNMODIFIED_SINCE],
    };
    names.iter().any(|name| request.contains_key(name))
}

/// Asks for the whole answer, whatever the client has: what comes is for everybody.
pub(super) fn ask_for_all(request: &mut HeaderMap) {
    for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE, RANGE] {
        request.remove(name);
    }
}

/// Asks whether a kept answer is good still (RFC 9111 §4.3.1).
pub(super) fn ask_whether(request: &mut HeaderMap, kept: &HeaderMap) {
    ask_for_all(request);
    if let Some(tag) = kept.get(ETAG) {
        request.insert(IF_NONE_MATCH, tag.clone());
    }
    if let Some(changed) = kept.get(LAST_MODIFIED) {
        request.insert(IF_MODIFIED_SINCE, changed.clone());
    }
}

/// Whether a 304 speaks of what is kept (RFC 9111 §4.3.4). Tags are compared weakly, and stand above dates; what neither has
/// tells nothing apart.
pub(super) fn speaks_of(told: &HeaderMap, kept: &HeaderMap) -> bool {
    if let (Some(told), Some(kept)) = (told.get(ETAG), kept.get(ETAG)) {
        return opaque(told.as_bytes()) == opaque(kept.as_bytes());
    }
    let dates = told.get(LAST_MODIFIED).zip(kept.get(LAST_MODIFIED));
    dates.is_none_or(|(told, kept)| told == kept || date(told).is_some() && date(told) == date(kept))
}

/// A date of HTTP.
pub(super) fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// The entity tags of a list. A comma inside of a tag separates nothing.
fn tags(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let begin = rest.iter().position(|byte| *byte != b' ' && *byte != b'\t' && *byte != b',')?;
        let tag = rest.get(begin..)?;
        let open = tag.iter().position(|byte| *byte == b'"')?;
        let close = tag.get(open + 1..)?.iter().position(|byte| *byte == b'"')? + open + 2;
        rest = tag.get(close..)?;
        tag.get(..close)
    })
}

/// A tag without the mark of a weak one.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn what_a_client_has_is_found_by_tag_then_by_date() {
        let kept = map(&[("etag", "\"a,b\""), ("last-modified", DATE)]);
        for (request, wanted) in [
            (&[][..], false),
            (&[("if-none-match", "\"x\", W/\"a,b\"")], true),
            (&[("if-none-match", "\"x\""), ("if-none-match", "\"a,b\"")], true),
            (&[("if-none-match", "*")], true),
            (&[("if-none-match", "\"a\""), ("if-modified-since", DATE)], false),
            (&[("if-none-match", "a,b")], false),
            (&[("if-modified-since", DATE)], true),
            (&[("if-modified-since", LATER)], true),
            (&[("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT")], false),
            (&[("if-modified-since", "yesterday")], false),
        ] {
            assert_eq!(Wanted::of(&map(request)).has(&kept), wanted, "{request:?}");
        }
        assert!(!Wanted::of(&map(&[("if-modified-since", LATER)])).has(&map(&[])));
    }

    #[test]
    fn parts_are_given_of_the_same_answer_only() {
        let kept = map(&[("etag", "\"a\""), ("last-modified", DATE)]);
        for (condition, wanted) in
            [("\"a\"", true), ("W/\"a\"", false), ("\"b\"", false), (DATE, true), (LATER, false), ("x", false)]
        {
            let request = map(&[]);
            let mut request = request;
            request.insert(IF_RANGE, HeaderValue::from_static(condition));
            assert_eq!(Wanted::of(&request).may_be_partial(&kept), wanted, "{condition}");
        }
        assert!(Wanted::default().may_be_partial(&kept));
    }

    #[test]
    fn a_304_speaks_of_what_has_its_tag_or_its_date() {
        let kept = [("etag", "\"a\""), ("last-modified", DATE)];
        for (told, kept, wanted) in [
            (&[][..], &kept[..], true),
            (&[("etag", "\"a\"")], &kept, true),
            (&[("etag", "W/\"a\"")], &kept, true),
            (&[("etag", "\"b\"")], &kept, false),
            (&[("etag", "\"b\""), ("last-modified", DATE)], &kept, false),
            (&[("etag", "\"a\""), ("last-modified", LATER)], &kept, true),
            (&[("last-modified", DATE)], &kept, true),
            (&[("last-modified", LATER)], &kept, false),
            (&[("last-modified", "once")], &[("last-modified", "once")], true),
            (&[("last-modified", "once")], &[("last-modified", "twice")], false),
            (&[("etag", "\"a\"")], &[("last-modified", DATE)], true),
        ] {
            assert_eq!(speaks_of(&map(told), &map(kept)), wanted, "{told:?} of {kept:?}");
        }
    }

    #[test]
    fn the_origin_is_asked_by_what_is_kept_and_not_by_what_the_client_has() {
        let mut request = map(&[("if-none-match", "\"x\""), ("range", "bytes=0-1"), ("accept", "a")]);
        ask_whether(&mut request, &map(&[("etag", "\"a\"")]));
        assert_eq!(request, map(&[("accept", "a"), ("if-none-match", "\"a\"")]));
        ask_for_all(&mut request);
        assert_eq!(request, map(&[("accept", "a")]));
    }
}
