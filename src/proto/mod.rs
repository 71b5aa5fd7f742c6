//! Protobuf definitions, compiled: what `protos` of a configuration hold and `grpc-transcode` works with.
//!
//! [`Definitions`] are the texts of a configuration by file name, so that they can import one another;
//! [`Definitions::compile`] makes a [`Proto`] of one of them. `google/protobuf/*.proto`, `google/api/http.proto` and
//! `google/api/annotations.proto` are built in.
//!
//! ```
//! use tollgate::proto::Definitions;
//!
//! let mut definitions = Definitions::default();
//! definitions.add("greeter.proto", r#"
//!     syntax = "proto3";
//!     package hello;
//!     import "google/protobuf/timestamp.proto";
//!     message Hello { string name = 1; google.protobuf.Timestamp at = 2; }
//!     service Greeter { rpc Greet (Hello) returns (Hello); }
//! "#.into());
//! let proto = definitions.compile("greeter.proto")?;
//! assert_eq!(proto.methods().collect::<Vec<_>>(), ["hello.Greeter/Greet"]);
//! # Ok::<(), tollgate::proto::ProtoFault>(())
//! ```
mod compile;
mod fault;
mod google;
mod imports;

pub use compile::{Definitions, Proto};
pub use fault::ProtoFault;
