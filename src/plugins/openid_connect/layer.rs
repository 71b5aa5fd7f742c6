//! The decision: which way a request goes.
use std::sync::Arc;
use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::bearer::{self, Introspections};
use super::cookies;
use super::plugin::NAME;
use super::provider::Provider;
use super::renew::Renewals;
use super::session::Session;
use super::sessions::{SessionError, Sessions};
use super::settings::{self, Bearer, Place, Settings};
use super::upstream;
use super::{OpenidConnectConfig, UnauthAction, log};
use crate::error::reject;
use crate::plugin::{Around, AroundLayer, ConfigError, Scope};
use crate::plugins::browser::{add_cookies, origin, unix_now};
use crate::plugins::callout::Callouts;
#[cfg(feature = "cache")]
use crate::request::CallerIdentity;
use crate::request::ExternalUser;
use crate::{Next, Request, Response};

/// Applies [`OpenidConnect`].
pub type OpenidConnectLayer = AroundLayer<OpenidConnect>;

/// One block of `openid-connect`, compiled.
#[derive(Debug)]
pub struct OpenidConnect {
    pub(super) settings: Settings,
    pub(super) provider: Provider,
    pub(super) sessions: Option<Sessions>,
    pub(super) renewals: Renewals,
    pub(super) introspections: Introspections,
}

impl OpenidConnect {
    /// Compiles a block that is written on `scope`, with connections of its own.
    ///
    /// # Errors
    /// [`ConfigError`] that names the field.
    pub fn new(config: &OpenidConnectConfig, scope: &Scope) -> Result<Self, ConfigError> {
        Self::with_callouts(config, scope, &Callouts::default())
    }

    pub(super) fn with_callouts(
        config: &OpenidConnectConfig,
        scope: &Scope,
        callouts: &Callouts,
    ) -> Result<Self, ConfigError> {
        // The program may have other users of the crate with another implementation; ours is the one for this process unless
        // theirs was there first.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let settings = Settings::new(config)?;
        let sessions = Sessions::new(config, &scope.path())?;
        let callout = callouts
            .get(&settings::callout(config))
            .map_err(|error| ConfigError::invalid(NAME, "ssl_verify", error.to_string()))?;
        let lifetime = Duration::from_secs(config.jwk_expires_in);
        Ok(Self {
            settings,
            provider: Provider::new(callout, settings::discovery(config)?, settings::client(config)?, lifetime),
            sessions,
            renewals: Renewals::default(),
            introspections: Introspections::default(),
        })
    }

    /// Lets a request pass, with cookies for its answer, or answers it.
    async fn decide(self: &Arc<Self>, head: &mut Parts, place: &Place) -> Result<Vec<String>, Response> {
        let settings = &self.settings;
        let aside = upstream::strip(&mut head.headers);
        let token = match settings.bearer {
            Bearer::None => None,
            _ => bearer::token(&head.headers, aside)?,
        };
        if let Some(token) = token {
            let user = self.bearer(&token, &head.headers).await?;
            settings.upstream.tell_token(&mut head.headers, &token, user.description());
            #[cfg(feature = "cache")]
            {
                let is_authorization = bearer::is_told(&head.headers, &token);
                CallerIdentity::add_user(&mut head.extensions, user.clone(), is_authorization);
            }
            head.extensions.insert(user);
            return Ok(Vec::new());
        }
        match &self.sessions {
            Some(sessions) => self.session(sessions, head, place).await,
            None => Err(bearer::missing(&settings.challenge)),
        }
    }

    async fn session(
        self: &Arc<Self>,
        sessions: &Sessions,
        head: &mut Parts,
        place: &Place,
    ) -> Result<Vec<String>, Response> {
        let login = &self.settings.login;
        if login.landing.is_at(&place.path) {
            return Err(self.land(sessions, &head.headers, place).await);
        }
        if place.path == login.logout_path {
            return Err(self.log_out(sessions, &head.headers, place).await);
        }
        let mut set = Vec::new();
        let session = self.current(sessions, &head.headers, &mut set).await.map_err(|error| {
            log::warn("a session cannot be used", &error);
            reject(StatusCode::SERVICE_UNAVAILABLE, NAME, "Sessions are unavailable")
        })?;
        let Some(session) = session else {
            return match login.unauth_action {
                UnauthAction::Auth => Err(self.begin(sessions, &head.headers, place, false).await),
                UnauthAction::Deny => Err(reject(StatusCode::UNAUTHORIZED, NAME, "Log-in required")),
                UnauthAction::Pass => {
                    cookies::strip(&mut head.headers, &sessions.settings.cookie.name);
                    Ok(Vec::new())
                }
            };
        };
        match self.admit(sessions, session, head, place).await {
            Ok(()) => Ok(set),
            Err(mut response) => {
                // a renewed session is the browser's whatever becomes of this request
                add_cookies(response.headers_mut(), set);
                Err(response)
            }
        }
    }

    /// Lets the user of a session pass, if the block allows.
    async fn admit(
        &self,
        sessions: &Sessions,
        session: Session,
        head: &mut Parts,
        place: &Place,
    ) -> Result<(), Response> {
        let ask_again = self.settings.login.ask_again;
        let ask = ask_again.is_some_and(|after| unix_now().saturating_sub(session.asked) >= after);
        if ask && head.method == Method::GET {
            return Err(self.begin(sessions, &head.headers, place, true).await);
        }
        let claims = Value::Object(session.claims());
        self.settings.check_scopes(session.scope.clone().map(Value::String).as_ref())?;
        if self.settings.schema.is_some() {
            let whole = json!({"access_token": session.access_token, "id_token": claims, "user": session.user});
            self.settings.check_schema(&whole)?;
        }
        cookies::strip(&mut head.headers, &sessions.settings.cookie.name);
        self.settings.upstream.tell_session(&mut head.headers, &session, &claims);
        head.extensions.insert(ExternalUser::new(session.user.unwrap_or(claims)));
        Ok(())
    }

    /// The session of a request with an access token that is good, renewed and noted as used where due.
    async fn current(
        self: &Arc<Self>,
        sessions: &Sessions,
        headers: &HeaderMap,
        set: &mut Vec<String>,
    ) -> Result<Option<Session>, SessionError> {
        let login = &self.settings.login;
        let Some(mut open) = sessions.read(headers).await? else { return Ok(None) };
        let now = unix_now();
        let expired = now.saturating_add(login.leeway) >= open.session.expires;
        if expired {
            let renewed = if login.renew { self.renewed(&open).await } else { None };
            let Some(renewed) = renewed else { return Ok(None) };
            open = renewed;
        }
        if open.session.touch(now, sessions.settings.limits) || expired {
            sessions.keep(&open, headers, set).await?;
        }
        Ok(Some(open.session))
    }
}

impl Around for OpenidConnect {
    async fn handle(self: Arc<Self>, request: Request, next: Next) -> Response {
        let place = place(&request);
        // the head alone can be lent to what waits: a body belongs to one task
        let (mut head, body) = request.into_parts();
        match self.decide(&mut head, &place).await {
            Ok(cookies) => {
                let mut response = next.run(Request::from_parts(head, body)).await;
                if !cookies.is_empty() {
                    // a cache that kept the answer would give the session to others
                    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                    add_cookies(response.headers_mut(), cookies);
                }
                response
            }
            Err(response) => response,
        }
    }
}

/// Where a request stands.
fn place(request: &Request) -> Place {
    let uri = request.uri();
    Place { origin: origin(request), path: uri.path().to_owned(), query: uri.query().map(str::to_owned) }
}
