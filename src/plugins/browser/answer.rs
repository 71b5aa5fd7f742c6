//! Answers that lead a browser on.
use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::Response;
use crate::error::{answer_of, reject};

/// 302, with cookies; 500, when that is no place.
pub(in crate::plugins) fn redirect(plugin: &'static str, location: &str, cookies: Vec<String>) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return with_cookies(reject(StatusCode::INTERNAL_SERVER_ERROR, plugin, "The log-in failed"), cookies);
    };
    let mut response = Response::default();
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(LOCATION, location);
    with_cookies(answer_of(plugin, response), cookies)
}

/// An answer for this browser alone, with cookies.
pub(in crate::plugins) fn with_cookies(mut response: Response, cookies: Vec<String>) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    add_cookies(response.headers_mut(), cookies);
    response
}

/// Adds `Set-Cookie` fields.
pub(in crate::plugins) fn add_cookies(headers: &mut HeaderMap, cookies: Vec<String>) {
    for cookie in cookies {
        // made of what cookies may have
        if let Ok(value) = HeaderValue::try_from(cookie) {
            headers.append(SET_COOKIE, value);
        }
    }
}
