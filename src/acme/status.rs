//! What an issuer says of itself.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// How an issuer is doing. As JSON, times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The authority's directory.
    pub directory: String,
    /// Each certificate that it sees to, by id.
    pub items: Vec<ItemStatus>,
}

/// How one certificate is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ItemStatus {
    /// Its id.
    pub id: String,
    /// Its server names.
    pub names: Vec<String>,
    /// What is in force and what is done about it.
    pub state: State,
    /// When the one in force is over.
    #[serde(serialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub not_after: Option<SystemTime>,
    /// When the next order, or the next try, is due.
    #[serde(serialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub due: Option<SystemTime>,
    /// Orders in a row that failed, whichever gateway on the folder made them.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// Why the last one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is in force of a certificate and what is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// One is in force, and not due yet.
    Valid,
    /// One is in force, and the next is ordered or about to be.
    Renewing,
    /// There is none yet; it is ordered or about to be.
    Ordering,
    /// It failed, and is tried again. What was in force stays so until it is over.
    Failing,
    /// It cannot be had with these names.
    Impossible,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
fn seconds<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    let since = time.map(|time| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    since.serialize(serializer)
}

/// The last status of each item, which the issuer writes and others read.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Arc<Mutex<Vec<ItemStatus>>>);

impl Board {
    pub(super) fn read(&self) -> Vec<ItemStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn write(&self, mut items: Vec<ItemStatus>) {
        items.sort_by(|one, other| one.id.cmp(&other.id));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = items;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_unix_seconds() {
        let item = ItemStatus {
            id: "shop".to_owned(),
            names: vec!["shop.test".to_owned()],
            state: State::Renewing,
            not_after: Some(UNIX_EPOCH + Duration::from_millis(7500)),
            due: None,
            failures: 0,
            error: None,
        };
        let text = serde_json::to_string(&item).unwrap();
        assert_eq!(text, r#"{"id":"shop","names":["shop.test"],"state":"renewing","not_after":7}"#);
    }
}
