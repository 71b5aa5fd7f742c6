//! What follows from a policy's answer.
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

use super::OpaPlugin;
use crate::error::answer_of;
use crate::hop::is_hop;
use crate::plugin::Plugin as _;
use crate::{Body, Response};

/// Makes a request ready to go on, or tells the client why it is not to. Only `true` allows.
///
/// # Errors
/// The answer to the client.
pub(super) fn follow(
    decision: &Map<String, Value>,
    upstream: &[HeaderName],
    headers: &mut HeaderMap,
) -> Result<(), Response> {
    let told = decision.get("headers").and_then(Value::as_object);
    if decision.get("allow") != Some(&Value::Bool(true)) {
        return Err(refusal(decision, told));
    }
    for name in upstream {
        headers.remove(name);
        let of_name = |(told, _): &(&String, &Value)| told.eq_ignore_ascii_case(name.as_str());
        for (_, value) in told.into_iter().flatten().filter(of_name) {
            values(value).for_each(|value| {
                headers.append(name, value);
            });
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
    let mut response = Response::new(body);
    *response.status_mut() = status.unwrap_or(StatusCode::FORBIDDEN);
    let headers = response.headers_mut();
    if let Some(kind) = kind {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    for (name, value) in told.into_iter().flatten() {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        if is_hop(name.as_str().as_bytes()) || name == CONTENT_LENGTH {
            continue;
        }
        headers.remove(&name);
        for value in values(value) {
            headers.append(&name, value);
        }
    }
    answer_of(OpaPlugin::NAME, response)
}

/// The values of a field: one, or a list; what no field can carry is left out (security.md HOP-09).
fn values(told: &Value) -> impl Iterator<Item = HeaderValue> {
    let all = match told {
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    all.iter().filter_map(|value| match value {
        Value::String(text) => HeaderValue::from_bytes(text.as_bytes()).ok(),
        Value::Number(_) | Value::Bool(_) => HeaderValue::from_str(&value.to_string()).ok(),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decide(decision: Value, headers: &mut HeaderMap) -> Result<(), Response> {
        let upstream = [HeaderName::from_static("x-user"), HeaderName::from_static("x-role")];
        follow(decision.as_object().unwrap(), &upstream, headers)
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
        let told = json!({"headers": {"Transfer-Encoding": "chunked", "Content-Length": "9", "a b": "c", "x-ok": true,
                                      "x-line": "a\r\nx-evil: 1"}});
        let answer = decide(told, &mut HeaderMap::new()).unwrap_err();
        assert_eq!(answer.headers()["x-ok"], "true");
        for name in ["transfer-encoding", "content-length", "x-line", "x-evil"] {
            assert!(!answer.headers().contains_key(name), "{name}");
        }
    }
}
