//! Bodies out of bytes (RFC 9112 §7).
use bytes::{Buf, Bytes};
use http::HeaderMap;

use super::scan::with_slots;
use super::{BodyFault, DecoderLimits, Framing, fields};
use crate::hop::may_trail;

/// Takes one body apart, piece by piece.
///
/// Strict (H1-14 to H1-17): sizes of 1 to 16 hex digits, CRLF and nothing else behind a size line and behind chunk data,
/// extensions without control characters and bounded over the whole message, trailers bounded and parsed like a head.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    limits: DecoderLimits,
    /// Bytes of chunk extensions so far.
    extensions: u32,
    /// The trailer section so far.
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes to come.
    Length(u64),
    /// Until the connection ends.
    Close,
    /// Within a size, so many digits read.
    Size(u64, u8),
    /// Within the extensions of a chunk of this size.
    Extension(u64),
    /// The size line's LF is next.
    SizeLf(u64),
    /// So many bytes of chunk data to come.
    Data(u64),
    /// The CR behind the data is next.
    DataCr,
    /// The LF behind the data is next.
    DataLf,
    /// Within the trailer section.
    Trailers(Trailer),
    Done,
    Failed(BodyFault),
}

/// Where the next byte of the trailer section stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trailer {
    LineStart,
    Line,
    /// The LF of a field line is next.
    LineLf,
    /// The LF of the empty line is next.
    LastLf,
}

/// What [`Decoder::next`] found.
#[derive(Debug)]
pub enum Decoded {
    /// Bytes of the body, never none.
    Data(Bytes),
    /// The trailers, framing, routing, credential and hop fields taken out. Never empty; [`Decoded::Done`] follows.
    Trailers(HeaderMap),
    /// All input is used up and the body goes on.
    More,
    /// The body is complete; what is left of the input is not part of it.
    Done,
}

impl Decoder {
    /// A decoder for one body.
    pub fn new(framing: Framing, limits: DecoderLimits) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(bytes) => State::Length(bytes),
            Framing::Chunked => State::Size(0, 0),
            Framing::Close => State::Close,
        };
        Self { state, limits, extensions: 0, trailers: Vec::new() }
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes that are known to be still missing; `None` when the framing does not tell.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Length(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Tells that the connection ended. `true` when that completes the body ([`Framing::Close`], or it was complete).
    pub fn end_of_stream(&mut self) -> bool {
        if self.state == State::Close {
            self.state = State::Done;
        }
        self.is_done()
    }

    /// Takes what belongs to the body from the front of `input`.
    ///
    /// # Errors
    /// [`BodyFault`]; the same again at every further call.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Decoded, BodyFault> {
        loop {
            match self.state {
                State::Done => return Ok(Decoded::Done),
                State::Failed(fault) => return Err(fault),
                _ if input.is_empty() => return Ok(Decoded::More),
                State::Close => return Ok(Decoded::Data(std::mem::take(input))),
                State::Length(missing) => {
                    let data = take(input, missing);
                    let missing = missing - data.len() as u64;
                    self.state = if missing == 0 { State::Done } else { State::Length(missing) };
                    return Ok(Decoded::Data(data));
                }
                State::Data(missing) => {
                    let data = take(input, missing);
                    let missing = missing - data.len() as u64;
                    self.state = if missing == 0 { State::DataCr } else { State::Data(missing) };
                    return Ok(Decoded::Data(data));
                }
                state => {
                    let byte = input.get_u8();
                    match self.step(state, byte) {
                        Ok(next) => self.state = next,
                        Err(fault) => {
                            self.state = State::Failed(fault);
                            return Err(fault);
                        }
                    }
                    if self.state == State::Done && !self.trailers.is_empty() {
                        return self.finish_trailers();
                    }
                }
            }
        }
    }

    /// One byte of the coding itself.
    fn step(&mut self, state: State, byte: u8) -> Result<State, BodyFault> {
        Ok(match (state, byte) {
            (State::Size(size, digits @ 0..=15), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                State::Size(size << 4 | u64::from(digit), digits + 1)
            }
            (State::Size(size, 1..), b'\r') | (State::Extension(size), b'\r') => State::SizeLf(size),
            (State::Size(size, 1..), b';') | (State::Extension(size), b'\t' | b' '..=b'~') => {
                self.extensions += 1;
                if self.extensions > self.limits.extension_bytes {
                    return Err(BodyFault::Extensions);
                }
                State::Extension(size)
            }
            (State::Size(..), _) => return Err(BodyFault::Chunk("chunk size")),
            (State::Extension(_), _) => return Err(BodyFault::Chunk("chunk extension")),
            (State::SizeLf(0), b'\n') => State::Trailers(Trailer::LineStart),
            (State::SizeLf(size), b'\n') => State::Data(size),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size(0, 0),
            (State::Trailers(place), _) => return self.step_trailer(place, byte),
            _ => return Err(BodyFault::Chunk("line end of a chunk")),
        })
    }

    fn step_trailer(&mut self, place: Trailer, byte: u8) -> Result<State, BodyFault> {
        let next = match (place, byte) {
            (Trailer::LineStart, b'\r') => return Ok(State::Trailers(Trailer::LastLf)),
            (Trailer::LastLf, b'\n') => return Ok(State::Done),
            (Trailer::Line, b'\r') => Trailer::LineLf,
            (Trailer::LineLf, b'\n') => Trailer::LineStart,
            // A line that begins with a space would continue the one before (H1-06).
            (Trailer::LineStart, b'\t' | b' ') => return Err(BodyFault::Trailer),
            (Trailer::LineStart | Trailer::Line, b'\t' | b' '..=b'~' | 0x80..) => Trailer::Line,
            _ => return Err(BodyFault::Trailer),
        };
        if self.trailers.len() as u64 >= u64::from(self.limits.trailer_bytes) {
            return Err(BodyFault::TrailersTooLarge);
        }
        self.trailers.push(byte);
        Ok(State::Trailers(next))
    }

    fn finish_trailers(&mut self) -> Result<Decoded, BodyFault> {
        let mut section = std::mem::take(&mut self.trailers);
        section.extend_from_slice(b"\r\n");
        match parse_trailers(&section.into(), &self.limits) {
            Ok(trailers) if self.limits.keep_trailers && !trailers.is_empty() => Ok(Decoded::Trailers(trailers)),
            Ok(_) => Ok(Decoded::Done),
            Err(fault) => {
                self.state = State::Failed(fault);
                Err(fault)
            }
        }
    }
}

/// The front of `input`, at most `most` bytes.
fn take(input: &mut Bytes, most: u64) -> Bytes {
    let count = usize::try_from(most).unwrap_or(usize::MAX).min(input.len());
    if count == input.len() { std::mem::take(input) } else { input.split_to(count) }
}

fn parse_trailers(section: &Bytes, limits: &DecoderLimits) -> Result<HeaderMap, BodyFault> {
    let lines = memchr::memchr_iter(b'\n', section).count();
    if lines.saturating_sub(1) > limits.trailer_count as usize {
        return Err(BodyFault::TrailersTooLarge);
    }
    // httparse has no entry for field lines alone that takes unset slots, so the section is read behind a status line.
    let head: Bytes = [b"HTTP/1.1 200\r\n", &section[..]].concat().into();
    with_slots(lines, |slots| {
        let mut raw = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut raw, &head, slots);
        if parsed != Ok(httparse::Status::Complete(head.len())) {
            return Err(BodyFault::Trailer);
        }
        let mut map = HeaderMap::new();
        for field in raw.headers.iter().filter(|field| may_trail(field.name)) {
            fields::append(&mut map, &head, field).map_err(|_| BodyFault::Trailer)?;
        }
        Ok(map)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data, trailers, and what is left.
    fn decode(
        framing: Framing,
        limits: DecoderLimits,
        input: &'static [u8],
    ) -> Result<(Vec<u8>, HeaderMap, Bytes), BodyFault> {
        let mut decoder = Decoder::new(framing, limits);
        let (mut input, mut data, mut trailers) = (Bytes::from_static(input), Vec::new(), HeaderMap::new());
        loop {
            match decoder.next(&mut input)? {
                Decoded::Data(piece) => data.extend_from_slice(&piece),
                Decoded::Trailers(map) => trailers = map,
                Decoded::Done => return Ok((data, trailers, input)),
                Decoded::More => panic!("the body is not complete"),
            }
        }
    }

    fn chunked(input: &'static [u8]) -> Result<(Vec<u8>, HeaderMap, Bytes), BodyFault> {
        decode(Framing::Chunked, DecoderLimits::response(), input)
    }

    #[test]
    fn lengths_and_chunks_leave_the_rest() {
        let (data, _, rest) = decode(Framing::Length(3), DecoderLimits::request(), b"abcGET").unwrap();
        assert_eq!((&data[..], &rest[..]), (&b"abc"[..], &b"GET"[..]));
        let (data, trailers, rest) =
            chunked(b"3\r\nabc\r\n00A;x=\"y z\"\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nGET").unwrap();
        assert_eq!((&data[..], &rest[..]), (&b"abc0123456789"[..], &b"GET"[..]));
        assert_eq!(trailers["x-sum"], "1");
    }

    #[test]
    fn sec_h1_14_chunk_sizes() {
        let zeros: &'static [u8] =
            Box::leak([&[b'0'; 1000][..], b"5\r\nabcde\r\n0\r\n\r\n"].concat().into_boxed_slice());
        for bad in [
            &b"0x5\r\n"[..],
            b"+5\r\n",
            b"-5\r\n",
            b" 5\r\n",
            b"5 \r\n",
            b"0_5\r\n",
            b"\r\n",
            b"g\r\n",
            b"5\t\r\n",
            b";a\r\n",
            b"00000000000000005\r\n",
            zeros,
        ] {
            assert_eq!(chunked(bad).unwrap_err(), BodyFault::Chunk("chunk size"), "{bad:?}");
        }
        assert_eq!(chunked(b"0000000000000003\r\nabc\r\n0\r\n\r\n").unwrap().0, b"abc");
    }

    #[test]
    fn sec_h1_15_chunk_lines_end_in_crlf() {
        for bad in [
            &b"3\nabc\r\n0\r\n\r\n"[..],
            b"3;a\nabc\r\n0\r\n\r\n",
            b"3\r\nabc\n0\r\n\r\n",
            b"3\r\nabcd\r\n0\r\n\r\n",
            b"3\r\nabc0\r\n\r\n",
            b"3\rabc\r\n",
            b"3\r\nabc\r0\r\n",
            b"0\r\n\n",
            b"0\n\r\n",
            b"3;a\rb\r\nabc",
            b"3;\x00\r\nabc",
        ] {
            assert!(chunked(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sec_h1_16_extensions_are_bounded_over_the_message() {
        let one = [b"1;", &[b'x'; 1023][..], b"\r\na\r\n"].concat();
        let fits: &'static [u8] = Box::leak([&one.repeat(4)[..], b"0\r\n\r\n"].concat().into_boxed_slice());
        let over: &'static [u8] = Box::leak([&one.repeat(4)[..], b"0;\r\n\r\n"].concat().into_boxed_slice());
        assert_eq!(chunked(fits).unwrap().0, b"aaaa");
        assert_eq!(chunked(over).unwrap_err(), BodyFault::Extensions);
    }

    #[test]
    fn sec_h1_17_trailers() {
        let all = b"0\r\nContent-Length: 5\r\nHost: x\r\nAuthorization: y\r\nConnection: z\r\nX-Sum: 1\r\n\r\n";
        assert_eq!(chunked(all).unwrap().1.keys().collect::<Vec<_>>(), ["x-sum"]);
        let (_, trailers, _) = decode(Framing::Chunked, DecoderLimits::request(), all).unwrap();
        assert!(trailers.is_empty());
        for bad in [
            &b"0\r\na\r\n\r\n"[..],
            b"0\r\na b: c\r\n\r\n",
            b"0\r\na: b\n\r\n",
            b"0\r\na: b\r\n c\r\n\r\n",
            b"0\r\n: b\r\n\r\n",
        ] {
            assert_eq!(
                decode(Framing::Chunked, DecoderLimits::request(), bad).unwrap_err(),
                BodyFault::Trailer,
                "{bad:?}"
            );
        }
        let limits = DecoderLimits { trailer_bytes: 8, trailer_count: 1, ..DecoderLimits::response() };
        let read = |input| decode(Framing::Chunked, limits, input);
        assert!(read(b"0\r\na: bcd\r\n\r\n").is_ok());
        assert_eq!(read(b"0\r\na: bcde\r\n\r\n").unwrap_err(), BodyFault::TrailersTooLarge);
        assert_eq!(read(b"0\r\na:\r\nb:\r\n\r\n").unwrap_err(), BodyFault::TrailersTooLarge);
    }

    #[test]
    fn sec_h1_18_an_early_end_is_no_end() {
        for (framing, input) in [
            (Framing::Length(50), &b"abcde"[..]),
            (Framing::Chunked, b"3\r\nabc\r\n"),
            (Framing::Chunked, b"3\r\nabc\r\n0\r\n"),
            (Framing::Chunked, b"3\r\nabc\r\n0\r\n\r"),
        ] {
            let (mut decoder, mut input) = (Decoder::new(framing, DecoderLimits::request()), Bytes::from_static(input));
            while !matches!(decoder.next(&mut input), Ok(Decoded::More)) {}
            assert!(!decoder.end_of_stream());
        }
        let mut decoder = Decoder::new(Framing::Close, DecoderLimits::response());
        assert!(decoder.end_of_stream());
    }
}
