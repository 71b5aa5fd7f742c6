//! Why Keycloak brought nothing.
use http::StatusCode;

use crate::plugins::callout::{BadUri, CalloutError, Missing};

/// Why Keycloak brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unasked {
    #[error(transparent)]
    Call(#[from] CalloutError),
    #[error("{0} answered {1}")]
    Status(&'static str, StatusCode),
    #[error("the answer is not what it should be")]
    Shape(#[from] serde_json::Error),
    #[error("the discovery document has no `{0}`")]
    None(&'static str),
    #[error("`{0}` of the discovery document {1}")]
    Endpoint(&'static str, BadUri),
    #[error("`{0}` of the discovery document is `http`, the document itself is `https`")]
    Downgrade(&'static str),
    #[error("the address of the look-up {0}")]
    Target(BadUri),
    #[error("a resource has an id that cannot be asked for")]
    Resource,
    #[error("the gateway's own token is no value of a field")]
    Token,
    #[error("the discovery document, or a token of our own, is not to be had")]
    Missing(#[source] Box<Missing<Unasked>>),
}

impl From<Missing<Unasked>> for Unasked {
    fn from(missing: Missing<Unasked>) -> Self {
        Self::Missing(Box::new(missing))
    }
}
