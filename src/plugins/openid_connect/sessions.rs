//! Where sessions are: in the browser's cookies, encrypted, or in Redis.
use http::HeaderMap;

use super::clock::unix_now;
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
    /// Its name in Redis; `None` when the cookie has it whole.
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "there is no Redis in this build"))]
    id: Option<String>,
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
        let Some(id) = self.seal.open::<String>(NAMED, sealed) else { return Ok(None) };
        let sealed = redis.get(&id).await?;
        let session = sealed.and_then(|sealed| self.seal.open(&purpose(&id), &sealed));
        Ok(session.map(|session| Open { session, id: Some(id) }))
    }

    #[cfg(not(feature = "redis"))]
    async fn open(&self, sealed: &str) -> Result<Option<Open>, SessionError> {
        Ok(self.open_whole(sealed))
    }

    fn open_whole(&self, sealed: &str) -> Option<Open> {
        Some(Open { session: self.seal.open(SESSION, sealed)?, id: None })
    }

    /// Begins a session: gives it to the browser, or a name of it.
    pub(super) async fn begin(
        &self,
        session: Session,
        headers: &HeaderMap,
        set: &mut Vec<String>,
    ) -> Result<(), SessionError> {
        #[cfg(feature = "redis")]
        if self.redis.is_some() {
            let id = random_text::<32>()?;
            cookies::split(&self.settings.cookie, headers, &self.seal.seal(NAMED, &id)?, set)?;
            return self.write(&Open { session, id: Some(id) }, headers, set).await;
        }
        self.write(&Open { session, id: None }, headers, set).await
    }

    /// Writes a session that has changed.
    pub(super) async fn write(
        &self,
        open: &Open,
        headers: &HeaderMap,
        set: &mut Vec<String>,
    ) -> Result<(), SessionError> {
        #[cfg(feature = "redis")]
        if let (Some(redis), Some(id)) = (&self.redis, &open.id) {
            let sealed = self.seal.seal(&purpose(id), &open.session)?;
            return Ok(redis.set(id, &sealed, open.session.time_left(unix_now(), self.settings.limits)).await?);
        }
        let sealed = self.seal.seal(SESSION, &open.session)?;
        Ok(cookies::split(&self.settings.cookie, headers, &sealed, set)?)
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
        if let (Some(redis), Some(id)) = (&self.redis, open.and_then(|open| open.id.as_ref())) {
            redis.remove(id).await?;
        }
        let _ = open;
        Ok(())
    }

    /// Claims the renewal of a session for this gateway, among all that share the Redis; without one it is this one's anyway.
    pub(super) async fn claim(&self, open: &Open) -> Result<bool, SessionError> {
        #[cfg(feature = "redis")]
        if let (Some(redis), Some(id)) = (&self.redis, &open.id) {
            return Ok(redis.claim(id).await?);
        }
        let _ = open;
        Ok(true)
    }

    /// Lets others renew it from now on.
    pub(super) async fn release(&self, open: &Open) {
        #[cfg(feature = "redis")]
        if let (Some(redis), Some(id)) = (&self.redis, &open.id)
            && let Err(error) = redis.release(id).await
        {
            super::log::warn("a claim was not given back", &error);
        }
        let _ = open;
    }

    /// The session as another gateway has left it, if its access token is another one by now.
    pub(super) async fn renewed_elsewhere(&self, old: &Open) -> Result<Option<Open>, SessionError> {
        #[cfg(feature = "redis")]
        if let (Some(redis), Some(id)) = (&self.redis, &old.id) {
            let sealed = redis.get(id).await?;
            let session = sealed.and_then(|sealed| self.seal.open::<Session>(&purpose(id), &sealed));
            let newer = session.filter(|session| session.access_token != old.session.access_token);
            return Ok(newer.map(|session| Open { session, id: Some(id.clone()) }));
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
