//! The layer over an end, with time of its own.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, Method};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::super::{ProxyCache, ProxyCacheLayer};
use crate::cache::Zone;
use crate::model::{ByteSize, CacheZoneSpec};
use crate::plugins::testing::{Answer, ask_over, configured};
use crate::{Body, BodyError, ConnectInfo, Next, PluginLayer, Request, Response, reject};

/// An origin that notes what it is asked and answers by a script; behind its end the last answer again.
#[derive(Clone, Default)]
pub(super) struct Origin {
    pub(super) asked: Arc<Mutex<Vec<(Method, HeaderMap)>>>,
    pub(super) script: Arc<Mutex<VecDeque<Reply>>>,
    /// Answers wait for it, if it is there.
    pub(super) gate: Option<Arc<Notify>>,
}

#[derive(Clone)]
pub(super) struct Reply(pub(super) u16, Vec<(&'static str, String)>, &'static str);

pub(super) fn reply(status: u16, fields: &[(&'static str, &str)], body: &'static str) -> Reply {
    Reply(status, fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), body)
}

impl Origin {
    pub(super) fn answering(replies: &[Reply]) -> Self {
        let script = Arc::new(Mutex::new(replies.iter().cloned().collect()));
        Self { script, ..Self::default() }
    }

    pub(super) fn end(&self) -> Next {
        let origin = self.clone();
        Next::from_fn(move |request: Request| {
            let origin = origin.clone();
            async move {
                origin.asked.lock().unwrap().push((request.method().clone(), request.headers().clone()));
                if let Some(gate) = &origin.gate {
                    gate.notified().await;
                }
                let mut script = origin.script.lock().unwrap();
                let Reply(status, fields, body) =
                    if script.len() > 1 { script.pop_front() } else { script.front().cloned() }.unwrap();
                if status >= 599 {
                    return reject(http::StatusCode::BAD_GATEWAY, "proxy-cache", "down");
                }
                let mut response = http::Response::builder().status(status);
                for (name, value) in fields {
                    response = response.header(name, value);
                }
                response.body(Body::from(body)).unwrap()
            }
        })
    }

    pub(super) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    pub(super) fn last(&self, name: &str) -> Option<String> {
        let asked = self.asked.lock().unwrap();
        asked.last().and_then(|(_, headers)| Some(headers.get(name)?.to_str().unwrap().to_owned()))
    }
}

/// A cache over an origin.
pub(super) struct Rig {
    pub(super) layer: PluginLayer,
    pub(super) zone: Arc<Zone>,
    pub(super) origin: Origin,
}

impl Rig {
    pub(super) fn new(block: Value, replies: &[Reply]) -> Self {
        Self::over(block, Origin::answering(replies))
    }

    pub(super) fn over(mut block: Value, origin: Origin) -> Self {
        block["cache_strategy"] = json!("memory");
        let zone = Zone::new(CacheZoneSpec::memory("test", ByteSize(64 << 20)));
        let cache = ProxyCache::new(configured(block), zone.clone()).unwrap();
        Self { layer: ProxyCacheLayer::of(cache).into(), zone, origin }
    }

    pub(super) async fn send(&self, request: Request) -> Answer {
        ask_over(&self.layer, self.origin.end(), request).await
    }

    pub(super) async fn get(&self, target: &str, fields: &[(&'static str, &str)]) -> Answer {
        self.send(request("GET", target, fields)).await
    }

    /// What the cache says that it did.
    pub(super) async fn status(&self, target: &str, fields: &[(&'static str, &str)]) -> String {
        status(&self.get(target, fields).await)
    }
}

pub(super) fn request(method: &str, target: &str, fields: &[(&'static str, &str)]) -> Request {
    let mut request = http::Request::builder().method(method).uri(target);
    if !fields.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "shop.test");
    }
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

pub(super) fn from(mut request: Request, address: &str) -> Request {
    request.extensions_mut().insert(ConnectInfo::new(address.parse().unwrap()));
    request
}

pub(super) fn status(answer: &Answer) -> String {
    answer.header("apisix-cache-status").unwrap_or_default()
}

pub(super) async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

/// Answers that come in two pieces, with a length of their own.
pub(super) fn in_pieces(length: Option<u64>) -> Next {
    Next::from_fn(move |_| async move {
        let frames = ["abc", "def"].map(|part| Ok::<_, BodyError>(Frame::data(bytes::Bytes::from(part))));
        let mut response = Response::new(Body::stream(StreamBody::new(futures_util::stream::iter(frames))));
        if let Some(length) = length {
            response.headers_mut().insert("content-length", length.into());
        }
        response
    })
}
