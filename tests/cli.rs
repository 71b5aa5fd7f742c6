//! The bundled gateway as a process: its commands, its exit codes, live edits, signals and the access log.
#![cfg(test)]
#![cfg(all(
    unix,
    feature = "server",
    feature = "http2",
    feature = "config-file",
    feature = "yaml",
    feature = "tracing"
))]
mod peers;

#[path = "cli/commands.rs"]
mod commands;
#[cfg(feature = "full")]
#[path = "cli/listeners.rs"]
mod listeners;
#[path = "cli/live.rs"]
mod live;
#[path = "cli/log.rs"]
mod log;
#[cfg(feature = "prometheus")]
#[path = "cli/metrics.rs"]
mod metrics;
#[path = "cli/process.rs"]
mod process;
#[path = "cli/signals.rs"]
mod signals;
#[cfg(feature = "full")]
#[path = "cli/stores.rs"]
mod stores;
