//! Which endpoints are well (upstream.md §7).
//!
//! Each endpoint has a `Health`. Two sides report to it: probes (`checker.rs`, `probe/`) and attempts of requests
//! (`judge.rs`); `machine.rs` says what a report changes. A change of usability makes the upstream's next set of
//! endpoints; nothing else of all this is seen by a request.
#[cfg(feature = "client")]
mod checker;
mod config;
mod ejection;
mod judge;
mod keeper;
mod later;
mod machine;
#[cfg(not(feature = "client"))]
mod no_probing;
mod outcome;
mod outlier;
#[cfg(feature = "client")]
mod probe;
#[cfg(feature = "client")]
mod probing;
mod record;
mod statuses;
mod watch;

pub use config::{ActiveConfig, HealthConfig, HttpProbe, PassiveConfig, ProbeKind};
pub use ejection::EjectionConfig;
pub(crate) use keeper::Keeper;
pub use machine::{HealthCounters, HealthState, Thresholds};
pub(crate) use outcome::Outcome;
pub use outlier::OutlierConfig;
#[cfg(feature = "client")]
pub(crate) use probe::Secure;
#[cfg(all(feature = "client", feature = "tls"))]
pub(crate) use probe::Securing;
pub use record::HealthStatus;
pub(crate) use record::{Health, Subject};
pub use statuses::Statuses;
pub(crate) use watch::HealthWatch;
