//! Fuzz targets of the HTTP/1 codec: request heads, response heads, chunked bodies. On stable Rust, by proptest;
//! `PROPTEST_CASES=1000000 cargo test --release --test fuzz_http1` runs them for longer.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::collection::vec;
use proptest::prelude::*;
use tollgate::http1::{
    BodyFault, Connection, Decoded, Decoder, DecoderLimits, Framing, HeadLimits, ResponseOptions, gather,
    parse_request, parse_response, write_chunk_head, write_request, write_response, write_trailers,
};

/// Pieces that heads are made of, good and bad.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static [u8]> = vec![
        b"GET",
        b"POST",
        b"PRI",
        b"CONNECT",
        b" ",
        b"  ",
        b"/",
        b"/a?b=c",
        b"*",
        b"http://h/",
        b"//h",
        b"#",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"HTTP/1.",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"\r\n ",
        b"\0",
        b"\x7f",
        b"\xc3\xa9",
        b"\t",
        b"Host: h",
        b"Host: h\r\n",
        b"host:h:80\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length:",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Connection: close, x-a\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket\r\n",
        b"X-A: 1\r\n",
        b"X A: 1\r\n",
        b": 1\r\n",
        b"Expect: 100-continue\r\n",
        b"Expect: x\r\n",
        b"TE: trailers\r\n",
        b"200",
        b" 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 101 x\r\n",
        b"100",
        b"GET / HTTP/1.1\r\nHost: h\r\n",
        b"POST /p HTTP/1.1\r\nhost: h\r\n",
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];
    prop_oneof![
        8 => proptest::sample::select(known).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..6),
        1 => vec(32u8..127, 0..40),
    ]
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![
        Just(b"GET / HTTP/1.1\r\nHost: h\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Just(Vec::new()),
    ];
    (start, vec(piece(), 0..12), any::<bool>()).prop_map(|(start, pieces, ended)| {
        let end = if ended { &b"\r\n\r\n"[..] } else { b"" };
        [&start[..], &pieces.concat(), end].concat()
    })
}

/// Small limits, so that they are met often.
fn limits() -> impl Strategy<Value = HeadLimits> {
    (10usize..60, 20usize..200, 10usize..60, 1usize..8, any::<bool>()).prop_map(|(line, all, field, count, lf)| {
        let mut limits = HeadLimits::request();
        limits.request_line_bytes = line;
        limits.header_bytes = all;
        limits.field_bytes = field;
        limits.header_count = count;
        limits.allow_bare_lf = lf;
        limits
    })
}

/// What must agree however the input is cut.
type Outcome = Result<Option<(usize, String)>, String>;

fn request(input: &Bytes, limits: &HeadLimits) -> Outcome {
    let parsed = parse_request(input, limits).map_err(|fault| fault.to_string())?;
    Ok(parsed.map(|got| (got.used, format!("{got:?}"))))
}

fn response(input: &Bytes, limits: &HeadLimits) -> Outcome {
    let parsed = parse_response(input, &Method::GET, limits).map_err(|fault| fault.to_string())?;
    Ok(parsed.map(|got| (got.used, format!("{got:?}"))))
}

/// Parses every prefix: a verdict on one is the verdict on all longer ones. Then gathers byte by byte, as a connection does.
fn check_prefixes(input: &[u8], parse: impl Fn(&Bytes) -> Outcome) {
    let whole = parse(&Bytes::copy_from_slice(input));
    if let Ok(Some((used, _))) = &whole {
        assert!(*used <= input.len());
    }
    for end in 0..input.len() {
        let prefix = parse(&Bytes::copy_from_slice(&input[..end]));
        if prefix != Ok(None) {
            assert_eq!(prefix, whole, "after {end} bytes");
        }
    }
    let (mut carry, mut gathered) = (Bytes::new(), Ok(None));
    for byte in input {
        if gather(&mut carry, &Bytes::copy_from_slice(&[*byte])) {
            gathered = parse(&carry);
            if gathered != Ok(None) {
                break;
            }
        }
    }
    if matches!(whole, Ok(Some(_))) {
        assert_eq!(gathered, whole);
    }
}

/// Decodes `input` cut at the given places; all data, all trailers, what is left.
fn decode(
    input: &[u8],
    cuts: &[usize],
    limits: DecoderLimits,
) -> (Vec<u8>, Option<HeaderMap>, Result<Option<usize>, BodyFault>) {
    let mut decoder = Decoder::new(Framing::Chunked, limits);
    let (mut data, mut trailers, mut at) = (Vec::new(), None, 0);
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (input.len() + 1)).chain([input.len()]).collect();
    ends.sort_unstable();
    for end in ends {
        let mut piece = Bytes::copy_from_slice(&input[at..end]);
        at = end;
        loop {
            match decoder.next(&mut piece) {
                Ok(Decoded::Data(bytes)) => {
                    assert!(!bytes.is_empty());
                    data.extend_from_slice(&bytes);
                }
                Ok(Decoded::Trailers(map)) => trailers = Some(map),
                Ok(Decoded::Done) => return (data, trailers, Ok(Some(input.len() - at + piece.len()))),
                Ok(Decoded::More) => break,
                Err(fault) => return (data, trailers, Err(fault)),
            }
        }
    }
    assert!(!decoder.end_of_stream());
    (data, trailers, Ok(None))
}

fn chunk_piece() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static [u8]> = vec![
        b"0\r\n",
        b"1\r\na\r\n",
        b"3\r\nabc\r\n",
        b"a\r\n0123456789\r\n",
        b"3;x=y\r\nabc\r\n",
        b"3;x=\"a;b\"\r\nabc\r\n",
        b"\r\n",
        b"X-Sum: 1\r\n",
        b"Host: x\r\n",
        b"Bad Name: x\r\n",
        b"\n",
        b"0",
        b"00",
        b"F",
        b"g",
        b";",
        b" ",
        b"\r",
        b"+",
        b"0x",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"3\nabc",
        b"\0",
    ];
    prop_oneof![9 => proptest::sample::select(known).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..4)]
}

fn headers() -> impl Strategy<Value = Vec<(HeaderName, HeaderValue)>> {
    let field = ("x-[a-z0-9]{1,8}", "[ -~]{0,20}").prop_map(|(name, value)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value.trim()).unwrap())
    });
    vec(field, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2000)))]

    #[test]
    fn request_heads(input in message(), limits in limits()) {
        check_prefixes(&input, |input| request(input, &limits));
        check_prefixes(&input, |input| request(input, &HeadLimits::request()));
    }

    #[test]
    fn response_heads(input in message(), limits in limits()) {
        check_prefixes(&input, |input| response(input, &limits));
        check_prefixes(&input, |input| response(input, &HeadLimits::response()));
    }

    #[test]
    fn random_bytes(input in vec(any::<u8>(), 0..300)) {
        check_prefixes(&input, |input| request(input, &HeadLimits::request()));
        check_prefixes(&input, |input| response(input, &HeadLimits::response()));
        let _ = decode(&input, &[1, 5], DecoderLimits::request());
    }

    #[test]
    fn chunked_bodies(pieces in vec(chunk_piece(), 0..12), cuts in vec(any::<usize>(), 0..10)) {
        let input = pieces.concat();
        let mut limits = DecoderLimits::response();
        (limits.extension_bytes, limits.trailer_bytes, limits.trailer_count) = (12, 24, 2);
        for limits in [limits, DecoderLimits::response(), DecoderLimits::request()] {
            let whole = decode(&input, &[], limits);
            let cut = decode(&input, &cuts, limits);
            prop_assert_eq!(&cut, &whole);
            let every: Vec<_> = (0..input.len()).collect();
            prop_assert_eq!(decode(&input, &every, limits), whole);
        }
    }

    #[test]
    fn what_is_written_is_read_again(
        fields in headers(),
        path in "/[a-z0-9._~/-]{0,20}",
        length in any::<u32>(),
        chunked in any::<bool>(),
        body in vec(vec(any::<u8>(), 1..50), 0..8),
    ) {
        let framing = if chunked { Framing::Chunked } else { Framing::Length(u64::from(length)) };
        let mut map = HeaderMap::new();
        map.insert("host", HeaderValue::from_static("gw.test"));
        map.extend(fields.iter().cloned());
        for (name, value) in &fields {
            if map.get(name) != Some(value) {
                map.append(name, value.clone());
            }
        }
        // Framing of somebody else's making is never taken over.
        map.insert("content-length", HeaderValue::from_static("77"));
        map.insert("transfer-encoding", HeaderValue::from_static("gzip"));
        map.insert("connection", HeaderValue::from_static("x-a"));

        let mut out = Vec::new();
        write_request(&mut out, &Method::POST, &path, &map, |_| (), framing);
        let got = parse_request(&out.clone().into(), &HeadLimits::request()).unwrap().unwrap();
        prop_assert_eq!((got.used, got.framing, got.head.uri().path()), (out.len(), framing, path.as_str()));
        let mut wanted = map.clone();
        for name in ["content-length", "transfer-encoding", "connection"] {
            wanted.remove(name);
        }
        let mut fields_got = got.head.headers().clone();
        fields_got.remove("content-length");
        prop_assert_eq!(&fields_got, &wanted);

        let mut head = http::Response::new(()).into_parts().0;
        head.headers = map;
        let options = ResponseOptions { framing, send_length: false, connection: Connection::Stay };
        out.clear();
        write_response(&mut out, head.status, &head.headers, &options);
        let got = parse_response(&out.clone().into(), &Method::GET, &HeadLimits::response()).unwrap().unwrap();
        prop_assert_eq!((got.used, got.framing, got.keep_alive), (out.len(), framing, true));

        out.clear();
        for piece in &body {
            write_chunk_head(&mut out, piece.len());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from(body.len()));
        write_trailers(&mut out, &trailers);
        out.extend_from_slice(b"next");
        let (data, got, left) = decode(&out, &[7, 19], DecoderLimits::response());
        prop_assert_eq!((data, got, left), (body.concat(), Some(trailers), Ok(Some(4))));
    }
}
