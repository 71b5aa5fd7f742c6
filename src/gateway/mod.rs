//! The gateway: snapshot in, service out.
mod arrival;
mod body_guard;
mod chain;
mod panics;
