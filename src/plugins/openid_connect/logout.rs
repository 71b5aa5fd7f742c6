//! Out of the session, here and at the provider.
use http::{HeaderMap, StatusCode};

use super::answer::{logged_out, redirect};
use super::cookies;
use super::layer::{OpenidConnect, Sessions};
use super::log;
use super::plugin::NAME;
use super::settings::Place;
use crate::Response;
use crate::error::reject;

impl OpenidConnect {
    /// Ends the session and sends the browser to the provider's own log-out (OpenID Connect RP-Initiated Logout 1.0).
    pub(super) async fn log_out(&self, sessions: &Sessions, headers: &HeaderMap, place: &Place) -> Response {
        let session = sessions.read(headers);
        let mut set = Vec::new();
        cookies::end_all(&sessions.settings.cookie, headers, &mut set);
        let metadata = match self.provider.metadata().await {
            Ok(metadata) => metadata,
            Err(error) => {
                log::warn("a log-out does not reach the provider", &error);
                let mut response =
                    reject(StatusCode::SERVICE_UNAVAILABLE, NAME, "The identity provider is unavailable");
                super::answer::add_cookies(response.headers_mut(), set);
                return response;
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
