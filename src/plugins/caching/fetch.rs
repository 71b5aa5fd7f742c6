//! Asking the upstream.
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HeaderMap};
use http::response::Parts;
use http::{Method, StatusCode, Uri};

use super::body::{Kept, Storing};
use super::conditional::{ask_for_all, ask_whether};
use super::engine::{Engine, Fetch};
use super::policy::Asked;
use crate::cache::stats::count;
use crate::cache::{Landing, Stored};
use crate::{Body, Fault, Next, Request, Response};

/// What is still to be known of a request when its answer comes.
struct Sent {
    headers: HeaderMap,
    uri: Uri,
    at: u64,
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
            at: self.zone.now(),
            keeps,
            head,
        };
        self.policy.unkeyed.take_off(request.headers_mut());
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
            Some(stored) if self.may_stand_in(&stored, &response) => {
                self.hit(&stored, &asked.wanted, sent.head, "STALE")
            }
            _ => self.keep(asked, &sent, response),
        }
    }

    /// Whether what is kept stands in for an answer that is none (RFC 5861 §4).
    fn may_stand_in(&self, stored: &Stored, response: &Response) -> bool {
        let failed = matches!(response.status().as_u16(), 500 | 502 | 503 | 504)
            || response.status().is_server_error() && response.extensions().get::<Fault>().is_some();
        let stale_for = stored.meta.stale_for(self.zone.now()).unwrap_or(0);
        failed && stale_for < u64::from(stored.meta.if_error)
    }

    /// The upstream says that what is kept is good still (RFC 9111 §4.3.4): its fields are brought up to date.
    fn good_still(self: &Arc<Self>, asked: Fetch, sent: Sent, stored: Stored, response: Response) -> Response {
        let mut headers = stored.headers();
        let new = response.headers();
        for name in new.keys().filter(|name| **name != CONTENT_LENGTH) {
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
            match self.zone.store(asked.query.key, draft, &sent.headers).filter(|_| sent.keeps) {
                Some(writer) => writer.finish_with(&stored, asked.flight),
                None => drop(asked.flight),
            }
        } else if let Some(flight) = asked.flight {
            flight.land(Landing::NotKept);
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
        let writer = judged.ok().and_then(|draft| self.zone.store(asked.query.key, draft, &sent.headers));
        let Some(writer) = writer else {
            self.zone.refuse(asked.query.key);
            if let Some(flight) = asked.flight {
                flight.land(Landing::NotKept);
            }
            return self.policy.mark(Response::from_parts(parts, body), asked.status);
        };
        let storing = Storing {
            zone: Arc::clone(&self.zone),
            key: asked.query.key,
            writer,
            flight: asked.flight,
            expected: expected(&parts),
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

    fn asked<'a>(&self, asked: &Fetch, sent: &'a Sent, came: u64) -> Asked<'a> {
        Asked { authorized: asked.query.authorized, path: sent.uri.path(), sent: sent.at, came }
    }
}

/// How long a body says that it is.
fn expected(parts: &Parts) -> Option<u64> {
    parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
