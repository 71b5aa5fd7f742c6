//! What readers see of secrets (security.md SECR-01).
use serde_json::Value;

use super::answer::Answer;
use crate::model::AdminRole;
use crate::plugin::REDACTED;
use crate::store::{Key, Sealing};

/// Hides what a role may not see: from viewers every secret, from everybody private keys.
pub(super) fn hide(sealing: &Sealing, role: AdminRole, key: &Key, value: &mut Value) {
    match role {
        AdminRole::Admin => sealing.visit_private_keys(key, value, &mut |_, value| *value = REDACTED.into()),
        _ => sealing.conceal(key, value),
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

/// The private keys of an item that is patched. While the patch is applied, texts that nobody can guess stand in their
/// places: a `copy` or `move` of a JSON Patch can take none where it would be shown, and a `test` finds none out.
pub(super) struct Withheld {
    mark: String,
    keys: Vec<Value>,
}

impl Withheld {
    /// Takes the private keys out of an item.
    pub(super) fn take(sealing: &Sealing, key: &Key, value: &mut Value) -> Self {
        let mut withheld = Self { mark: format!("[private key {} ", uuid::Uuid::now_v7()), keys: Vec::new() };
        sealing.visit_private_keys(key, value, &mut |_, value| {
            let text = format!("{}{}]", withheld.mark, withheld.keys.len());
            withheld.keys.push(std::mem::replace(value, text.into()));
        });
        withheld
    }

    /// Puts them back, wherever a private key may stand.
    ///
    /// # Errors
    /// 400 if one stands anywhere else.
    pub(super) fn put_back(self, sealing: &Sealing, key: &Key, value: &mut Value) -> Result<(), Answer> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let own = |value: &Value| value.as_str()?.strip_prefix(&self.mark)?.strip_suffix(']')?.parse::<usize>().ok();
        sealing.visit_private_keys(key, value, &mut |_, value| {
            if let Some(key) = own(value).and_then(|index| self.keys.get(index)) {
                *value = key.clone();
            }
        });
        match value.to_string().contains(&self.mark) {
            true => Err(Answer::bad("a private key cannot be copied to another field")),
            false => Ok(()),
        }
    }
}
