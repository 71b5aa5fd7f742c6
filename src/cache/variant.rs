//! Several answers under one key, told apart by request fields (RFC 9111 §4.1).
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
use http::{HeaderMap, HeaderName};

/// What an answer's `Vary` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Vary {
    /// It is good for its own request only.
    Everything,
    /// It is good for requests with the same values of these fields; in order of name.
    By(Vec<HeaderName>),
}

/// More names than anybody means.
const MOST: usize = 16;

impl Vary {
    /// Reads the fields of an answer. One in a content coding varies by `Accept-Encoding` even when it does not say so:
    /// whoever forgot to say it would hand compressed bytes to clients that cannot read them.
    pub(crate) fn of(answer: &HeaderMap) -> Self {
        let mut names = Vec::new();
        for line in answer.get_all(VARY) {
            for name in line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                match HeaderName::from_bytes(name) {
                    _ if name.is_empty() => {}
                    Ok(name) if name != "*" => names.push(name),
                    _ => return Self::Everything,
                }
            }
        }
        if answer.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            names.push(ACCEPT_ENCODING);
        }
        names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        if names.len() > MOST { Self::Everything } else { Self::By(names) }
    }
}

/// What tells a request from others by these fields; 0 without any.
pub(super) fn variant(names: &[HeaderName], request: &HeaderMap) -> u64 {
    if names.is_empty() {
        return 0;
    }
    let mut hasher = blake3::Hasher::new();
    for name in names {
        // Lines of one field are one list, and blanks around its members mean nothing.
        for line in request.get_all(name) {
            for member in line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                hasher.update(&(member.len() as u64 + 1).to_le_bytes()).update(member);
            }
        }
        hasher.update(&0u64.to_le_bytes());
    }
    u64::from_le_bytes(hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default()).max(1)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).fold(
            HeaderMap::new(),
            |mut map, (name, value): (HeaderName, _)| {
                map.append(name, value);
                map
            },
        )
    }

    fn names(fields: &[(&'static str, &'static str)]) -> Option<Vec<String>> {
        match Vary::of(&map(fields)) {
            Vary::Everything => None,
            Vary::By(names) => Some(names.iter().map(|name| name.as_str().to_owned()).collect()),
        }
    }

    #[test]
    fn names_are_lowered_sorted_and_counted() {
        assert_eq!(names(&[]).unwrap(), [""; 0]);
        assert_eq!(names(&[("vary", "X-B, Accept"), ("vary", " x-b,,")]).unwrap(), ["accept", "x-b"]);
        assert_eq!(names(&[("content-encoding", "br")]).unwrap(), ["accept-encoding"]);
        assert_eq!(names(&[("content-encoding", "identity")]).unwrap(), [""; 0]);
        for vary in ["*", "accept, *", "a b", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"] {
            assert_eq!(names(&[("vary", vary)]), None, "{vary}");
        }
    }

    #[test]
    fn values_tell_requests_apart() {
        let Vary::By(names) = Vary::of(&map(&[("vary", "a, b")])) else { panic!() };
        let of = |fields: &[(&'static str, &'static str)]| variant(&names, &map(fields));
        assert_eq!(of(&[("a", "1,2")]), of(&[("a", "1"), ("a", " 2 "), ("c", "3")]));
        for other in [&[("a", "12")][..], &[("b", "1,2")], &[], &[("a", "2,1")], &[("a", "")]] {
            assert_ne!(of(&[("a", "1,2")]), of(other), "{other:?}");
        }
        assert_ne!(of(&[("a", "")]), of(&[]));
        assert_eq!(variant(&[], &map(&[("a", "1")])), 0);
    }
}
