//! A token in a cookie.
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::plugins::consumer_auth::{Repeated, only};

/// The only value of a cookie, as sent (RFC 6265 §5.4); names are case-sensitive.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h [u8]>, Repeated> {
    only(headers.get_all(COOKIE).iter().flat_map(|line| pairs(line).filter_map(|pair| value_of(pair, name))))
}

/// Takes a cookie out; the others stay.
pub(crate) fn remove_cookie(headers: &mut HeaderMap, name: &str) {
    let rest: Vec<_> = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(pairs)
        .filter(|pair| !pair.is_empty() && value_of(pair, name).is_none())
        .collect();
    match rest.is_empty() {
        true => headers.remove(COOKIE),
        false => HeaderValue::from_bytes(&rest.join(&b"; "[..])).ok().and_then(|line| headers.insert(COOKIE, line)),
    };
}

fn pairs(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

fn value_of<'p>(pair: &'p [u8], name: &str) -> Option<&'p [u8]> {
    pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read_once_and_taken_out() {
        for (lines, value, without) in [
            (&["a=1; jwt=t; b=2"][..], Ok(Some("t")), Some("a=1; b=2")),
            (&["jwt=t"], Ok(Some("t")), None),
            (&["jwt="], Ok(Some("")), None),
            (&["xjwt=t; JWT=t"], Ok(None), Some("xjwt=t; JWT=t")),
            (&["a=1;jwt=t", "jwt=u"], Err(Repeated), Some("a=1")),
            (&[], Ok(None), None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_static(line));
            }
            assert_eq!(cookie(&headers, "jwt"), value.map(|value| value.map(str::as_bytes)), "{lines:?}");
            remove_cookie(&mut headers, "jwt");
            let rest = headers.get_all(COOKIE).iter().map(|line| line.to_str().unwrap());
            assert_eq!(rest.collect::<Vec<_>>(), without.into_iter().collect::<Vec<_>>(), "{lines:?}");
        }
    }
}
