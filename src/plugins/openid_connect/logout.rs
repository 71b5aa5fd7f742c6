//! Out of the session, here and at the provider.
use http::{HeaderMap, StatusCode};

use super::answer::{logged_out, redirect};
use super::layer::OpenidConnect;
use super::log;
use super::plugin::NAME;
use super::sessions::{Open, SessionError, Sessions};
use super::settings::Place;
use crate::Response;
use crate::error::reject;
use crate::plugins::browser::add_cookies;

impl OpenidConnect {
    /// Ends the session and sends the browser to the provider's own log-out (OpenID Connect RP-Initiated Logout 1.0).
    pub(super) async fn log_out(&self, sessions: &Sessions, headers: &HeaderMap, place: &Place) -> Response {
        let mut set = Vec::new();
        let session = match end(sessions, headers, &mut set).await {
            Ok(open) => open.map(|open| open.session),
            Err(error) => {
                log::warn("a session was not ended", &error);
                return unavailable("Sessions are unavailable", set);
            }
        };
        let metadata = match self.provider.metadata().await {
            Ok(metadata) => metadata,
            Err(error) => {
                log::warn("a log-out does not reach the provider", &error);
                return unavailable("The identity provider is unavailable", set);
            }
        };
        if let (true, Some(session), Some(endpoint)) =
            (self.settings.login.revoke, &session, &metadata.revocation_endpoint)
        {
            if let Some(token) = &session.refresh_token {
                self.revoke(endpoint, token, "refresh_token").await;
            }
            self.revoke(endpoint, &session.access_token, "access_token").await;
        }
        let back = self.settings.login.post_logout.as_ref().map(|uri| match uri.starts_with('/') {
            true => format!("{}{uri}", place.origin),
            false => uri.clone(),
        });
        match (&metadata.end_session_endpoint, back) {
            (Some(endpoint), back) => {
                let mut query = form_urlencoded::Serializer::new(String::new());
                query.append_pair("client_id", &self.provider.client.id);
                if let Some(session) = &session {
                    query.append_pair("id_token_hint", &session.id_token);
                }
                if let Some(back) = &back {
                    query.append_pair("post_logout_redirect_uri", back);
                }
                let joint = if endpoint.query().is_some() { '&' } else { '?' };
                redirect(&format!("{endpoint}{joint}{}", query.finish()), set)
            }
            (None, Some(back)) => redirect(&back, set),
            (None, None) => logged_out(set),
        }
    }
}

/// Ends the session of a request, and tells which it was.
async fn end(sessions: &Sessions, headers: &HeaderMap, set: &mut Vec<String>) -> Result<Option<Open>, SessionError> {
    let open = sessions.read(headers).await;
    // the browser forgets it even when Redis is away
    sessions.end(open.as_ref().ok().and_then(Option::as_ref), headers, set).await?;
    open
}

/// 503, with the session's cookies ended all the same.
fn unavailable(what: &str, set: Vec<String>) -> Response {
    let mut response = reject(StatusCode::SERVICE_UNAVAILABLE, NAME, what);
    add_cookies(response.headers_mut(), set);
    response
}
