//! What answers a batch.
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use super::batch::Batch;
use super::{BatchRequestsMetadata, BatchRequestsPlugin};
use crate::error::{answer_of, reject_empty, reject_error_msg};
use crate::plugin::Plugin as _;
use crate::plugin::bodies::{Bodies, Unread};
use crate::request::{SharedFacts, SubRequest, client_addr, set_client_addr};
use crate::{ConnectInfo, Next, Request, Response};

const NAME: &str = BatchRequestsPlugin::NAME;
/// Longest bodies of all answers together, in bytes.
const LONGEST: usize = 16 * 1024 * 1024;

/// Sends batches through a gateway.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    pub(super) gateway: Next,
    pub(super) bodies: Bodies,
    pub(super) metadata: BatchRequestsMetadata,
}

/// What became of one request.
enum Outcome {
    Answered(http::response::Parts, Bytes),
    Failed(StatusCode, &'static str),
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
            Ok((requests, deadline)) => {
                drop(text);
                self.run(requests, deadline).await
            }
            Err(reason) => reject_error_msg(StatusCode::BAD_REQUEST, NAME, reason),
        }
    }

    /// The requests of a batch, and when they are to be answered.
    fn requests(&self, text: &[u8], outer: &Request) -> Result<(Vec<Request>, Instant), String> {
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
        let now = Instant::now();
        // a time that no clock reaches is the gateway's own to end
        let deadline = now.checked_add(batch.timeout()).unwrap_or(now + std::time::Duration::from_secs(86_400));
        let mut requests = batch.requests(outer.headers()).map_err(bad)?;
        let arrived = Arrived::of(outer);
        requests.iter_mut().for_each(|request| arrived.lend(request));
        Ok((requests, deadline))
    }

    async fn run(&self, requests: Vec<Request>, deadline: Instant) -> Response {
        let mut outcomes = Vec::with_capacity(requests.len());
        let mut left = LONGEST;
        for request in requests {
            let asked = timeout_at(deadline, self.ask(request, left)).await;
            let outcome = asked.unwrap_or(Outcome::Failed(StatusCode::GATEWAY_TIMEOUT, "upstream timeout"));
            if let Outcome::Answered(_, body) = &outcome {
                left = left.saturating_sub(body.len());
            }
            outcomes.push(outcome);
        }
        let told: Vec<Value> = outcomes.into_iter().map(Outcome::told).collect();
        let mut response = Response::new(format!("{}\n", Value::from(told)).into());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer_of(NAME, response)
    }

    async fn ask(&self, request: Request, left: usize) -> Outcome {
        let (head, body) = self.gateway.run(request).await.into_parts();
        let failed = |reason| Outcome::Failed(StatusCode::BAD_GATEWAY, reason);
        match self.bodies.collect(body, left.min(self.bodies.most())).await {
            Ok(body) => Outcome::Answered(head, body),
            Err(Unread::TooLarge(_)) => failed("answer too long"),
            Err(Unread::NoRoom) => Outcome::Failed(StatusCode::SERVICE_UNAVAILABLE, "no room for the answer"),
            Err(_) => failed("answer broke off"),
        }
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

impl Outcome {
    /// As the client is told.
    fn told(self) -> Value {
        match self {
            Self::Failed(status, reason) => json!({"status": status.as_u16(), "reason": reason}),
            Self::Answered(head, body) => json!({
                "status": head.status.as_u16(),
                "reason": head.status.canonical_reason().unwrap_or_default(),
                "headers": fields(&head.headers),
                "body": String::from_utf8_lossy(&body),
            }),
        }
    }
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
