//! From the text of a batch to its requests.
use std::time::Duration;

use form_urlencoded::Serializer;
use http::header::{ACCEPT_ENCODING, EXPECT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::hop::is_hop;
use crate::{Body, Request};

/// A batch as clients write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    #[serde(default)]
    query: Map<String, Value>,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default = "half_a_minute")]
    timeout: u64,
    pipeline: Vec<Item>,
}

/// One request of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    #[serde(default = "get")]
    method: String,
    path: String,
    #[serde(default)]
    query: Map<String, Value>,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: Option<String>,
    /// These two say nothing: no connection is made.
    #[serde(default, rename = "version")]
    _version: IgnoredAny,
    #[serde(default, rename = "ssl_verify")]
    _ssl_verify: IgnoredAny,
}

fn half_a_minute() -> u64 {
    30_000
}

fn get() -> String {
    Method::GET.to_string()
}

/// Fields that tell of the client's way; the outer request's have told it.
const OF_THE_WAY: [&str; 7] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-real-ip",
];

// As requests of a connection are bounded by default (security.md LIM-01, LIM-02).
const LONGEST_TARGET: usize = 8 * 1024;
const MOST_FIELDS: usize = 100;
const LONGEST_FIELD: usize = 8 * 1024;
const LONGEST_FIELDS: usize = 32 * 1024;

impl Batch {
    /// Reads a batch.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(value: Value) -> Result<Self, String> {
        if !value.is_object() {
            return Err("is no object".to_owned());
        }
        let batch: Self =
            serde_path_to_error::deserialize(value).map_err(|error| match error.path().to_string().as_str() {
                "." => error.inner().to_string(),
                at => format!("{at}: {}", error.inner()),
            })?;
        match batch.pipeline.is_empty() {
            true => Err("pipeline: is empty; give at least one request".to_owned()),
            false => Ok(batch),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.pipeline.len()
    }

    /// How long each of them may take.
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout)
    }

    /// The requests, with what the outer one lends them. None of them is made before it is asked for.
    ///
    /// # Errors
    /// What no request can have, and where.
    pub(super) fn requests(self, outer: &HeaderMap) -> Result<Requests, String> {
        if self.timeout == 0 {
            return Err("timeout: is at least 1".to_owned());
        }
        let mut common = HeaderMap::with_capacity(outer.len());
        for (name, value) in outer.iter().filter(|(name, _)| is_lent(name)) {
            common.append(name, value.clone());
        }
        write(&mut common, &self.headers).map_err(|reason| format!("headers.{reason}"))?;
        let requests = Requests { common, query: self.query, items: self.pipeline.into_iter() };
        for (index, item) in requests.items.as_slice().iter().enumerate() {
            item.head(&requests.common, &requests.query).map_err(|reason| format!("pipeline.{index}.{reason}"))?;
        }
        Ok(requests)
    }
}

/// The requests of a batch, each of which can be made.
#[derive(Debug)]
pub(super) struct Requests {
    common: HeaderMap,
    query: Map<String, Value>,
    items: std::vec::IntoIter<Item>,
}

impl Iterator for Requests {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        let item = self.items.next()?;
        let (method, uri, headers) = item.head(&self.common, &self.query).ok()?;
        let mut request = Request::new(item.body.map_or(Body::empty(), Body::from));
        *request.uri_mut() = uri;
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        Some(request)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

impl Item {
    fn head(&self, common: &HeaderMap, query: &Map<String, Value>) -> Result<(Method, Uri, HeaderMap), String> {
        let method = Method::from_bytes(self.method.as_bytes());
        let method = method.map_err(|_| format!("method: `{}` is none", self.method))?;
        let mut headers = common.clone();
        write(&mut headers, &self.headers).map_err(|reason| format!("headers.{reason}"))?;
        Ok((method, target(&self.path, &self.query, query)?, headers))
    }
}

/// Whether a field of the outer request is one of the others, too.
fn is_lent(name: &HeaderName) -> bool {
    let text = name.as_str();
    !text.starts_with("content-") && !is_hop(text.as_bytes()) && *name != ACCEPT_ENCODING && *name != EXPECT
}

/// Writes fields over those that are there.
fn write(headers: &mut HeaderMap, fields: &Map<String, Value>) -> Result<(), String> {
    for (name, value) in fields {
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name}: is no name of a field"))?;
        if is_hop(parsed.as_str().as_bytes()) || parsed == http::header::CONTENT_LENGTH || parsed == EXPECT {
            return Err(format!("{name}: belongs to one connection"));
        }
        // an answer in a coding could not be told in a text
        if OF_THE_WAY.contains(&parsed.as_str()) || parsed == ACCEPT_ENCODING {
            continue;
        }
        let texts = texts(value).ok_or_else(|| format!("{name}: is no text"))?;
        headers.remove(&parsed);
        for text in texts {
            if text.len() > LONGEST_FIELD {
                return Err(format!("{name}: is longer than {LONGEST_FIELD} bytes"));
            }
            let value = HeaderValue::from_bytes(text.as_bytes());
            headers.append(&parsed, value.map_err(|_| format!("{name}: holds a character that no field may have"))?);
        }
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
        if headers.len() > MOST_FIELDS || bytes > LONGEST_FIELDS {
            return Err(format!("{name}: makes more than {MOST_FIELDS} fields or {LONGEST_FIELDS} bytes of a request"));
        }
    }
    Ok(())
}

/// A path with its arguments: those in the path, those of the item, and those of the batch that the item does not name.
fn target(path: &str, own: &Map<String, Value>, common: &Map<String, Value>) -> Result<Uri, String> {
    if !path.starts_with('/') {
        return Err("path: does not begin with `/`".to_owned());
    }
    let mut arguments = Serializer::new(String::new());
    for (name, value) in own.iter().chain(common.iter().filter(|(name, _)| !own.contains_key(*name))) {
        for text in texts(value).ok_or_else(|| format!("query.{name}: is no text"))? {
            arguments.append_pair(name, &text);
        }
    }
    let arguments = arguments.finish();
    let separator = match (arguments.is_empty(), path.contains('?')) {
        (true, _) => "",
        (false, true) => "&",
        (false, false) => "?",
    };
    let target = format!("{path}{separator}{arguments}");
    if target.len() > LONGEST_TARGET {
        return Err(format!("path: is longer than {LONGEST_TARGET} bytes with its arguments"));
    }
    let parsed = target.parse::<http::uri::PathAndQuery>().map(Uri::from);
    parsed.map_err(|_| "path: holds a character that no path may have".to_owned())
}

/// The texts of a value: one, or those of an array.
fn texts(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        value => text(value).map(|text| vec![text]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn requests(batch: Value) -> Result<Vec<Request>, String> {
        let outer =
            [("host", "gw.test"), ("apikey", "outer"), ("content-type", "application/json"), ("accept-encoding", "br")];
        let outer = outer.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Ok(Batch::read(batch)?.requests(&outer.into_iter().collect())?.collect())
    }

    fn shown(request: &Request) -> String {
        let fields = request.headers().iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap()));
        let mut fields: Vec<_> = fields.collect();
        fields.sort();
        format!("{} {} {}", request.method(), request.uri(), fields.join(" "))
    }

    #[test]
    fn a_request_has_what_is_its_own_before_what_all_have() {
        let batch = json!({
            "query": {"a": 1, "b": "x y"}, "headers": {"X-All": "1", "apikey": "all", "Accept-Encoding": "gzip"},
            "pipeline": [
                {"path": "/plain"},
                {"method": "PUT", "path": "/own?c=2", "query": {"a": [3, true]}, "headers": {"X-ALL": "mine", "Host": "other"},
                    "body": "text", "version": 1.1, "ssl_verify": false},
            ],
        });
        let all = requests(batch).unwrap();
        assert_eq!(shown(&all[0]), "GET /plain?a=1&b=x+y apikey=all host=gw.test x-all=1");
        assert_eq!(shown(&all[1]), "PUT /own?c=2&a=3&a=true&b=x+y apikey=all host=other x-all=mine");
        assert_eq!(all[1].body().as_bytes(), Some(&b"text"[..]));
    }

    #[test]
    fn sec_plg_05_nobody_says_whence_he_comes() {
        let fields = OF_THE_WAY.map(|name| (name.to_uppercase(), Value::from("10.0.0.1")));
        let fields: Map<_, _> = fields.into_iter().collect();
        let all = requests(json!({"headers": fields, "pipeline": [{"path": "/", "headers": fields}]})).unwrap();
        assert_eq!(shown(&all[0]), "GET / apikey=outer host=gw.test");
    }

    #[test]
    fn faults_are_told_with_their_place() {
        let many = |count: usize, length: usize| {
            (0..count).map(|at| (format!("x{at}"), Value::from("v".repeat(length)))).collect::<Map<_, _>>()
        };
        for (batch, says) in [
            (json!([]), "is no object"),
            (json!({}), "missing field `pipeline`"),
            (json!({"pipeline": []}), "pipeline: is empty"),
            (json!({"pipeline": [{}]}), "pipeline[0]: missing field `path`"),
            (
                json!({"pipeline": [{"path": "/"}], "heders": {}}),
                "heders: unknown field `heders`, expected one of `query`",
            ),
            (json!({"pipeline": [{"path": "/", "heders": {}}]}), "pipeline[0].heders: unknown field `heders`"),
            (json!({"pipeline": [{"path": "a"}]}), "pipeline.0.path: does not begin"),
            (json!({"pipeline": [{"path": "/\u{7f}"}]}), "pipeline.0.path: holds a character"),
            (json!({"pipeline": [{"path": "/", "method": "A B"}]}), "pipeline.0.method: "),
            (json!({"pipeline": [{"path": "/", "query": {"a": {}}}]}), "pipeline.0.query.a: is no text"),
            (json!({"pipeline": [{"path": "/", "headers": {"a b": ""}}]}), "pipeline.0.headers.a b: is no name"),
            (json!({"pipeline": [{"path": "/", "headers": {"Content-Length": 1}}]}), "Content-Length: belongs"),
            (
                json!({"headers": {"Transfer-Encoding": "chunked"}, "pipeline": [{"path": "/"}]}),
                "headers.Transfer-Encoding: belongs",
            ),
            (json!({"timeout": 0, "pipeline": [{"path": "/"}]}), "timeout: is at least 1"),
            (
                json!({"pipeline": [{"path": "/"}, {"path": format!("/{}", "a".repeat(8192))}]}),
                "pipeline.1.path: is longer than 8192",
            ),
            (
                json!({"query": {"a": "b".repeat(8192)}, "pipeline": [{"path": "/"}]}),
                "pipeline.0.path: is longer than 8192",
            ),
            (
                json!({"headers": {"a": "b".repeat(8193)}, "pipeline": [{"path": "/"}]}),
                "headers.a: is longer than 8192",
            ),
            (
                json!({"headers": many(97, 1), "pipeline": [{"path": "/", "headers": {"y": "", "z": ""}}]}),
                "pipeline.0.headers.z: makes more",
            ),
            (json!({"headers": many(5, 7000), "pipeline": [{"path": "/"}]}), "more than 100 fields or 32768 bytes"),
            (json!({"headers": {"a": "b\r\nc: d"}, "pipeline": [{"path": "/"}]}), "headers.a: holds a character"),
        ] {
            let error = requests(batch.clone()).unwrap_err();
            assert!(error.contains(says), "{batch}: {error}");
        }
    }
}
