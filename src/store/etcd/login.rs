//! The log-in: a name and a password for a token that does not last.
use std::sync::{Mutex, PoisonError};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Request, Status};

use super::client::LIMIT;
use super::failure::{Failure, Meaning};
use super::link::Link;
use super::message::AuthenticateRequest;
use super::options::User;

/// Who we are, and what the server gave us for it.
#[derive(Debug)]
pub(super) struct Login {
    user: Option<User>,
    token: Mutex<Option<MetadataValue<Ascii>>>,
}

impl Login {
    pub(super) fn new(user: Option<User>) -> Self {
        Self { user, token: Mutex::default() }
    }

    /// Whether there is anybody to log in.
    pub(super) fn is_needed(&self) -> bool {
        self.user.is_some()
    }

    /// The token, unless there is none yet.
    pub(super) fn token(&self) -> Option<MetadataValue<Ascii>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has the next one log in anew.
    pub(super) fn forget(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Logs in, if there is anybody to: the token, or `None` where none is asked for.
    ///
    /// # Errors
    /// What the server says.
    pub(super) async fn log_in(&self, link: &Link) -> Result<Option<MetadataValue<Ascii>>, Failure> {
        let Some(user) = &self.user else { return Ok(None) };
        let request = AuthenticateRequest { name: user.name.clone(), password: user.password.expose().to_owned() };
        let answer = match link.call(Request::new(request), LIMIT).await.map_err(Failure::Said) {
            // Nobody's rights are looked at.
            Err(failure) if failure.meaning() == Meaning::NoUsers => return Ok(None),
            answer => answer?,
        };
        let mut token: MetadataValue<Ascii> =
            answer.token.parse().map_err(|_| Status::internal("the server's token cannot be sent"))?;
        token.set_sensitive(true);
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(Some(token))
    }
}
