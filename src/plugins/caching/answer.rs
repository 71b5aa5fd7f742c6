//! Answers out of what is kept.
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use http::response::Parts;
use http::{HeaderMap, StatusCode};

use super::conditional::Wanted;
use super::policy::Policy;
use super::ranges::{Part, part};
use crate::cache::Stored;
use crate::{Body, Response};

impl Policy {
    /// The answer to a client out of what is kept: the whole, a part, that it has it already, or the head alone.
    pub(super) fn answer(
        &self,
        stored: &Stored,
        headers: HeaderMap,
        wanted: &Wanted,
        head: bool,
        now: u64,
        status: &'static str,
    ) -> Response {
        let mut response = Response::default();
        *response.status_mut() = stored.meta.status;
        *response.headers_mut() = headers;
        response.headers_mut().insert(AGE, HeaderValue::from(stored.meta.age(now)));
        let length = stored.len();
        if stored.meta.status == StatusCode::OK {
            if wanted.has(response.headers()) {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response.headers_mut().remove(CONTENT_TYPE);
                return self.mark(response, status);
            }
            let asked = wanted.range.as_ref().filter(|_| !head && wanted.may_be_partial(response.headers()));
            match asked.map_or(Part::Whole, |range| part(range.as_bytes(), length)) {
                Part::Whole => {}
                Part::Bytes(bytes) => {
                    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                    let told = format!("bytes {}-{}/{length}", bytes.start, bytes.end - 1);
                    set(response.headers_mut(), CONTENT_RANGE, told);
                    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.end - bytes.start));
                    *response.body_mut() = stored.body(bytes);
                    return self.mark(response, status);
                }
                Part::Outside => {
                    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                    response.headers_mut().remove(CONTENT_TYPE);
                    set(response.headers_mut(), CONTENT_RANGE, format!("bytes */{length}"));
                    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
                    return self.mark(response, status);
                }
            }
        }
        if stored.meta.status != StatusCode::NO_CONTENT {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        *response.body_mut() = if head { Body::empty() } else { stored.body(0..length) };
        self.mark(response, status)
    }
}

/// Tells a client who asked for everything from the first byte on that this is it: the origin was asked for the whole, which is
/// kept, and players take no other answer than a part. It is the whole as it is where nobody knows how long that is.
pub(super) fn tell_as_part(answer: &mut Parts, wanted: &Wanted, length: Option<u64>) {
    let asks = wanted.range.is_some() && !wanted.is_part() && wanted.may_be_partial(&answer.headers);
    if let Some(length) = length.filter(|length| asks && answer.status == StatusCode::OK && *length > 0) {
        answer.status = StatusCode::PARTIAL_CONTENT;
        set(&mut answer.headers, CONTENT_RANGE, format!("bytes 0-{}/{length}", length - 1));
    }
}

fn set(headers: &mut HeaderMap, name: http::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}
