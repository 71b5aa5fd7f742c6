//! What the upstream is told, and what no client may tell it.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::session::Session;
use super::settings::UpstreamFields;

const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");
const ID_TOKEN: HeaderName = HeaderName::from_static("x-id-token");
const RAW_ID_TOKEN: HeaderName = HeaderName::from_static("x-raw-id-token");
const USERINFO: HeaderName = HeaderName::from_static("x-userinfo");
const REFRESH_TOKEN: HeaderName = HeaderName::from_static("x-refresh-token");

/// By which upstreams are told who calls; no client's copies of them pass anywhere.
pub(super) const IDENTITY: [HeaderName; 4] = [ID_TOKEN, RAW_ID_TOKEN, USERINFO, REFRESH_TOKEN];

/// Takes off what only this plugin may set, and hands back the access token that the client sent.
pub(super) fn strip(headers: &mut HeaderMap) -> Option<HeaderValue> {
    for name in IDENTITY {
        headers.remove(name);
    }
    headers.remove(ACCESS_TOKEN)
}

impl UpstreamFields {
    /// Tells of a bearer token.
    pub(super) fn tell_token(&self, headers: &mut HeaderMap, token: &str, claims: &Value) {
        self.access_token(headers, token);
        if self.userinfo {
            insert(headers, USERINFO, &encoded(claims));
        }
    }

    /// Tells of a session.
    pub(super) fn tell_session(&self, headers: &mut HeaderMap, session: &Session, claims: &Value) {
        self.access_token(headers, &session.access_token);
        if self.id_token {
            insert(headers, ID_TOKEN, &encoded(claims));
        }
        if self.raw_id_token {
            insert(headers, RAW_ID_TOKEN, &session.id_token);
        }
        if let (true, Some(user)) = (self.userinfo, &session.user) {
            insert(headers, USERINFO, &encoded(user));
        }
        if let (true, Some(token)) = (self.refresh_token, &session.refresh_token) {
            insert(headers, REFRESH_TOKEN, token);
        }
    }

    fn access_token(&self, headers: &mut HeaderMap, token: &str) {
        match (self.access_token, self.in_authorization) {
            (false, _) => {}
            (true, false) => insert(headers, ACCESS_TOKEN, token),
            (true, true) => insert(headers, AUTHORIZATION, &format!("Bearer {token}")),
        }
    }
}

fn encoded(value: &Value) -> String {
    STANDARD.encode(value.to_string())
}

/// Sets a field; a token that no field can carry is not told, and neither is what the client said in its place.
fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    headers.remove(&name);
    if let Ok(mut value) = HeaderValue::from_str(text) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}
