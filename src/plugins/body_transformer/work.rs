//! From one body to another.
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::config::InputFormat;
use super::decode::{Decoded, decode};
use super::fault::Fault;
use super::half::Context;
use super::template::{Names, Template};
use crate::plugin::bodies::Bodies;

/// From this size on a body is worked on by a thread of its own, so that it holds up no other request.
const LARGE: usize = 256 * 1024;

/// Names that are the gateway's, whatever a body has.
const RESERVED: [&str; 6] = ["_ctx", "_body", "_data", "_multipart", "_escape_json", "_escape_xml"];

/// A body that is to be made.
pub(super) struct Work {
    pub(super) bodies: Bodies,
    pub(super) template: Template,
    pub(super) format: InputFormat,
    pub(super) content_type: Vec<u8>,
    /// What is decoded.
    pub(super) source: Bytes,
    /// What came as the body.
    pub(super) body: Bytes,
    pub(super) context: Context,
    /// Most bytes of the new body.
    pub(super) most: usize,
}

impl Work {
    /// The new body. What takes long goes to a thread of its own.
    pub(super) async fn done(self) -> Result<Bytes, Fault> {
        let bodies = self.bodies.clone();
        let made = self.made().await?;
        bodies.hold(made.into()).map_err(|_| Fault::NoRoom)
    }

    async fn made(self) -> Result<Vec<u8>, Fault> {
        let length = self.source.len().max(self.body.len());
        let mut known = None;
        if length < LARGE {
            let names = self.names()?;
            match self.template.render_at_once(&names, self.most) {
                Err(Fault::Steps(_)) => known = Some(names),
                made => return made,
            }
        }
        let work = move || {
            let names = match known {
                Some(names) => names,
                None => self.names()?,
            };
            self.template.render(&names, length, self.most)
        };
        // It ends early only when the runtime does, or by a panic.
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|_| Err(Fault::Render("it was broken off".to_owned())))
    }

    /// What the template may name.
    fn names(&self) -> Result<Names, Fault> {
        let decoded = match self.format {
            // A request without a body has nothing to decode, whatever it is said to be.
            format if self.source.is_empty() && format != InputFormat::Args => Decoded::default(),
            format => decode(&self.bodies, format, &self.content_type, &self.source)?,
        };
        let data = self.template.wants_data().then(|| decoded.data.clone());
        let mut names = match decoded.data {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        for reserved in RESERVED.into_iter().chain(self.template.functions()) {
            names.remove(reserved);
        }
        names.insert("_ctx".to_owned(), json!({"var": self.context}));
        names.extend(data.map(|data| ("_data".to_owned(), data)));
        names.extend(decoded.parts.map(|parts| ("_multipart".to_owned(), parts)));
        if self.template.wants_body() {
            names.insert("_body".to_owned(), String::from_utf8_lossy(&self.body).into());
        }
        Ok(Names::of(names))
    }
}
