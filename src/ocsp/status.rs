//! What a stapler says of itself.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::round::Key;

/// How the staple of one pair of a certificate is doing. As JSON, times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StapleStatus {
    /// Id of the certificate.
    pub id: String,
    /// Which of its pairs, from 0.
    pub pair: usize,
    /// Who is asked; `None` when nobody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responder: Option<String>,
    /// Until when the answer holds that is shown; `None` when none is.
    #[serde(serialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub until: Option<SystemTime>,
    /// When somebody is asked next.
    #[serde(serialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub due: Option<SystemTime>,
    /// Whether clients may refuse the certificate without an answer (RFC 7633).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub must_staple: bool,
    /// Why there is no newer answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
fn seconds<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()).serialize(serializer)
}

/// The last status of each pair, which the stapler writes and others read.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Arc<Mutex<Pairs>>);

type Pairs = HashMap<Key, StapleStatus>;

impl Board {
    /// By id and place.
    pub(super) fn read(&self) -> Vec<StapleStatus> {
        let mut all: Vec<_> = self.pairs().values().cloned().collect();
        all.sort_unstable_by(|one, other| (&one.id, one.pair).cmp(&(&other.id, other.pair)));
        all
    }

    /// Replaces one; `None` when there is nothing to say of it.
    pub(super) fn put(&self, key: &Key, pair: Option<StapleStatus>) {
        match pair {
            Some(pair) => drop(self.pairs().insert(key.clone(), pair)),
            None => drop(self.pairs().remove(key)),
        }
    }

    fn pairs(&self) -> MutexGuard<'_, Pairs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
