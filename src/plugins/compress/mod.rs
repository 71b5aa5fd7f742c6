//! What [`gzip`](super::gzip), [`brotli`](super::brotli) and [`zstd`](super::zstd) have in common: which answers are
//! compressed, for whom, and how a body streams through an encoder.
//!
//! Several of them may stand around one answer, in any order: the outermost one compresses, once, in the coding that the
//! client likes best; of codings that it likes equally, in zstd, then brotli, then gzip.
//!
//! **Which answers.** Those whose `Content-Type` is listed and whose length is unknown or at least `min_length`. Left alone are
//! answers that are encoded already, partial ones (206, `Content-Range`), those without a body (1xx, 204, 205, 304),
//! `Cache-Control: no-transform` of either side, gRPC (its messages are compressed one by one), and answers with a digest of their
//! content (RFC 9530).
//!
//! **For whom.** Clients that accept the coding by `Accept-Encoding` (RFC 9110 §12.5.3: weights, `*`, and an `identity` that is
//! liked better count), in a request of at least `http_version`. A client that says nothing gets the answer as it is.
//!
//! **What changes.** `Content-Encoding` comes, `Content-Length` and `Accept-Ranges` go, a strong `ETag` becomes a weak one, since the
//! bytes are others (RFC 9110 §8.8.1); the 304 to a client that shows such a weak tag says it, too, and each 304 says `Vary`. With `vary` the answer says
//! `Vary: Accept-Encoding`, also to clients that get it as it is, so that caches keep both apart. The answer to a `HEAD` has the
//! fields of the `GET`.
//!
//! **Streaming.** A body is never gathered: 16 KiB at a time go through the encoder, what comes out goes on in pieces of at most
//! 16 KiB, and whenever the upstream pauses, what it sent so far is flushed. So the first byte is out after the first piece of the
//! upstream, and events of a stream (`text/event-stream`, if it is listed) arrive one by one. A body that breaks off breaks off for
//! the client, too. A client that does not read holds the upstream up, as without compression. Where 16 KiB can take longer than
//! about 10 ms (`comp_level` from 10 on of brotli, from 13 on of zstd), they go through the encoder on a thread for blocking work.
//!
//! **Memory.** Each answer takes one piece of 16 KiB and its encoder, whose tables are large: see the plugins. All encoders of a gateway
//! together take at most 256 MiB ([`Memory`]); an answer beyond that is compressed in another coding that stands around it and is
//! accepted, or goes as it is (the metrics `compress_encoder_bytes` and `compress_refused_total` tell).
//!
//! **BREACH.** Where an answer has both a secret and text that somebody else can choose (such as a token beside a search term), its
//! compressed length tells of the secret, TLS or not. Don't list the types of such answers, or keep the plugin off their routes.
mod accept;
mod answer;
mod body;
mod coding;
mod engine;
mod layer;
mod memory;
mod rules;
#[cfg(test)]
#[cfg(all(feature = "gzip", feature = "brotli", feature = "zstd"))]
mod tests;

#[cfg(any(feature = "brotli", feature = "zstd"))]
pub(crate) use coding::window;
pub(crate) use coding::{Coding, Encode, Kind};
pub use layer::{Compress, CompressLayer};
pub use memory::Memory;
pub use rules::{Star, Types};
pub(crate) use rules::{Written, untold};
