//! The head of an answer, and how long its body is to be.
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, StatusCode};
use http_body::Body as _;

use crate::Body;
use crate::error::Response;
use crate::http1::date_value;

/// Fields that belong to a connection, and that HTTP/2 does not have (H2-04).
const HOP: [HeaderName; 6] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    TE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// What is among the fields; one look at all is cheaper than a search for each.
#[derive(Default)]
struct Among {
    hop: bool,
    date: bool,
    length: bool,
}

impl Among {
    fn of(fields: &HeaderMap) -> Self {
        let mut among = Self::default();
        for name in fields.keys() {
            match name.as_str() {
                "date" => among.date = true,
                "content-length" => among.length = true,
                "connection" | "transfer-encoding" | "upgrade" | "te" | "keep-alive" | "proxy-connection" => {
                    among.hop = true;
                }
                _ => {}
            }
        }
        among
    }
}

/// A head that is ready to be sent, and the body to be sent behind it.
pub(super) struct Answer {
    pub(super) head: http::Response<()>,
    pub(super) body: Body,
    /// The bytes that the body must have; `None` when nobody knows.
    pub(super) length: Option<u64>,
}

/// Brings an answer into the form of HTTP/2. `is_head`: the request was `HEAD`.
pub(super) fn prepare(response: Response, is_head: bool) -> Answer {
    let (mut parts, mut body) = response.into_parts();
    let fields = &mut parts.headers;
    let among = Among::of(fields);
    if among.hop {
        for name in HOP {
            fields.remove(name);
        }
    }
    let length = body.size_hint().exact();
    let bodyless = matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    match length {
        _ if parts.status == StatusCode::NO_CONTENT => remove_length(fields, &among),
        // What the upstream said of the length stays.
        _ if parts.status == StatusCode::NOT_MODIFIED => {}
        Some(0) | None if is_head => {}
        Some(bytes) => set_length(fields, bytes, &among),
        None => remove_length(fields, &among),
    }
    if !among.date {
        fields.insert(DATE, date_value());
    }
    if bodyless || is_head {
        body = Body::empty();
        return Answer { head: http::Response::from_parts(parts, ()), body, length: Some(0) };
    }
    Answer { head: http::Response::from_parts(parts, ()), body, length }
}

fn remove_length(fields: &mut HeaderMap, among: &Among) {
    if among.length {
        fields.remove(CONTENT_LENGTH);
    }
}

fn set_length(fields: &mut HeaderMap, bytes: u64, among: &Among) {
    let is_said = among.length
        && fields.get(CONTENT_LENGTH).is_some_and(|said| {
            let said = std::str::from_utf8(said.as_bytes()).ok().and_then(|said| said.parse().ok());
            said == Some(bytes)
        });
    if !is_said || fields.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(status: u16, fields: &[(&'static str, &'static str)], body: Body, is_head: bool) -> Answer {
        let mut response = http::Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        prepare(response.body(body).unwrap(), is_head)
    }

    fn length_of(answer: &Answer) -> Option<&str> {
        answer.head.headers().get(CONTENT_LENGTH).map(|length| length.to_str().unwrap())
    }

    #[test]
    fn lengths() {
        let stream = || {
            let frames = futures_util::stream::pending::<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>();
            Body::new(http_body_util::StreamBody::new(frames))
        };
        let said = [("content-length", "7")];
        for (status, fields, body, is_head, wanted) in [
            (200, &said[..], Body::from("hello"), false, Some("5")),
            (200, &[], Body::from("hello"), false, Some("5")),
            (200, &[], Body::empty(), false, Some("0")),
            (200, &said, stream(), false, None),
            (200, &said, Body::empty(), true, Some("7")),
            (200, &[], Body::from("hello"), true, Some("5")),
            (204, &said, Body::empty(), false, None),
            (304, &said, Body::empty(), false, Some("7")),
        ] {
            assert_eq!(length_of(&prepared(status, fields, body, is_head)), wanted, "{status} {is_head}");
        }
    }

    #[test]
    fn fields_of_a_connection_come_off() {
        let fields = [("connection", "close"), ("keep-alive", "1"), ("transfer-encoding", "chunked"), ("x-a", "b")];
        let answer = prepared(200, &fields, Body::empty(), false);
        let names: Vec<_> = answer.head.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-a", "content-length", "date"]);
    }
}
