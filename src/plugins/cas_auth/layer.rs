//! The decision: which way a request goes.
use std::borrow::Cow;
use std::sync::Arc;

use http::{Method, StatusCode};

use super::begun::Begun;
use super::server::{CasServer, calling, is_ticket};
use super::sessions::Sessions;
use super::settings::Settings;
use super::shelf::Shelf;
use super::{CasAuthConfig, CasAuthPlugin, announced};
use crate::error::{answer_of, reject, reject_empty};
use crate::plugin::bodies::{Bodies, Unread};
use crate::plugin::{AroundLayer, ConfigError, Hop, Plugin as _};
use crate::plugins::browser::{cookies, origin, redirect, unix_now, with_cookies};
use crate::plugins::callout::Callouts;
use crate::request::RequestVars;
use crate::{BoxFuture, Next, Request, Response};

pub(super) const NAME: &str = CasAuthPlugin::NAME;

/// Applies [`CasAuth`].
pub type CasAuthLayer = AroundLayer<CasAuth>;

/// Why `cas-auth` turned a request away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CasAuthRejection {
    /// A ticket came with a browser that did not begin to log in here, or too long ago.
    #[error("invalid callback state")]
    State,
    /// The server does not know the ticket, or it was taken before.
    #[error("invalid ticket")]
    Ticket,
    /// The server is away, or answers with something else.
    #[error("the CAS server is unavailable")]
    Unavailable,
    /// An announced log-out has no ticket.
    #[error("invalid logout request from IdP, no ticket")]
    NoTicket,
}

impl CasAuthRejection {
    fn status(self) -> StatusCode {
        match self {
            Self::State | Self::Ticket => StatusCode::UNAUTHORIZED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoTicket => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<CasAuthRejection> for Response {
    fn from(rejection: CasAuthRejection) -> Self {
        with_cookies(reject(rejection.status(), NAME, rejection), Vec::new())
    }
}

/// One block of `cas-auth`, compiled.
#[derive(Debug)]
pub struct CasAuth {
    settings: Settings,
    begun: Begun,
    server: CasServer,
    sessions: Arc<Sessions>,
    bodies: Bodies,
}

/// Which way a request goes.
enum Way {
    /// On, by the user of its session.
    On,
    /// To this answer.
    Out(Response),
    /// To the server, with what it is to be asked.
    Ask(Landing),
    /// It may announce a log-out.
    Announced,
}

/// A browser that comes back.
struct Landing {
    ticket: String,
    service: String,
    target: String,
}

impl CasAuth {
    /// Compiles a block, with connections and sessions of its own.
    ///
    /// # Errors
    /// [`ConfigError`] that names the field.
    pub fn new(config: &CasAuthConfig, bodies: Bodies) -> Result<Self, ConfigError> {
        Self::with(config, bodies, &Callouts::default(), &Shelf::default())
    }

    pub(super) fn with(
        config: &CasAuthConfig,
        bodies: Bodies,
        callouts: &Callouts,
        shelf: &Shelf,
    ) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: String| ConfigError::invalid(NAME, field, reason);
        let settings = Settings::new(config)?;
        let callout = callouts.get(&calling()).map_err(|error| wrong("idp_uri", error.to_string()))?;
        let sessions = shelf
            .get(config)
            .map_err(|error| wrong("", format!("the system has no randomness for names of sessions: {error}")))?;
        Ok(Self {
            server: CasServer::new(callout, &settings.server, bodies.clone()),
            begun: Begun::new(config),
            settings,
            sessions,
            bodies,
        })
    }

    fn way(&self, request: &mut Request) -> Way {
        // as the browser sent it, whatever it was rewritten to, and as text of a URI: browsers are sent back there
        let target = RequestVars::of(request).original_target().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let is_callback = path == self.settings.callback_path();
        if *request.method() == Method::GET && path == self.settings.logout_path {
            return Way::Out(self.log_out(request));
        }
        if is_callback && *request.method() == Method::POST {
            return Way::Announced;
        }
        let name = cookies::find(request.headers(), &self.settings.cookies.session);
        let user = name.and_then(|name| self.sessions.user(&self.service(request), name));
        if is_callback
            && *request.method() == Method::GET
            && let Some(ticket) = ticket(query)
        {
            return self.land(request, ticket, user.is_some());
        }
        let Some(user) = user else {
            return Way::Out(self.begin(request, if is_callback { "/" } else { &target }));
        };
        cookies::strip(request.headers_mut(), |name| self.settings.cookies.is_own(name));
        request.extensions_mut().insert(user);
        Way::On
    }

    /// What the server knows the place by that a browser came to: sessions and log-ins under way are for that alone.
    fn service(&self, request: &Request) -> Cow<'_, str> {
        self.settings.service(|| origin(request))
    }

    /// Sends a browser to the server.
    fn begin(&self, request: &Request, target: &str) -> Response {
        let names = &self.settings.cookies;
        let service = self.service(request);
        let mut set = vec![names.set(&names.begun, &self.begun.sign(&service, target, unix_now()))];
        if cookies::find(request.headers(), &names.session).is_some() {
            set.push(names.end(&names.session));
        }
        redirect(NAME, &self.settings.login(&service), set)
    }

    /// A browser brings a ticket.
    fn land(&self, request: &Request, ticket: String, is_known: bool) -> Way {
        let names = &self.settings.cookies;
        let service = self.service(request);
        let begun = cookies::find(request.headers(), &names.begun);
        let wanted = begun.and_then(|value| self.begun.open(&service, value, unix_now()));
        match wanted {
            // The page was kept or asked for again after the log-in, when the ticket is spent; or another site brings a ticket
            // of its own, which must not end the session of whoever has one.
            target if is_known => {
                let end = begun.map(|_| names.end(&names.begun));
                Way::Out(redirect(NAME, target.as_deref().unwrap_or("/"), end.into_iter().collect()))
            }
            Some(target) => Way::Ask(Landing { ticket, service: service.into_owned(), target }),
            None => Way::Out(CasAuthRejection::State.into()),
        }
    }

    /// Asks the server, and begins a session.
    async fn ask(&self, landing: Landing) -> Response {
        let Landing { ticket, service, target } = landing;
        if !is_ticket(&ticket) {
            return CasAuthRejection::Ticket.into();
        }
        let known = match self.server.judge(&ticket, &service).await {
            Ok(Some(known)) => known,
            Ok(None) => return CasAuthRejection::Ticket.into(),
            Err(error) => {
                #[cfg(feature = "tracing")]
                tracing::warn!(plugin = NAME, cause = &error as &dyn std::error::Error, "nobody can log in");
                let _ = error;
                return CasAuthRejection::Unavailable.into();
            }
        };
        let Some(name) = self.sessions.begin(&service, &ticket, known) else {
            return CasAuthRejection::Ticket.into();
        };
        let names = &self.settings.cookies;
        redirect(NAME, &target, vec![names.set(&names.session, &name), names.end(&names.begun)])
    }

    /// Ends the session of a browser, and sends it to the server to end the one there.
    fn log_out(&self, request: &Request) -> Response {
        let names = &self.settings.cookies;
        let Some(name) = cookies::find(request.headers(), &names.session) else {
            return reject_empty(StatusCode::UNAUTHORIZED, NAME);
        };
        self.sessions.end(&self.service(request), name);
        redirect(NAME, &self.settings.logout(), vec![names.end(&names.session)])
    }

    /// The server says that a user has logged out there.
    async fn announced(&self, request: Request) -> Response {
        // anybody can send one: no more of it is held than can be an announcement
        let most = self.settings.max_body.min(announced::LONGEST);
        let body = match self.bodies.collect(request.into_body(), most).await {
            Ok(body) => body,
            Err(Unread::TooLarge(_)) if most < self.settings.max_body => return CasAuthRejection::NoTicket.into(),
            Err(unread) => return unread.into_response(NAME),
        };
        match announced::ticket(&self.bodies, &body) {
            Some(ticket) => {
                self.sessions.end_of_ticket(&ticket);
                answer_of(NAME, Response::default())
            }
            None => CasAuthRejection::NoTicket.into(),
        }
    }
}

/// A request of a known user goes on without any future of its own.
impl Hop for CasAuth {
    fn run(self: &Arc<Self>, mut request: Request, next: &Next) -> BoxFuture {
        let this = Arc::clone(self);
        match self.way(&mut request) {
            Way::On => next.run(request),
            Way::Out(response) => Box::pin(std::future::ready(response)),
            Way::Ask(landing) => Box::pin(async move { this.ask(landing).await }),
            Way::Announced => Box::pin(async move { this.announced(request).await }),
        }
    }
}

/// The ticket of a query; an empty one when there are several, which is nobody's.
fn ticket(query: &str) -> Option<String> {
    let mut tickets = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "ticket");
    let (_, ticket) = tickets.next()?;
    Some(if tickets.next().is_some() { String::new() } else { ticket.into_owned() })
}
