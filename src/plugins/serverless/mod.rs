//! What `serverless-pre-function` and `serverless-post-function` have in common: functions of the host program by name,
//! and the layer that calls those that a block names.
mod config;
mod ended;
mod functions;
mod layer;
#[cfg(test)]
mod tests;

pub use config::{Phase, ServerlessConfig};
pub use ended::Ended;
pub use functions::{Asked, Functions};
pub use layer::{Serverless, ServerlessLayer};
