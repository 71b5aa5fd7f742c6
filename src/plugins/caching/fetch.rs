//! Asking the upstream.
use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName};
use http::response::Parts;
use http::{Method, StatusCode, Uri};

use super::body::{Kept, Storing};
use super::conditional::{ask_for_all, ask_whether};
use super::engine::{Engine, Fetch, Leads};
use super::policy::Asked;
use crate::cache::stats::count;
use crate::cache::{Draft, Fetching, Landing, Stored, Writer};
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
    at: u64,
    /// What is taken out from then on makes the answer one that is not kept.
    fetching: Fetching,
    /// Whether the answer to it can be kept: a GET or POST, for the whole.
    keeps: bool,
    head: bool,
}

impl Engine {
    /// Asks the upstream, and keeps what may be kept.
    pub(super) async fn fetch(self: &Arc<Self>, asked: Fetch, mut request: Request, next: &Next) -> Response {
        count(&self.zone.counters().misses);
        let head = request.method() == Method::HEAD;
        let partial = asked.wanted.range.is_some() && asked.stale.is_none();
        let keeps = asked.query.stores && !head && !partial;
        let sent = Sent {
            headers: if keeps { request.headers().clone() } else { HeaderMap::new() },
            uri: request.uri().clone(),
            facts: request.extensions().get().cloned(),
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
            // the answer to a POST cannot be asked after by its tag
            Some(stored) if request.method() != Method::POST => ask_whether(request.headers_mut(), &stored.headers()),
            _ if keeps => ask_for_all(request.headers_mut()),
            _ => {}
        }
        let response = next.run(request).await;
        match asked.stale.clone() {
            Some(stored) if response.status() == StatusCode::NOT_MODIFIED => {
                self.good_still(asked, sent, stored, response)
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
        for name in new.keys().filter(|name| !OF_THE_BODY.contains(name)) {
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
        let (parts, body) = response.into_parts();
        let judged = self.policy.judge(self.asked(&asked, sent, self.zone.now()), &parts);
        let length = expected(&parts);
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
    speaks && answer.extensions.get::<Fault>().is_none()
}

/// How long a body says that it is.
fn expected(parts: &Parts) -> Option<u64> {
    parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
