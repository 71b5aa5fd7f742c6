//! What gRPC says in header fields: that a message is gRPC, how long its caller waits, and how a call went.
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Version};

use crate::Body;
use crate::error::{Fault, Response};

/// How long the caller waits (gRPC over HTTP/2, `Timeout`).
pub(crate) const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// How a call went; in the head of a response without a message, else in its trailers.
pub(crate) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// What there is to say about it, percent-encoded.
pub(crate) const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The caller waited as long as he wanted to (`DEADLINE_EXCEEDED`).
pub(crate) const DEADLINE_EXCEEDED: u8 = 4;

/// What stands before each message ("Length-Prefixed-Message").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageHead {
    /// Whether the message is compressed, as `grpc-encoding` says.
    pub(crate) compressed: bool,
    /// The bytes of the message behind it.
    pub(crate) length: u32,
}

impl MessageHead {
    /// Its bytes: a flag, and the length, the highest first.
    pub(crate) const SIZE: usize = 5;

    /// `None` for flags that no message has.
    pub(crate) fn read([flags, length @ ..]: [u8; Self::SIZE]) -> Option<Self> {
        let compressed = match flags {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Self { compressed, length: u32::from_be_bytes(length) })
    }

    /// The bytes.
    #[cfg(any(test, feature = "grpc-transcode"))]
    pub(crate) fn write(self) -> [u8; Self::SIZE] {
        let [a, b, c, d] = self.length.to_be_bytes();
        [u8::from(self.compressed), a, b, c, d]
    }
}

/// Digits that a `grpc-timeout` may have.
const DIGITS: usize = 8;

/// Whether a request is a gRPC call. gRPC-Web is not: its clients read an answer's status out of its body.
pub(crate) fn is_call<B>(request: &http::Request<B>) -> bool {
    request.version() >= Version::HTTP_2 && is_grpc(request.headers())
}

/// Whether the content is gRPC: `application/grpc`, with a `+proto` or the like.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = kind.and_then(|kind| kind.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// The time that a `grpc-timeout` grants; `None` for one that is malformed, and for hours without end.
pub(crate) fn read_timeout(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    if !(1..=DIGITS).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits.iter().fold(0, |count, digit| count * 10 + u64::from(digit - b'0'));
    match unit {
        b'n' => Some(Duration::from_nanos(count)),
        b'u' => Some(Duration::from_micros(count)),
        b'm' => Some(Duration::from_millis(count)),
        b'S' => Some(Duration::from_secs(count)),
        b'M' => Some(Duration::from_secs(60 * count)),
        b'H' => Some(Duration::from_secs(3600 * count)),
        _ => None,
    }
}

/// The `grpc-timeout` of what is left: as exact as eight digits are, and never more.
pub(crate) fn write_timeout(left: Duration) -> HeaderValue {
    let most = 10_u128.pow(DIGITS as u32) - 1;
    let units = [
        (left.as_nanos(), 'n'),
        (left.as_micros(), 'u'),
        (left.as_millis(), 'm'),
        (left.as_secs().into(), 'S'),
        ((left.as_secs() / 60).into(), 'M'),
    ];
    let (count, unit) =
        units.into_iter().find(|(count, _)| *count <= most).unwrap_or(((left.as_secs() / 3600).into(), 'H'));
    // Digits and a letter are always a field value.
    HeaderValue::from_str(&format!("{}{unit}", count.min(most))).unwrap_or(HeaderValue::from_static("0n"))
}

/// How a call went that got this answer, of ours by this code: the published mapping of HTTP statuses to gRPC ("HTTP to gRPC
/// Status Code Mapping"), except that a deadline of ours that is over is called so.
pub(crate) fn status_of(status: StatusCode, code: &str) -> u8 {
    match status.as_u16() {
        504 if matches!(code, "upstream_deadline" | "request_deadline") => DEADLINE_EXCEEDED,
        400 | 431 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// Turns an answer of ours into the form that gRPC clients read: 200 with `grpc-status` and `grpc-message`, and no body
/// (`Trailers-Only`). Other fields, such as `Retry-After`, stay. Any other response passes unchanged.
pub(crate) fn into_call_status(response: Response) -> Response {
    let Some(fault) = response.extensions().get::<Fault>().cloned() else { return response };
    let status = response.status();
    if status.is_informational() || status.is_success() || response.headers().contains_key(STATUS) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::OK;
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    parts.headers.insert(STATUS, HeaderValue::from(u16::from(status_of(status, fault.code()))));
    parts.headers.insert(MESSAGE, encode(fault.message()));
    Response::from_parts(parts, Body::empty())
}

/// Percent-encodes what may not stand in a `grpc-message`.
pub(crate) fn encode(message: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::{Error, IntoResponse as _, reject};

    #[test]
    fn time_outs_are_read_as_published_and_nothing_else_is() {
        let read = |text: &'static str| read_timeout(&HeaderValue::from_static(text));
        for (text, nanos) in [("1n", 1), ("20u", 20_000), ("3m", 3_000_000), ("99999999u", 99_999_999_000), ("0S", 0)] {
            assert_eq!(read(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        assert_eq!(read("2M"), Some(Duration::from_secs(120)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for text in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "100000000n", " 1S", "1S ", "1SS", "1h"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_never_more_than_is_left(seconds in 0u64..400_000_000_000, nanos in 0u32..1_000_000_000) {
            let left = Duration::new(seconds, nanos);
            let told = read_timeout(&write_timeout(left)).unwrap();
            prop_assert!(told <= left);
            prop_assert!(told.as_secs_f64() >= left.as_secs_f64() * 0.9);
        }

        #[test]
        fn heads_are_read_as_they_are_written(head: [u8; MessageHead::SIZE]) {
            match MessageHead::read(head) {
                Some(read) => prop_assert_eq!(read.write(), head),
                None => prop_assert!(head[0] > 1),
            }
        }

        #[test]
        fn messages_are_one_line_of_plain_characters(message: String) {
            let value = encode(&message);
            prop_assert!(value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~')));
            let mut decoded = Vec::new();
            let mut rest = value.as_bytes();
            while let Some((first, behind)) = rest.split_first() {
                rest = behind;
                if *first == b'%' {
                    let digits = std::str::from_utf8(&rest[..2]).unwrap();
                    decoded.push(u8::from_str_radix(digits, 16).unwrap());
                    rest = &rest[2..];
                } else {
                    decoded.push(*first);
                }
            }
            prop_assert_eq!(decoded, message.into_bytes());
        }
    }

    #[test]
    fn answers_of_ours_become_statuses_of_calls_and_others_stay() {
        let refused = reject(StatusCode::UNAUTHORIZED, "key-auth", "Missing API key in request");
        let refused = into_call_status(refused);
        assert_eq!(refused.status(), 200);
        assert_eq!(refused.headers()[STATUS], "16");
        assert_eq!(refused.headers()[MESSAGE], "Missing API key in request");
        assert_eq!(refused.headers()[CONTENT_TYPE], "application/grpc");
        assert!(refused.body().is_empty());
        let busy = Error::Upstream { status: StatusCode::SERVICE_UNAVAILABLE, reason: "busy", retry_after: Some(1) };
        let busy = into_call_status(busy.into_response());
        assert_eq!(busy.headers()[STATUS], "14");
        assert_eq!(busy.headers()["retry-after"], "1");
        let foreign = into_call_status(http::Response::builder().status(503).body(Body::from("mine")).unwrap());
        assert_eq!((foreign.status().as_u16(), foreign.body().as_bytes()), (503, Some(&b"mine"[..])));
    }

    #[test]
    fn statuses_follow_the_published_mapping() {
        for (status, code) in [(400, 13), (401, 16), (403, 7), (404, 12), (429, 14), (502, 14), (503, 14), (504, 14)] {
            assert_eq!(status_of(StatusCode::from_u16(status).unwrap(), "x"), code, "{status}");
        }
        for status in [302, 405, 413, 418, 500, 508] {
            assert_eq!(status_of(StatusCode::from_u16(status).unwrap(), "x"), 2, "{status}");
        }
        assert_eq!(status_of(StatusCode::GATEWAY_TIMEOUT, "upstream_deadline"), DEADLINE_EXCEEDED);
    }

    #[test]
    fn what_grpc_is_and_what_is_not() {
        let call = |version, kind: &'static str| {
            let mut request = http::Request::new(());
            *request.version_mut() = version;
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            is_call(&request)
        };
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc;v=1"] {
            assert!(call(Version::HTTP_2, kind) && !call(Version::HTTP_11, kind), "{kind}");
        }
        for kind in ["application/grpc-web", "application/grpc-web+proto", "application/json", ""] {
            assert!(!call(Version::HTTP_2, kind), "{kind}");
        }
    }
}
