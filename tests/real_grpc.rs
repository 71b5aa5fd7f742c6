//! gRPC and streams through a gateway, with real other sides: tonic, grpcio, hyper, tungstenite, and the gRPC-Web clients of
//! npm's registry.
#![cfg(test)]
#![cfg(all(feature = "real-servers", feature = "server", feature = "http2"))]
mod peers;

#[allow(dead_code, reason = "a part of these helpers is used")]
#[path = "cli/process.rs"]
mod process;

#[path = "grpc/bulk.rs"]
mod bulk;
#[path = "grpc/calls.rs"]
mod calls;
#[path = "grpc/origin.rs"]
mod origin;
#[path = "grpc/python.rs"]
mod python;
#[path = "grpc/rig.rs"]
mod rig;
#[path = "grpc/transcode.rs"]
mod transcode;
#[path = "grpc/translated.rs"]
mod translated;

#[path = "grpc_web/node.rs"]
mod node;
#[path = "grpc_web/raw.rs"]
mod raw;
