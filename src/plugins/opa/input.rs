//! What a policy is told of a request: the document `input`.
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use super::OpaConfig;
use crate::plugin::bodies::{Bodies, Misread};
use crate::plugins::consumer_auth::{Repeated, single};
use crate::request::{Consumer, RequestVars, RouteMatch, SharedFacts, decoded};
use crate::router::{self, VarName, Variables as _};

/// Which parts are told beside the request itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    route: bool,
    service: bool,
    consumer: bool,
}

impl From<&OpaConfig> for Told {
    fn from(config: &OpaConfig) -> Self {
        Self { route: config.with_route, service: config.with_service, consumer: config.with_consumer }
    }
}

/// The document about a request; `body` if it is told.
pub(super) fn input<B>(told: Told, request: &http::Request<B>, body: Option<Value>) -> Value {
    let variables = RequestVars::of(request);
    let text = |name: VarName| match variables.get(&name)? {
        router::Value::Text(text) => Some(Value::from(String::from_utf8_lossy(&text))),
        router::Value::Number(number) => Some(Value::from(number.to_string())),
        router::Value::Bool(_) | router::Value::List(_) => None,
    };
    let port = match variables.get(&VarName::ServerPort) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a port is one")]
        Some(router::Value::Number(port)) => Some(port as u16),
        _ => None,
    };
    let mut about = json!({
        "scheme": text(VarName::Scheme),
        "method": request.method().as_str(),
        "host": text(VarName::Host),
        "port": port,
        "path": text(VarName::Uri),
        "headers": headers(request.headers()),
        "query": query(request.uri().query().unwrap_or_default()),
    });
    if let (Some(body), Value::Object(about)) = (body, &mut about) {
        about.insert("body".to_owned(), body);
    }
    let mut input = Map::new();
    input.insert("type".to_owned(), "http".into());
    input.insert("request".to_owned(), about);
    input.insert(
        "var".to_owned(),
        json!({
            "server_addr": text(VarName::ServerAddr),
            "server_port": text(VarName::ServerPort),
            "remote_addr": text(VarName::RemoteAddr),
            "remote_port": text(VarName::RemotePort),
            "timestamp": SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        }),
    );
    let info = SharedFacts::of(request).and_then(|facts| facts.route.as_deref());
    if told.route {
        let matched = RouteMatch::of(request);
        let route = info.map(|info| {
            json!({
                "id": &*info.id,
                "name": info.name.as_deref(),
                "uri": matched.map(|matched| &*matched.pattern),
                "host": matched.and_then(|matched| matched.host.as_deref()),
                "service_id": info.service.as_ref().map(|(id, _)| &**id),
            })
        });
        input.insert("route".to_owned(), route.unwrap_or_default());
    }
    if told.service {
        let service = info.and_then(|info| info.service.as_ref());
        let service = service.map(|(id, name)| json!({"id": &**id, "name": name.as_deref()}));
        input.insert("service".to_owned(), service.unwrap_or_default());
    }
    if told.consumer {
        let consumer = Consumer::of(request).map(|consumer| {
            json!({
                "username": &**consumer.name(),
                "group_id": consumer.group().map(|group| &**group),
                "labels": consumer.labels(),
                "credential_id": consumer.credential().map(|credential| &**credential),
            })
        });
        input.insert("consumer".to_owned(), consumer.unwrap_or_default());
    }
    Value::Object(input)
}

/// Why a body cannot be told.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Untold {
    /// It has several types, of which an origin may believe another one.
    #[error("the body has several types")]
    Types,
    /// It is JSON by its type and none, or is over the bounds of the gateway.
    #[error(transparent)]
    Json(#[from] Misread),
}

/// A body as a policy is told it: the value, when it is JSON by its type; a text, when it is UTF-8; else null.
///
/// # Errors
/// [`Untold`].
pub(super) fn body(bodies: &Bodies, headers: &HeaderMap, bytes: &[u8]) -> Result<Value, Untold> {
    let kind = single(headers, &CONTENT_TYPE).map_err(|_: Repeated| Untold::Types)?;
    let is_json = kind.and_then(|value| value.to_str().ok()).is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence == "application/json" || essence.ends_with("+json")
    });
    match is_json && !bytes.is_empty() {
        true => Ok(bodies.json(bytes)?),
        false => Ok(std::str::from_utf8(bytes).map_or(Value::Null, Value::from)),
    }
}

/// Fields by name, in lower case; a field of several lines is a list.
fn headers(headers: &HeaderMap) -> Value {
    let mut all = Map::new();
    for name in headers.keys() {
        let mut lines = headers.get_all(name).iter().map(|line| Value::from(String::from_utf8_lossy(line.as_bytes())));
        let first = lines.next().unwrap_or_default();
        let rest: Vec<_> = lines.collect();
        let value = if rest.is_empty() { first } else { std::iter::once(first).chain(rest).collect() };
        all.insert(name.as_str().to_owned(), value);
    }
    Value::Object(all)
}

/// Arguments by name, decoded; one without `=` is true, one that comes several times a list.
fn query(query: &str) -> Value {
    let mut all = Map::new();
    let text = |text: &str| String::from_utf8_lossy(&decoded(text)).into_owned();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.split_once('=') {
            Some((name, value)) => (name, Value::from(text(value))),
            None => (pair, Value::Bool(true)),
        };
        match all.entry(text(name)) {
            serde_json::map::Entry::Vacant(place) => {
                place.insert(value);
            }
            serde_json::map::Entry::Occupied(mut there) => match there.get_mut() {
                Value::Array(values) => values.push(value),
                single => *single = Value::Array(vec![single.take(), value]),
            },
        }
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn fields_and_arguments_that_come_twice_are_lists() {
        let mut map = HeaderMap::new();
        map.append("x-one", HeaderValue::from_static("1"));
        map.append("x-two", HeaderValue::from_static("a"));
        map.append("x-two", HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(headers(&map), json!({"x-one": "1", "x-two": ["a", "\u{fffd}"]}));
        assert_eq!(
            query("a=1&b&a=%32&c=x+y&&a&%61=&d%26=e%3d"),
            json!({"a": ["1", "2", true, ""], "b": true, "c": "x y", "d&": "e="})
        );
        assert_eq!(query(""), json!({}));
    }

    #[test]
    fn bodies_are_values_texts_or_nothing() {
        let told = |kind: &str, bytes: &[u8]| {
            let mut map = HeaderMap::new();
            map.insert(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
            body(&Bodies::default(), &map, bytes)
        };
        assert_eq!(told("application/json; charset=utf-8", b"{\"a\": 1}").unwrap(), json!({"a": 1}));
        assert_eq!(told("Application/Problem+JSON", b"[]").unwrap(), json!([]));
        assert_eq!(told("application/json", b"").unwrap(), json!(""));
        assert_eq!(told("text/plain", b"{\"a\": 1}").unwrap(), json!("{\"a\": 1}"));
        assert_eq!(told("image/png", b"\xff").unwrap(), Value::Null);
        let twice = told("application/json", b"{\"a\": 1, \"a\": 2}");
        assert_eq!(twice.unwrap_err(), Untold::Json(Misread::Twice("a".to_owned())));
        let mut types = HeaderMap::new();
        for kind in ["text/plain", "application/json"] {
            types.append(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        assert_eq!(body(&Bodies::default(), &types, b"{}").unwrap_err(), Untold::Types);
    }
}
