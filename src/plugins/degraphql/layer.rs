//! The code around the chain.
use std::sync::Arc;

use http::header::{ALLOW, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode, Uri};
use serde_json::{Map, Value, json};

use super::config::DegraphqlConfig;
use super::document::operations;
use super::plugin::NAME;
use crate::plugin::bodies::{Bodies, Unread};
use crate::plugin::{Around, AroundLayer, ConfigError};
use crate::plugins::checks::length;
use crate::plugins::representation;
use crate::{Body, Next, Request, Response, reject_empty};

/// A block of `degraphql`, compiled.
#[derive(Debug)]
pub struct Degraphql {
    query: String,
    variables: Vec<String>,
    operation: Option<String>,
    most: usize,
    bodies: Bodies,
}

/// [`Degraphql`] around a service.
pub type DegraphqlLayer = AroundLayer<Degraphql>;

impl Degraphql {
    /// Compiles a block, within the default limits.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: DegraphqlConfig) -> Result<Self, ConfigError> {
        Self::within(config, Bodies::default())
    }

    pub(super) fn within(config: DegraphqlConfig, bodies: Bodies) -> Result<Self, ConfigError> {
        let invalid = |field: &str, reason: String| ConfigError::invalid(NAME, field, reason);
        let DegraphqlConfig { query, variables, operation_name: operation, max_req_body_size: most } = config;
        length(NAME, "query", &query, 1024)?;
        let operations =
            operations(&query).map_err(|reason| invalid("query", format!("failed to parse query: {reason}")))?;
        match &operation {
            Some(name) => {
                length(NAME, "operation_name", name, 1024)?;
                if !operations.iter().any(|operation| operation.name.as_ref() == Some(name)) {
                    return Err(invalid("operation_name", format!("the query has no operation {name}")));
                }
            }
            None if operations.len() > 1 => {
                return Err(invalid("operation_name", "is required, as the query has several operations".to_owned()));
            }
            None => {}
        }
        for (at, name) in variables.iter().enumerate() {
            if name.is_empty() || variables.iter().take(at).any(|before| before == name) {
                let reason =
                    if name.is_empty() { "is empty; name a variable" } else { "stands there twice; remove one" };
                return Err(invalid(&format!("variables.{at}"), reason.to_owned()));
            }
        }
        if most == 0 {
            return Err(invalid("max_req_body_size", "is at least 1".to_owned()));
        }
        Ok(Self { query, variables, operation, most, bodies })
    }

    /// A request with the query in its arguments, and nothing else that a service might read one from.
    fn by_get(&self, mut request: Request) -> Result<Request, Response> {
        let given = self.bodies.form(request.uri().query().unwrap_or_default().as_bytes());
        let given = given.map_err(|_| reject_empty(StatusCode::BAD_REQUEST, NAME))?;
        let named = |name: &String| {
            let (_, value) = given.iter().find(|(given, _)| given == name)?;
            Some((name.clone(), Value::from(value.as_str())))
        };
        let variables: Map<_, _> = self.variables.iter().filter_map(named).collect();
        let mut arguments = form_urlencoded::Serializer::new(String::new());
        arguments.append_pair("query", &self.query);
        // Also when there are none: what is missing here, some services look for in the body.
        arguments.append_pair("variables", &Value::Object(variables).to_string());
        if let Some(operation) = &self.operation {
            arguments.append_pair("operationName", operation);
        }
        let target = format!("{}?{}", request.uri().path(), arguments.finish());
        *request.uri_mut() = with_target(request.uri(), target)?;
        representation::forget(request.headers_mut());
        request.headers_mut().remove(CONTENT_TYPE);
        *request.body_mut() = Body::empty();
        Ok(request)
    }

    /// A request with the query in its body. Its own arguments go: to some services those of the target come first.
    async fn by_post(&self, request: Request) -> Result<Request, Response> {
        let (mut head, body) = request.into_parts();
        let unread = |unread: Unread| unread.into_response(NAME);
        let bytes = self.bodies.collect(body, self.most).await.map_err(unread)?;
        let bytes = self.bodies.unpack(&head.headers, bytes).await.map_err(unread)?;
        if bytes.len() > self.most {
            return Err(unread(Unread::TooLarge(self.most as u64)));
        }
        let Ok(Value::Object(mut given)) = self.bodies.json(&bytes) else {
            return Err(reject_empty(StatusCode::BAD_REQUEST, NAME));
        };
        let variables = self.variables.iter().filter_map(|name| Some((name.clone(), given.remove(name)?)));
        let variables: Map<_, _> = variables.collect();
        let mut body = json!({"query": self.query, "variables": variables});
        if let (Some(operation), Some(members)) = (&self.operation, body.as_object_mut()) {
            members.insert("operationName".to_owned(), operation.as_str().into());
        }
        if head.uri.query().is_some() {
            head.uri = with_target(&head.uri, head.uri.path().to_owned())?;
        }
        representation::forget(&mut head.headers);
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Request::from_parts(head, Body::from(body.to_string())))
    }
}

/// A URI with another path and query. One that is too long is answered with 414.
fn with_target(uri: &Uri, target: String) -> Result<Uri, Response> {
    let too_long = || reject_empty(StatusCode::URI_TOO_LONG, NAME);
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| too_long())?);
    Uri::from_parts(parts).map_err(|_| too_long())
}

impl Around for Degraphql {
    async fn handle(self: Arc<Self>, request: Request, next: Next) -> Response {
        let asked = match *request.method() {
            Method::GET => self.by_get(request),
            Method::POST => self.by_post(request).await,
            _ => {
                let mut response = reject_empty(StatusCode::METHOD_NOT_ALLOWED, NAME);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
                return response;
            }
        };
        match asked {
            Ok(request) => next.run(request).await,
            Err(response) => response,
        }
    }
}

#[cfg(test)]
mod unit {
    use super::super::DegraphqlPlugin;
    use super::*;
    use crate::plugins::testing::{ask_over, build_error, built};

    /// Method, target, type and body, as the upstream gets them.
    async fn asked(block: Value, request: http::request::Builder, body: &'static str) -> (u16, String) {
        let echo = Next::from_fn(|request: Request| async move {
            assert!(!request.headers().contains_key("content-length"));
            let (head, body) = request.into_parts();
            let told = head.headers.get("content-type").map(|told| told.to_str().unwrap().to_owned());
            let body = String::from_utf8(body.buffer(9999).await.unwrap().to_vec()).unwrap();
            Response::new(Body::from(format!("{} {} {} {body}", head.method, head.uri, told.unwrap_or_default())))
        });
        let answer = ask_over(&built(DegraphqlPlugin, &block), echo, request.body(Body::from(body)).unwrap()).await;
        (answer.status(), answer.body().to_owned())
    }

    #[tokio::test]
    async fn variables_come_from_arguments_or_members() {
        let block = json!({"query": "query q($a: Int) { x(a: $a) }", "variables": ["a", "b"], "operation_name": "q"});
        let get = asked(block.clone(), http::Request::get("/g?a=1&c=2&a=3"), "").await.1;
        let (path, query) = get.trim_end().split_once('?').unwrap();
        let arguments: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        assert_eq!(path, "GET /g");
        assert_eq!(arguments[0], ("query".to_owned(), "query q($a: Int) { x(a: $a) }".to_owned()));
        assert_eq!(arguments[1], ("variables".to_owned(), r#"{"a":"1"}"#.to_owned()));
        assert_eq!(arguments[2..], [("operationName".to_owned(), "q".to_owned())]);
        assert_eq!(asked(block.clone(), http::Request::get("/g"), "").await.1.matches("variables=%7B%7D").count(), 1);
        let post = http::Request::post("/g?a=1").header("content-length", 9).header("content-type", "text/plain");
        let post = asked(block, post, r#"{"a": [1], "c": 2}"#).await.1;
        let body = post.strip_prefix("POST /g application/json ").unwrap();
        let expected = json!({"query": "query q($a: Int) { x(a: $a) }", "variables": {"a": [1]}, "operationName": "q"});
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_client_asks_no_query_of_its_own() {
        let block = json!({"query": "{ a }", "variables": ["v"]});
        for own in ["query=mutation%7Bb%7D", "variables=%7B%22x%22%3A1%7D", "operationName=b", "extensions=%7B%7D"] {
            let post = asked(block.clone(), http::Request::post(format!("/g?{own}")), "{}").await;
            assert_eq!(post, (200, r#"POST /g application/json {"query":"{ a }","variables":{}}"#.to_owned()), "{own}");
            let request = http::Request::get(format!("/g?{own}")).header("content-type", "application/json");
            let get = asked(block.clone(), request.header("content-length", 1), r#"{"variables": {"x": 1}}"#).await;
            assert_eq!(get, (200, "GET /g?query=%7B+a+%7D&variables=%7B%7D  ".to_owned()), "{own}");
        }
    }

    #[tokio::test]
    async fn a_target_that_grows_too_long_is_not_sent() {
        let block = json!({"query": "{ a }", "variables": ["v"]});
        // Each byte becomes six.
        let long = asked(block, http::Request::get(format!("/g?v={}", "\\".repeat(11_000))), "").await;
        assert_eq!(long, (414, String::new()));
    }

    #[cfg(feature = "decode")]
    #[tokio::test]
    async fn a_packed_body_is_unpacked() {
        use std::io::Write as _;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(br#"{"v": 1}"#).unwrap();
        let packed = packer.finish().unwrap();
        let layer = built(DegraphqlPlugin, &json!({"query": "{ a }", "variables": ["v"]}));
        let echo = || Next::from_fn(|request: Request| async move { Response::new(request.into_body()) });
        for (coding, wanted) in [("gzip", (200, r#"{"query":"{ a }","variables":{"v":1}}"#)), ("zip", (415, ""))] {
            let request =
                http::Request::post("/").header("content-encoding", coding).body(Body::from(packed.clone())).unwrap();
            let answer = ask_over(&layer, echo(), request).await;
            assert_eq!((answer.status(), answer.body()), wanted);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_refused() {
        let block = json!({"query": "{ a }", "max_req_body_size": 9});
        for (request, body, status) in [
            (http::Request::put("/"), "{}", 405),
            (http::Request::post("/"), "", 400),
            (http::Request::post("/"), "[]", 400),
            (http::Request::post("/"), "{", 400),
            (http::Request::post("/"), "0123456789", 413),
            (http::Request::post("/"), "{}", 200),
            (http::Request::get("/"), "", 200),
        ] {
            assert_eq!(asked(block.clone(), request, body).await.0, status, "{body}");
        }
    }

    #[test]
    fn faults_name_their_field() {
        for (block, says) in [
            (json!({}), "query: is empty"),
            (json!({"query": "{ a"}), "query: failed to parse query: `{` is not closed"),
            (json!({"query": "query a { b } query c { d }"}), "operation_name: is required"),
            (json!({"query": "{ a }", "operation_name": "b"}), "operation_name: the query has no operation b"),
            (json!({"query": "{ a }", "max_req_body_size": 0}), "max_req_body_size"),
            (json!({"query": "{ a }", "variables": ["a", "b", "a"]}), "variables.2: stands there twice"),
            (json!({"query": "{ a }", "variables": [""]}), "variables.0: is empty"),
        ] {
            let error = build_error(DegraphqlPlugin, &block);
            assert!(error.contains(says), "{block}: {error}");
        }
    }

    #[test]
    fn mutations_are_warned_of() {
        use crate::plugin::Plugin as _;
        let doubts = |query: &str, operation: Option<&str>| {
            let config = DegraphqlConfig {
                query: query.to_owned(),
                operation_name: operation.map(str::to_owned),
                ..DegraphqlConfig::default()
            };
            DegraphqlPlugin.caveats(&config).len()
        };
        assert_eq!([doubts("{ a }", None), doubts("mutation { a }", None)], [0, 1]);
        let both = "query q { a } mutation m { b }";
        assert_eq!([doubts(both, Some("q")), doubts(both, Some("m"))], [0, 1]);
    }
}
