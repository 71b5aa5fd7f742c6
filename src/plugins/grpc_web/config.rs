//! The options.
use serde::Deserialize;

/// Options of `grpc-web`. All are optional.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GrpcWebConfig {
    /// What the answer to a preflight allows requests to carry, names with commas between them. Default
    /// `content-type,x-grpc-web,x-user-agent`.
    pub cors_allow_headers: String,
    /// Bytes of a request's body, as sent, and of each message in it, 1 or more. `tollgate.limits.body_bytes` holds beside
    /// it. Default 67,108,864 (64 MiB).
    pub max_req_body_size: u64,
}

impl Default for GrpcWebConfig {
    fn default() -> Self {
        Self {
            cors_allow_headers: "content-type,x-grpc-web,x-user-agent".to_owned(),
            max_req_body_size: 64 * 1024 * 1024,
        }
    }
}
