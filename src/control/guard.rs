//! Which requests are let in: the control API asks for no key, so a page in a browser on this machine must not reach it
//! (security.md ADM-04).
use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, StatusCode, Uri};

use super::reply;
use crate::Response;

/// Refuses what a page of another site sends by itself or by a name that was made to point here (DNS rebinding).
pub(super) fn judge(uri: &Uri, headers: &HeaderMap, any_host: bool) -> Result<(), Response> {
    if headers.contains_key(ORIGIN) {
        let message = "requests of pages in browsers are not answered: the `Origin` header is set";
        return Err(reply::fault(StatusCode::FORBIDDEN, message));
    }
    let named = match uri.authority() {
        Some(authority) => Some(authority.host()),
        None => match headers.get(HOST).map(|host| host.to_str()) {
            None => None,
            Some(Ok(host)) => Some(without_port(host)),
            Some(Err(_)) => Some(""),
        },
    };
    match named {
        Some(host) if !any_host && !is_local(host) => {
            let message = "ask by an address or by `localhost`: other names in `Host` are not answered";
            Err(reply::fault(StatusCode::FORBIDDEN, message))
        }
        _ => Ok(()),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(']') => name,
        _ => host,
    }
}

fn is_local(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn names_of_others_are_refused() {
        let status = |host: &'static str| {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            judge(&Uri::from_static("/v1/schema"), &headers, false).map_err(|response| response.status().as_u16())
        };
        for good in ["127.0.0.1:9090", "localhost", "LocalHost:9090", "[::1]:9090", "[::1]", "10.1.2.3"] {
            assert_eq!(status(good), Ok(()), "{good}");
        }
        for bad in ["evil.test", "localhost.evil.test:9090", "", "127.0.0.1.nip.io", "[::1].evil.test"] {
            assert_eq!(status(bad), Err(403), "{bad}");
        }
        assert!(judge(&Uri::from_static("/"), &HeaderMap::new(), false).is_ok());
        let page = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static("http://localhost"))]);
        assert!(judge(&Uri::from_static("/"), &page, true).is_err());
    }
}
