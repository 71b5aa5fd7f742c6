//! The decision, and the layer.
use std::sync::Arc;

use http::header::AUTHORIZATION;

use super::BasicAuthConfig;
use super::password::{Judge, Verdict};
use super::plugin::BasicAuthPlugin;
use crate::error::{Request, Response};
use crate::plugin::{AroundLayer, Authenticate, Authenticating, ConfigError, ConsumerLookup, Plugin as _};
use crate::plugins::consumer_auth::{Admit, Entrance, Login, authorization};
use crate::request::Consumer;

/// Why `basic-auth` turned a request away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BasicAuthRejection {
    /// There is no `Authorization`.
    #[error("Missing authorization in request")]
    Missing,
    /// It is not `Basic`, not Base64, or has no colon.
    #[error("Invalid authorization in request")]
    Malformed,
    /// There is no such user, or it is not his password.
    #[error("Invalid user authorization")]
    Wrong,
}

/// The compiled block.
#[derive(Debug)]
pub struct BasicAuth {
    hide: bool,
    entrance: Entrance,
    judge: Arc<Judge>,
}

/// [`BasicAuth`] as a layer.
pub type BasicAuthLayer = AroundLayer<BasicAuth>;

impl BasicAuth {
    /// Compiles a block for these consumers, whose credentials were made by `plugin`.
    ///
    /// # Errors
    /// [`ConfigError`] when `realm` or `anonymous_consumer` is not as its documentation says.
    pub fn new(
        config: BasicAuthConfig,
        consumers: impl Into<ConsumerLookup>,
        plugin: &BasicAuthPlugin,
    ) -> Result<Self, ConfigError> {
        let (realm, anonymous) = (&config.realm, config.anonymous_consumer);
        let entrance = Entrance::new(BasicAuthPlugin::NAME, "Basic", realm, anonymous, consumers.into())?;
        Ok(Self { hide: config.hide_credentials, entrance, judge: Arc::clone(&plugin.judge) })
    }

    /// Who it is, if the password is right, and what is left to find that out.
    fn look(&self, request: &Request) -> Result<Result<(Option<Consumer>, Verdict), BasicAuthRejection>, Response> {
        let Some(value) = authorization(BasicAuthPlugin::NAME, request.headers())? else {
            return Ok(Err(BasicAuthRejection::Missing));
        };
        let Some(login) = Login::read(value) else { return Ok(Err(BasicAuthRejection::Malformed)) };
        let found = self.entrance.consumers.find::<BasicAuthPlugin, _>(request, login.username());
        let (consumer, password) = found.unzip();
        Ok(Ok((consumer.cloned(), self.judge.look(password, login.password()))))
    }
}

impl Admit for BasicAuth {
    async fn admit(&self, request: &mut Request) -> Result<(), Response> {
        // The request is let go of before anything is waited for: a body cannot be lent to two threads.
        let identified = match self.look(request)? {
            Ok((consumer, verdict)) => {
                let right = match verdict {
                    Verdict::Right => true,
                    Verdict::Wrong => false,
                    #[cfg(feature = "password-hash")]
                    Verdict::Open(question) => self.judge.hashing.answer(question).await.map_err(busy)?,
                };
                consumer.filter(|_| right).ok_or(BasicAuthRejection::Wrong)
            }
            Err(rejection) => Err(rejection),
        };
        let consumer = match identified {
            Ok(consumer) => consumer,
            Err(rejection) => self.entrance.anonymous(request, rejection)?,
        };
        if self.hide {
            request.headers_mut().remove(AUTHORIZATION);
        }
        consumer.attach(request);
        Ok(())
    }
}

#[cfg(feature = "password-hash")]
fn busy(_: super::hash::Busy) -> Response {
    let message = "Too many logins at once";
    let mut response = crate::reject(http::StatusCode::SERVICE_UNAVAILABLE, BasicAuthPlugin::NAME, message);
    response.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
    response
}

impl Authenticate for BasicAuth {
    fn authenticate<'a>(&'a self, request: &'a mut Request) -> Authenticating<'a> {
        Box::pin(self.admit(request))
    }
}
