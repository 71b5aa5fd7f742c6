//! `grpc-transcode`: lets clients that speak JSON over HTTP call a method of a gRPC service. Stage: access.
//!
//! The message of the request is made of the JSON object in the body (`Content-Type: application/json`) or of the arguments of
//! a form, and of those arguments of the query that the body has no field of. Fields have the name that they have in the
//! definition, or their JSON name; unknown ones are left out; `a.b=1` is a field in a message, a name that occurs more than
//! once a list. Values are as in the JSON mapping of Protobuf: bytes in base64, time stamps and the other well-known types in
//! their own form; texts may stand for numbers and truth values, and `"#123"` or `"#0x7B"` for integers that JSON clients would
//! round. It is sent as `POST /<service>/<method>`; the upstream is to have the scheme `grpc` or `grpcs`.
//!
//! 1. There is no proto `proto_id`: 500 without a body. The proto has no such service or method, or one that takes a stream: 503
//!    without a body. The load warns of either; what is added to `protos` later works from then on.
//! 2. A body that is no JSON, a value that its field cannot have, or a field that is there by both of its names: 400
//!    `{"error_msg":"…"}` that names it; a body of another content type or with a content coding: 415; one of more than
//!    `max_req_body_size` bytes: 413.
//! 3. The service answers with a message: 200 and its JSON as `pb_option` has it, fields by the name in the definition. Its trailers
//!    are trailers, for clients that say `TE: trailers`, and `Trailer` announces them.
//! 4. The service answers with another status than 0: 1 → 499, 2 → 500, 3 → 400, 4 → 504, 5 → 404, 6 → 409, 7 → 403, 8 → 429,
//!    9 → 400, 10 → 409, 11 → 400, 12 → 501, 13 → 500, 14 → 503, 15 → 500, 16 → 401, any other → 599; `grpc-status` and
//!    `grpc-message` in the head. The body is empty, or with `show_status_in_body` `{"error":{"code":…,"message":…,"details":…}}`.
//! 5. **Extension.** A method that answers with a stream: a line of JSON for each message as it comes (`application/x-ndjson`).
//!    When it fails behind the first message, the last line is the error of 4.
//! 6. What comes is no gRPC message, is compressed (the call asks for none that is), or is longer than
//!    `max_resp_body_size`, as a message or as JSON: 502. A stream is cut off there.
//!
//! **Extension.** With `auto_mapping` the `google.api.http` annotations of the methods say which one a request means, by method and
//! path (as `proxy-rewrite` may have changed it), where its fields stand (path, body, query) and what of the answer is told; of
//! several that match the narrower path counts. No path matches: 404, no method of HTTP: 405 with `Allow`, both without a body.
//!
//! In memory is the whole body of a request, and of an answer one message and its JSON; a message of many small values takes some
//! fifty times its bytes while it is read. What is larger than 64 KiB is read and written beside the threads that serve requests,
//! not more at once than there are processors.
//!
//! ```
//! use tollgate::plugin::AroundLayer;
//! use tollgate::plugins::grpc_transcode::{GrpcTranscode, GrpcTranscodeConfig};
//! use tollgate::proto::Definitions;
//!
//! let mut definitions = Definitions::default();
//! definitions.add("a.proto", "syntax = \"proto3\"; message A { string b = 1; } service S { rpc M (A) returns (A); }".into());
//! let mut config = GrpcTranscodeConfig::default();
//! config.proto_id = "a".into();
//! config.service = "S".into();
//! config.method = "M".into();
//! let (transcode, caveats) = GrpcTranscode::new(&config, Some(&definitions.compile("a.proto")?))?;
//! assert!(caveats.is_empty());
//! let layer = AroundLayer::of(transcode); // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::BoxError>(())
//! ```
//!
//! ```json
//! {"grpc-transcode": {"proto_id": "1", "service": "helloworld.Greeter", "method": "SayHello", "deadline": 2000}}
//! ```
mod annotations;
mod answer;
mod arguments;
mod call;
mod config;
mod end;
mod from_json;
mod large;
mod layer;
mod lines;
mod messages;
mod template;
#[cfg(test)]
mod tests;
mod to_json;

pub use config::{GrpcTranscodeConfig, PbOption};
pub use layer::{GrpcTranscode, GrpcTranscodeLayer, GrpcTranscodePlugin};
