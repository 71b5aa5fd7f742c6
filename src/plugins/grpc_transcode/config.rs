//! The options.
use serde::Deserialize;

use crate::model::Id;

/// Options of `grpc-transcode`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GrpcTranscodeConfig {
    /// The id of the definition (`protos`) that has the service. Required.
    pub proto_id: Id,
    /// The service with its package, such as `helloworld.Greeter`. Required without `auto_mapping`.
    pub service: String,
    /// The method, such as `SayHello`. Required without `auto_mapping`, with which it is not to be.
    pub method: String,
    /// **Extension.** Whether the `google.api.http` annotations of the service, or of all services of the proto, say which
    /// method a request means. Default `false`.
    pub auto_mapping: bool,
    /// How long the service has, in milliseconds, 1–99,999,999; it is told by `grpc-timeout`. Default 0: no limit of its own.
    pub deadline: u32,
    /// How messages become JSON: at most one of each kind counts, the last one. Default `enum_as_name`, `int64_as_number`,
    /// `auto_default_values`.
    pub pb_option: Vec<PbOption>,
    /// Whether an answer with another status than 0 has a body that tells it. Default `false`.
    pub show_status_in_body: bool,
    /// The message that the details of such a status are, with its package. By default they stay encoded.
    pub status_detail_type: Option<String>,
    /// **Extension.** Bytes of a request's body, 1 or more. Default 1,048,576 (1 MiB).
    pub max_req_body_size: usize,
    /// Bytes of a message of an answer, and of the JSON that it becomes, 1 or more. Read, a message of
    /// many small values takes many times its bytes. Default 4,194,304 (4 MiB), as most gRPC clients have it.
    pub max_resp_body_size: usize,
}

impl Default for GrpcTranscodeConfig {
    fn default() -> Self {
        Self {
            proto_id: Id::default(),
            service: String::new(),
            method: String::new(),
            auto_mapping: false,
            deadline: 0,
            pb_option: Vec::new(),
            show_status_in_body: false,
            status_detail_type: None,
            max_req_body_size: 1024 * 1024,
            max_resp_body_size: 4 * 1024 * 1024,
        }
    }
}

/// One way in which messages become JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PbOption {
    /// Values of enums by their name.
    EnumAsName,
    /// Values of enums by their number.
    EnumAsValue,
    /// Integers of 64 bits as numbers, with all their digits.
    Int64AsNumber,
    /// Those that need more than 32 bits as strings behind a `#`: `"#123"`.
    Int64AsString,
    /// The same in hexadecimal: `"#0x7B"`.
    Int64AsHexstring,
    /// **Extension.** All of them as strings of digits, as the JSON mapping of Protobuf has it: `"123"`.
    Int64AsDecimal,
    /// Fields that are not set and cannot tell so appear with their default value, empty lists and maps as well.
    AutoDefaultValues,
    /// Fields that are not set do not appear.
    NoDefaultValues,
    /// Fields that are not set appear with their default value, other than messages and those of a `oneof`.
    UseDefaultValues,
    /// The same as `no_default_values`: there are no tables to hide them in.
    UseDefaultMetatable,
    /// Does nothing: there are no hooks.
    EnableHooks,
    /// Does nothing: there are no hooks.
    DisableHooks,
}
