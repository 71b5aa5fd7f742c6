//! [`MirrorOptions`].
use std::sync::Arc;
use std::time::Duration;

use crate::model::Settings;
use crate::store::{HistoryBounds, LocalCopy, Sealing};

/// How a [`Mirror`](super::Mirror) follows its store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MirrorOptions {
    /// The settings of every snapshot, which no store holds. Default: [`Settings::default`].
    pub settings: Arc<Settings>,
    /// What encrypts and decrypts secrets. Default: nothing is encrypted.
    pub sealing: Arc<Sealing>,
    /// Where the last good configuration is kept, and taken from when the store cannot be reached at the start. Default:
    /// nowhere.
    pub copy: Option<LocalCopy>,
    /// Whether a re-read that finds no route any more, where there were some, is held back (CFG-03). Default `true`.
    pub refuse_empty_resync: bool,
    /// How many re-reads have to agree before such a one passes without [`Mirror::confirm`](super::Mirror::confirm).
    /// Default 3.
    pub empty_reads: u32,
    /// The least time between two reads of the whole store after faults; up to half of it more. Default 5 s.
    pub resync_delay: Duration,
    /// How long changes are waited for that a change refers to, while they keep coming. Default 200 ms.
    pub batch_deadline: Duration,
    /// With nothing coming for this long, they are not waited for. Default 5 ms.
    pub batch_idle: Duration,
    /// How much of what was is kept.
    pub history: HistoryBounds,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self {
            settings: Arc::default(),
            sealing: Arc::default(),
            copy: None,
            refuse_empty_resync: true,
            empty_reads: 3,
            resync_delay: Duration::from_secs(5),
            batch_deadline: Duration::from_millis(200),
            batch_idle: Duration::from_millis(5),
            history: HistoryBounds::default(),
        }
    }
}

impl MirrorOptions {
    /// Those that settings ask for; secrets and the local copy are the caller's to add.
    pub fn new(settings: Arc<Settings>) -> Self {
        let Some(store) = &settings.store else { return Self { settings, ..Self::default() } };
        Self {
            refuse_empty_resync: store.refuse_empty_resync,
            resync_delay: store.etcd.resync_delay(),
            history: HistoryBounds { changes: store.history.changes, bytes: store.history.bytes as u64 },
            settings: Arc::clone(&settings),
            ..Self::default()
        }
    }

    /// Sets what encrypts and decrypts secrets.
    #[must_use]
    pub fn with_sealing(mut self, sealing: Sealing) -> Self {
        self.sealing = Arc::new(sealing);
        self
    }

    /// Sets where the last good configuration is kept.
    #[must_use]
    pub fn with_copy(mut self, copy: LocalCopy) -> Self {
        self.copy = Some(copy);
        self
    }
}
