//! The CAS server, asked what a ticket is worth (CAS protocol 3.0 §2.5).
use bytes::Bytes;
use form_urlencoded::Serializer;
use http::StatusCode;
use serde_json::Value;

use super::answer::{self, Nonsense, Verdict};
use crate::plugin::bodies::Bodies;
use crate::plugins::callout::{Callout, CalloutConfig, CalloutError};

/// Longest answer in bytes: a name and what is told of it.
const MAX_ANSWER: usize = 64 * 1024;
/// Longest ticket in bytes; servers are advised to stay below 256 (§3.1).
const MAX_TICKET: usize = 1024;

/// How the server is called.
pub(super) fn calling() -> CalloutConfig {
    CalloutConfig { max_body: MAX_ANSWER, ..CalloutConfig::default() }
}

/// Asks for users.
#[derive(Debug)]
pub(super) struct CasServer {
    callout: Callout,
    validate: String,
    bodies: Bodies,
}

/// Whom the server knows.
#[derive(Debug, PartialEq)]
pub(super) struct Known {
    /// `user`, and `attributes` if there are any.
    pub(super) user: Value,
    /// How many bytes the server needed to say it.
    pub(super) weight: usize,
}

/// Why nothing is known of a ticket.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unasked {
    #[error(transparent)]
    Callout(#[from] CalloutError),
    #[error("the server answered with status {0}")]
    Status(StatusCode),
    #[error("no question can be made of the server's address")]
    Question(#[source] http::Error),
    #[error("the server's answer is none")]
    Nonsense(#[from] Nonsense),
    #[error("the server could not judge the ticket")]
    Failed,
}

impl CasServer {
    pub(super) fn new(callout: Callout, server: &str, bodies: Bodies) -> Self {
        Self { callout, validate: format!("{server}/serviceValidate"), bodies }
    }

    /// Whose a ticket is, that was issued for this service; `None`: nobody's. Asking uses it up.
    ///
    /// # Errors
    /// [`Unasked`].
    pub(super) async fn judge(&self, ticket: &str, service: &str) -> Result<Option<Known>, Unasked> {
        let query =
            Serializer::new(String::new()).append_pair("ticket", ticket).append_pair("service", service).finish();
        let question = http::Request::get(format!("{}?{query}", self.validate)).body(Bytes::new());
        let answer = self.callout.send(question.map_err(Unasked::Question)?).await?;
        if answer.status() != StatusCode::OK {
            return Err(Unasked::Status(answer.status()));
        }
        match answer::read(&self.bodies, answer.body())? {
            Verdict::User(user) => Ok(Some(Known { user, weight: answer.body().len() })),
            Verdict::Nobody { code } if code == "INTERNAL_ERROR" => Err(Unasked::Failed),
            Verdict::Nobody { code } => {
                #[cfg(feature = "tracing")]
                tracing::warn!(plugin = super::layer::NAME, code, "the server took a ticket for none of its own");
                let _ = code;
                Ok(None)
            }
        }
    }
}

/// Whether a text can be a ticket at all.
pub(super) fn is_ticket(text: &str) -> bool {
    (1..=MAX_TICKET).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
