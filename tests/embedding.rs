//! The gateway in three hosts: as the fallback of an axum app, in a bare hyper server, and in our own server.
#![cfg(test)]
#![cfg(all(feature = "axum", feature = "hyper-server", feature = "server"))]
mod peers;

#[path = "embedding/host.rs"]
mod host;
#[cfg(all(feature = "tls", feature = "http2"))]
#[path = "embedding/pieces.rs"]
mod pieces;
#[path = "embedding/streams.rs"]
mod streams;
#[path = "embedding/websocket.rs"]
mod websocket;
