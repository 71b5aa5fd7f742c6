//! The upstream side: endpoints, balancing, pool, client, retries.
pub mod balance;
mod admission;
mod budget;
mod config;
mod error;
mod retry;

pub use config::{
    AdmissionConfig, Keepalive, NodeConfig, PassHost, RetryConfig, Scheme, Target, Timeouts, UpstreamConfig,
    UpstreamKey,
};
pub use error::{Error, Side, UpstreamBuildError};
