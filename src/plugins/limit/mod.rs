//! What the limiters share: arithmetic on an injected time, counters of this process, counters in Redis, keys, numbers
//! and answers.
//!
//! A request's way through a limiter: its [`KeyType`] says which text of it names the counter, the counter lives in this
//! process or in Redis ([`Backend`]), and arithmetic decides on a time that is a number of milliseconds, so that all of it
//! runs on virtual time as well.
//!
//! **Whose counter it is.** A counter belongs to the resource that the block is written on (a route, service, plugin config,
//! consumer, consumer group or global rule), to the block as it is written, and to the key. So a block on a service counts
//! over all its routes and one on a consumer over all that it calls; equal blocks on two resources count apart; and a change
//! of any value in a block starts new counters, while a reload that leaves the block alone does not.
mod amount;
mod answer;
mod backend;
mod bucket;
mod clock;
mod hash;
mod key;
mod naming;
mod once;
mod owner;
#[cfg(feature = "redis")]
mod redis;
mod slots;
mod store;
mod window;

pub use amount::Amount;
pub(crate) use amount::{Number, whole};
pub(crate) use answer::Answer;
pub use backend::{Backend, Degradation, Policy, Role, Sentinel};
pub(crate) use bucket::{Admission, Bucket, Leak};
pub(crate) use clock::Clock;
pub(crate) use hash::{Key, Namespace};
pub(crate) use key::KeySpec;
pub use key::KeyType;
pub(crate) use naming::{CounterKey, Name, Naming};
pub(crate) use once::{by_workflow, set_by_workflow};
pub(crate) use owner::{Owner, StoreAttr};
#[cfg(feature = "redis")]
pub(crate) use redis::{Ask, BackendError, Delayed, Delays, Link, Links, Releases, RemoteSlot, Target};
pub(crate) use slots::{Crowd, Slot, Slots};
pub(crate) use store::{Expires, Store};
pub(crate) use window::{Verdict, Window};
