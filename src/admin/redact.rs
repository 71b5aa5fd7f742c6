//! What readers see of secrets (security.md SECR-01).
use serde_json::Value;

use super::answer::Answer;
use crate::model::{AdminRole, Kind};
use crate::plugin::{REDACTED, is_secret_reference};
use crate::store::{Key, Sealing};

/// Hides what a role may not see: from viewers every secret, from everybody private keys.
pub(super) fn hide(sealing: &Sealing, role: AdminRole, key: &Key, value: &mut Value) {
    match role {
        AdminRole::Admin => private_keys(key.kind()).iter().for_each(|path| hide_at(value, path)),
        _ => sealing.redact(key, value),
    }
}

/// Puts the stored value back where a write has `[redacted]`, so that what was read can be written.
///
/// # Errors
/// 400 where none is stored.
pub(super) fn restore(sealing: &Sealing, key: &Key, value: &mut Value, stored: Option<&Value>) -> Result<(), Answer> {
    match sealing.restore(key, value, stored.unwrap_or(&Value::Null)).first() {
        None => Ok(()),
        Some(field) => {
            Err(Answer::bad(format!("field {field}: {REDACTED} was written, but no secret is stored there")))
        }
    }
}

fn private_keys(kind: Kind) -> &'static [&'static [&'static str]] {
    match kind {
        Kind::Ssl => &[&["key"], &["keys", "*"]],
        Kind::Upstream => &[&["tls", "client_key"]],
        Kind::Route | Kind::Service | Kind::StreamRoute => &[&["upstream", "tls", "client_key"]],
        Kind::Secret => &[&["auth_config", "private_key"]],
        _ => &[],
    }
}

fn hide_at(value: &mut Value, path: &[&str]) {
    match path.split_first() {
        // References are no secrets, they only name them (SECR-04).
        None if value.as_str().is_some_and(is_secret_reference) => {}
        None => *value = REDACTED.into(),
        Some((&"*", rest)) => value.as_array_mut().into_iter().flatten().for_each(|value| hide_at(value, rest)),
        Some((step, rest)) => {
            if let Some(value) = value.get_mut(*step) {
                hide_at(value, rest);
            }
        }
    }
}
