//! Renewal of tokens, once for all requests that find them expired.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::bearer::fingerprint;
use super::layer::OpenidConnect;
use super::log;
use super::session::Session;
use super::sessions::{Open, Sessions};
use super::token::TokenFault;
use super::tokens::{LoginError, Tokens};
use crate::plugins::browser::unix_now;

/// A renewal and its outcome, `None` if it failed.
type Renewal = Arc<OnceCell<Option<Arc<Open>>>>;

/// Renewals of the last moments, by the digest of the refresh token.
///
/// A refresh token often works once, and its second use ends the log-in. Requests of one page come together and all bring
/// the old session, the last ones after the new session is there: they are given the same outcome.
#[derive(Debug, Default)]
pub(super) struct Renewals(Mutex<HashMap<[u8; 32], (Renewal, Instant)>>);

impl Renewals {
    /// How long an outcome is handed out.
    const KEPT: Duration = Duration::from_secs(60);
    /// Most renewals that are remembered.
    const MAX: usize = 10_000;
    /// How often, and how long apart, a session is looked at that another gateway renews: 5 s in all.
    const LOOKS: u32 = 100;
    const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

    fn of(&self, refresh_token: &str) -> Renewal {
        let now = Instant::now();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= Self::MAX / 2 {
            kept.retain(|_, (_, began)| now.duration_since(*began) < Self::KEPT);
        }
        let token = fingerprint(refresh_token);
        if let Some((renewal, began)) = kept.get(&token)
            && now.duration_since(*began) < Self::KEPT
        {
            return Arc::clone(renewal);
        }
        let renewal = Renewal::default();
        if kept.len() < Self::MAX {
            kept.insert(token, (Arc::clone(&renewal), now));
        }
        renewal
    }

    /// A failure is told to those who waited for it, and to nobody later.
    fn forget(&self, refresh_token: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&fingerprint(refresh_token));
    }
}

impl OpenidConnect {
    /// The session with new tokens; `None` when there are none to be had.
    pub(super) async fn renewed(self: &Arc<Self>, open: &Open) -> Option<Open> {
        let refresh_token = open.session.refresh_token.as_deref()?;
        let renewal = self.renewals.of(refresh_token);
        let outcome = renewal.get_or_init(async || {
            // In a task of its own, which ends with the time-outs of the calls: were it to end with the request, a client
            // that goes away could use up a refresh token whose successor nobody gets to know.
            let (own, old) = (Arc::clone(self), open.clone());
            let task = tokio::spawn(async move { own.renew(old).await });
            let outcome = task.await.unwrap_or(Err(LoginError::Broken));
            outcome.inspect_err(|error| log::warn("a session was not renewed", error)).ok().map(Arc::new)
        });
        let outcome = outcome.await.clone();
        if outcome.is_none() {
            self.renewals.forget(refresh_token);
        }
        outcome.map(|open| Open::clone(&open))
    }

    /// Renews a session, or waits for the gateway that does; where sessions are in Redis, the outcome is there.
    async fn renew(&self, mut open: Open) -> Result<Open, LoginError> {
        let Some(sessions) = &self.sessions else { return Err(LoginError::Broken) };
        if !sessions.claim(&open).await? {
            return self.renewed_elsewhere(sessions, &open).await;
        }
        let renewed = match self.with_new_tokens(open.session.clone()).await {
            // cookies are set with the answers of those who wait
            Ok(session) => {
                open.session = session;
                sessions.replace(&mut open).await.map_err(LoginError::from)
            }
            Err(error) => Err(error),
        };
        sessions.release(&open).await;
        renewed.map(|()| open)
    }

    /// Redis does not tell when the session has changed, so it is looked at a few times.
    async fn renewed_elsewhere(&self, sessions: &Sessions, old: &Open) -> Result<Open, LoginError> {
        for _ in 0..Renewals::LOOKS {
            tokio::time::sleep(Renewals::BETWEEN_LOOKS).await;
            if let Some(open) = sessions.renewed_elsewhere(old).await? {
                return Ok(open);
            }
        }
        Err(LoginError::Elsewhere)
    }

    async fn with_new_tokens(&self, mut session: Session) -> Result<Session, LoginError> {
        let metadata = self.provider.metadata().await?;
        let old = session.refresh_token.take().unwrap_or_default();
        let form = [("grant_type", "refresh_token"), ("refresh_token", &old)];
        let tokens = self.tokens(&metadata, &form).await?;
        if let Some(id_token) = &tokens.id_token {
            let claims = self.id_token(id_token, &metadata, None).await?;
            // OpenID Connect Core 1.0 §12.2
            if claims.get("sub") != session.claims().get("sub") {
                return Err(TokenFault::Claims.into());
            }
        }
        self.put_tokens(&mut session, tokens);
        session.refresh_token.get_or_insert(old);
        Ok(session)
    }

    /// Puts what the token endpoint gave into a session.
    pub(super) fn put_tokens(&self, session: &mut Session, tokens: Tokens) {
        let lifetime = tokens.expires_in.unwrap_or(self.settings.login.default_lifetime);
        session.expires = unix_now().saturating_add(lifetime);
        session.access_token = tokens.access_token;
        session.refresh_token = tokens.refresh_token;
        if let Some(id_token) = tokens.id_token {
            session.id_token = id_token;
        }
        // a scope that is not told is the one before (RFC 6749 §5.1, §6)
        if tokens.scope.is_some() {
            session.scope = tokens.scope;
        }
    }
}
