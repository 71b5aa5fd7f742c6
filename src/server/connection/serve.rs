//! The future of a connection: turns between the wire and the service.
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tower::Service;

use super::tunnel;
use super::wire::{Next, Seen, Wire, request_too_long};
use crate::error::{Request, Response};
use crate::interim;
use crate::server::Protocols;
use crate::server::registry::Entry;

/// What a connection became: a tunnel, or HTTP/2.
pub(super) type Takeover = Pin<Box<dyn Future<Output = ()> + Send>>;

pin_project_lite::pin_project! {
    /// One connection, served by `S`.
    #[project = ServeProj]
    pub(in crate::server) struct Serve<S: Service<Request>> {
        service: Option<S>,
        #[pin]
        call: Option<S::Future>,
        // A request for which the service is not ready.
        waiting: Option<Box<Request>>,
        wire: Wire,
        takeover: Option<Takeover>,
        entry: Entry,
    }
}

impl<S> Serve<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    pub(in crate::server) fn new(entry: Entry, service: S, protocols: Protocols) -> Self {
        let client = Arc::clone(entry.client());
        let wire = Wire::new(client, protocols == Protocols::Both);
        let mut serve = Self { service: Some(service), call: None, waiting: None, wire, takeover: None, entry };
        if protocols == Protocols::H2 {
            serve.takeover = serve.service.take().map(|service| http2(&serve.entry, service, Bytes::new()));
        }
        serve
    }
}

impl<S> Future for Serve<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut me = self.project();
        if let Some(request) = me.waiting.take()
            && !ready!(begin(&mut me, *request, cx))
        {
            return Poll::Ready(());
        }
        loop {
            if let Some(takeover) = me.takeover {
                return takeover.as_mut().poll(cx);
            }
            if let Some(call) = me.call.as_mut().as_pin_mut() {
                let listener = interim::Listener::new();
                let polled = catch_unwind(AssertUnwindSafe(|| call.poll(cx)));
                let heads = listener.heard();
                if !heads.is_empty() {
                    me.wire.write_interim(heads, cx);
                }
                let seen = match &polled {
                    Ok(Poll::Pending) => Some(ready!(me.wire.poll_serving(cx))),
                    _ => None,
                };
                // What the service still holds goes before its answer is written; its end may panic, too.
                let dropped = catch_unwind(AssertUnwindSafe(|| me.call.set(None)));
                match (polled, seen, dropped) {
                    (Ok(Poll::Ready(Ok(response))), ..) => me.wire.begin(response, cx),
                    (_, Some(Seen::Gone), _) => return Poll::Ready(()),
                    (_, Some(Seen::Late), _) => me.wire.refuse(request_too_long(), cx),
                    _ => me.wire.begin_panicked(cx),
                }
            }
            match ready!(me.wire.poll_next(cx)) {
                Next::Request(request) => {
                    if !ready!(begin(&mut me, request, cx)) {
                        return Poll::Ready(());
                    }
                }
                Next::Http2(early) => match me.service.take() {
                    Some(service) => *me.takeover = Some(http2(me.entry, service, early)),
                    None => return Poll::Ready(()),
                },
                Next::Tunnel(upgraded) => {
                    *me.takeover = Some(Box::pin(tunnel::run(Arc::clone(me.entry.client()), upgraded)));
                }
                Next::End => return Poll::Ready(()),
            }
        }
    }
}

/// Calls the service. Pending while it is not ready, and the request waits; false when the client went away meanwhile.
fn begin<S>(me: &mut ServeProj<'_, S>, request: Request, cx: &mut Context<'_>) -> Poll<bool>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    let Some(service) = me.service else { return Poll::Ready(false) };
    match service.poll_ready(cx) {
        // A panic in the service is this request's alone (PAN-01).
        Poll::Ready(Ok(())) => match catch_unwind(AssertUnwindSafe(|| service.call(request))) {
            Ok(call) => me.call.set(Some(call)),
            Err(_) => me.wire.begin_panicked(cx),
        },
        Poll::Pending => {
            *me.waiting = Some(Box::new(request));
            match ready!(me.wire.poll_serving(cx)) {
                Seen::Gone => return Poll::Ready(false),
                Seen::Late => {
                    *me.waiting = None;
                    me.wire.refuse(request_too_long(), cx);
                }
            }
        }
    }
    Poll::Ready(true)
}

/// The connection as HTTP/2.
#[cfg(feature = "http2")]
fn http2<S>(entry: &Entry, service: S, early: Bytes) -> Takeover
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    Box::pin(super::http2::run(Arc::clone(entry.client()), service, early))
}

/// Without the feature no listener offers HTTP/2, so no connection comes here; if one did, it would end.
#[cfg(not(feature = "http2"))]
fn http2<S>(_: &Entry, _: S, _: Bytes) -> Takeover {
    Box::pin(std::future::ready(()))
}
