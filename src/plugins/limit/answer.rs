//! What a limiter answers.
use http::StatusCode;

use crate::error::{Response, reject_empty, reject_error_msg};
use crate::plugin::ConfigError;

/// The rejection that a block asks for.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    plugin: &'static str,
    status: StatusCode,
    message: Option<String>,
}

impl Answer {
    /// Judges `rejected_code` and `rejected_msg`.
    pub(crate) fn new(plugin: &'static str, code: u16, message: Option<&str>) -> Result<Self, ConfigError> {
        let status = StatusCode::from_u16(code).ok().filter(|_| (200..=599).contains(&code));
        let status =
            status.ok_or_else(|| ConfigError::invalid(plugin, "rejected_code", "needs a status, 200 to 599"))?;
        if message.is_some_and(str::is_empty) {
            return Err(ConfigError::invalid(plugin, "rejected_msg", "is empty; leave it out for an empty body"));
        }
        Ok(Self { plugin, status, message: message.map(str::to_owned) })
    }

    /// The answer to a request over the limit.
    pub(crate) fn rejected(&self) -> Response {
        match &self.message {
            Some(message) => reject_error_msg(self.status, self.plugin, message),
            None => reject_empty(self.status, self.plugin),
        }
    }

    /// The answer to a request that could not be counted, where such requests do not pass.
    pub(crate) fn failed(&self) -> Response {
        reject_empty(StatusCode::INTERNAL_SERVER_ERROR, self.plugin)
    }
}
