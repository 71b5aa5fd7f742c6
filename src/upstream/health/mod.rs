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
mod machine;
mod outlier;
#[cfg(feature = "client")]
mod probe;
mod record;
mod statuses;

pub use config::{ActiveConfig, HealthConfig, HttpProbe, PassiveConfig, ProbeKind};
pub use ejection::EjectionConfig;
pub use machine::{HealthCounters, HealthState, Thresholds};
pub use outlier::OutlierConfig;
pub use record::HealthStatus;
pub use statuses::Statuses;
