//! The block of configuration.
use serde::Deserialize;
use serde_json::{Map, Value};

/// Options of `opa`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OpaConfig {
    /// Address of the server, such as `http://127.0.0.1:8181`. Required, unless there is `rego`.
    pub host: String,
    /// Path of the document that decides, such as `example` or `example/http`. Required, unless there is `rego`.
    pub policy: String,
    /// A policy in Rego, version 1, which decides in this process (feature `rego`). Default: none, a server decides.
    pub rego: Option<String>,
    /// What that policy knows as `data`. Default: nothing.
    pub data: Map<String, Value>,
    /// Whether the server's certificate is verified. Default `true`.
    pub ssl_verify: bool,
    /// Longest time of a question in milliseconds, 1 to 60,000; with `rego` no more than 100 of them count. Default 3000.
    pub timeout: u64,
    /// Whether connections are used again. Default `true`.
    pub keepalive: bool,
    /// Longest idle time of a connection in milliseconds, 1000 or more. Default 60,000.
    pub keepalive_timeout: u64,
    /// Most idle connections, 1 or more. Default 5.
    pub keepalive_pool: usize,
    /// Whether the policy is told which route it is: `input.route`. Default `false`.
    pub with_route: bool,
    /// Whether the policy is told which service it is: `input.service`. Default `false`.
    pub with_service: bool,
    /// Whether the policy is told who calls: `input.consumer`. Default `false`.
    pub with_consumer: bool,
    /// Whether the policy is told the body: `input.request.body`. Default `false`.
    pub with_body: bool,
    /// Longest body in bytes that the policy is told, 1 or more; a longer one is refused. Default 1,048,576.
    pub max_req_body_size: u64,
    /// Fields of a decision's `headers` that are set on a request that passes, or removed from it when the decision has none;
    /// none that frame a message, belong to one hop or choose the host. Default: none.
    pub send_headers_upstream: Vec<String>,
}

impl Default for OpaConfig {
    fn default() -> Self {
        Self {
            host: String::new(),
            policy: String::new(),
            rego: None,
            data: Map::new(),
            ssl_verify: true,
            timeout: 3000,
            keepalive: true,
            keepalive_timeout: 60_000,
            keepalive_pool: 5,
            with_route: false,
            with_service: false,
            with_consumer: false,
            with_body: false,
            max_req_body_size: 1_048_576,
            send_headers_upstream: Vec::new(),
        }
    }
}
