//! Answers http-01 challenges in front of any service.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::answers::Answers;

/// Answers an authority that asks under `/.well-known/acme-challenge/` for a token of an order that runs, whichever of
/// the gateways on one folder ordered; of those of others it learns within a second, while its issuer
/// [runs](super::Issuer::run). Everything else passes, tokens that nobody knows included: a service behind it
/// may have certificates of its own. Made by [`Issuer::layer`](super::Issuer::layer).
///
/// An authority asks on port 80, without TLS. The layer stands outermost, before whatever redirects or authenticates.
#[derive(Clone, Debug)]
pub struct ChallengeLayer(pub(super) Arc<Answers>);

impl<S> Layer<S> for ChallengeLayer {
    type Service = Challenges<S>;
    fn layer(&self, inner: S) -> Challenges<S> {
        Challenges { inner, answers: Arc::clone(&self.0) }
    }
}

/// Service made by [`ChallengeLayer`].
#[derive(Clone, Debug)]
pub struct Challenges<S> {
    inner: S,
    answers: Arc<Answers>,
}

impl<S, B, R> Service<Request<B>> for Challenges<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ChallengeFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let asked = request.method() == Method::GET || request.method() == Method::HEAD;
        let token = Answers::token(request.uri().path()).filter(|_| asked);
        let state = match token.and_then(|token| self.answers.get(token)) {
            Some(answer) => State::Answer { answer: Some(answer) },
            None => State::Inner { future: self.inner.call(request) },
        };
        ChallengeFuture { state }
    }
}

pin_project! {
    /// Future of [`Challenges`].
    pub struct ChallengeFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B>
    where
        S: Service<Request<B>>,
    {
        Inner { #[pin] future: S::Future },
        Answer { answer: Option<Arc<str>> },
    }
}

impl<S, B, R> Future for ChallengeFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: From<String>,
{
    type Output = Result<Response<R>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Inner { future } => future.poll(cx),
            StateProjection::Answer { answer } => {
                Poll::Ready(Ok(said(answer.take().as_deref().unwrap_or_default().to_owned())))
            }
        }
    }
}

fn said<R: From<String>>(answer: String) -> Response<R> {
    let mut response = Response::new(R::from(answer));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::ServiceExt as _;

    use super::super::answers::PREFIX;
    use super::super::folder::Folder;
    use super::*;

    #[tokio::test]
    async fn tokens_of_orders_are_answered_and_all_else_passes() {
        let place = tempfile::tempdir().unwrap();
        let open = || Arc::new(Answers::new(Arc::new(Folder::open(place.path(), "https://acme.test/").unwrap())));
        let (own, others) = (open(), open());
        own.put("own", "answer of our own").unwrap();
        others.put("others", "answer of others").unwrap();
        own.look();
        let inner =
            tower::service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new("from behind".to_owned())) });
        let service = ChallengeLayer(own).layer(inner);
        for (method, path, expected) in [
            (Method::GET, format!("{PREFIX}own"), "answer of our own"),
            (Method::GET, format!("{PREFIX}others"), "answer of others"),
            (Method::GET, format!("{PREFIX}nobodys"), "from behind"),
            (Method::GET, format!("{PREFIX}../own"), "from behind"),
            (Method::POST, format!("{PREFIX}own"), "from behind"),
            (Method::GET, "/own".to_owned(), "from behind"),
        ] {
            let request = Request::builder().method(&method).uri(&path).body(()).unwrap();
            let answer = service.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.body(), expected, "{method} {path}");
        }
    }
}
