//! [`AdminApi`], the service: from the request to the operation that it asks for.
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as HttpBody;
use tower::Service;

use super::answer::Answer;
use super::audit::{AuditSink, ChangeOf, Record, now_ms};
use super::auth::{Caller, Keys, Refusal};
use super::builder::AdminBuilder;
use super::configs::Configs;
use super::openapi;
use super::origin::Origins;
use super::query::Query;
use super::routes::{Endpoint, Operation, Segments, resolve};
use super::throttle::Throttle;
use crate::model::Kind;
use crate::plugin::Registry;
use crate::store::{Mirror, Sealing};
use crate::{Body, BoxError, ConnectInfo, Gateway, Request, Response};

/// The Admin API: a tower `Service` of any request to a response, that never fails. A clone is the same one.
///
/// In a host's server put a [`ConnectInfo`] into the extensions of requests (with feature `axum`, axum's own is read as
/// well): it tells the client, by which networks are let in and failures are counted. Must be called inside a tokio runtime.
#[derive(Clone)]
pub struct AdminApi(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) mirror: Mirror,
    /// The gateway that serves, or one that only judges.
    pub(super) judge: Gateway,
    /// Whether the gateway serves what the mirror has.
    pub(super) serves: bool,
    pub(super) registry: Registry,
    /// Which fields are secret. Encrypts nothing: the mirror does.
    pub(super) sealing: Sealing,
    pub(super) prefix: String,
    pub(super) keys: Keys,
    pub(super) origins: Origins,
    pub(super) throttle: Throttle,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) configs: Option<Configs>,
    pub(super) audit: Option<Arc<dyn AuditSink>>,
    /// Whole documents are judged one after the other.
    pub(super) judging: tokio::sync::Mutex<()>,
}

/// What an operation is told.
pub(super) struct Call {
    pub(super) caller: Caller,
    pub(super) segments: Segments,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
}

/// What a write leaves for the audit log.
#[derive(Debug, Default)]
pub(super) struct Note {
    pub(super) revision: Option<u64>,
    pub(super) changes: Vec<ChangeOf>,
}

impl AdminApi {
    /// Begins to put one together over a mirror. `gateway` is the one that follows the mirror, which judges writes and whose
    /// plugins are listed; without one (a control plane) each item is judged by itself.
    pub fn builder(mirror: Mirror, gateway: Option<Gateway>) -> AdminBuilder {
        AdminBuilder::new(mirror, gateway)
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let info = ConnectInfo::of(&parts.extensions);
        let method = parts.method.clone();
        let mut audited = Audited { client: info.as_ref().map(ConnectInfo::ip), ..Audited::default() };
        let path = parts.uri.path().to_owned();
        let answered = self.answer(info, parts, body, &mut audited).await;
        let answer = answered.unwrap_or_else(|refusal| refusal);
        self.note(&method, &path, &answer, audited);
        answer.into_response(&method)
    }

    async fn answer(
        self: &Arc<Self>,
        info: Option<ConnectInfo>,
        parts: http::request::Parts,
        body: Body,
        audited: &mut Audited,
    ) -> Result<Answer, Answer> {
        self.origins.judge(info.as_ref(), &parts.uri, &parts.headers)?;
        let path = parts.uri.path().strip_prefix(&self.prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let Some(path) = path else { return Err(Answer::error(StatusCode::NOT_FOUND, "404 Route Not Found")) };
        let resolved = resolve(&self.endpoints, &parts.method, path);
        if let Ok((endpoint, _)) = &resolved
            && endpoint.operation == Operation::Alive
        {
            return Ok(Answer::empty(StatusCode::OK));
        }
        audited.writes = resolved.as_ref().is_ok_and(|(endpoint, _)| endpoint.operation.writes());
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let caller = self.caller(audited, &parts.headers, &query)?;
        let (endpoint, segments) = resolved?;
        audited.by = Some(Arc::clone(&caller.name));
        audited.dry_run = query.is_true("dry_run");
        caller.may(&parts.method)?;
        if self.mirror.status().revision.is_none() {
            // Nothing is known of the store yet, which is not the same as that nothing is there.
            return Err(Answer::error(StatusCode::SERVICE_UNAVAILABLE, "the store was not read yet"));
        }
        let call = Call { caller, segments, query, headers: parts.headers };
        self.operate(endpoint.operation, call, body, &mut audited.note).await
    }

    fn caller(&self, audited: &mut Audited, headers: &HeaderMap, query: &Query) -> Result<Caller, Answer> {
        if let Some(seconds) = self.throttle.wait(audited.client) {
            // Whoever guesses does not fill the log as well.
            audited.writes = false;
            return Err(Answer::too_many(seconds));
        }
        self.keys.caller(headers, query).map_err(|refusal| {
            // A page can make a browser ask without a key: that must lock nobody out.
            if refusal == Refusal::Wrong {
                self.throttle.failed(audited.client);
            }
            refusal.into()
        })
    }

    async fn operate(
        self: &Arc<Self>,
        operation: Operation,
        call: Call,
        body: Body,
        note: &mut Note,
    ) -> Result<Answer, Answer> {
        if operation.kind() == Some(Kind::StreamRoute) {
            return Err(Answer::bad("stream mode is disabled, can not add stream routes"));
        }
        match operation {
            Operation::Alive => Ok(Answer::empty(StatusCode::OK)),
            Operation::List(kind) => self.list(kind, call).await,
            Operation::Read(kind) => self.read(kind, &call),
            Operation::Put(kind) => self.put(kind, call, body, note).await,
            Operation::Create(kind) => self.create(kind, call, body, note).await,
            Operation::Patch(kind) | Operation::PatchAt(kind) => self.patch(kind, call, body, note).await,
            Operation::Delete(kind) => self.delete(kind, call, note).await,
            Operation::WithoutId(kind) => Err(Answer::bad(format!("missing {kind} id"))),
            Operation::WithId(kind) => Err(Answer::bad(format!("wrong {kind} id, do not need it"))),
            Operation::PluginNames => self.plugin_names(&call),
            Operation::Plugins => self.plugins(&call),
            Operation::Plugin | Operation::PluginSchema => self.plugin(&call),
            Operation::ReloadPlugins => Ok(Answer::text("done")),
            Operation::Schema => super::schema::of_kind(&call),
            Operation::ValidateItem => self.validate_item(call, body).await,
            Operation::ValidateDocument => self.validate_document(call, body).await,
            Operation::ReadConfigs => self.read_configs(&call).await,
            Operation::ReplaceConfigs => self.replace_configs(call, body, note).await,
            Operation::History => self.history(&call),
            Operation::HistoryAt => self.history_at(&call),
            Operation::HistoryDiff => self.history_diff(&call).await,
            Operation::Restore => self.restore(call, note).await,
            Operation::OpenApi => Ok(Answer::ok(openapi::document(&self.endpoints, &self.prefix))),
        }
    }

    /// Leaves a line of every write, whatever became of it.
    fn note(&self, method: &Method, path: &str, answer: &Answer, audited: Audited) {
        let Some(audit) = self.audit.as_ref().filter(|_| audited.writes) else { return };
        let path = path.char_indices().nth(512).and_then(|(end, _)| path.get(..end)).unwrap_or(path);
        let record = Record {
            at_ms: now_ms(),
            by: audited.by.as_deref(),
            client: audited.client,
            method: method.as_str(),
            path,
            dry_run: audited.dry_run,
            status: answer.status.as_u16(),
            revision: audited.note.revision,
            changes: audited.note.changes,
        };
        if let Ok(line) = serde_json::to_string(&record) {
            audit.record(&line);
        }
    }
}

#[derive(Default)]
struct Audited {
    writes: bool,
    dry_run: bool,
    client: Option<IpAddr>,
    by: Option<Arc<str>>,
    note: Note,
}

impl Call {
    /// A part of the path; empty where the table has none.
    pub(super) fn segment(&self, index: usize) -> &str {
        self.segments.get(index).map_or("", String::as_str)
    }

    /// A list of entity tags, of all the lines of a field.
    ///
    /// # Errors
    /// 412 for one that is no text: a condition that cannot be read does not hold.
    pub(super) fn condition(&self, name: http::HeaderName) -> Result<Option<String>, Answer> {
        let lines: Result<Vec<_>, _> = self.headers.get_all(&name).iter().map(http::HeaderValue::to_str).collect();
        let lines = lines.map_err(|_| Answer::precondition_failed(name.as_str()))?;
        Ok((!lines.is_empty()).then(|| lines.join(", ")))
    }

    /// Refuses conditions where there is no one item that they could be about.
    ///
    /// # Errors
    /// 400 for `If-Match` and `If-None-Match`.
    pub(super) fn unconditional(&self) -> Result<(), Answer> {
        match [IF_MATCH, IF_NONE_MATCH].into_iter().find(|name| self.headers.contains_key(name)) {
            None => Ok(()),
            Some(name) => Err(Answer::bad(format!("{name} is about single items; this changes many: leave it out"))),
        }
    }

    /// A field as text.
    pub(super) fn field(&self, name: http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The future of an answer.
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Response> + Send>>);

impl Future for ResponseFuture {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl<B> Service<http::Request<B>> for AdminApi
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> ResponseFuture {
        // A client that hangs up does not stop a write half-way, or keep it out of the audit log.
        let method = request.method().clone();
        let answer = tokio::spawn(Arc::clone(&self.0).serve(request.map(Body::new)));
        ResponseFuture(Box::pin(
            async move { answer.await.unwrap_or_else(|_| Answer::internal().into_response(&method)) },
        ))
    }
}

impl fmt::Debug for AdminApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminApi").field("prefix", &self.0.prefix).field("keys", &self.0.keys).finish_non_exhaustive()
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
