//! What answers a batch.
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::batch::{Batch, Requests};
use super::{BatchRequestsMetadata, BatchRequestsPlugin};
use crate::error::{answer_of, reject_empty, reject_error_msg};
use crate::plugin::Plugin as _;
use crate::plugin::bodies::{Bodies, Replay, Unread};
use crate::request::{SharedFacts, SubRequest, client_addr, set_client_addr};
use crate::{Body, ConnectInfo, Next, Request, Response};

const NAME: &str = BatchRequestsPlugin::NAME;
/// Longest answer to a batch, in bytes.
const LONGEST: usize = 16 * 1024 * 1024;
/// No request takes longer: the batch itself is cut off then (security.md LIM-13).
const LONGEST_TIME: Duration = Duration::from_secs(300);

/// Sends batches through a gateway.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    pub(super) gateway: Next,
    pub(super) bodies: Bodies,
    pub(super) metadata: BatchRequestsMetadata,
}

impl Runner {
    pub(super) async fn answer(self, request: Request) -> Response {
        if request.method() != Method::POST {
            return reject_empty(StatusCode::NOT_FOUND, NAME);
        }
        if SubRequest::is(&request) {
            return reject_error_msg(
                StatusCode::BAD_REQUEST,
                NAME,
                "bad request body: a batch cannot stand in a batch",
            );
        }
        let (head, body) = request.into_parts();
        let most = usize::try_from(self.metadata.max_body_size).unwrap_or(usize::MAX);
        let text = match self.bodies.collect(body, most).await {
            Ok(text) => text,
            Err(Unread::TooLarge(most)) => {
                let says = format_args!("the request body is longer than {most} bytes");
                return reject_error_msg(StatusCode::PAYLOAD_TOO_LARGE, NAME, says);
            }
            Err(unread) => return unread.into_response(NAME),
        };
        let outer = Request::from_parts(head, crate::Body::empty());
        match self.requests(&text, &outer) {
            Ok((requests, timeout)) => {
                drop(text);
                self.run(requests, &Arrived::of(&outer), timeout).await
            }
            Err(reason) => reject_error_msg(StatusCode::BAD_REQUEST, NAME, reason),
        }
    }

    /// The requests of a batch, and how long each may take.
    fn requests(&self, text: &[u8], outer: &Request) -> Result<(Requests, Duration), String> {
        if text.trim_ascii().is_empty() {
            return Err("no request body, you should give at least one pipeline setting".to_owned());
        }
        let bad = |reason: String| format!("bad request body: {reason}");
        let batch = self.bodies.json(text).map_err(|fault| bad(fault.to_string()))?;
        let batch = Batch::read(batch).map_err(bad)?;
        let (count, most) = (batch.len(), self.metadata.max_pipeline_items);
        if count > most {
            return Err(format!("too many pipeline requests, {count} exceeds the maximum of {most}"));
        }
        // a time that no clock reaches is the gateway's own to end
        let longest = batch.timeout().min(LONGEST_TIME);
        batch.requests(outer.headers()).map(|requests| (requests, longest)).map_err(bad)
    }

    /// Asks one after the other, and writes each answer down at once, where it counts against the room of all plugins.
    async fn run(&self, requests: Requests, arrived: &Arrived, longest: Duration) -> Response {
        let mut told = Vec::with_capacity(requests.size_hint().0 * 2 + 1);
        let mut left = LONGEST;
        for mut request in requests {
            told.push(Bytes::from_static(if told.is_empty() { b"[" } else { b"," }));
            arrived.lend(&mut request);
            let asked = timeout(longest, self.ask(request, left)).await;
            let text = match asked.unwrap_or(Err((StatusCode::GATEWAY_TIMEOUT, "upstream timeout"))) {
                Ok(text) => text,
                Err((status, reason)) => json!({"status": status.as_u16(), "reason": reason}).to_string().into(),
            };
            left = left.saturating_sub(text.len());
            told.push(text);
        }
        told.push(Bytes::from_static(b"]\n"));
        let mut response = Response::new(Body::stream(Replay::new(told.into(), Body::empty(), None)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer_of(NAME, response)
    }

    /// What the client is told of an answer, as JSON of at most `left` bytes.
    async fn ask(&self, request: Request, left: usize) -> Result<Bytes, (StatusCode, &'static str)> {
        let failed = |unread: Unread| match unread {
            Unread::TooLarge(_) => (StatusCode::BAD_GATEWAY, "answer too long"),
            Unread::NoRoom => (StatusCode::SERVICE_UNAVAILABLE, "no room for the answer"),
            _ => (StatusCode::BAD_GATEWAY, "answer broke off"),
        };
        let (head, body) = self.gateway.run(request).await.into_parts();
        let body = self.bodies.collect(body, left.min(self.bodies.most())).await.map_err(failed)?;
        let text = told(&head, &body);
        drop(body);
        self.bodies.collect(Body::from(text), left).await.map_err(failed)
    }
}

/// How the outer request came: its own arrive in the same way (security.md PLG-05).
struct Arrived {
    connection: Option<ConnectInfo>,
    /// What trusted proxies said of it.
    told: HeaderMap,
    client: Option<std::net::IpAddr>,
}

impl Arrived {
    fn of(outer: &Request) -> Self {
        let facts = SharedFacts::of(outer);
        let connection = match facts {
            Some(facts) => facts.connection.clone(),
            None => ConnectInfo::of(outer.extensions()),
        };
        let told = facts.and_then(|facts| facts.arrival.original.as_deref()).cloned().unwrap_or_default();
        Self { connection, told, client: client_addr(outer) }
    }

    fn lend(&self, request: &mut Request) {
        for (name, value) in &self.told {
            request.headers_mut().append(name, value.clone());
        }
        if let Some(connection) = &self.connection {
            request.extensions_mut().insert(connection.clone());
        }
        request.extensions_mut().insert(SubRequest);
        if let Some(client) = self.client {
            set_client_addr(request, client, None);
        }
    }
}

/// An answer as the client is told.
fn told(head: &http::response::Parts, body: &[u8]) -> String {
    let (status, headers) = (head.status, Value::from(fields(&head.headers)));
    let reason = Value::from(status.canonical_reason().unwrap_or_default());
    let mut text =
        format!("{{\"status\":{},\"reason\":{reason},\"headers\":{headers},\"body\":", status.as_u16()).into_bytes();
    // a text can always be written, into memory
    let _ = serde_json::to_writer(&mut text, &String::from_utf8_lossy(body));
    text.push(b'}');
    String::from_utf8(text).unwrap_or_default()
}

/// The fields of an answer: a text each, an array of texts where a name stands several times.
fn fields(headers: &HeaderMap) -> Map<String, Value> {
    let field = |name: &http::HeaderName| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let mut texts: Vec<Value> = values.map(Value::from).collect();
        let value = if texts.len() == 1 { texts.pop().unwrap_or_default() } else { texts.into() };
        (name.to_string(), value)
    };
    headers.keys().map(field).collect()
}
