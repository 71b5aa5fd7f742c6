//! Log-ins under way. Each has a cookie of its own, so that several tabs can log in at once.
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::seal::{Seal, same};
use crate::plugins::browser::cookies::pairs;

/// One log-in, from the redirect to the provider until its answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) state: String,
    /// Where the user wanted to go: path and query.
    pub(super) target: String,
    pub(super) nonce: Option<String>,
    /// PKCE's secret.
    pub(super) verifier: Option<String>,
    /// In Unix seconds.
    pub(super) began: u64,
    /// The provider was told not to ask the user.
    pub(super) silent: bool,
}

impl Attempt {
    /// Seconds for which a log-in page may stand open.
    const LIFETIME: u64 = 3600;
    /// Most attempts at once; the oldest ones give way.
    pub(super) const MAX: usize = 6;
    /// What attempts are sealed for.
    pub(super) const PURPOSE: &'static str = "attempt";

    /// The name of its cookie: a part of the state, which the cookie itself has whole.
    pub(super) fn cookie(session: &str, state: &str) -> String {
        format!("{session}_login_{}", state.get(..8).unwrap_or(state))
    }

    /// Every attempt of a browser, with the names of their cookies, the latest first; what does not open comes last.
    pub(super) fn all(headers: &HeaderMap, session: &str, seal: &Seal) -> Vec<(String, Option<Self>)> {
        let prefix = format!("{session}_login_");
        let ours = pairs(headers).filter(|(name, _)| name.starts_with(&prefix));
        let mut attempts: Vec<_> =
            ours.map(|(name, value)| (name.to_owned(), seal.open::<Self>(Self::PURPOSE, value))).collect();
        attempts.sort_by_key(|(_, attempt)| std::cmp::Reverse(attempt.as_ref().map(|attempt| attempt.began)));
        attempts
    }

    /// Whether the provider's answer belongs to it.
    pub(super) fn is_answered_by(&self, state: &str, now: u64) -> bool {
        same(&self.state, state) && now.saturating_sub(self.began) < Self::LIFETIME
    }
}
