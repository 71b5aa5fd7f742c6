//! Where sessions are: in the browser's cookies, encrypted, or in Redis.
use http::HeaderMap;

use super::plugin::NAME;
#[cfg(feature = "redis")]
use super::redis::{RedisError, RedisStore};
use super::seal::Seal;
#[cfg(feature = "redis")]
use super::seal::random_text;
use super::session::Session;
use super::settings::{self, SessionSettings};
use super::{OpenidConnectConfig, Storage, cookies};
use crate::plugin::ConfigError;
use crate::plugins::browser::unix_now;

/// The sessions of one block.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) settings: SessionSettings,
    pub(super) seal: Seal,
    #[cfg(feature = "redis")]
    redis: Option<RedisStore>,
}

/// A session that is in force.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) session: Session,
    /// Where it is in Redis; `None` when the cookie has it whole.
    #[cfg(feature = "redis")]
    kept: Option<Kept>,
}

/// A session in Redis.
#[cfg(feature = "redis")]
#[derive(Clone, Debug)]
struct Kept {
    /// Its name.
    id: String,
    /// What was found there.
    sealed: String,
}

/// Sessions cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error("the session is too long")]
    TooLong(#[from] cookies::TooLong),
    #[error("nothing can be encrypted")]
    Crypto(#[from] aws_lc_rs::error::Unspecified),
    #[cfg(feature = "redis")]
    #[error("the sessions' Redis failed")]
    Redis(#[from] RedisError),
}

/// What sessions are sealed for, in cookies.
const SESSION: &str = "session";

/// What the names of sessions in Redis are sealed for.
#[cfg(feature = "redis")]
const NAMED: &str = "id";

impl Sessions {
    /// The sessions of a block that is written on the resource with the path `scope`; none where nobody logs in.
    pub(super) fn new(config: &OpenidConnectConfig, scope: &str) -> Result<Option<Self>, ConfigError> {
        let Some(session) = config.session.as_ref().filter(|_| !config.bearer_only) else { return Ok(None) };
        let wrong = |field: &str, reason: &str| Err(ConfigError::invalid(NAME, field, reason));
        match (session.storage, &session.redis) {
            (Storage::Cookie, Some(_)) => return wrong("session.redis", "is for `storage: redis`; leave it out"),
            (Storage::Redis, None) => return wrong("session.redis", "is required by `storage: redis`"),
            #[cfg(not(feature = "redis"))]
            (Storage::Redis, Some(_)) => {
                return wrong("session.storage", "`redis` needs a build with the feature `redis`; use `cookie`");
            }
            _ => {}
        }
        Ok(Some(Self {
            settings: settings::session(session, config, scope)?,
            seal: Seal::new(session.secret.expose(), &settings::binding(config, scope))
                .map_err(|_| ConfigError::invalid(NAME, "session.secret", "no key can be derived from it"))?,
            #[cfg(feature = "redis")]
            redis: session.redis.as_ref().map(RedisStore::new).transpose()?,
        }))
    }

    /// The session of a request, if it has one that is in force.
    pub(super) async fn read(&self, headers: &HeaderMap) -> Result<Option<Open>, SessionError> {
        let Some(sealed) = cookies::join(headers, &self.settings.cookie.name) else { return Ok(None) };
        let open = self.open(&sealed).await?;
        Ok(open.filter(|open| open.session.is_alive(unix_now(), self.settings.limits)))
    }

    #[cfg(feature = "redis")]
    async fn open(&self, sealed: &str) -> Result<Option<Open>, SessionError> {
        let Some(redis) = &self.redis else { return Ok(self.open_whole(sealed)) };
        match self.seal.open::<String>(NAMED, sealed) {
            Some(id) => self.open_kept(redis, id).await,
            None => Ok(None),
        }
    }

    #[cfg(not(feature = "redis"))]
    async fn open(&self, sealed: &str) -> Result<Option<Open>, SessionError> {
        Ok(self.open_whole(sealed))
    }

    fn open_whole(&self, sealed: &str) -> Option<Open> {
        let session = self.seal.open(SESSION, sealed)?;
        Some(Open {
            session,
            #[cfg(feature = "redis")]
            kept: None,
        })
    }

    #[cfg(feature = "redis")]
    async fn open_kept(&self, redis: &RedisStore, id: String) -> Result<Option<Open>, SessionError> {
        let Some(sealed) = redis.get(&id).await? else { return Ok(None) };
        let session = self.seal.open(&purpose(&id), &sealed);
        Ok(session.map(|session| Open { session, kept: Some(Kept { id, sealed }) }))
    }

    /// Begins a session: gives it to the browser, or its name.
    pub(super) async fn begin(
        &self,
        session: &Session,
        headers: &HeaderMap,
        set: &mut Vec<String>,
    ) -> Result<(), SessionError> {
        #[cfg(feature = "redis")]
        if let Some(redis) = &self.redis {
            let id = random_text::<32>()?;
            let sealed = self.seal.seal(&purpose(&id), session)?;
            redis.set(&id, &sealed, session.time_left(unix_now(), self.settings.limits)).await?;
            return Ok(cookies::split(&self.settings.cookie, headers, &self.seal.seal(NAMED, &id)?, set)?);
        }
        let sealed = self.seal.seal(SESSION, session)?;
        Ok(cookies::split(&self.settings.cookie, headers, &sealed, set)?)
    }

    /// Keeps a session that was used or renewed. In Redis that is done only where it is as it was found: what another request
    /// has made of it since, or that it has ended, stays.
    pub(super) async fn keep(
        &self,
        open: &Open,
        headers: &HeaderMap,
        set: &mut Vec<String>,
    ) -> Result<(), SessionError> {
        #[cfg(feature = "redis")]
        if let (Some(redis), Some(Kept { id, sealed: found })) = (&self.redis, &open.kept) {
            let sealed = self.seal.seal(&purpose(id), &open.session)?;
            let left = open.session.time_left(unix_now(), self.settings.limits);
            return Ok(redis.exchange(id, found, &sealed, left).await?);
        }
        let sealed = self.seal.seal(SESSION, &open.session)?;
        Ok(cookies::split(&self.settings.cookie, headers, &sealed, set)?)
    }

    /// Puts a renewed session in the place of the one before, if that has not been ended meanwhile; in cookies that is done
    /// with the answer, by [`Sessions::keep`].
    pub(super) async fn replace(&self, open: &mut Open) -> Result<(), SessionError> {
        #[cfg(feature = "redis")]
        if let (Some(redis), Some(Kept { id, sealed: found })) = (&self.redis, &mut open.kept) {
            let sealed = self.seal.seal(&purpose(id), &open.session)?;
            redis.replace(id, &sealed, open.session.time_left(unix_now(), self.settings.limits)).await?;
            *found = sealed;
        }
        let _ = open;
        Ok(())
    }

    /// Ends a session, for the browser by the cookies in `set`.
    pub(super) async fn end(
        &self,
        open: Option<&Open>,
        headers: &HeaderMap,
        set: &mut Vec<String>,
    ) -> Result<(), SessionError> {
        cookies::end_all(&self.settings.cookie, headers, set);
        #[cfg(feature = "redis")]
        if let (Some(redis), Some(kept)) = (&self.redis, open.and_then(|open| open.kept.as_ref())) {
            redis.remove(&kept.id).await?;
        }
        let _ = open;
        Ok(())
    }

    /// Claims the renewal of a session for this gateway, among all that share the Redis; without one it is this one's anyway.
    pub(super) async fn claim(&self, open: &Open) -> Result<bool, SessionError> {
        #[cfg(feature = "redis")]
        if let (Some(redis), Some(kept)) = (&self.redis, &open.kept) {
            return Ok(redis.claim(&kept.id).await?);
        }
        let _ = open;
        Ok(true)
    }

    /// Lets others renew it from now on.
    pub(super) async fn release(&self, open: &Open) {
        #[cfg(feature = "redis")]
        if let (Some(redis), Some(kept)) = (&self.redis, &open.kept)
            && let Err(error) = redis.release(&kept.id).await
        {
            super::log::warn("a claim was not given back", &error);
        }
        let _ = open;
    }

    /// The session as another gateway has left it, if its access token is another one by now.
    pub(super) async fn renewed_elsewhere(&self, old: &Open) -> Result<Option<Open>, SessionError> {
        #[cfg(feature = "redis")]
        if let (Some(redis), Some(kept)) = (&self.redis, &old.kept) {
            let open = self.open_kept(redis, kept.id.clone()).await?;
            return Ok(open.filter(|open| open.session.access_token != old.session.access_token));
        }
        let _ = old;
        Ok(None)
    }
}

/// What a session is sealed for in Redis: its name, so that no two can be exchanged there.
#[cfg(feature = "redis")]
fn purpose(id: &str) -> String {
    format!("session {id}")
}
