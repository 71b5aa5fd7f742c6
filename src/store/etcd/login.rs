//! The log-in: a name and a password for a token that does not last.
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    pass: Mutex<Pass>,
}

/// What a request is sent with.
#[derive(Clone, Debug, Default)]
pub(super) enum Pass {
    /// That has to be asked first.
    #[default]
    Unknown,
    /// With nothing: the server looks at nobody's rights.
    NotNeeded,
    /// With this.
    Token(MetadataValue<Ascii>),
}

impl Login {
    pub(super) fn new(user: Option<User>) -> Self {
        Self { user, pass: Mutex::default() }
    }

    /// Whether there is anybody to log in.
    pub(super) fn is_needed(&self) -> bool {
        self.user.is_some()
    }

    /// What is known of it.
    pub(super) fn pass(&self) -> Pass {
        if self.is_needed() { self.lock().clone() } else { Pass::NotNeeded }
    }

    /// Has the next one log in anew.
    pub(super) fn forget(&self) {
        *self.lock() = Pass::Unknown;
    }

    /// Logs in, if there is anybody to.
    ///
    /// # Errors
    /// What the server says.
    pub(super) async fn log_in(&self, link: &Link) -> Result<Pass, Failure> {
        let Some(user) = &self.user else { return Ok(Pass::NotNeeded) };
        let request = AuthenticateRequest { name: user.name.clone(), password: user.password.expose().to_owned() };
        let pass = match link.call(Request::new(request), LIMIT).await.map_err(Failure::Said) {
            // It stays so until somebody is turned away for having no name.
            Err(failure) if failure.meaning() == Meaning::NoUsers => Pass::NotNeeded,
            answer => {
                let mut token: MetadataValue<Ascii> =
                    answer?.token.parse().map_err(|_| Status::internal("the server's token cannot be sent"))?;
                token.set_sensitive(true);
                Pass::Token(token)
            }
        };
        *self.lock() = pass.clone();
        Ok(pass)
    }

    fn lock(&self) -> MutexGuard<'_, Pass> {
        self.pass.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
