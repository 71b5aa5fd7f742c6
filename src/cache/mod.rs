//! Zones in which answers are kept, in memory or on disk, for plugins such as `proxy-cache`.
//!
//! A zone keeps answers under a [`CacheKey`]; under one key there may be several, told apart by the request fields that
//! their `Vary` names. What is kept, and for how long it may be used, is the plugin's to decide. `docs/design/cache.md`
//! tells how zones are made.
//!
//! ```
//! use tollgate::cache::{Zone, Zones};
//! use tollgate::model::{ByteSize, CacheZoneSpec};
//!
//! let zone = Zone::new(CacheZoneSpec::memory("pages", ByteSize(64 << 20)));
//! let zones = Zones::default().with(zone.clone()); // for `ProxyCachePlugin::new`, where a block may name it
//! assert_eq!(zone.stats().entries, 0);
//! # let _ = zones;
//! ```
mod clock;
mod content;
mod disk;
mod fetches;
mod flight;
mod held;
mod index;
mod key;
mod memory;
mod notes;
mod record;
mod slot;
pub(crate) mod stats;
mod urls;
mod variant;
mod writer;
mod zone;
mod zones;

pub(crate) use fetches::Fetching;
pub(crate) use flight::{Flight, Joined, Landing, Predecessor};
pub(crate) use key::KeyBuilder;
pub(crate) use record::{Draft, Meta};
pub(crate) use variant::Vary;
pub(crate) use writer::Writer;
pub(crate) use zone::{Found, Stored};

pub use key::CacheKey;
pub use stats::Stats;
pub use zone::Zone;
pub use zones::Zones;
