//! Response heads.
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, Version};

use super::fields::{Side, collect};
use super::request::describe;
use super::scan::{Break, Extent, USUAL, is_within, scan, with_slots};
use super::{Framing, HeadLimits, ResponseFault};

/// A response head, interim ones included, that obeys security.md UP-01.
#[derive(Debug)]
#[non_exhaustive]
pub struct ParsedResponse {
    /// Status, version and the fields, without hop-by-hop ones, what `Connection` names, and `Transfer-Encoding`.
    pub head: Response<()>,
    /// How the body is delimited, the request's method and the status considered (RFC 9112 §6.3).
    pub framing: Framing,
    /// Whether the connection can carry another request after the body.
    pub keep_alive: bool,
    /// The value of `Upgrade`, when `Connection` names it; what a `101` switches to.
    pub upgrade: Option<HeaderValue>,
    /// Bytes of `input` that the head took.
    pub used: usize,
}

/// Parses the head at the front of `input`; `None` when it is not complete yet.
///
/// The values of the fields are slices of `input`. The reason phrase is checked and dropped.
///
/// # Errors
/// [`ResponseFault`]: the connection is of no use any more.
pub fn parse_response(
    input: &Bytes,
    request_method: &Method,
    limits: &HeadLimits,
) -> Result<Option<ParsedResponse>, ResponseFault> {
    // The usual head: whole, and with nothing to be said against its lines.
    let usual = with_slots(USUAL, |slots| {
        let mut raw = httparse::Response::new(&mut []);
        match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut raw, input, slots) {
            Ok(httparse::Status::Complete(used)) if is_within(input, used, raw.headers, limits) => {
                Some(accept(input, &raw, request_method, used))
            }
            _ => None,
        }
    });
    if let Some(accepted) = usual {
        return accepted.map(Some);
    }
    let scan = scan(input, limits, false);
    let judged = match scan.extent {
        Extent::Complete(at) | Extent::Broken(at, _) => input.get(..at).unwrap_or_default(),
        Extent::Open => input,
    };
    with_slots(scan.lines, |slots| {
        let mut raw = httparse::Response::new(&mut []);
        match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut raw, judged, slots) {
            Ok(httparse::Status::Complete(used)) => accept(input, &raw, request_method, used).map(Some),
            Err(error) => Err(ResponseFault::Malformed(describe(error))),
            Ok(httparse::Status::Partial) => match scan.extent {
                Extent::Broken(_, Break::BareLf) => Err(ResponseFault::Malformed("line that does not end in CRLF")),
                Extent::Broken(_, Break::EmptyLine) => Err(ResponseFault::Malformed("empty line before the response")),
                Extent::Broken(_, Break::FirstLine | Break::Fields) => Err(ResponseFault::TooLarge),
                Extent::Open => Ok(None),
                Extent::Complete(_) => Err(ResponseFault::Malformed("head")),
            },
        }
    })
}

fn accept(
    input: &Bytes,
    raw: &httparse::Response<'_, '_>,
    request_method: &Method,
    used: usize,
) -> Result<ParsedResponse, ResponseFault> {
    let code = raw.code.unwrap_or_default();
    if !(100..=599).contains(&code) {
        return Err(ResponseFault::Malformed("status"));
    }
    let status = StatusCode::from_u16(code).map_err(|_| ResponseFault::Malformed("status"))?;
    let (map, mut seen) = collect(input, raw.headers, Side::Response).map_err(ResponseFault::Malformed)?;
    let is_http_11 = raw.version == Some(1);
    if seen.chunked && !is_http_11 {
        return Err(ResponseFault::Malformed("transfer coding in HTTP/1.0"));
    }
    let framing = match (code, seen.length) {
        (..=199 | 204 | 304, _) => Framing::None,
        _ if *request_method == Method::HEAD => Framing::None,
        _ if seen.chunked => Framing::Chunked,
        (_, Some(length)) => Framing::Length(length),
        (_, None) => Framing::Close,
    };
    let mut head = Response::new(());
    *head.status_mut() = status;
    *head.version_mut() = if is_http_11 { Version::HTTP_11 } else { Version::HTTP_10 };
    *head.headers_mut() = map;
    Ok(ParsedResponse {
        head,
        framing,
        keep_alive: seen.stays(is_http_11) && framing != Framing::Close,
        upgrade: seen.take_upgrade(),
        used,
    })
}
