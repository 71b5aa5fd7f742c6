//! A strict parser of HTTP/1.1 messages (RFC 9112), the judge of what was sent: it shares nothing with the code under test
//! and takes only what can be read in one way.

/// One message, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// `GET /a HTTP/1.1`, or `HTTP/1.1 200 OK`.
    pub(crate) start: String,
    /// As sent: names in their case, in their order.
    pub(crate) fields: Vec<(String, String)>,
    /// Without the framing of chunks.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Message {
    /// The only field of that name; fails the test when it was sent twice.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} more than once in {self:?}");
        all.first().copied()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub(crate) fn method(&self) -> &str {
        self.start.split(' ').next().unwrap()
    }

    pub(crate) fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap()
    }

    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// Why bytes are no message: a sentence.
pub(crate) type Fault = String;

/// The first request in `bytes` and how many bytes it has; `None` while it is not whole.
pub(crate) fn request(bytes: &[u8]) -> Result<Option<(Message, usize)>, Fault> {
    let Some((mut message, mut used)) = head(bytes)? else { return Ok(None) };
    request_line(&message.start)?;
    match framing(&message)? {
        Framing::Nothing => {}
        sized => {
            let Some(length) = body(sized, &bytes[used..], &mut message)? else { return Ok(None) };
            used += length;
        }
    }
    Ok(Some((message, used)))
}

/// Requests and nothing else: a part of one at the end is a fault.
pub(crate) fn requests(mut bytes: &[u8]) -> Result<Vec<Message>, Fault> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (message, used) = request(bytes)?.ok_or_else(|| format!("cut short: {}", super::text(bytes)))?;
        messages.push(message);
        bytes = &bytes[used..];
    }
    Ok(messages)
}

/// The first response in `bytes`, to a request of `method`, and how many bytes it has; `None` while it is not whole. `ended`:
/// the connection was closed in an orderly way, which is what ends a response of neither length nor chunks.
pub(crate) fn response(bytes: &[u8], method: &str, ended: bool) -> Result<Option<(Message, usize)>, Fault> {
    let Some((mut message, mut used)) = head(bytes)? else { return Ok(None) };
    let status = status_line(&message.start)?;
    let sized = framing(&message)?;
    let bodiless = method == "HEAD" || matches!(status, 100..=199 | 204 | 304);
    if matches!(status, 100..=199 | 204) && !matches!(sized, Framing::Nothing) {
        return Err(format!("a {status} with framing: {message:?}"));
    }
    match sized {
        _ if bodiless => {}
        Framing::Nothing if !ended => return Ok(None),
        Framing::Nothing => {
            message.body = bytes[used..].to_vec();
            used = bytes.len();
        }
        sized => {
            let Some(length) = body(sized, &bytes[used..], &mut message)? else { return Ok(None) };
            used += length;
        }
    }
    Ok(Some((message, used)))
}

enum Framing {
    Nothing,
    Length(usize),
    Chunked,
}

fn framing(message: &Message) -> Result<Framing, Fault> {
    match (message.all("content-length").as_slice(), message.all("transfer-encoding").as_slice()) {
        ([], []) => Ok(Framing::Nothing),
        ([length], []) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Framing::Length(length.parse().map_err(|error| format!("content-length {length}: {error}"))?))
        }
        ([], ["chunked"]) => Ok(Framing::Chunked),
        both => Err(format!("framing is not plain: {both:?}")),
    }
}

/// Fills in the body; its length on the wire.
fn body(framing: Framing, bytes: &[u8], message: &mut Message) -> Result<Option<usize>, Fault> {
    if let Framing::Length(length) = framing {
        message.body = bytes.get(..length).unwrap_or_default().to_vec();
        return Ok((bytes.len() >= length).then_some(length));
    }
    let mut at = 0;
    loop {
        let Some((size, used)) = line(&bytes[at..])? else { return Ok(None) };
        at += used;
        if size.is_empty() || size.len() > 15 || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("chunk size {size:?}"));
        }
        let size = usize::from_str_radix(size, 16).map_err(|error| error.to_string())?;
        if size == 0 {
            let Some((trailers, used)) = fields(&bytes[at..])? else { return Ok(None) };
            message.trailers = trailers;
            return Ok(Some(at + used));
        }
        let Some(chunk) = bytes.get(at..at + size + 2) else { return Ok(None) };
        let Some(data) = chunk.strip_suffix(b"\r\n") else { return Err("no CR LF behind a chunk".to_owned()) };
        message.body.extend_from_slice(data);
        at += size + 2;
    }
}

fn head(bytes: &[u8]) -> Result<Option<(Message, usize)>, Fault> {
    let Some((start, used)) = line(bytes)? else { return Ok(None) };
    let Some((fields, length)) = fields(&bytes[used..])? else { return Ok(None) };
    Ok(Some((Message { start: start.to_owned(), fields, ..Message::default() }, used + length)))
}

type Fields = Vec<(String, String)>;

/// Up to and with the empty line.
fn fields(bytes: &[u8]) -> Result<Option<(Fields, usize)>, Fault> {
    let (mut found, mut at) = (Vec::new(), 0);
    loop {
        let Some((text, used)) = line(&bytes[at..])? else { return Ok(None) };
        at += used;
        if text.is_empty() {
            return Ok(Some((found, at)));
        }
        let (name, value) = text.split_once(':').ok_or_else(|| format!("a field without a colon: {text:?}"))?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(format!("a field's name is no token: {name:?}"));
        }
        found.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
}

/// One line without its CR LF, and its length with it. Text beyond ASCII has to be UTF-8.
fn line(bytes: &[u8]) -> Result<Option<(&str, usize)>, Fault> {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let shown = &bytes[..end.unwrap_or(bytes.len())];
    let content = shown.strip_suffix(b"\r").unwrap_or(shown);
    if end.is_some() && content.len() == shown.len() {
        return Err(format!("a bare LF behind {}", super::text(shown)));
    }
    if content.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return Err(format!("a control byte in {}", super::text(shown)));
    }
    let Some(end) = end else { return Ok(None) };
    let content = std::str::from_utf8(content).map_err(|error| format!("{error} in {}", super::text(shown)))?;
    Ok(Some((content, end + 1)))
}

fn request_line(start: &str) -> Result<(), Fault> {
    let parts: Vec<_> = start.split(' ').collect();
    match parts.as_slice() {
        [method, target, "HTTP/1.1"]
            if !method.is_empty()
                && method.bytes().all(is_token)
                && target.bytes().all(|byte| byte.is_ascii_graphic())
                && !target.is_empty() =>
        {
            Ok(())
        }
        _ => Err(format!("no request line: {start:?}")),
    }
}

fn status_line(start: &str) -> Result<u16, Fault> {
    let fault = || format!("no status line: {start:?}");
    let rest = start.strip_prefix("HTTP/1.1 ").or_else(|| start.strip_prefix("HTTP/1.0 ")).ok_or_else(fault)?;
    let (status, _) = rest.split_once(' ').ok_or_else(fault)?;
    if status.len() == 3 { status.parse().map_err(|_| fault()) } else { Err(fault()) }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
