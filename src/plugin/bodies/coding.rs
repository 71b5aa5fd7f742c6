//! Bodies without their content coding (RFC 9110 §8.4; security.md LIM-14).
use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};

use super::{Bodies, Unread};

/// The content codings that are undone here, as `Accept-Encoding` names them.
pub(super) const CODINGS: HeaderValue =
    HeaderValue::from_static(if cfg!(feature = "decode") { "gzip, br" } else { "identity" });

/// From this many packed bytes on they are unpacked on a thread of their own, so that they hold up no other request.
#[cfg(feature = "decode")]
const LARGE: usize = 64 * 1024;

impl Bodies {
    /// A collected body as its content coding hides it; one without a coding comes back as it is. What comes out is at most
    /// [`Bodies::unpacked`] bytes, which count against the room as well. gzip and br are known, one of them at a time, with the
    /// feature `decode`.
    ///
    /// # Errors
    /// [`Unread::TooLarge`], [`Unread::NoRoom`], [`Unread::Coding`] and [`Unread::Undecodable`].
    pub async fn unpack(&self, headers: &HeaderMap, body: Bytes) -> Result<Bytes, Unread> {
        let mut codings = headers.get_all(CONTENT_ENCODING).iter();
        let coding = codings.next().map_or(&b"identity"[..], |coding| coding.as_bytes().trim_ascii());
        if codings.next().is_some() {
            return Err(Unread::Coding);
        }
        if body.is_empty() || coding.is_empty() || coding.eq_ignore_ascii_case(b"identity") {
            return Ok(body);
        }
        self.decode(coding, body).await
    }

    #[cfg(feature = "decode")]
    async fn decode(&self, coding: &[u8], body: Bytes) -> Result<Bytes, Unread> {
        use super::collect::counted;
        use super::unpack::{Decoder, Undone};

        let most = self.unpacked(body.len());
        let decoder = Decoder::within(coding, most, self.room.part(None)).ok_or(Unread::Coding)?;
        let unpacked = if body.len() < LARGE {
            decoder.whole(&body)
        } else {
            let unpacking = tokio::task::spawn_blocking(move || decoder.whole(&body));
            // it ends early only when the runtime does
            unpacking.await.unwrap_or(Err(Undone::Malformed))
        };
        match unpacked {
            Ok(unpacked) => Ok(counted(unpacked.bytes.into(), unpacked.part)),
            Err(Undone::TooLarge) => Err(Unread::TooLarge(most as u64)),
            Err(Undone::NoRoom) => Err(Unread::NoRoom),
            Err(Undone::Malformed) => Err(Unread::Undecodable),
        }
    }

    #[cfg(not(feature = "decode"))]
    async fn decode(&self, _: &[u8], _: Bytes) -> Result<Bytes, Unread> {
        Err(Unread::Coding)
    }
}

#[cfg(test)]
#[cfg(feature = "decode")]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use super::super::Room;
    use super::*;
    use crate::model::Limits;

    fn gzip(text: &[u8]) -> Bytes {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(text).unwrap();
        packer.finish().unwrap().into()
    }

    fn coded(codings: &[&'static str]) -> HeaderMap {
        codings.iter().map(|coding| (CONTENT_ENCODING, HeaderValue::from_static(coding))).fold(
            HeaderMap::new(),
            |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            },
        )
    }

    #[tokio::test]
    async fn bodies_are_plain_and_count_for_as_long_as_they_are_held() {
        let room = Arc::new(Room::new(1000));
        let bodies = Bodies::new(Arc::clone(&room), &Limits::default());
        for (codings, body) in
            [(&[][..], Bytes::from("text")), (&["identity"], Bytes::from("text")), (&["br"], Bytes::new())]
        {
            assert_eq!(bodies.unpack(&coded(codings), body.clone()).await.unwrap(), body);
        }
        let plain = bodies.unpack(&coded(&[" X-Gzip "]), gzip(b"a text")).await.unwrap();
        assert_eq!((&plain[..], room.taken()), (&b"a text"[..], 6));
        drop(plain);
        assert_eq!(room.taken(), 0);
        let br = Bytes::from_static(b"\x0b\x02\x80hello\x03");
        assert_eq!(bodies.unpack(&coded(&["br"]), br).await.unwrap(), "hello");
    }

    #[tokio::test]
    async fn sec_lim_14_bombs_are_cut_off_in_ratio_and_size() {
        let room = Arc::new(Room::new(u64::MAX));
        let limits = Limits { decompressed_bytes: 500_000, max_decompression_ratio: 10, ..Limits::default() };
        let bodies = Bodies::new(Arc::clone(&room), &limits);
        let answer = |unread: Unread| unread.into_response("test").status().as_u16();
        let zeros = gzip(&vec![0; 10_000]);
        assert!(zeros.len() < 1000);
        assert_eq!(answer(bodies.unpack(&coded(&["gzip"]), zeros).await.unwrap_err()), 413, "the ratio");
        let mut noise = 1_u32;
        let mixed: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8 & 15
        })
        .take(600_000)
        .collect();
        let packed = gzip(&mixed);
        assert!(packed.len() > LARGE);
        assert_eq!(answer(bodies.unpack(&coded(&["gzip"]), packed.clone()).await.unwrap_err()), 413, "the size");
        assert_eq!(room.taken(), 0, "what was refused is given back");
        room.resize(100);
        assert_eq!(answer(bodies.unpack(&coded(&["gzip"]), packed).await.unwrap_err()), 503, "the room");
    }

    #[tokio::test]
    async fn codings_that_are_not_known_and_bodies_that_are_not_in_theirs_are_told_apart() {
        let bodies = Bodies::default();
        let whole = gzip(b"a text");
        let cases = [
            (&["deflate"][..], whole.clone(), 415),
            (&["gzip, br"], whole.clone(), 415),
            (&["gzip", "gzip"], whole.clone(), 415),
            (&["gzip"], whole.slice(..whole.len() - 4), 400),
            (&["gzip"], Bytes::from("a text"), 400),
            (&["br"], whole, 400),
        ];
        for (codings, body, status) in cases {
            let answer = bodies.unpack(&coded(codings), body).await.unwrap_err().into_response("test");
            assert_eq!(answer.status().as_u16(), status, "{codings:?}");
            assert_eq!(answer.headers().get("accept-encoding").is_some(), status == 415);
        }
    }
}
