//! The answer of a gRPC service on its way to a browser.
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Body as HttpBody, Frame};

use super::frames::Frames;
use crate::error::{Fault, Response, keep_as_it_is};
use crate::{Body, BodyError, grpc};

/// The flag of the frame that holds what gRPC says in trailers.
const TRAILERS: u8 = 0x80;

/// Turns an answer into one of gRPC-Web, of the content type of its request.
pub(super) fn translate(response: Response, content_type: HeaderValue, is_text: bool) -> Response {
    let mut response = match response.extensions().get::<Fault>() {
        // A body that was no call is the browser's mistake, and stays one of HTTP.
        Some(fault) if fault.source() == "gateway" && is_about_body(response.status()) => return response,
        Some(_) => grpc::into_call_status(response),
        None => response,
    };
    keep_as_it_is(&mut response);
    let (mut parts, mut body) = response.into_parts();
    let ends_in_head = parts.headers.contains_key(grpc::STATUS);
    if !ends_in_head && (parts.status != StatusCode::OK || !grpc::is_grpc(&parts.headers)) {
        let message = format!("upstream answered {} and no gRPC", parts.status.as_u16());
        parts.headers.insert(grpc::STATUS, HeaderValue::from(u16::from(grpc::status_of(parts.status, ""))));
        parts.headers.insert(grpc::MESSAGE, grpc::encode(&message));
        parts.status = StatusCode::OK;
        body = Body::empty();
    } else if ends_in_head {
        body = Body::empty();
    } else {
        body = Body::stream(WebBody { inner: body, is_text, frames: Frames::default(), ended: false });
    }
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, content_type);
    Response::from_parts(parts, body)
}

/// Whether an answer of the gateway is about the request's body: malformed, too slow, too large.
fn is_about_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE)
}

/// A service's messages, and a frame of its trailers at the end.
struct WebBody {
    inner: Body,
    is_text: bool,
    frames: Frames,
    ended: bool,
}

impl WebBody {
    fn give(&self, data: Bytes) -> Frame<Bytes> {
        Frame::data(if self.is_text { STANDARD.encode(data).into() } else { data })
    }

    /// The last frame, unless it would stand in the midst of a message.
    fn end(&self, trailers: Option<&HeaderMap>) -> Result<Frame<Bytes>, BodyError> {
        if self.frames.is_between() { Ok(self.give(trailer_frame(trailers))) } else { Err(BodyError::Incomplete) }
    }
}

impl HttpBody for WebBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        if me.ended {
            return Poll::Ready(None);
        }
        let given = match ready!(Pin::new(&mut me.inner).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => match me.frames.take(&data, u64::MAX) {
                    Ok(()) => return Poll::Ready(Some(Ok(me.give(data)))),
                    Err(_) => Err(BodyError::Malformed("no frame of a message")),
                },
                Err(frame) => me.end(frame.trailers_ref()),
            },
            Some(Err(error)) => Err(error),
            None => me.end(None),
        };
        me.ended = true;
        // Nothing more is asked of the service.
        me.inner = Body::empty();
        Poll::Ready(Some(given))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

/// The trailers as lines in a frame of their own: the status first, then what it says, then the service's own.
fn trailer_frame(trailers: Option<&HeaderMap>) -> Bytes {
    let mut frame = BytesMut::from(&[TRAILERS, 0, 0, 0, 0][..]);
    let mut line = |name: &[u8], value: &[u8]| {
        for part in [name, b":", value, b"\r\n"] {
            frame.put_slice(part);
        }
    };
    let status = trailers.filter(|trailers| trailers.contains_key(grpc::STATUS));
    match status {
        None => {
            line(grpc::STATUS.as_str().as_bytes(), b"2");
            line(grpc::MESSAGE.as_str().as_bytes(), b"upstream grpc status not received");
        }
        Some(trailers) => {
            for name in [grpc::STATUS, grpc::MESSAGE] {
                trailers.get(&name).into_iter().for_each(|value| line(name.as_str().as_bytes(), value.as_bytes()));
            }
        }
    }
    let is_own = |name: &http::HeaderName| name != grpc::STATUS && name != grpc::MESSAGE;
    for (name, value) in trailers.into_iter().flatten().filter(|(name, _)| is_own(name)) {
        line(name.as_str().as_bytes(), value.as_bytes());
    }
    let length = u32::try_from(frame.len().saturating_sub(5)).unwrap_or(u32::MAX);
    if let Some(place) = frame.get_mut(1..5) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    frame.freeze()
}
