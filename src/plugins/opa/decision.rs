//! What follows from a policy's answer.
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

use super::OpaPlugin;
use crate::error::answer_of;
use crate::hop::is_hop;
use crate::plugin::Plugin as _;
use crate::{Body, Response};

/// Why a request does not go on.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The policy says no: the answer to the client.
    Refused(Box<Response>),
    /// The policy says yes, under a condition that cannot be met: a field that no request can have.
    Unfulfillable(HeaderName),
}

/// Makes a request ready to go on, or tells why it is not to. Only `true` allows.
///
/// # Errors
/// [`Stopped`].
pub(super) fn follow(
    decision: &Map<String, Value>,
    upstream: &[HeaderName],
    headers: &mut HeaderMap,
) -> Result<(), Stopped> {
    let told = decision.get("headers").and_then(Value::as_object);
    if decision.get("allow") != Some(&Value::Bool(true)) {
        return Err(Stopped::Refused(Box::new(refusal(decision, told))));
    }
    for name in upstream {
        headers.remove(name);
        let of_name = |(told, _): &(&String, &Value)| told.eq_ignore_ascii_case(name.as_str());
        for (_, value) in told.into_iter().flatten().filter(of_name) {
            for value in values(value).filter(|value| !value.is_null()) {
                // without the field, which may limit what the request gets, more would be allowed than was said
                let value = field_value(value).ok_or_else(|| Stopped::Unfulfillable(name.clone()))?;
                headers.append(name, value);
            }
        }
    }
    Ok(())
}

fn refusal(decision: &Map<String, Value>, told: Option<&Map<String, Value>>) -> Response {
    let status = decision.get("status_code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let status = status.filter(|code| (200..=599).contains(code)).and_then(|code| StatusCode::from_u16(code).ok());
    let (body, kind) = match decision.get("reason") {
        None | Some(Value::Null) => (Body::empty(), None),
        Some(Value::String(text)) => (Body::from(text.clone()), Some("text/plain; charset=utf-8")),
        Some(json) => (Body::from(format!("{json}\n")), Some("application/json")),
    };
    let status = status.unwrap_or(StatusCode::FORBIDDEN);
    let is_bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    let (body, kind) = if is_bodiless { (Body::empty(), None) } else { (body, kind) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(kind) = kind {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    for (name, value) in told.into_iter().flatten() {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        // the body is made here, and as it is
        if is_hop(name.as_str().as_bytes()) || name == CONTENT_LENGTH || name == CONTENT_ENCODING {
            continue;
        }
        headers.remove(&name);
        for value in values(value).filter_map(field_value) {
            headers.append(&name, value);
        }
    }
    answer_of(OpaPlugin::NAME, response)
}

/// The values of a field: one, or a list.
fn values(told: &Value) -> impl Iterator<Item = &Value> {
    match told {
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    }
    .iter()
}

/// What a field can carry (security.md HOP-09).
fn field_value(told: &Value) -> Option<HeaderValue> {
    match told {
        Value::String(text) => HeaderValue::from_bytes(text.as_bytes()).ok(),
        Value::Number(_) | Value::Bool(_) => HeaderValue::from_str(&told.to_string()).ok(),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decide(decision: Value, headers: &mut HeaderMap) -> Result<(), Response> {
        let upstream = [HeaderName::from_static("x-user"), HeaderName::from_static("x-role")];
        follow(decision.as_object().unwrap(), &upstream, headers).map_err(|stopped| match stopped {
            Stopped::Refused(answer) => *answer,
            Stopped::Unfulfillable(name) => panic!("{name} cannot be written"),
        })
    }

    #[test]
    fn only_true_allows() {
        assert!(decide(json!({"allow": true}), &mut HeaderMap::new()).is_ok());
        for allow in [json!(false), json!(null), json!(1), json!("true"), json!([true]), json!({})] {
            let answer = decide(json!({"allow": allow}), &mut HeaderMap::new()).unwrap_err();
            assert_eq!((answer.status().as_u16(), answer.body().is_empty()), (403, true), "{allow}");
        }
        assert_eq!(decide(json!({}), &mut HeaderMap::new()).unwrap_err().status(), 403);
    }

    #[test]
    fn sec_hop_06_listed_fields_are_those_of_the_decision_or_gone() {
        let mut headers = HeaderMap::new();
        headers.insert("x-user", HeaderValue::from_static("forged"));
        headers.insert("x-role", HeaderValue::from_static("forged"));
        let told = json!({"allow": true, "headers": {"X-User": ["7", 8, null], "x-other": "o", "x-none": "a\nb"}});
        decide(told, &mut headers).unwrap();
        let users: Vec<_> = headers.get_all("x-user").iter().map(|user| user.to_str().unwrap()).collect();
        assert_eq!((users, headers.len()), (vec!["7", "8"], 2), "{headers:?}");
    }

    #[test]
    fn sec_hop_06_a_yes_under_a_condition_that_cannot_be_met_is_none() {
        let upstream = [HeaderName::from_static("x-tenant")];
        for value in [json!("a\nb"), json!({"a": 1}), json!(["good", "a\r\nx-evil: 1"]), json!([["a"]])] {
            let told = json!({"allow": true, "headers": {"X-Tenant": value}});
            let stopped = follow(told.as_object().unwrap(), &upstream, &mut HeaderMap::new()).unwrap_err();
            assert!(matches!(stopped, Stopped::Unfulfillable(name) if name == "x-tenant"), "{told}");
        }
        for value in [json!(null), json!([]), json!([null])] {
            let mut headers = HeaderMap::from_iter([(upstream[0].clone(), HeaderValue::from_static("forged"))]);
            let told = json!({"allow": true, "headers": {"X-Tenant": value}});
            follow(told.as_object().unwrap(), &upstream, &mut headers).unwrap();
            assert!(headers.is_empty(), "{told}");
        }
    }

    #[test]
    fn a_refusal_is_told_as_the_policy_words_it() {
        for (decision, status, kind, body) in [
            (json!({"reason": "no", "status_code": 401}), 401, Some("text/plain; charset=utf-8"), "no"),
            (json!({"reason": {"code": 7}}), 403, Some("application/json"), "{\"code\":7}\n"),
            (json!({"reason": ["a"]}), 403, Some("application/json"), "[\"a\"]\n"),
            (json!({"status_code": 302, "headers": {"Location": "/login"}}), 302, None, ""),
            (json!({"status_code": 99}), 403, None, ""),
            (json!({"status_code": 101}), 403, None, ""),
            (json!({"status_code": 600}), 403, None, ""),
            (json!({"status_code": "401"}), 403, None, ""),
            (json!({"status_code": 204, "reason": "gone"}), 204, None, ""),
            (json!({"status_code": 304, "reason": {"a": 1}}), 304, None, ""),
            (json!({"reason": "<b>", "headers": {"content-type": "text/html"}}), 403, Some("text/html"), "<b>"),
        ] {
            let answer = decide(decision.clone(), &mut HeaderMap::new()).unwrap_err();
            let kind_of = answer.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap());
            assert_eq!((answer.status().as_u16(), kind_of), (status, kind), "{decision}");
            assert_eq!(answer.body().as_bytes().unwrap(), body.as_bytes(), "{decision}");
        }
    }

    #[test]
    fn fields_of_framing_are_not_a_policys() {
        let told = json!({"headers": {"Transfer-Encoding": "chunked", "Content-Length": "9", "Content-Encoding": "gzip", "a b": "c", "x-ok": true,
                                      "x-line": "a\r\nx-evil: 1"}});
        let answer = decide(told, &mut HeaderMap::new()).unwrap_err();
        assert_eq!(answer.headers()["x-ok"], "true");
        for name in ["transfer-encoding", "content-length", "content-encoding", "x-line", "x-evil"] {
            assert!(!answer.headers().contains_key(name), "{name}");
        }
    }
}
