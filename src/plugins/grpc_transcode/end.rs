//! How a call ended: its status, and what HTTP makes of it.
use http::{HeaderMap, StatusCode};
use prost::Message as _;
use prost_reflect::prost_types::Any;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};

use super::from_json::base64;
use super::to_json::{Style, text};
use crate::grpc;

const DETAILS: &str = "grpc-status-details-bin";

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    pub(super) code: u32,
    message: String,
    /// `google.rpc.Status`, if it was told.
    details: Option<RpcStatus>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

impl End {
    /// What a service says in trailers or in a head; `None` if it says nothing of it.
    pub(super) fn told(fields: &HeaderMap) -> Option<Self> {
        let code = fields.get(grpc::STATUS)?.to_str().ok().and_then(|code| code.parse().ok());
        let message = fields.get(grpc::MESSAGE).map(|message| percent_decoded(message.as_bytes())).unwrap_or_default();
        let details = fields.get(DETAILS).and_then(|details| details.to_str().ok()).and_then(base64);
        let details = details.and_then(|details| RpcStatus::decode(&*details).ok());
        // What is no number says that it went wrong, and not how.
        Some(Self { code: code.unwrap_or(2), message, details })
    }

    /// The end of a service that says nothing of it.
    pub(super) fn untold() -> Self {
        Self { code: 2, message: "upstream grpc status not received".to_owned(), details: None }
    }

    pub(super) fn http_status(&self) -> StatusCode {
        let status = match self.code {
            0 => 200,
            1 => 499,
            2 | 13 | 15 => 500,
            3 | 9 | 11 => 400,
            4 => 504,
            5 => 404,
            6 | 10 => 409,
            7 => 403,
            8 => 429,
            12 => 501,
            14 => 503,
            16 => 401,
            _ => 599,
        };
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The body that tells it; details are messages of the kind `detail` if that is known.
    pub(super) fn json(&self, detail: Option<&MessageDescriptor>, style: Style) -> Value {
        let Some(status) = &self.details else { return json!({"error": {"code": self.code, "message": self.message}}) };
        let details = status.details.iter().map(|any| {
            let decoded = detail.and_then(|kind| DynamicMessage::decode(kind.clone(), &*any.value).ok());
            let told =
                decoded.and_then(|message| serde_json::from_slice(&text(&message, style, MOST_DETAIL).ok()?).ok());
            told.unwrap_or_else(|| {
                use base64::Engine as _;
                let value = base64::engine::general_purpose::STANDARD.encode(&any.value);
                json!({"type_url": any.type_url, "value": value})
            })
        });
        let details: Vec<Value> = details.collect();
        json!({"error": {"code": status.code, "message": status.message, "details": details}})
    }
}

/// Bytes of JSON of one detail. All of them came in a head of bounded size.
const MOST_DETAIL: usize = 1024 * 1024;

/// Undoes percent-encoding; what is not encoded well stays as it is.
pub(super) fn percent_decoded(message: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(message.len());
    let mut rest = message;
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| *first == b'%');
        let byte = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_of_http() {
        let statuses = [
            (0, 200),
            (1, 499),
            (2, 500),
            (3, 400),
            (4, 504),
            (5, 404),
            (6, 409),
            (7, 403),
            (8, 429),
            (9, 400),
            (10, 409),
            (11, 400),
            (12, 501),
            (13, 500),
            (14, 503),
            (15, 500),
            (16, 401),
            (17, 599),
            (99, 599),
        ];
        for (code, status) in statuses {
            let end = End { code, ..End::untold() };
            assert_eq!(end.http_status(), status, "{code}");
        }
    }

    #[test]
    fn ends_are_read_from_fields() {
        let told = |fields: &[(&'static str, &'static str)]| {
            let fields: HeaderMap =
                fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            End::told(&fields).map(|end| (end.code, end.message.clone(), end.json(None, Style::of(&[]))))
        };
        assert_eq!(told(&[("grpc-message", "x")]), None);
        let (code, message, _) = told(&[("grpc-status", "5"), ("grpc-message", "50 %25 %C3%BC %zz %")]).unwrap();
        assert_eq!((code, &*message), (5, "50 % ü %zz %"));
        assert_eq!(told(&[("grpc-status", "x")]).unwrap().0, 2);
        // code 3, message "no", one detail of type `t` with the bytes 1, 2; once without padding, once no base64 at all
        let status = [("grpc-status", "3"), ("grpc-message", "m"), ("grpc-status-details-bin", "CAMSAm5vGgcKAXQSAgEC")];
        let wanted = json!({"error": {"code": 3, "message": "no", "details": [{"type_url": "t", "value": "AQI="}]}});
        assert_eq!(told(&status).unwrap().2, wanted);
        let status = [("grpc-status", "3"), ("grpc-message", "m"), ("grpc-status-details-bin", "!")];
        assert_eq!(told(&status).unwrap().2, json!({"error": {"code": 3, "message": "m"}}));
    }
}
