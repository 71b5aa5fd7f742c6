//! What tests of plugins have in common.
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::plugin::{BuildContext, Plugin, Registry, Scope, shape};
use crate::{Body, Next, PluginLayer, Request, Response};

/// A block as the plugin's type has it.
pub(super) fn configured<T: DeserializeOwned>(block: Value) -> T {
    shape("test", block.as_object().unwrap()).unwrap()
}

/// The layer of a block, built as a gateway builds it.
pub(super) fn built<P: Plugin>(plugin: P, block: &Value) -> PluginLayer {
    build(plugin, block).unwrap()
}

/// Why a block is refused.
pub(super) fn build_error<P: Plugin>(plugin: P, block: &Value) -> String {
    build(plugin, block).unwrap_err()
}

fn build<P: Plugin>(plugin: P, block: &Value) -> Result<PluginLayer, String> {
    let mut registry = Registry::new();
    registry.register(plugin);
    let entry = registry.get(P::NAME).unwrap();
    let built = entry.build(block.as_object().unwrap(), &BuildContext::new(&Scope::Code));
    built.map(|built| built.layer).map_err(|error| error.to_string())
}

/// An answer with its body read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) parts: http::response::Parts,
    body: String,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }

    pub(super) fn body(&self) -> &str {
        &self.body
    }

    /// All lines of a field, joined by ` | `.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let lines: Vec<_> = self.parts.headers.get_all(name).iter().map(|line| line.to_str().unwrap()).collect();
        (!lines.is_empty()).then(|| lines.join(" | "))
    }
}

/// Asks a layer over an end that answers 200 with an empty body.
pub(super) async fn ask(layer: &PluginLayer, request: Request) -> Answer {
    ask_over(layer, Next::from_fn(|_| async { Response::new(Body::empty()) }), request).await
}

/// Asks a layer over an end.
pub(super) async fn ask_over(layer: &PluginLayer, end: Next, request: Request) -> Answer {
    let (parts, body) = layer.wrap(end).run(request).await.into_parts();
    let body = body.buffer(1 << 20).await.unwrap();
    Answer { parts, body: String::from_utf8(body.to_vec()).unwrap() }
}
