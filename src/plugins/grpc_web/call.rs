//! The body of a request on its way to a gRPC service.
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::frames::{FrameFault, Frames};
use crate::{Body, BodyError};

/// Characters of base64 that become three bytes.
const GROUP: usize = 4;

/// A request's body as a gRPC service takes it.
pub(super) struct CallBody {
    inner: Body,
    /// If it comes as base64.
    text: Option<Base64>,
    frames: Frames,
    /// Bytes that have come.
    seen: u64,
    limit: u64,
    ended: bool,
}

impl CallBody {
    /// # Errors
    /// When it announces more than the limit.
    pub(super) fn begin(inner: Body, is_text: bool, limit: u64) -> Result<Body, BodyError> {
        if inner.size_hint().lower() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        let text = is_text.then(Base64::default);
        Ok(Body::stream(Self { inner, text, frames: Frames::default(), seen: 0, limit, ended: false }))
    }

    fn take(&mut self, data: Bytes) -> Result<Bytes, BodyError> {
        let too_large = BodyError::TooLarge { limit: self.limit };
        self.seen = self.seen.saturating_add(data.len() as u64);
        if self.seen > self.limit {
            return Err(too_large);
        }
        let data = match &mut self.text {
            None => data,
            Some(text) => text.decode(&data).ok_or(BodyError::Malformed("no base64"))?.into(),
        };
        match self.frames.take(&data, self.limit) {
            Ok(()) => Ok(data),
            Err(FrameFault::Flags) => Err(BodyError::Malformed("no frame of a message")),
            Err(FrameFault::TooLong) => Err(too_large),
        }
    }

    fn is_whole(&self) -> bool {
        self.frames.is_between() && self.text.as_ref().is_none_or(Base64::is_whole)
    }
}

impl HttpBody for CallBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        while !me.ended {
            let taken = match ready!(Pin::new(&mut me.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => me.take(data),
                    // Calls of gRPC have none.
                    Err(_) => continue,
                },
                Some(Err(error)) => Err(error),
                None if me.is_whole() => break,
                None => Err(BodyError::Malformed("ends inside of a message")),
            };
            me.ended = taken.is_err();
            match taken {
                Ok(data) if data.is_empty() => {}
                taken => return Poll::Ready(Some(taken.map(Frame::data))),
            }
        }
        me.ended = true;
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.is_whole() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.text.is_none() { self.inner.size_hint() } else { SizeHint::default() }
    }
}

/// Base64 that comes in any pieces, and may be padded wherever its sender made a pause.
#[derive(Debug, Default)]
struct Base64 {
    /// The beginning of a group, and how much of it there is.
    begun: [u8; GROUP],
    count: usize,
}

impl Base64 {
    /// The bytes of the groups that are whole by now; `None` for what is no base64.
    fn decode(&mut self, mut text: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity((self.count + text.len()) / GROUP * 3);
        if self.count > 0 {
            while self.count < GROUP {
                let Some((first, behind)) = text.split_first() else { return Some(bytes) };
                *self.begun.get_mut(self.count)? = *first;
                self.count += 1;
                text = behind;
            }
            STANDARD.decode_vec(self.begun, &mut bytes).ok()?;
            self.count = 0;
        }
        let (mut whole, begun) = text.split_at_checked(text.len() / GROUP * GROUP)?;
        // Padding ends a group, and another one may follow.
        while let Some(padded) = whole.iter().position(|character| *character == b'=') {
            let (padded, behind) = whole.split_at_checked((padded / GROUP + 1) * GROUP)?;
            STANDARD.decode_vec(padded, &mut bytes).ok()?;
            whole = behind;
        }
        STANDARD.decode_vec(whole, &mut bytes).ok()?;
        self.begun.get_mut(..begun.len())?.copy_from_slice(begun);
        self.count = begun.len();
        Some(bytes)
    }

    fn is_whole(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_base64_is_told() {
        for (text, told) in [
            ("", Some("")),
            ("YWJj", Some("abc")),
            ("YQ==YmM=", Some("abc")),
            ("YQ==", Some("a")),
            ("YWJ", Some("")),
            ("YWJjYQ", Some("abc")),
            ("Y===", None),
            ("====", None),
            ("YW=j", None),
            ("YR==", None),
            ("YWJ\n", None),
            ("YWJ-", None),
            ("ü123", None),
        ] {
            let decoded = Base64::default().decode(text.as_bytes());
            assert_eq!(decoded.as_deref(), told.map(str::as_bytes), "{text}");
        }
    }

    proptest! {
        #[test]
        fn base64_is_undone_whatever_the_pieces_and_wherever_it_is_padded(
            flushes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8),
            sizes in prop::collection::vec(1usize..9, 1..60),
        ) {
            let text: String = flushes.iter().map(|bytes| STANDARD.encode(bytes)).collect();
            let mut base64 = Base64::default();
            let (mut at, mut decoded, mut sizes) = (0, Vec::new(), sizes.iter().cycle());
            while at < text.len() {
                let next = (at + sizes.next().unwrap()).min(text.len());
                decoded.extend(base64.decode(&text.as_bytes()[at..next]).unwrap());
                at = next;
                prop_assert_eq!(base64.is_whole(), at % 4 == 0);
            }
            prop_assert_eq!(decoded, flushes.concat());
        }
    }
}
