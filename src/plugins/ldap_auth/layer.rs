//! The decision, and the layer.
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use zeroize::Zeroizing;

use super::directory::{Away, Directory};
use super::name::{entry, is_attribute};
use super::shelf::Shelf;
use super::{LdapAuthConfig, LdapAuthPlugin};
use crate::error::{Request, Response, reject_empty};
use crate::plugin::{AroundLayer, Authenticate, Authenticating, ConfigError, ConsumerLookup, Plugin as _};
use crate::plugins::consumer_auth::{Admit, Entrance, Login, authorization};
use crate::request::client_addr;

const NAME: &str = LdapAuthPlugin::NAME;

/// Why `ldap-auth` turned a request away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LdapAuthRejection {
    /// There is no `Authorization`.
    #[error("Missing authorization in request")]
    Missing,
    /// It is not `Basic`, not Base64, has no colon, or no UTF-8.
    #[error("Invalid authorization in request")]
    Malformed,
    /// There is no such user, it is not his password, one of the two is empty, or the password has a NUL.
    #[error("Invalid user authorization")]
    Wrong,
    /// No consumer has that entry.
    #[error("Missing related consumer")]
    NoConsumer,
}

/// The compiled block.
#[derive(Debug)]
pub struct LdapAuth {
    directory: Arc<Directory>,
    timeout: Duration,
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
        Self::with_shelf(config, consumers, &Shelf::default())
    }

    pub(super) fn with_shelf(
        config: LdapAuthConfig,
        consumers: impl Into<ConsumerLookup>,
        shelf: &Shelf,
    ) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: &str| ConfigError::invalid(NAME, field, reason);
        if config.base_dn.is_empty() {
            return Err(wrong("base_dn", "property \"base_dn\" is required: write the entry below which users are"));
        }
        if !is_attribute(&config.uid) {
            return Err(wrong("uid", "is no attribute: write one such as `cn` or `uid`"));
        }
        if !(1..=60_000).contains(&config.timeout) {
            return Err(wrong("timeout", "is out of range: write 1 to 60000"));
        }
        Ok(Self {
            directory: shelf.get(&config)?,
            timeout: Duration::from_millis(config.timeout),
            entrance: Entrance::new(NAME, "Basic", &config.realm, None, consumers.into())?,
            uid: config.uid,
            base_dn: config.base_dn,
            hide: config.hide_credentials,
        })
    }

    /// The entry that a request wants in as, and its password.
    fn login(&self, request: &Request) -> Result<(String, Zeroizing<String>), Response> {
        let refuse = |rejection: LdapAuthRejection| self.entrance.refuse(rejection);
        let value = authorization(NAME, request.headers())?.ok_or_else(|| refuse(LdapAuthRejection::Missing))?;
        let login = Login::read(value).ok_or_else(|| refuse(LdapAuthRejection::Malformed))?;
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| refuse(LdapAuthRejection::Malformed));
        let (user, password) = (text(login.username())?, text(login.password())?);
        // With an empty password a bind is one without authentication, which many directories let pass (RFC 4513
        // §5.1.2); one that begins with a NUL is empty to those that hand it on as a C string.
        if user.is_empty() || password.is_empty() || password.contains('\0') {
            return Err(refuse(LdapAuthRejection::Wrong));
        }
        Ok((entry(&self.uid, user, &self.base_dn), Zeroizing::new(password.to_owned())))
    }
}

impl Admit for LdapAuth {
    async fn admit(&self, request: &mut Request) -> Result<(), Response> {
        // The request is let go of before anything is waited for: a body cannot be lent to two threads.
        let (name, password) = self.login(request)?;
        let client = client_addr(request);
        match self.directory.admits(client, &name, &password, self.timeout).await {
            Ok(true) => {}
            Ok(false) => return Err(self.entrance.refuse(LdapAuthRejection::Wrong)),
            Err(away) => return Err(unavailable(&away)),
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

impl Authenticate for LdapAuth {
    fn authenticate<'a>(&'a self, request: &'a mut Request) -> Authenticating<'a> {
        Box::pin(self.admit(request))
    }
}

/// 503; the operator is told why.
fn unavailable(away: &Away) -> Response {
    #[cfg(feature = "tracing")]
    tracing::warn!(plugin = NAME, error = away as &dyn std::error::Error, "the directory gave no verdict");
    let mut response = reject_empty(StatusCode::SERVICE_UNAVAILABLE, NAME);
    if matches!(away, Away::Crowded) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn in_a_crowd_clients_are_told_to_come_again() {
        let again = |away: &Away| unavailable(away).headers().get(RETRY_AFTER).is_some();
        assert!(again(&Away::Crowded));
        assert!(!again(&Away::Timeout(Duration::from_secs(1))));
    }
}
