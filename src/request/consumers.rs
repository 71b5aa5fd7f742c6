//! All consumers of a configuration, found by name and by what they present.
use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::Consumer;

/// How many parts the tables are cut into: a change copies the parts that it touches, not a million entries.
const SHARDS: usize = 256;

/// The consumers of a configuration. It never changes: a change makes another one that shares what is the same.
///
/// Identifiers that callers present (API keys, user names, key ids) are kept as 128-bit digests of BLAKE3 under a key
/// drawn for each set, never in clear (security.md AUTH-07). A look-up is one hash of what was presented and one look
/// into a table, whatever the number of consumers; how long it takes tells nothing of the identifiers that exist.
#[derive(Clone)]
pub struct Consumers {
    key: [u8; 32],
    credentials: Shards<Digest, Found>,
    names: Shards<Digest, Consumer>,
}

/// A credential that was found.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) consumer: Consumer,
    /// What the plugin keeps beside the identifier.
    pub(crate) secret: Arc<dyn Any + Send + Sync>,
}

/// A keyed digest of a plugin's name and an identifier.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Digest([u8; 16]);

type Shards<K, V> = Box<[Arc<HashMap<K, V, BuildHasherDefault<Spread>>>]>;

/// A credential on its way into [`Consumers`].
pub struct Credential {
    /// The plugin that looks for it.
    pub plugin: &'static str,
    /// What callers present to be looked up.
    pub identifier: Vec<u8>,
    /// What the plugin keeps beside it.
    pub secret: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.plugin)
    }
}

/// An identifier that another consumer or credential has already.
#[derive(Clone, Debug, thiserror::Error)]
#[error("found with {0}")]
pub struct DuplicateCredential(String);

/// The next set of consumers.
#[derive(Debug)]
pub struct ConsumersBuilder(Consumers);

impl Default for Consumers {
    fn default() -> Self {
        Self { key: random_key(), credentials: empty(), names: empty() }
    }
}

/// A key for keyed digests.
pub(crate) fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    // Without randomness of the system nothing that is secret can be kept; RandomState's is what std falls back on.
    if getrandom::fill(&mut key).is_err() {
        use std::hash::BuildHasher as _;
        for chunk in key.chunks_mut(8) {
            let hash = std::collections::hash_map::RandomState::new().hash_one(chunk.len());
            chunk.copy_from_slice(&hash.to_le_bytes());
        }
    }
    key
}

fn empty<K, V>() -> Shards<K, V> {
    let none = Arc::new(HashMap::default());
    (0..SHARDS).map(|_| Arc::clone(&none)).collect()
}

impl Consumers {
    /// Starts a set in code; a configuration makes its own.
    pub fn builder() -> ConsumersBuilder {
        ConsumersBuilder(Self::default())
    }

    /// The consumer of that name.
    pub fn by_name(&self, name: &str) -> Option<&Consumer> {
        let digest = self.digest("", name.as_bytes());
        shard(&self.names, digest)?.get(&digest)
    }

    /// The credential of `plugin` that a caller presented.
    pub(crate) fn find(&self, plugin: &str, identifier: &[u8]) -> Option<&Found> {
        let digest = self.digest(plugin, identifier);
        shard(&self.credentials, digest)?.get(&digest)
    }

    /// The next set, which begins as this one.
    pub(crate) fn edit(&self) -> ConsumersBuilder {
        ConsumersBuilder(self.clone())
    }

    pub(crate) fn digest(&self, plugin: &str, identifier: &[u8]) -> Digest {
        // Names of plugins have no zero byte, so two pairs never read alike. Most pairs are short: one call over bytes that
        // lie side by side costs half of what a hasher does, whose state is 2 KiB.
        let mut room = [0; 128];
        let hash = match side_by_side(&mut room, plugin.as_bytes(), identifier) {
            Some(pair) => blake3::keyed_hash(&self.key, pair),
            None => {
                let mut hasher = blake3::Hasher::new_keyed(&self.key);
                hasher.update(plugin.as_bytes()).update(&[0]).update(identifier);
                hasher.finalize()
            }
        };
        let mut digest = [0; 16];
        digest.copy_from_slice(hash.as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]));
        Digest(digest)
    }
}

impl ConsumersBuilder {
    /// Adds a consumer, by name, with its credentials. One of the same name is replaced.
    ///
    /// # Errors
    /// The first credential whose identifier another one has.
    pub fn consumer(
        mut self,
        consumer: &Consumer,
        credentials: impl IntoIterator<Item = Credential>,
    ) -> Result<Self, DuplicateCredential> {
        self.insert(consumer);
        for credential in credentials {
            self.insert_credential(consumer, credential)?;
        }
        Ok(self)
    }

    /// The set.
    pub fn build(self) -> Consumers {
        self.0
    }

    pub(crate) fn insert(&mut self, consumer: &Consumer) -> Digest {
        let digest = self.0.digest("", consumer.name().as_bytes());
        if let Some(names) = shard_mut(&mut self.0.names, digest) {
            names.insert(digest, consumer.clone());
        }
        digest
    }

    pub(crate) fn insert_credential(
        &mut self,
        consumer: &Consumer,
        credential: Credential,
    ) -> Result<Digest, DuplicateCredential> {
        let digest = self.0.digest(credential.plugin, &credential.identifier);
        let found = Found { consumer: consumer.clone(), secret: credential.secret };
        if let Some(credentials) = shard_mut(&mut self.0.credentials, digest) {
            match credentials.entry(digest) {
                MapEntry::Occupied(other) => {
                    let other = &other.get().consumer;
                    return Err(DuplicateCredential(match other.credential() {
                        None => format!("consumer: {}", other.name()),
                        Some(id) => format!("credential: {id} of consumer: {}", other.name()),
                    }));
                }
                MapEntry::Vacant(place) => place.insert(found),
            };
        }
        Ok(digest)
    }

    pub(crate) fn remove(&mut self, consumer: Digest) {
        if let Some(names) = shard_mut(&mut self.0.names, consumer) {
            names.remove(&consumer);
        }
    }

    pub(crate) fn remove_credential(&mut self, digest: Digest) {
        if let Some(credentials) = shard_mut(&mut self.0.credentials, digest) {
            credentials.remove(&digest);
        }
    }
}

/// `first`, a zero byte and `second`, if there is room for them.
fn side_by_side<'r>(room: &'r mut [u8], first: &[u8], second: &[u8]) -> Option<&'r [u8]> {
    let pair = room.get_mut(..first.len() + 1 + second.len())?;
    let (head, rest) = pair.split_at_mut(first.len());
    head.copy_from_slice(first);
    let (zero, tail) = rest.split_first_mut()?;
    *zero = 0;
    tail.copy_from_slice(second);
    Some(pair)
}

fn shard<V>(shards: &Shards<Digest, V>, digest: Digest) -> Option<&HashMap<Digest, V, BuildHasherDefault<Spread>>> {
    shards.get(usize::from(digest.0[15])).map(|shard| &**shard)
}

fn shard_mut<V: Clone>(
    shards: &mut Shards<Digest, V>,
    digest: Digest,
) -> Option<&mut HashMap<Digest, V, BuildHasherDefault<Spread>>> {
    shards.get_mut(usize::from(digest.0[15])).map(Arc::make_mut)
}

impl fmt::Debug for Consumers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let consumers: usize = self.names.iter().map(|shard| shard.len()).sum();
        let credentials: usize = self.credentials.iter().map(|shard| shard.len()).sum();
        write!(f, "Consumers({consumers} with {credentials} credentials)")
    }
}

/// Digests are spread already: their first bytes are the hash.
#[derive(Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ConsumerSpec;

    fn consumer(name: &str) -> Consumer {
        Consumer::new(&ConsumerSpec { username: name.into(), ..ConsumerSpec::default() })
    }

    fn key(identifier: &str) -> Credential {
        Credential { plugin: "key-auth", identifier: identifier.into(), secret: Arc::new(()) }
    }

    #[test]
    fn names_and_identifiers_are_found_exactly() {
        let built = Consumers::builder().consumer(&consumer("a"), [key("k1"), key("k2")]).unwrap();
        let all = built.consumer(&consumer("b"), [key("K1")]).unwrap().build();
        assert_eq!(&**all.by_name("a").unwrap().name(), "a");
        assert_eq!(&**all.find("key-auth", b"k2").unwrap().consumer.name(), "a");
        assert_eq!(&**all.find("key-auth", b"K1").unwrap().consumer.name(), "b");
        assert!(all.find("basic-auth", b"k1").is_none() && all.find("key-auth", b"k").is_none());
        assert!(all.by_name("c").is_none());
    }

    #[test]
    fn long_identifiers_are_digested_as_short_ones_are() {
        let all = Consumers::default();
        let (mut room, mut long) = ([0; 128], [0; 4096]);
        for length in [0, 1, 63, 118, 119, 120, 500] {
            let identifier = vec![7; length];
            let pair = side_by_side(&mut long, b"key-auth", &identifier).unwrap();
            let whole = blake3::keyed_hash(&all.key, pair);
            assert_eq!(
                all.digest("key-auth", &identifier).0,
                *whole.as_bytes().first_chunk::<16>().unwrap(),
                "{length}"
            );
            assert_eq!(side_by_side(&mut room, b"key-auth", &identifier).is_some(), length <= 119, "{length}");
        }
    }

    #[test]
    fn a_second_owner_of_an_identifier_is_refused_and_named() {
        let built = Consumers::builder().consumer(&consumer("a").by_credential("laptop"), [key("k")]).unwrap();
        let error = built.consumer(&consumer("b"), [key("k")]).unwrap_err();
        assert_eq!(error.to_string(), "found with credential: laptop of consumer: a");
    }

    #[test]
    fn an_edited_set_leaves_the_one_before_as_it_was() {
        let first = Consumers::builder().consumer(&consumer("a"), [key("k")]).unwrap().build();
        let mut next = first.edit();
        next.remove_credential(first.digest("key-auth", b"k"));
        next.remove(first.digest("", b"a"));
        let next = next.build();
        assert!(next.find("key-auth", b"k").is_none() && next.by_name("a").is_none());
        assert!(first.find("key-auth", b"k").is_some() && first.by_name("a").is_some());
    }
}
