//! What a token or session must be for, once it is known to be genuine.
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, header};
use serde_json::{Value, json};

use super::plugin::NAME;
use super::settings::{Settings, invalid_token};
use super::token::TokenFault;
use crate::Response;
use crate::error::{answer_of, reject};

/// Whether a claim, a text or a list of texts, names something.
pub(super) fn names(claim: Option<&Value>, wanted: &str) -> bool {
    match claim {
        Some(Value::String(one)) => one == wanted,
        Some(Value::Array(many)) => many.iter().any(|one| one == wanted),
        _ => false,
    }
}

/// 401 for a bearer token that is not accepted, by RFC 6750 §3.
pub(super) fn refuse_token(settings: &Settings, fault: TokenFault) -> Response {
    let mut response = reject(StatusCode::UNAUTHORIZED, NAME, fault);
    if let Some(challenge) = invalid_token(&settings.challenge, &fault) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// 403 with a reason.
fn forbidden(reason: &str) -> Response {
    let mut response = Response::new(format!("{}\n", json!({ "error": reason })).into());
    *response.status_mut() = StatusCode::FORBIDDEN;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer_of(NAME, response)
}

impl Settings {
    /// Whether everything that is required was granted. `granted` is a text of scopes separated by blanks, or a list; what
    /// is not known was not granted.
    pub(super) fn check_scopes(&self, granted: Option<&Value>) -> Result<(), Response> {
        let has = |wanted: &str| match granted {
            Some(Value::String(text)) => text.split(' ').any(|scope| scope == wanted),
            list => names(list, wanted),
        };
        let missing: Vec<&str> = self.required_scopes.iter().map(String::as_str).filter(|scope| !has(scope)).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(forbidden(&format!("required scopes {} not present", missing.join(", ")))),
        }
    }

    /// Whether a bearer token is for whom it must be.
    pub(super) fn check_audience(&self, claims: &Value, client: &str) -> Result<(), Response> {
        let audience = &self.audience;
        let claim = claims.get(&audience.claim);
        if audience.required && claim.is_none_or(Value::is_null) {
            return Err(forbidden("required audience claim not present"));
        }
        // without `required`, a token without audience is for everybody
        match audience.match_with_client_id && claim.is_some() && !names(claim, client) {
            true => Err(forbidden("mismatched audience")),
            false => Ok(()),
        }
    }

    /// Whether claims have the shape that is asked for.
    pub(super) fn check_schema(&self, claims: &Value) -> Result<(), Response> {
        match &self.schema {
            Some(schema) if !schema.is_valid(claims) => Err(refuse_token(self, TokenFault::Claims)),
            _ => Ok(()),
        }
    }
}
