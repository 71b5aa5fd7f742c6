//! Request heads.
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Version};

use super::fields::{Side, collect};
use super::scan::{Break, Extent, USUAL, is_within, scan, with_slots};
use super::target::parse_target;
use super::{Framing, HeadLimits, RequestFault};

/// Bytes of the longest method (H1-22).
const METHOD_BYTES: usize = 32;

/// A request head that obeys security.md §2.
#[derive(Debug)]
#[non_exhaustive]
pub struct ParsedRequest {
    /// Method, version, the target as sent (a path, an absolute URI, or `*`) and the fields.
    ///
    /// Not among the fields: hop-by-hop ones and what `Connection` names, `Transfer-Encoding`, `Expect`.
    /// `Content-Length` stays. `Host` is that of an absolute target, if the target is one.
    pub head: Request<()>,
    /// How the body is delimited; never [`Framing::Close`].
    pub framing: Framing,
    /// Whether the client leaves the connection open.
    pub keep_alive: bool,
    /// `Expect: 100-continue`, on an HTTP/1.1 request with a body.
    pub expect_continue: bool,
    /// The value of `Upgrade`, when `Connection` names it, in an HTTP/1.1 request without a body (UPG-03). Never `h2c`
    /// (H2-14).
    pub upgrade: Option<HeaderValue>,
    /// Whether the client takes trailers (`TE: trailers`).
    pub te_trailers: bool,
    /// Bytes of `input` that the head took.
    pub used: usize,
}

/// Parses the head at the front of `input`; `None` when it is not complete yet.
///
/// The values of the fields are slices of `input`, which should therefore hold little beside the head.
///
/// # Errors
/// [`RequestFault`]: what to answer before the connection is closed. An input that begins with a faulty one has the same
/// fault.
pub fn parse_request(input: &Bytes, limits: &HeadLimits) -> Result<Option<ParsedRequest>, RequestFault> {
    // The usual head: whole, and with nothing to be said against its lines.
    let usual = with_slots(USUAL, |slots| {
        let mut raw = httparse::Request::new(&mut []);
        match raw.parse_with_uninit_headers(input, slots) {
            Ok(httparse::Status::Complete(used)) if is_within(input, used, raw.headers, limits) => {
                Some(accept(input, &raw, used))
            }
            _ => None,
        }
    });
    if let Some(accepted) = usual {
        return accepted.map(Some);
    }
    let scan = scan(input, limits, true);
    let judged = match scan.extent {
        Extent::Complete(at) | Extent::Broken(at, _) => input.get(..at).unwrap_or_default(),
        Extent::Open => input,
    };
    with_slots(scan.lines, |slots| {
        let mut raw = httparse::Request::new(&mut []);
        let fault = match raw.parse_with_uninit_headers(judged, slots) {
            Ok(httparse::Status::Complete(used)) => return accept(input, &raw, used).map(Some),
            Ok(httparse::Status::Partial) => None,
            Err(httparse::Error::Version) => version_fault(judged),
            Err(error) => Some(RequestFault::Malformed(describe(error))),
        };
        match (fault, scan.extent) {
            (Some(fault), _) => Err(fault),
            (None, Extent::Open) => Ok(None),
            (None, Extent::Complete(_)) => Err(RequestFault::Malformed("head")),
            (None, Extent::Broken(_, Break::BareLf)) => Err(RequestFault::Malformed("line that does not end in CRLF")),
            (None, Extent::Broken(_, Break::EmptyLine)) => {
                Err(RequestFault::Malformed("empty lines before the request"))
            }
            (None, Extent::Broken(_, Break::FirstLine)) => Err(RequestFault::LineTooLong),
            (None, Extent::Broken(_, Break::Fields)) => Err(RequestFault::HeadTooLarge),
        }
    })
}

/// What the rules say of a head whose lines are well-formed.
fn accept(input: &Bytes, raw: &httparse::Request<'_, '_>, used: usize) -> Result<ParsedRequest, RequestFault> {
    let method = parse_method(raw.method.unwrap_or_default())?;
    let (mut map, mut seen) = collect(input, raw.headers, Side::Request).map_err(RequestFault::Malformed)?;
    let is_http_11 = raw.version == Some(1);
    if seen.chunked && !is_http_11 {
        return Err(RequestFault::Malformed("transfer coding in HTTP/1.0"));
    }
    if seen.hosts > 1 || (seen.hosts == 0 && is_http_11) || (seen.hosts == 1 && !seen.host_valid) {
        return Err(RequestFault::Malformed("not exactly one valid host"));
    }
    let path = raw.path.unwrap_or_default().as_bytes();
    let target = parse_target(input.slice_ref(path), &method).map_err(RequestFault::Malformed)?;
    if seen.expect_other && is_http_11 {
        return Err(RequestFault::Expectation);
    }
    if let Some(host) = target.host {
        map.insert(http::header::HOST, host);
    }
    let framing = match seen.length {
        _ if seen.chunked => Framing::Chunked,
        Some(length) => Framing::Length(length),
        None => Framing::None,
    };
    let upgrade = seen.take_upgrade().filter(|value| !value.as_bytes().eq_ignore_ascii_case(b"h2c"));
    let mut head = Request::new(());
    *head.method_mut() = method;
    *head.uri_mut() = target.uri;
    *head.version_mut() = if is_http_11 { Version::HTTP_11 } else { Version::HTTP_10 };
    *head.headers_mut() = map;
    Ok(ParsedRequest {
        head,
        framing,
        keep_alive: seen.stays(is_http_11),
        expect_continue: seen.expect_continue && is_http_11 && !framing.is_empty(),
        upgrade: upgrade.filter(|_| is_http_11 && framing.is_empty()),
        te_trailers: seen.te_trailers,
        used,
    })
}

fn parse_method(raw: &str) -> Result<Method, RequestFault> {
    if raw.len() > METHOD_BYTES {
        return Err(RequestFault::Malformed("method is too long"));
    }
    match raw {
        "CONNECT" | "TRACE" => Err(RequestFault::Method(StatusCode::METHOD_NOT_ALLOWED)),
        "PRI" => Err(RequestFault::Method(StatusCode::NOT_IMPLEMENTED)),
        _ => Method::from_bytes(raw.as_bytes()).map_err(|_| RequestFault::Malformed("method")),
    }
}

/// What is wrong with a version that httparse refuses; `None` while that cannot be told yet.
fn version_fault(judged: &[u8]) -> Option<RequestFault> {
    let line = judged.strip_prefix(b"\r\n").unwrap_or(judged);
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let (method, version) = (words.next().unwrap_or_default(), words.nth(1).unwrap_or_default());
    let (version, ended) = match version.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        Some(end) => (version.get(..end).unwrap_or_default(), true),
        None => (version, false),
    };
    let pattern = b"HTTP/d.d";
    let fits = |(byte, wanted): (&u8, &u8)| if *wanted == b'd' { byte.is_ascii_digit() } else { byte == wanted };
    let well_formed = version.len() <= pattern.len() && version.iter().zip(pattern).all(fits);
    match (well_formed, ended) {
        // The preface of HTTP/2 is no request of a newer version, but another protocol (H1-23).
        (true, true) if version.len() == pattern.len() && method != b"PRI" => Some(RequestFault::Version),
        (true, false) => None,
        _ => Some(RequestFault::Malformed("version")),
    }
}

/// The text for a fault that httparse found.
pub(super) fn describe(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "field name",
        httparse::Error::HeaderValue => "field value",
        httparse::Error::NewLine => "line end",
        httparse::Error::Status => "status line",
        httparse::Error::Token => "method or target",
        httparse::Error::TooManyHeaders => "too many fields",
        httparse::Error::Version => "version",
    }
}
