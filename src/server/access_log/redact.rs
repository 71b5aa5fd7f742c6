//! Secrets out of URLs.
use std::borrow::Cow;
use std::sync::Arc;

/// Which query parameters have their values replaced (security.md SECR-02).
///
/// A parameter is meant when its name, percent-decoded and in any case, is in the list or ends with `_`, `-` or `.` and a
/// name of the list, such as `access_token`.
#[derive(Clone, Debug)]
pub struct Redact(Arc<[String]>);

impl Default for Redact {
    /// `token`, `key`, `apikey`, `password`, `passwd`, `pwd`, `secret`, `signature`, `sig`, `auth`, `authorization`,
    /// `credential`, `credentials`, `jwt`, `session`, `code`.
    fn default() -> Self {
        Self::new([
            "token",
            "key",
            "apikey",
            "password",
            "passwd",
            "pwd",
            "secret",
            "signature",
            "sig",
            "auth",
            "authorization",
            "credential",
            "credentials",
            "jwt",
            "session",
            "code",
        ])
    }
}

impl Redact {
    /// Exactly these names.
    pub fn new<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self(names.into_iter().map(|name| name.into().to_ascii_lowercase()).collect())
    }

    /// Replaces secret values in the query of a URL or target by `[redacted]`.
    pub(super) fn apply<'a>(&self, url: &'a str) -> Cow<'a, str> {
        let Some((path, query)) = url.split_once('?') else { return Cow::Borrowed(url) };
        if !query.split(['&', ';']).any(|pair| self.is_secret(pair)) {
            return Cow::Borrowed(url);
        }
        let mut out = format!("{path}?");
        let mut rest = query;
        while !rest.is_empty() {
            let end = rest.find(['&', ';']).unwrap_or(rest.len());
            let (pair, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
            match pair.split_once('=') {
                Some((name, _)) if self.is_secret(pair) => {
                    out.push_str(name);
                    out.push_str("=[redacted]");
                }
                _ => out.push_str(pair),
            }
            let mut chars = behind.chars();
            out.extend(chars.next());
            rest = chars.as_str();
        }
        Cow::Owned(out)
    }

    fn is_secret(&self, pair: &str) -> bool {
        let Some((name, _)) = pair.split_once('=') else { return false };
        let name = decode(name);
        self.0.iter().any(|secret| {
            name.strip_suffix(secret.as_bytes())
                .is_some_and(|before| matches!(before.last(), None | Some(b'_' | b'-' | b'.')))
        })
    }
}

/// Percent-decodes and lower-cases a name.
fn decode(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let escaped = match (byte, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        out.push(escaped.unwrap_or(*byte).to_ascii_lowercase());
        rest = if escaped.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_secr_02_secret_parameters() {
        let redact = Redact::default();
        for (url, wanted) in [
            ("/a", "/a"),
            ("/a?b=c&keyboard=x&monkey=y", "/a?b=c&keyboard=x&monkey=y"),
            ("/a?key=1&b=2", "/a?key=[redacted]&b=2"),
            ("/a?b=2;Access_Token=x&&sig=", "/a?b=2;Access_Token=[redacted]&&sig=[redacted]"),
            ("/a?%74oken=x", "/a?%74oken=[redacted]"),
            ("/a?X-Amz-Signature=x=y?z", "/a?X-Amz-Signature=[redacted]"),
            ("http://h/?password=ä&", "http://h/?password=[redacted]&"),
            ("/a?token", "/a?token"),
            ("/a?%=1&key%=2", "/a?%=1&key%=2"),
        ] {
            assert_eq!(redact.apply(url), wanted);
        }
        assert_eq!(Redact::new(["PIN"]).apply("/?pin=1&key=2"), "/?pin=[redacted]&key=2");
    }
}
