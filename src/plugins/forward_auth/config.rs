//! The block of configuration.
use std::collections::BTreeMap;

use serde::Deserialize;

/// Options of `forward-auth`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ForwardAuthConfig {
    /// Address of the service, such as `http://127.0.0.1:9000/verify`. Required.
    pub uri: String,
    /// Method of the question: `GET`, or `POST` with the request's body. Default `GET`.
    pub request_method: AuthMethod,
    /// Fields of the request that the service is told; none that frame a message or belong to one hop. Default: none.
    pub request_headers: Vec<String>,
    /// Further fields of the question: templates such as `$remote_addr`. Default: none.
    pub extra_headers: BTreeMap<String, String>,
    /// Fields of the answer that are set on the request, or removed from it when the answer has none; none that frame a
    /// message, belong to one hop or choose the host. Default: none.
    pub upstream_headers: Vec<String>,
    /// Fields of the answer that the client is told when it is refused; none that frame a message or belong to one hop.
    /// Default: none.
    pub client_headers: Vec<String>,
    /// Longest time of a question in milliseconds, 1 to 60,000. Default 3000.
    pub timeout: u64,
    /// Whether the service's certificate is verified. Default `true`.
    pub ssl_verify: bool,
    /// Whether connections are used again. Default `true`.
    pub keepalive: bool,
    /// Longest idle time of a connection in milliseconds, 1000 or more. Default 60,000.
    pub keepalive_timeout: u64,
    /// Most idle connections, 1 or more. Default 5.
    pub keepalive_pool: usize,
    /// Lets requests pass while the service cannot be reached. Default `false`.
    pub allow_degradation: bool,
    /// Status while the service cannot be reached, 200 to 599. Default 403.
    pub status_on_error: u16,
    /// Longest body in bytes that a `POST` carries along, 1 or more. Default 67,108,864.
    pub max_req_body_size: u64,
}

impl Default for ForwardAuthConfig {
    fn default() -> Self {
        Self {
            uri: String::new(),
            request_method: AuthMethod::default(),
            request_headers: Vec::new(),
            extra_headers: BTreeMap::new(),
            upstream_headers: Vec::new(),
            client_headers: Vec::new(),
            timeout: 3000,
            ssl_verify: true,
            keepalive: true,
            keepalive_timeout: 60_000,
            keepalive_pool: 5,
            allow_degradation: false,
            status_on_error: 403,
            max_req_body_size: 67_108_864,
        }
    }
}

/// Method of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum AuthMethod {
    /// Without a body.
    #[default]
    Get,
    /// With the request's body.
    Post,
}
