//! Documents that are fetched.
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::support::{ask, get};
use crate::plugins::oas_validator::{OasValidator, OasValidatorLayer, OasValidatorMetadata, OasValidatorPlugin};
use crate::{Next, PluginLayer, Request, Response};

/// Serves a document that a test changes; `None` is a failure. Counts questions.
struct Server {
    uri: String,
    document: Arc<Mutex<Option<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn begin() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/openapi.json", listener.local_addr().unwrap());
        let (document, asked) = (Arc::<Mutex<Option<Value>>>::default(), Arc::<AtomicUsize>::default());
        let (serving, counting) = (Arc::clone(&document), Arc::clone(&asked));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut seen = Vec::new();
                while !seen.ends_with(b"\r\n\r\n") && stream.read_buf(&mut seen).await.unwrap_or(0) > 0 {}
                assert!(String::from_utf8_lossy(&seen).contains("\r\nx-token: t\r\n"));
                counting.fetch_add(1, SeqCst);
                let answer = match &*serving.lock().unwrap() {
                    None => "HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n".to_owned(),
                    Some(document) => {
                        let text = document.to_string();
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())
                    }
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { uri, document, asked }
    }

    fn serve(&self, path: &str) {
        *self.document.lock().unwrap() = Some(json!({"openapi": "3.1.0", "paths": {path: {"get": {}}}}));
    }

    /// Waits until it was asked so often.
    async fn asked(&self, times: usize) {
        while self.asked.load(SeqCst) < times {
            tokio::task::yield_now().await;
        }
    }
}

/// Asks until the chain answers so: a document is taken up in the background.
async fn until(chain: &Next, target: &str, status: u16) {
    while ask(chain, get(target)).await.0 != status {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_document_is_fetched_once_renewed_in_the_background_and_the_last_good_one_counts() {
    let server = Server::begin().await;
    let remotes = crate::plugins::oas_validator::remote::Remotes::default();
    let with = |ttl: u64| {
        let block = json!({"spec_url": server.uri, "spec_url_request_headers": {"X-Token": "t"}});
        let metadata = OasValidatorMetadata { spec_url_ttl: ttl, ..OasValidatorMetadata::default() };
        let lent = crate::plugins::oas_validator::layer::Lent {
            bodies: crate::plugin::bodies::Bodies::default(),
            remotes: &remotes,
            metadata,
        };
        let validator = OasValidator::with(serde_json::from_value(block).unwrap(), lent).unwrap();
        let end = Next::from_fn(|request: Request| async move { Response::new(request.into_body()) });
        PluginLayer::from(OasValidatorLayer::of(validator)).wrap(end)
    };
    let lasting = with(3600);
    let failed = (500, "{\"message\":\"failed to parse openapi spec\"}\n".to_owned());
    assert_eq!(ask(&lasting, get("/a")).await, failed);
    server.serve("/a");
    assert_eq!(ask(&lasting, get("/a")).await, failed, "there is a pause after a failure");
    assert_eq!(server.asked.load(SeqCst), 1);

    // everything is old at once
    let brief = with(0);
    let all = (0..20).map(|_| ask(&brief, get("/a")));
    assert!(futures_util::future::join_all(all).await.into_iter().all(|(status, _)| status == 200));
    server.serve("/b");
    until(&brief, "/b", 200).await;
    assert_eq!(ask(&brief, get("/a")).await.0, 400);
    let asked = server.asked.load(SeqCst);
    *server.document.lock().unwrap() = Some(json!("no document"));
    until(&brief, "/b", 200).await;
    server.asked(asked + 1).await;
    for _ in 0..100 {
        assert_eq!(ask(&brief, get("/b")).await.0, 200, "the last good one");
    }
}

#[tokio::test]
async fn blocks_share_a_document() {
    let server = Server::begin().await;
    server.serve("/a");
    let plugin = OasValidatorPlugin::default();
    let block = || {
        serde_json::from_value(json!({"spec_url": server.uri, "spec_url_request_headers": {"x-token": "t"}})).unwrap()
    };
    let scope = crate::plugin::Scope::Code;
    let context = crate::plugin::BuildContext::new(&scope);
    let chains = [(); 3].map(|()| {
        let end = Next::from_fn(|_| async { Response::default() });
        crate::plugin::Plugin::build(&plugin, block(), &context).unwrap().wrap(end)
    });
    for chain in &chains {
        assert_eq!(ask(chain, get("/a")).await.0, 200);
    }
    assert_eq!(server.asked.load(SeqCst), 1);
}
