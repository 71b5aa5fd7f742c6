//! Tokens for names and passwords.
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::answers::{unavailable, with_token};
use super::server::Keycloak;
use super::{AuthzKeycloakConfig, AuthzKeycloakPlugin};
use crate::error::reject;
use crate::plugin::Plugin as _;
use crate::plugin::bodies::Bodies;
use crate::{Request, Response};

const NAME: &str = AuthzKeycloakPlugin::NAME;
/// A form with a name and a password is no longer.
const MAX_FORM: usize = 16 * 1024;

/// The path at which forms are exchanged for tokens.
#[derive(Debug)]
pub(super) struct LogIn {
    path: String,
    bodies: Bodies,
}

impl LogIn {
    pub(super) fn new(config: &AuthzKeycloakConfig, bodies: Bodies) -> Option<Self> {
        let path = config.password_grant_token_generation_incoming_uri.clone()?;
        Some(Self { path, bodies })
    }

    /// Whether a request is one: a form that is posted to that path.
    pub(super) fn is_asked_for(&self, request: &Request, path: &str) -> bool {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        request.method() == http::Method::POST
            && path == self.path
            && kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }

    /// Answers it.
    pub(super) async fn answer(&self, request: Request, keycloak: &Keycloak) -> Response {
        let bytes = match self.bodies.collect(request.into_body(), MAX_FORM).await {
            Ok(bytes) => bytes,
            Err(unread) => return unread.into_response(NAME),
        };
        let fields = self.bodies.form(&bytes).unwrap_or_default();
        let field = |name: &str| {
            let mut values = fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
            match (values.next(), values.next()) {
                (Some(value), None) => Ok(value),
                (None, _) => Err(reject(StatusCode::UNPROCESSABLE_ENTITY, NAME, format!("{name} is missing."))),
                (Some(_), Some(_)) => Err(reject(StatusCode::BAD_REQUEST, NAME, format!("{name} is there twice."))),
            }
        };
        let asked = field("username").and_then(|username| Ok((username, field("password")?)));
        match asked {
            Err(response) => response,
            Ok((username, password)) => match keycloak.password(username, password).await {
                Ok(answer) => with_token(answer),
                Err(error) => unavailable(&error),
            },
        }
    }
}
