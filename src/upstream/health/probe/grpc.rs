//! A probe by gRPC's health service (`grpc.health.v1.Health/Check`).
//!
//! The two messages have one field each, so they are written and read here by hand.
use std::pin::pin;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, Request, StatusCode, Uri, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use super::super::machine::Report;

const PATH: &str = "/grpc.health.v1.Health/Check";
/// The largest answer, in bytes: of its fields, and of its body (security.md HC-02).
const LARGEST: u32 = 8 * 1024;
/// `HealthCheckResponse.ServingStatus.SERVING`.
const SERVING: u64 = 1;

/// Asks whether `service` is being served; the empty one is the server as a whole.
pub(super) async fn ask<S>(stream: S, tls: bool, authority: &str, service: &str) -> Report
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let scheme = if tls { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(PATH).build();
    match uri {
        Ok(uri) => check(stream, uri, service).await.unwrap_or(Report::TcpFailure),
        Err(_) => Report::HttpFailure,
    }
}

async fn check<S>(stream: S, uri: Uri, service: &str) -> Result<Report, h2::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut handshake = h2::client::Builder::new();
    handshake.enable_push(false).max_header_list_size(LARGEST);
    let (send, connection) = handshake.handshake::<_, Bytes>(stream).await?;
    let exchange = async {
        let mut send = send.ready().await?;
        let mut request = Request::post(uri).version(Version::HTTP_2).body(()).unwrap_or_default();
        request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
        request.headers_mut().insert(TE, http::HeaderValue::from_static("trailers"));
        let (response, mut body) = send.send_request(request, false)?;
        body.send_data(question(service), true)?;
        let (head, mut body) = response.await?.into_parts();
        if head.status != StatusCode::OK {
            return Ok(Report::HttpFailure);
        }
        let mut message = BytesMut::new();
        while let Some(part) = body.data().await.transpose()? {
            if message.len() + part.len() > LARGEST as usize {
                return Ok(Report::HttpFailure);
            }
            message.extend_from_slice(&part);
        }
        let trailers = body.trailers().await?;
        let is_ok = |fields: &HeaderMap| fields.get("grpc-status").is_some_and(|status| status == "0");
        let ok = trailers.as_ref().map_or_else(|| is_ok(&head.headers), is_ok);
        Ok(if ok && answer(&message) == Some(SERVING) { Report::Success } else { Report::HttpFailure })
    };
    let mut exchange = pin!(exchange);
    tokio::select! {
        biased;
        ended = &mut exchange => ended,
        // What came before the end of the connection may be the whole answer.
        _ = connection => exchange.await,
    }
}

/// A `HealthCheckRequest` in its frame: field 1 is the service.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(1 << 3 | 2);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(&message);
    frame.freeze()
}

/// The status out of a `HealthCheckResponse` in its frame: field 1, 0 if it is not there. `None`: it is none.
fn answer(frame: &[u8]) -> Option<u64> {
    let (head, mut message) = frame.split_at_checked(5)?;
    let [0, length @ ..] = head else { return None };
    if u32::from_be_bytes(length.try_into().ok()?) as usize != message.len() {
        return None;
    }
    let mut status = 0;
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        // Fields that are not known are passed over, as later versions may have some.
        let skip = match key & 7 {
            0 => {
                let value = take_varint(&mut message)?;
                if key >> 3 == 1 {
                    status = value;
                }
                0
            }
            1 => 8,
            2 => usize::try_from(take_varint(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        message = message.get(skip..)?;
    }
    Some(status)
}

fn put_varint(to: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        to.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    to.put_u8(value as u8);
}

fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_of_the_published_encoding() {
        assert_eq!(question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(question("ab")[..], *b"\0\0\0\0\x04\x0a\x02ab");
        let long = "x".repeat(300);
        assert_eq!(question(&long)[..8], [0, 0, 0, 1, 0x2f, 0x0a, 0xac, 0x02]);
        for (frame, status) in [
            (&[0, 0, 0, 0, 2, 8, 1][..], Some(1)),
            (&[0, 0, 0, 0, 2, 8, 2], Some(2)),
            (&[0, 0, 0, 0, 0], Some(0)),
            (&[0, 0, 0, 0, 6, 0x12, 2, b'h', b'i', 8, 1], Some(1)),
            (&[1, 0, 0, 0, 2, 8, 1], None),
            (&[0, 0, 0, 0, 3, 8, 1], None),
            (&[0, 0, 0, 0, 1, 8], None),
            (&[0, 0, 0], None),
        ] {
            assert_eq!(answer(frame), status, "{frame:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_breaks_it(frame in prop::collection::vec(any::<u8>(), 0..40), value in any::<u64>()) {
            let _ = answer(&frame);
            let mut bytes = BytesMut::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(take_varint(&mut &bytes[..]), Some(value));
        }
    }
}
