//! The decision, and the layer.
use std::sync::Arc;

use http::StatusCode;
use http::header::AUTHORIZATION;

use super::directory::{Away, Directory};
use super::name::{entry, is_attribute};
use super::{LdapAuthConfig, LdapAuthPlugin};
use crate::Next;
use crate::error::{Request, Response, reject_empty};
use crate::plugin::{Around, AroundLayer, Authenticate, Authenticating, ConfigError, ConsumerLookup, Plugin as _};
use crate::plugins::consumer_auth::{Entrance, Login, authorization};

const NAME: &str = LdapAuthPlugin::NAME;

/// Why `ldap-auth` turned a request away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LdapAuthRejection {
    /// There is no `Authorization`.
    #[error("Missing authorization in request")]
    Missing,
    /// It is not `Basic`, not Base64, has no colon, or a name that is no UTF-8.
    #[error("Invalid authorization in request")]
    Malformed,
    /// There is no such user, it is not his password, or one of the two is empty.
    #[error("Invalid user authorization")]
    Wrong,
    /// No consumer has that entry.
    #[error("Missing related consumer")]
    NoConsumer,
}

/// The compiled block.
#[derive(Debug)]
pub struct LdapAuth {
    directory: Directory,
    uid: String,
    base_dn: String,
    hide: bool,
    entrance: Entrance,
}

/// [`LdapAuth`] as a layer.
pub type LdapAuthLayer = AroundLayer<LdapAuth>;

impl LdapAuth {
    /// Compiles a block for these consumers.
    ///
    /// # Errors
    /// [`ConfigError`] when a field is not as its documentation says.
    pub fn new(config: LdapAuthConfig, consumers: impl Into<ConsumerLookup>) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: &str| ConfigError::invalid(NAME, field, reason);
        if config.base_dn.is_empty() {
            return Err(wrong("base_dn", "property \"base_dn\" is required: write the entry below which users are"));
        }
        if !is_attribute(&config.uid) {
            return Err(wrong("uid", "is no attribute: write one such as `cn` or `uid`"));
        }
        Ok(Self {
            directory: Directory::new(&config)?,
            entrance: Entrance::new(NAME, "Basic", &config.realm, None, consumers.into())?,
            uid: config.uid,
            base_dn: config.base_dn,
            hide: config.hide_credentials,
        })
    }

    /// The entry that a request wants in as, and its password.
    fn login(&self, request: &Request) -> Result<(String, Vec<u8>), Response> {
        let refuse = |rejection: LdapAuthRejection| self.entrance.refuse(rejection);
        let value = authorization(NAME, request.headers())?.ok_or_else(|| refuse(LdapAuthRejection::Missing))?;
        let login = Login::read(value).ok_or_else(|| refuse(LdapAuthRejection::Malformed))?;
        let user = std::str::from_utf8(login.username()).map_err(|_| refuse(LdapAuthRejection::Malformed))?;
        // With an empty password a bind is one without authentication, which many directories let pass (RFC 4513 §5.1.2).
        if user.is_empty() || login.password().is_empty() {
            return Err(refuse(LdapAuthRejection::Wrong));
        }
        Ok((entry(&self.uid, user, &self.base_dn), login.password().to_vec()))
    }

    /// Attaches the consumer.
    async fn admit(&self, request: &mut Request) -> Result<(), Response> {
        // The request is let go of before anything is waited for: a body cannot be lent to two threads.
        let (name, password) = self.login(request)?;
        match self.directory.admits(&name, &password).await {
            Ok(true) => {}
            Ok(false) => return Err(self.entrance.refuse(LdapAuthRejection::Wrong)),
            Err(away) => {
                told(&away);
                return Err(reject_empty(StatusCode::SERVICE_UNAVAILABLE, NAME));
            }
        }
        let found = self.entrance.consumers.find::<LdapAuthPlugin, _>(request, name.as_bytes());
        let Some(consumer) = found.map(|(consumer, ())| consumer.clone()) else {
            return Err(self.entrance.refuse(LdapAuthRejection::NoConsumer));
        };
        if self.hide {
            request.headers_mut().remove(AUTHORIZATION);
        }
        consumer.attach(request);
        Ok(())
    }
}

impl Around for LdapAuth {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        match self.admit(&mut request).await {
            Ok(()) => next.run(request).await,
            Err(answer) => answer,
        }
    }
}

impl Authenticate for LdapAuth {
    fn authenticate<'a>(&'a self, request: &'a mut Request) -> Authenticating<'a> {
        Box::pin(self.admit(request))
    }
}

fn told(away: &Away) {
    #[cfg(feature = "tracing")]
    tracing::warn!(plugin = NAME, error = away as &dyn std::error::Error, "the directory gave no verdict");
    #[cfg(not(feature = "tracing"))]
    let _ = away;
}
