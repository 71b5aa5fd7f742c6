//! Who calls.
use std::any::Any;
use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::SharedFacts;
use crate::model::{ConsumerSpec, Labels};

const USERNAME: HeaderName = HeaderName::from_static("x-consumer-username");
const CREDENTIAL: HeaderName = HeaderName::from_static("x-credential-identifier");
const CUSTOM_ID: HeaderName = HeaderName::from_static("x-consumer-custom-id");

/// A caller that an authentication plugin has identified: a request extension. A clone is one reference count.
///
/// Behind the layer that identified it the request carries `X-Consumer-Username`, `X-Credential-Identifier` (if it came
/// by a credential object) and `X-Consumer-Custom-ID` (the label `custom_id`); a client's copies of these fields never
/// pass (plugins/auth.md §0.3).
#[derive(Clone)]
pub struct Consumer(Arc<Identity>);

struct Identity {
    consumer: Arc<Person>,
    credential: Option<(Arc<str>, Option<HeaderValue>)>,
}

struct Person {
    name: Arc<str>,
    group: Option<Arc<str>>,
    labels: Labels,
    username: Option<HeaderValue>,
    custom_id: Option<HeaderValue>,
    overlay: Option<Overlaid>,
}

/// Blocks that hold for a consumer in place of its routes' or beside them: what the gateway compiled of the consumer and
/// its group.
#[derive(Clone)]
pub(crate) struct Overlaid {
    /// A small number that is free again when the set is gone.
    pub(crate) slot: u32,
    /// The set itself, which the gateway knows the type of. Two sets are told apart by where they lie in memory: numbers of
    /// two gateways would meet.
    pub(crate) blocks: Arc<dyn Any + Send + Sync>,
}

impl Consumer {
    /// A consumer in code: its name, group and labels count.
    pub fn new(spec: &ConsumerSpec) -> Self {
        Self::with_overlay(spec, None)
    }

    pub(crate) fn with_overlay(spec: &ConsumerSpec, overlay: Option<Overlaid>) -> Self {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).ok();
        let person = Person {
            name: spec.username.to_shared(),
            group: spec.group_id.as_ref().map(|group| group.to_shared()),
            labels: spec.labels.clone(),
            username: value(spec.username.as_str()),
            custom_id: spec.labels.get("custom_id").and_then(|id| value(id)),
            overlay,
        };
        Self(Arc::new(Identity { consumer: Arc::new(person), credential: None }))
    }

    /// The same consumer, identified by its credential object `id`.
    #[must_use]
    pub fn by_credential(&self, id: &str) -> Self {
        let credential = Some((Arc::from(id), HeaderValue::from_bytes(id.as_bytes()).ok()));
        Self(Arc::new(Identity { consumer: Arc::clone(&self.0.consumer), credential }))
    }

    /// Its name, which is its id.
    pub fn name(&self) -> &Arc<str> {
        &self.0.consumer.name
    }

    /// The id of its group.
    pub fn group(&self) -> Option<&Arc<str>> {
        self.0.consumer.group.as_ref()
    }

    /// Its labels.
    pub fn labels(&self) -> &Labels {
        &self.0.consumer.labels
    }

    /// The id of the credential object that identified it, without the consumer's name.
    pub fn credential(&self) -> Option<&Arc<str>> {
        self.0.credential.as_ref().map(|(id, _)| id)
    }

    pub(crate) fn overlay(&self) -> Option<&Overlaid> {
        self.0.consumer.overlay.as_ref()
    }

    /// Leaves the blocks behind that hold for it in its own gateway, on the way to a service that may be another one.
    pub(crate) fn leave(&mut self) {
        let Identity { consumer, credential } = &*self.0;
        if consumer.overlay.is_none() {
            return;
        }
        let person = Person {
            name: Arc::clone(&consumer.name),
            group: consumer.group.clone(),
            labels: consumer.labels.clone(),
            username: consumer.username.clone(),
            custom_id: consumer.custom_id.clone(),
            overlay: None,
        };
        self.0 = Arc::new(Identity { consumer: Arc::new(person), credential: credential.clone() });
    }

    /// Makes it the caller of a request: the extension and the identity fields. A later call replaces an earlier one's.
    pub fn attach<B>(&self, request: &mut http::Request<B>) {
        let person = &self.0.consumer;
        // A gateway has taken clients' copies off: only another layer can have put one there.
        let clean = SharedFacts::of(request).is_some() && Self::of(request).is_none();
        let headers = request.headers_mut();
        let mut set = |name: HeaderName, value: Option<&HeaderValue>| match value {
            Some(value) => {
                headers.insert(name, value.clone());
            }
            None if clean => {}
            None => {
                headers.remove(name);
            }
        };
        set(USERNAME, person.username.as_ref());
        set(CREDENTIAL, self.0.credential.as_ref().and_then(|(_, value)| value.as_ref()));
        set(CUSTOM_ID, person.custom_id.as_ref());
        if let Some(exchange) = request.extensions().get::<crate::Exchange>() {
            exchange.set_consumer(Arc::clone(&person.name));
        }
        request.extensions_mut().insert(self.clone());
    }

    /// The caller of a request, if one was identified.
    pub fn of<B>(request: &http::Request<B>) -> Option<&Self> {
        request.extensions().get()
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Consumer({})", self.name())
    }
}
