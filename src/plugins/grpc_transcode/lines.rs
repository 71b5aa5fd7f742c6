//! A stream of messages as lines of JSON.
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};

use super::end::End;
use super::large::LARGE;
use super::layer::Call;
use super::messages::Messages;
use crate::{Body, BodyError};

/// Reads messages and makes lines of them, one at a time.
pub(super) struct Lines {
    call: Call,
    inner: Body,
    messages: Messages,
    trailers: Option<HeaderMap>,
    /// A large message that becomes a line elsewhere.
    telling: Option<Telling>,
}

/// The JSON of a message that is made elsewhere.
type Telling = Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send>>;

/// What comes next.
pub(super) enum Line {
    Text(Bytes),
    End(End),
    Broken(BodyError),
}

impl Lines {
    pub(super) fn new(call: Call, inner: Body) -> Self {
        let messages = Messages::new(call.max_resp_body_size);
        Self { call, inner, messages, trailers: None, telling: None }
    }

    pub(super) async fn first(&mut self) -> Line {
        std::future::poll_fn(|cx| self.poll_line(cx)).await
    }

    pub(super) fn into_trailers(self) -> Option<HeaderMap> {
        self.trailers
    }

    /// The body whose first line is `first`.
    pub(super) fn into_body(self, first: Bytes) -> Body {
        Body::stream(LineBody { first: Some(first), rest: Some(self) })
    }

    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Line> {
        loop {
            if let Some(telling) = &mut self.telling {
                let told = ready!(telling.as_mut().poll(cx));
                self.telling = None;
                return Poll::Ready(line(told));
            }
            match self.messages.next() {
                Ok(Some(message)) if message.len() <= LARGE => return Poll::Ready(line(self.call.json_here(message))),
                Ok(Some(message)) => {
                    let call = self.call.clone();
                    self.telling = Some(Box::pin(async move { call.json(message).await }));
                    continue;
                }
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Line::Broken(BodyError::Other(fault.into()))),
            }
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.messages.push(&data),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                Some(Err(error)) => return Poll::Ready(Line::Broken(error)),
                None if !self.messages.is_empty() => return Poll::Ready(Line::Broken(BodyError::Incomplete)),
                None => {
                    return Poll::Ready(Line::End(
                        self.trailers.as_ref().and_then(End::told).unwrap_or_else(End::untold),
                    ));
                }
            }
        }
    }
}

/// The line of a message's JSON.
fn line(json: Option<Vec<u8>>) -> Line {
    match json {
        Some(mut json) => {
            json.push(b'\n');
            Line::Text(json.into())
        }
        None => Line::Broken(BodyError::Malformed("a message that cannot be told")),
    }
}

struct LineBody {
    first: Option<Bytes>,
    /// Gone at the end.
    rest: Option<Lines>,
}

impl HttpBody for LineBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        if let Some(first) = me.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(lines) = &mut me.rest else { return Poll::Ready(None) };
        let line = ready!(lines.poll_line(cx));
        if let Line::Text(text) = line {
            return Poll::Ready(Some(Ok(Frame::data(text))));
        }
        let Some(lines) = me.rest.take() else { return Poll::Ready(None) };
        Poll::Ready(match line {
            Line::Broken(error) => Some(Err(error)),
            // The status is sent already, so that a line has to tell.
            Line::End(end) if end.code != 0 => {
                let json = end.json(lines.call.status_detail.as_ref(), lines.call.style);
                Some(Ok(Frame::data(format!("{json}\n").into())))
            }
            Line::End(_) | Line::Text(_) => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_none()
    }
}
