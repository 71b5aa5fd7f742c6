//! Giving the text out.
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use tokio::time::Instant;

use super::metrics::Metrics;
use super::text::write;
use crate::error::Response;
use crate::{Body, Next, answer_of};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

impl Metrics {
    /// The text, at most [`refresh_interval`](super::PrometheusAttr::refresh_interval) seconds old.
    pub async fn text(&self) -> Bytes {
        // Whoever comes while a text is being made waits for that one.
        let mut last = self.0.text.lock().await;
        let interval = Duration::from_secs(self.0.plan().attr.refresh_interval.into());
        if let Some((made, text)) = &*last
            && made.elapsed() < interval
        {
            return text.clone();
        }
        let made = Instant::now();
        let text = self.fresh_text().await;
        *last = Some((made, text.clone()));
        text
    }

    /// Many labels make a long text, which is not to hold up the requests of this thread.
    async fn fresh_text(&self) -> Bytes {
        let (inner, figures) = (self.0.clone(), self.figures().clone());
        let make = move || Bytes::from(write(&inner, &figures));
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return make() };
        runtime.spawn_blocking(make).await.unwrap_or_default()
    }

    /// Answers GET with the text: a tower service, for a route, an axum router, a listener of its own.
    pub fn service(&self) -> Next {
        let metrics = self.clone();
        Next::from_fn(move |request| {
            let (metrics, method) = (metrics.clone(), request.method().clone());
            async move {
                let mut response = Response::default();
                match method {
                    Method::GET => {
                        response.headers_mut().insert(CONTENT_TYPE, TEXT);
                        *response.body_mut() = Body::from(metrics.text().await);
                    }
                    Method::HEAD => {
                        response.headers_mut().insert(CONTENT_TYPE, TEXT);
                    }
                    _ => {
                        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                    }
                }
                answer_of("prometheus", response)
            }
        })
    }
}
