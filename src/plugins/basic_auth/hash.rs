//! Hashes of passwords that take their time: argon2id and scrypt.
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::thread;

use arc_swap::ArcSwapOption;
use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::plugin::BasicAuthPlugin;
use crate::plugin::{ConfigError, Plugin as _};

/// More memory than this for one hash is taken for a mistake: 256 MiB, in KiB.
const MAX_MEMORY: u32 = 256 << 10;
/// More passes, or lanes, than this are taken for a mistake.
const MAX_WORK: u32 = 64;
/// How many callers may wait for a hash, beside those whose hash is being worked out.
const MAX_WAITING: usize = 256;

/// A configured hash.
pub(super) struct Hashed {
    hash: PasswordHash,
    /// Keyed digest of the password that was found to be right.
    proven: OnceLock<blake3::Hash>,
}

impl Hashed {
    pub(super) fn proven(&self) -> Option<&blake3::Hash> {
        self.proven.get()
    }

    /// Works the hash out. Takes milliseconds.
    fn is_of(&self, password: &[u8]) -> bool {
        match self.hash.algorithm.as_str() {
            "argon2id" => argon2::Argon2::default().verify_password(password, &self.hash).is_ok(),
            _ => scrypt::Scrypt::default().verify_password(password, &self.hash).is_ok(),
        }
    }
}

/// How hashes are worked out: beside the threads that serve requests, and not more at once than there are processors.
pub(super) struct Hashing {
    /// The hash that a user without one is held against.
    decoy: ArcSwapOption<Hashed>,
    places: Arc<Semaphore>,
    queue: Semaphore,
}

/// A hash that has to be worked out before a login is known to be right.
pub(super) struct Question {
    /// Whose hash it is; of nobody's the answer is always no.
    hashed: Arc<Hashed>,
    is_users: bool,
    password: Vec<u8>,
    digest: blake3::Hash,
}

/// Too many callers wait already.
#[derive(Debug)]
pub(super) struct Busy;

impl Default for Hashing {
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self {
            decoy: ArcSwapOption::empty(),
            places: Arc::new(Semaphore::new(processors)),
            queue: Semaphore::new(MAX_WAITING),
        }
    }
}

impl Hashing {
    /// Takes a configured hash; `None` for what is none of the two kinds.
    pub(super) fn keep(&self, text: &str) -> Result<Option<Arc<Hashed>>, ConfigError> {
        let invalid = |reason: &str| ConfigError::invalid(BasicAuthPlugin::NAME, "password", reason);
        if !text.starts_with("$argon2id$") && !text.starts_with("$scrypt$") {
            return Ok(None);
        }
        let hash = PasswordHash::new(text).map_err(|_| invalid("begins like a PHC string and is none"))?;
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(invalid("is a PHC string without salt or hash: write the whole string"));
        }
        let affordable = match hash.algorithm.as_str() {
            "argon2id" => {
                let params =
                    argon2::Params::try_from(&hash).map_err(|_| invalid("has parameters that argon2 refuses"))?;
                params.m_cost() <= MAX_MEMORY && params.t_cost() <= MAX_WORK && params.p_cost() <= MAX_WORK
            }
            _ => {
                let params =
                    scrypt::Params::try_from(&hash).map_err(|_| invalid("has parameters that scrypt refuses"))?;
                // Memory is 128 · r · 2^ln bytes.
                let memory = u64::from(params.r()).checked_shl(params.log_n().into()).map_or(u64::MAX, |n| n / 8);
                memory <= u64::from(MAX_MEMORY) && params.p() <= MAX_WORK
            }
        };
        if !affordable {
            return Err(invalid("asks for more than 256 MiB, or more than 64 passes or lanes: lower its parameters"));
        }
        let hashed = Arc::new(Hashed { hash, proven: OnceLock::new() });
        self.decoy.store(Some(Arc::clone(&hashed)));
        Ok(Some(hashed))
    }

    /// What remains to be asked of a password that is not known to be right: the user's hash if he has one, else the decoy,
    /// so that either costs the same; nothing as long as no hash was configured.
    pub(super) fn question(
        &self,
        own: Option<&Arc<Hashed>>,
        password: &[u8],
        digest: blake3::Hash,
    ) -> Option<Question> {
        let hashed = own.cloned().or_else(|| self.decoy.load_full())?;
        Some(Question { hashed, is_users: own.is_some(), password: password.to_vec(), digest })
    }

    /// Works it out, when it is its turn.
    pub(super) async fn answer(&self, question: Question) -> Result<bool, Busy> {
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                let _waiting = self.queue.try_acquire().map_err(|_| Busy)?;
                Arc::clone(&self.places).acquire_owned().await.map_err(|_| Busy)?
            }
        };
        // Without a runtime there are no other threads to keep free.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => Ok(runtime.spawn_blocking(move || question.work_out(place)).await.unwrap_or(false)),
            Err(_) => Ok(question.work_out(place)),
        }
    }
}

impl Question {
    /// The place is given back when the work is done, also when nobody waits for it any more.
    fn work_out(self, place: OwnedSemaphorePermit) -> bool {
        let right = self.hashed.is_of(&self.password) && self.is_users;
        if right {
            // Another caller may have been first with the same.
            let _ = self.hashed.proven.set(self.digest);
        }
        drop(place);
        right
    }
}

impl fmt::Debug for Hashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hashing").field("free_places", &self.places.available_permits()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question([redacted])")
    }
}
