//! [`DrainSettings`]: how a process ends, in the settings' `drain`.
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::shape::{Field, Shape, Struct};

/// How a process ends (security.md DRN-01). How long what runs may take is [`Limits::drain_timeout_ms`](super::Limits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct DrainSettings {
    /// For how long connections are still accepted after readiness is gone, in milliseconds, 0 to 10 minutes. Default 0.
    pub grace_ms: u64,
}

impl DrainSettings {
    /// [`DrainSettings::grace_ms`] as a [`Duration`].
    pub const fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

pub(crate) const DRAIN: Shape = Shape::Struct(&Struct::new(&[Field::new("grace_ms", Shape::Int(0, 600_000))]));
