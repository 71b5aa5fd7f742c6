//! What a client says of its signature, and what is signed.
use http::{HeaderName, Request};

use crate::request::RequestVars;
use crate::router::{Value, VarName, Variables as _};

/// The pseudo header of method and target.
pub(super) const REQUEST_TARGET: &str = "@request-target";

/// The parameters of `Authorization: Signature …`. Of a parameter that is not known nothing is read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Parameters<'h> {
    pub(super) key_id: Option<&'h str>,
    pub(super) algorithm: Option<&'h str>,
    pub(super) headers: Option<&'h str>,
    pub(super) signature: Option<&'h str>,
}

impl<'h> Parameters<'h> {
    /// Reads `name="value"`, separated by commas; `None` if it is something else, or names a parameter twice.
    pub(super) fn read(text: &'h str) -> Option<Self> {
        let mut found = Self::default();
        let mut rest = text.trim_ascii();
        while !rest.is_empty() {
            let (name, behind) = rest.split_once('=')?;
            let name = name.trim_ascii_end();
            if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return None;
            }
            let (value, behind) = behind.trim_ascii_start().strip_prefix('"')?.split_once('"')?;
            let place = match name {
                "keyId" => Some(&mut found.key_id),
                "algorithm" => Some(&mut found.algorithm),
                "headers" => Some(&mut found.headers),
                "signature" => Some(&mut found.signature),
                _ => None,
            };
            if let Some(place) = place
                && place.replace(value).is_some()
            {
                return None;
            }
            rest = behind.trim_ascii_start();
            if !rest.is_empty() {
                rest = rest.strip_prefix(',')?.trim_ascii_start();
            }
        }
        Some(found)
    }

    /// The names of what is signed.
    pub(super) fn signed(&self) -> impl Iterator<Item = &'h str> {
        self.headers.unwrap_or("").split_ascii_whitespace()
    }

    /// The bytes that are signed, if the target is this one.
    pub(super) fn message<B>(&self, request: &Request<B>, target: &[u8]) -> Vec<u8> {
        let mut message = self.key_id.unwrap_or("").as_bytes().to_vec();
        message.push(b'\n');
        for name in self.signed() {
            if name == REQUEST_TARGET {
                message.extend_from_slice(request.method().as_str().as_bytes());
                message.push(b' ');
                message.extend_from_slice(target);
                message.push(b'\n');
            } else if let Some(value) = value(request, name) {
                message.extend_from_slice(name.as_bytes());
                message.extend_from_slice(b": ");
                message.extend_from_slice(&value);
                message.push(b'\n');
            }
        }
        message
    }
}

/// All values of a header, so that none is there beside the signed ones.
fn value<B>(request: &Request<B>, name: &str) -> Option<Vec<u8>> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let values: Vec<_> = request.headers().get_all(name).iter().map(|value| value.as_bytes()).collect();
    (!values.is_empty()).then(|| values.join(&b", "[..]))
}

/// The target as it was sent, and with its path made canonical where that is another one.
pub(super) fn targets<B>(request: &Request<B>) -> Vec<Vec<u8>> {
    let vars = RequestVars::of(request);
    let target = |name| match vars.get(&name) {
        Some(Value::Text(target)) => Some(target.into_owned()),
        _ => None,
    };
    let mut targets: Vec<_> = [VarName::RealRequestUri, VarName::RequestUri].into_iter().filter_map(target).collect();
    targets.dedup();
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_in_any_order_and_only_once() {
        let all =
            Parameters::read(r#"keyId="k" , algorithm="hmac-sha256",headers="@request-target  date",signature="a=b""#);
        let all = all.unwrap();
        assert_eq!((all.key_id, all.algorithm, all.signature), (Some("k"), Some("hmac-sha256"), Some("a=b")));
        assert_eq!(all.signed().collect::<Vec<_>>(), ["@request-target", "date"]);
        let some = Parameters::read(r#" signature = "s", created="1", keyId="a,b" "#).unwrap();
        assert_eq!(some, Parameters { key_id: Some("a,b"), signature: Some("s"), ..Parameters::default() });
        assert_eq!(Parameters::read(""), Some(Parameters::default()));
        for bad in
            [r"keyId=k", r#"keyId="k"#, r#"keyId="k" signature="s""#, r#"keyId="k",keyId="k""#, "x", r#",keyId="k""#]
        {
            assert_eq!(Parameters::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_message_has_every_line_ended() {
        let request =
            Request::builder().method("POST").uri("/a?b=c").header("date", "now").header("x-a", "1").header("x-a", "2");
        let request = request.body(()).unwrap();
        let message = |headers| {
            let parameters = Parameters { key_id: Some("k"), headers, ..Parameters::default() };
            String::from_utf8(parameters.message(&request, b"/a?b=c")).unwrap()
        };
        assert_eq!(message(Some("@request-target Date X-A absent n@me")), "k\nPOST /a?b=c\nDate: now\nX-A: 1, 2\n");
        assert_eq!(message(None), "k\n");
    }
}
