//! Asking the upstream.
use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName};
use http::response::Parts;
use http::{Extensions, Method, StatusCode, Uri, Version};
use http_body::Body as _;

use super::answer::tell_as_part;
use super::body::{Kept, Storing};
use super::conditional::{ask_for_all, ask_whether, speaks_of};
use super::engine::{Engine, Fetch, Leads};
use super::policy::{Asked, is_anothers};
use crate::cache::stats::count;
use crate::cache::{Draft, Fetching, Landing, Stored, Writer};
use crate::hop::is_hop;
use crate::request::SharedFacts;
use crate::{Body, Fault, Next, Request, Response};

/// Fields that describe the body that is kept: another answer, which has none, says nothing of it (RFC 9111 §3.2).
const OF_THE_BODY: [HeaderName; 4] = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE];

/// What is still to be known of a request when its answer comes.
struct Sent {
    headers: HeaderMap,
    uri: Uri,
    /// What tells the path that was asked for, in a gateway.
    facts: Option<SharedFacts>,
    version: Version,
    /// Of one that asks whether what is kept is good still, to ask for all if the answer is of something else.
    extensions: Option<Extensions>,
    at: u64,
    /// What is taken out from then on makes the answer one that is not kept.
    fetching: Fetching,
    /// Whether the answer to it can be kept: a GET or POST, for the whole.
    keeps: bool,
    head: bool,
}

impl Sent {
    /// The same request once more, as it came.
    fn again(self) -> Request {
        let mut request = Request::default();
        *request.method_mut() = if self.head { Method::HEAD } else { Method::GET };
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers;
        *request.extensions_mut() = self.extensions.unwrap_or_default();
        request
    }
}

impl Engine {
    /// Asks the upstream, and keeps what may be kept.
    pub(super) async fn fetch(self: &Arc<Self>, asked: Fetch, request: Request, next: &Next) -> Response {
        count(&self.zone.counters().misses);
        self.ask(asked, request, next).await
    }

    async fn ask(self: &Arc<Self>, asked: Fetch, mut request: Request, next: &Next) -> Response {
        let head = request.method() == Method::HEAD;
        let keeps = asked.query.stores && !head && !(asked.wanted.is_part() && asked.stale.is_none());
        // the answer to a POST cannot be asked after by its tag
        let asks = asked.stale.is_some() && request.method() != Method::POST;
        let sent = Sent {
            headers: if keeps || asks { request.headers().clone() } else { HeaderMap::new() },
            uri: request.uri().clone(),
            facts: request.extensions().get().cloned(),
            version: request.version(),
            extensions: asks.then(|| request.extensions().clone()),
            at: self.zone.now(),
            fetching: self.zone.fetching(asked.query.key),
            keeps,
            head,
        };
        self.policy.unkeyed.take_off(&mut request);
        if asked.flight.is_some() {
            Leads::note(&mut request, &self.zone);
        }
        match &asked.stale {
            Some(stored) if asks => ask_whether(request.headers_mut(), &stored.headers()),
            _ if keeps => ask_for_all(request.headers_mut()),
            _ => {}
        }
        let response = next.run(request).await;
        match asked.stale.clone() {
            Some(stored) if asks && response.status() == StatusCode::NOT_MODIFIED => {
                if speaks_of(response.headers(), &stored.headers()) {
                    return self.good_still(asked, sent, stored, response);
                }
                // The origin has another one by now, and nobody has seen it.
                self.withdraw(&asked, &stored);
                let asked = Fetch { stale: None, ..asked };
                Box::pin(self.ask(asked, sent.again(), next)).await
            }
            Some(stored) if is_failure(&response) && self.may_stand_in(&stored) => {
                // Those who wait have it as well, and who comes next need not wait to be told the same.
                self.zone.fail(asked.query.together());
                if let Some(flight) = asked.flight {
                    flight.land(Landing::Failed);
                }
                self.hit(&stored, &asked.wanted, sent.head, "STALE")
            }
            _ => self.keep(asked, &sent, response),
        }
    }

    /// Whether what is kept stands in for an answer that is none (RFC 5861 §4).
    pub(super) fn may_stand_in(&self, stored: &Stored) -> bool {
        let stale_for = stored.meta.stale_for(self.zone.now()).unwrap_or(0);
        stale_for < u64::from(stored.meta.if_error)
    }

    /// Takes what is kept out, if it is over. As long as it is fresh its origin stands by it, whatever one who wanted something
    /// fresher was told.
    fn withdraw(&self, asked: &Fetch, stored: &Stored) {
        if self.is_over(stored) {
            self.zone.withdraw(asked.query.key, stored);
        }
    }

    fn is_over(&self, stored: &Stored) -> bool {
        stored.meta.stale_for(self.zone.now()).is_some()
    }

    /// The upstream says that what is kept is good still (RFC 9111 §4.3.4): its fields are brought up to date.
    fn good_still(self: &Arc<Self>, asked: Fetch, sent: Sent, stored: Stored, response: Response) -> Response {
        let mut headers = stored.headers();
        let new = response.headers();
        for name in new.keys().filter(|name| !OF_THE_BODY.contains(name) && !is_hop(name.as_str().as_bytes())) {
            headers.remove(name);
            for value in new.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        let (mut parts, _) = response.into_parts();
        parts.status = stored.meta.status;
        parts.headers = headers;
        let now = self.zone.now();
        let judged = self.policy.judge(self.asked(&asked, &sent, now), &parts);
        let mut renewed = stored.clone();
        if let Ok(draft) = judged.clone() {
            renewed.meta = draft.meta;
            parts.headers = draft.headers.clone();
            match self.begin(&asked, &sent, draft, None).filter(|_| sent.keeps) {
                Some(writer) => writer.finish_with(&stored, asked.flight),
                None => drop(asked.flight),
            }
        } else {
            // it says with the same breath that nobody is to keep it
            self.withdraw(&asked, &stored);
            if let Some(flight) = asked.flight {
                flight.land(Landing::NotKept);
            }
        }
        count(&self.zone.counters().hits);
        self.policy.answer(&renewed, parts.headers, &asked.wanted, sent.head, now, "REVALIDATED")
    }

    /// Sends an answer on, and keeps it if it may be kept.
    fn keep(&self, asked: Fetch, sent: &Sent, response: Response) -> Response {
        if !sent.keeps {
            return self.policy.mark(response, asked.status);
        }
        let (mut parts, body) = response.into_parts();
        let judged = self.policy.judge(self.asked(&asked, sent, self.zone.now()), &parts);
        let length = expected(&parts);
        tell_as_part(&mut parts, &asked.wanted, length.or_else(|| body.size_hint().exact()));
        let writer = judged.ok().and_then(|draft| self.begin(&asked, sent, draft, length));
        let Some(writer) = writer else {
            if asked.stale.as_ref().is_none_or(|stored| self.is_over(stored)) {
                self.zone.refuse(asked.query.together());
            }
            if let Some(stored) = asked.stale.as_ref().filter(|_| supersedes(&parts)) {
                self.withdraw(&asked, stored);
            }
            if let Some(flight) = asked.flight {
                flight.land(Landing::NotKept);
            }
            return self.policy.mark(Response::from_parts(parts, body), asked.status);
        };
        let storing = Storing {
            zone: Arc::clone(&self.zone),
            together: asked.query.together(),
            writer,
            flight: asked.flight,
            expected: length,
            max: self.policy.max_body,
        };
        let body = match body.into_bytes() {
            Ok(bytes) => {
                storing.whole(bytes.clone());
                Body::from(bytes)
            }
            Err(body) => Body::stream(Kept::new(body, storing)),
        };
        self.policy.mark(Response::from_parts(parts, body), asked.status)
    }

    fn begin(&self, asked: &Fetch, sent: &Sent, draft: Draft, length: Option<u64>) -> Option<Writer> {
        self.zone.store(asked.query.key, draft, &sent.headers, length, sent.fetching.clone())
    }

    fn asked<'a>(&self, asked: &Fetch, sent: &'a Sent, came: u64) -> Asked<'a> {
        let facts = sent.facts.as_ref().map(|facts| &*facts.0);
        let given =
            facts.and_then(|facts| facts.given.as_ref()?.target.as_ref()).map(|target| target.path().as_bytes());
        let path = sent.uri.path().as_bytes();
        let asked_for = facts.and_then(|facts| facts.path.as_deref()).or(given).unwrap_or(path);
        Asked { authorized: asked.query.authorized, paths: [path, asked_for], sent: sent.at, came }
    }
}

/// Whether an answer is none.
fn is_failure(response: &Response) -> bool {
    matches!(response.status().as_u16(), 500 | 502 | 503 | 504)
        || response.status().is_server_error() && response.extensions().get::<Fault>().is_some()
}

/// Whether an answer says something of what there is, so that an older one that is over stands in for it no longer.
/// Errors and limits speak of their own request, and who is not let in learns nothing.
fn supersedes(answer: &Parts) -> bool {
    let status = answer.status;
    let speaks = status.is_success() || status.is_redirection() || matches!(status.as_u16(), 404 | 410 | 451);
    speaks && !is_anothers(answer)
}

/// How long a body says that it is.
fn expected(parts: &Parts) -> Option<u64> {
    parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
