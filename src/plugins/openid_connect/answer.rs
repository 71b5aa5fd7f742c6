//! Answers to browsers.
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

use super::plugin::NAME;
use crate::Response;
use crate::error::{answer_of, reject};
use crate::plugins::browser::{self, with_cookies};

/// 302, with cookies.
pub(super) fn redirect(location: &str, cookies: Vec<String>) -> Response {
    browser::redirect(NAME, location, cookies)
}

/// 200, with a page that leads on: the browser then comes from this site.
pub(super) fn html_redirect(target: &str, cookies: Vec<String>) -> Response {
    let target = target.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;");
    let page = format!(
        "<!DOCTYPE html><meta http-equiv=\"refresh\" content=\"0;url={target}\"><title>Logged in</title>\
         <a href=\"{target}\">Go on</a>\n"
    );
    page_of(page, cookies)
}

/// 200, when there is nowhere to go after a log-out.
pub(super) fn logged_out(cookies: Vec<String>) -> Response {
    page_of("<!DOCTYPE html><title>Logged out</title><p>Logged out</p>\n".to_owned(), cookies)
}

/// 500, for a log-in that failed; the operator is told why.
pub(super) fn failed(cookies: Vec<String>) -> Response {
    with_cookies(reject(StatusCode::INTERNAL_SERVER_ERROR, NAME, "The log-in failed"), cookies)
}

fn page_of(page: String, cookies: Vec<String>) -> Response {
    let mut response = Response::new(page.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    with_cookies(answer_of(NAME, response), cookies)
}
