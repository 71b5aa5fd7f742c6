//! What is refused before any route is looked at, and what a host's server has left to be judged (security.md §1.5).
use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderValue};
use http::{Method, StatusCode, Version};

use crate::UpgradeWish;
use crate::error::{Error, Request};
use crate::host::is_host;

/// Methods that are never routed (security.md H1-22).
pub(super) fn refuse_methods(method: &Method) -> Result<(), Error> {
    match *method {
        Method::TRACE | Method::CONNECT => Err(Error::MethodRefused(StatusCode::METHOD_NOT_ALLOWED)),
        _ if method.as_str() == "PRI" => Err(Error::MethodRefused(StatusCode::NOT_IMPLEMENTED)),
        _ if method.as_str().len() > 32 => Err(Error::BadRequest("method")),
        _ => Ok(()),
    }
}

/// What our codec would have refused and an `http::Request` still shows (security.md §1.5); hop-by-hop fields come off.
pub(super) fn judge_foreign(request: &mut Request) -> Result<(), Error> {
    let version = request.version();
    let headers = request.headers();
    let mut hosts = headers.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next().is_some());
    if more {
        return Err(Error::BadRequest("host_repeated"));
    }
    match (host, request.uri().authority()) {
        (None, None) if version >= Version::HTTP_11 => return Err(Error::BadRequest("host_missing")),
        (Some(host), _) if !is_host(host.as_bytes()) => return Err(Error::BadRequest("host")),
        (Some(host), Some(authority))
            if version >= Version::HTTP_2 && !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            return Err(Error::BadRequest("host_differs"));
        }
        _ => {}
    }
    if let Some(expect) = headers.get(EXPECT) {
        if !expect.as_bytes().eq_ignore_ascii_case(b"100-continue") || headers.get_all(EXPECT).iter().count() > 1 {
            return Err(Error::ExpectationFailed);
        }
        request.headers_mut().remove(EXPECT);
    }
    judge_target(request)?;
    if version >= Version::HTTP_2 {
        join_cookies(request.headers_mut())?;
    }
    let wish = upgrade_wish(request);
    crate::hop::strip_hop_by_hop(request.headers_mut());
    if request.body().is_empty() && version < Version::HTTP_2 {
        // A length of zero says nothing that the body does not say.
        request.headers_mut().remove(CONTENT_LENGTH);
    }
    if let Some(wish) = wish {
        request.extensions_mut().insert(wish);
    }
    Ok(())
}

/// Joins the pieces that HTTP/2 allows a `Cookie` to be cut into (RFC 9113 §8.2.3; security.md H2-06).
fn join_cookies(headers: &mut HeaderMap) -> Result<(), Error> {
    let mut pieces = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (pieces.next(), pieces.next()) else { return Ok(()) };
    let mut whole = first.as_bytes().to_vec();
    for piece in std::iter::once(second).chain(pieces) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(piece.as_bytes());
    }
    let whole = HeaderValue::from_bytes(&whole).map_err(|_| Error::BadRequest("cookie"))?;
    headers.insert(COOKIE, whole);
    Ok(())
}

/// The target's form (security.md H1-12, H1-13); `CONNECT` is refused before.
fn judge_target(request: &Request) -> Result<(), Error> {
    let uri = request.uri();
    if uri.path() == "*" && *request.method() != Method::OPTIONS {
        return Err(Error::BadRequest("target_form"));
    }
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(host)) if is_host(host.as_str().as_bytes()) => Ok(()),
        (Some(_), _) => Err(Error::BadRequest("target_uri")),
        (None, Some(_)) => Err(Error::BadRequest("target_form")),
        (None, None) => Ok(()),
    }
}

/// The wish to upgrade of an HTTP/1.1 request without a body (security.md UPG-03).
pub(super) fn upgrade_wish(request: &Request) -> Option<UpgradeWish> {
    if request.version() != Version::HTTP_11 || !request.body().is_empty() {
        return None;
    }
    let asks = request.headers().get_all(http::header::CONNECTION).iter().any(|line| {
        line.as_bytes().split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    });
    let token = request.headers().get(http::header::UPGRADE)?;
    asks.then(|| UpgradeWish(token.clone()))
}

/// Makes `Host` the one place of the authority: that of an absolute target or of `:authority` replaces it (H1-12).
pub(super) fn adopt_authority(request: &mut Request) -> Result<(), Error> {
    if let Some(authority) = request.uri().authority() {
        if authority.as_str().contains('@') {
            return Err(Error::BadRequest("target_userinfo"));
        }
        let value = HeaderValue::from_str(authority.as_str()).map_err(|_| Error::BadRequest("host"))?;
        request.headers_mut().insert(HOST, value);
    }
    Ok(())
}
