//! What a line looks like.
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{HOST, REFERER, USER_AGENT};
use http::{HeaderValue, Method, Uri, Version};

use super::Redact;
use crate::http1::civil;
use crate::{ConnectInfo, Exchange};

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// The combined log format that common tools read:
    /// `client - - [time] "request" status bytes "referer" "user agent"`.
    #[default]
    Combined,
    /// One JSON object: `time` (RFC 3339), `client`, `method`, `uri`, `protocol`, `host`, `status`, `bytes`,
    /// `duration_ms`, `referer`, `user_agent`, and where known `route` (its id), `upstream` (the address of the
    /// endpoint; of several that were tried all, in order) and `policies` (the names of those that decided).
    Json,
}

/// What is known of one exchange.
pub(super) struct Event {
    pub(super) peer: Option<ConnectInfo>,
    pub(super) time: SystemTime,
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) version: Version,
    pub(super) host: Option<HeaderValue>,
    pub(super) referer: Option<HeaderValue>,
    pub(super) user_agent: Option<HeaderValue>,
    /// 499 when the client went away before there was one.
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) duration: Duration,
    pub(super) exchange: Exchange,
}

impl Event {
    /// The line, with its line end.
    pub(super) fn line(&mut self, format: Format, redact: &Redact) -> String {
        self.hide();
        match format {
            Format::Combined => self.combined(redact),
            Format::Json => self.json(redact),
        }
    }

    /// The client: who was found out to be behind the peer, else the peer.
    fn client(&self) -> Option<IpAddr> {
        self.exchange.client().or_else(|| self.peer.as_ref().map(ConnectInfo::ip))
    }

    fn target(&self) -> String {
        match self.uri.path_and_query() {
            Some(target) => self.exchange.masked_target(target.as_str()),
            None => self.uri.to_string(),
        }
    }

    /// Takes out what layers have hidden of the request's fields.
    fn hide(&mut self) {
        for (name, value) in [(HOST, &mut self.host), (REFERER, &mut self.referer), (USER_AGENT, &mut self.user_agent)]
        {
            *value = value.take().and_then(|value| self.exchange.masked_field(&name, value));
        }
    }

    fn combined(&self, redact: &Redact) -> String {
        let mut out = String::with_capacity(256);
        let client = self.client().map_or_else(|| "-".to_owned(), |client| client.to_string());
        let (year, month, day, hour, minute, second, _) = utc(self.time);
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = MONTHS.get(month as usize).unwrap_or(&"Jan");
        // Writing to a string cannot fail.
        let _ = write!(out, "{client} - - [{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000] \"");
        plain(&mut out, self.method.as_str().as_bytes());
        out.push(' ');
        plain(&mut out, redact.apply(&self.target()).as_bytes());
        let _ = write!(out, " {:?}\" {} {} \"", self.version, self.status, self.bytes);
        plain(&mut out, referer(self.referer.as_ref(), redact).unwrap_or_else(|| "-".to_owned()).as_bytes());
        out.push_str("\" \"");
        plain(&mut out, self.user_agent.as_ref().map_or(b"-", |agent| agent.as_bytes()));
        out.push_str("\"\n");
        out
    }

    fn json(&self, redact: &Redact) -> String {
        let mut out = String::with_capacity(384);
        let (year, month, day, hour, minute, second, millis) = utc(self.time);
        let month = month + 1;
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "{{\"time\":\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z\",\"status\":{},\
             \"bytes\":{},\"duration_ms\":{:.3},\"protocol\":\"{:?}\"",
            self.status,
            self.bytes,
            self.duration.as_secs_f64() * 1000.0,
            self.version
        );
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        for (name, value) in [
            ("client", self.client().map(|client| client.to_string())),
            ("method", Some(self.method.to_string())),
            ("uri", Some(redact.apply(&self.target()).into_owned())),
            ("host", self.host.as_ref().map(text)),
            ("referer", referer(self.referer.as_ref(), redact)),
            ("user_agent", self.user_agent.as_ref().map(text)),
            ("route", self.exchange.route().map(|id| id.to_string())),
            ("upstream", self.exchange.upstream()),
            ("policies", Some(self.exchange.policies().join(", ")).filter(|names| !names.is_empty())),
        ] {
            if let Some(value) = value {
                let _ = write!(out, ",\"{name}\":\"");
                quoted(&mut out, &value);
                out.push('"');
            }
        }
        out.push_str("}\n");
        out
    }
}

fn referer(value: Option<&HeaderValue>, redact: &Redact) -> Option<String> {
    value.map(|value| redact.apply(&String::from_utf8_lossy(value.as_bytes())).into_owned())
}

/// Year, month (0 = January), day, hour, minute, second, millisecond.
fn utc(time: SystemTime) -> (u64, u64, u64, u64, u64, u64, u32) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    (year, month, day, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60, since.subsec_millis())
}

/// Escapes for the combined format: quotes, backslashes and all that is not printable ASCII as `\xHH`.
fn plain(out: &mut String, text: &[u8]) {
    for byte in text {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f.. => {
                let _ = write!(out, "\\x{byte:02X}");
            }
            byte => out.push(char::from(*byte)),
        }
    }
}

/// Escapes for JSON, beyond what it asks for: also DEL, C1 controls and what some readers take for a line end.
fn quoted(out: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            char if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04x}", char as u32);
            }
            char => out.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        let exchange = Exchange::new();
        exchange.set_route("r1".into());
        exchange.add_attempt(crate::Attempt::new("10.0.0.1:80"));
        Event {
            peer: Some(ConnectInfo::new(([192, 0, 2, 7], 4711).into())),
            time: UNIX_EPOCH + Duration::from_millis(971_186_136_042),
            method: Method::GET,
            uri: Uri::from_static("/a\"b?token=t&x=1"),
            version: Version::HTTP_11,
            host: Some(HeaderValue::from_static("gw.test")),
            referer: Some(HeaderValue::from_static("http://r/?key=k")),
            user_agent: Some(HeaderValue::from_bytes(b"\x80 \"q\" \\ \xe2\x80\xa8").unwrap()),
            status: 200,
            bytes: 12,
            duration: Duration::from_micros(1_500),
            exchange,
        }
    }

    #[test]
    fn the_client_is_the_one_behind_the_peer() {
        let mut event = event();
        event.exchange.set_client([198, 51, 100, 4].into());
        assert!(event.line(Format::Combined, &Redact::default()).starts_with("198.51.100.4 - - ["));
        assert!(event.line(Format::Json, &Redact::default()).contains("\"client\":\"198.51.100.4\""));
    }

    #[test]
    fn sec_secr_03_combined() {
        assert_eq!(
            event().line(Format::Combined, &Redact::default()),
            "192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] \"GET /a\\x22b?token=[redacted]&x=1 HTTP/1.1\" 200 12 \
             \"http://r/?key=[redacted]\" \"\\x80 \\x22q\\x22 \\x5C \\xE2\\x80\\xA8\"\n"
        );
    }

    #[test]
    fn sec_secr_03_json() {
        let line = event().line(Format::Json, &Redact::default());
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.is_ascii() || !line.contains('\u{2028}'));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        for (name, wanted) in [
            ("time", "2000-10-10T13:55:36.042Z"),
            ("client", "192.0.2.7"),
            ("method", "GET"),
            ("uri", "/a\"b?token=[redacted]&x=1"),
            ("protocol", "HTTP/1.1"),
            ("host", "gw.test"),
            ("referer", "http://r/?key=[redacted]"),
            ("user_agent", "\u{fffd} \"q\" \\ \u{2028}"),
            ("route", "r1"),
            ("upstream", "10.0.0.1:80"),
        ] {
            assert_eq!(value[name], wanted);
        }
        assert_eq!((&value["status"], &value["bytes"], &value["duration_ms"]), (&200.into(), &12.into(), &1.5.into()));
    }
}
