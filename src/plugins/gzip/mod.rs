//! `gzip`: answers are compressed by gzip (RFC 1952) for clients that accept it. Stage: respond, around everything that makes or
//! rewrites bodies.
//!
//! 1. An answer is compressed if its type is one of `types`, it has at least `min_length` bytes (or nobody knows how many), nothing
//!    compressed it before, and the client accepts gzip, in HTTP/1.1 or newer (`http_version`).
//! 2. Left alone are 206, 204 and 304, `Cache-Control: no-transform` of either side, gRPC, and answers with a digest of their content.
//! 3. Where `brotli` or `zstd` stand around the same answer, one of them compresses it: in what the client likes best, of equals in
//!    zstd, then br, then gzip.
//!
//! It writes `Content-Encoding` and, unless `vary` is off, `Vary: Accept-Encoding` (also for clients that get the answer as it is); it
//! removes `Content-Length` and `Accept-Ranges`, and makes a strong `ETag` weak. Without `vary` requests that came by a proxy (`Via`)
//! get plain answers.
//!
//! Bodies stream: a piece of 16 KiB is held beside what the upstream sent last, and whenever the upstream pauses, what it sent is
//! flushed, so that events arrive one by one. The encoder takes about 300 KiB for each answer that is being compressed; all
//! encoders of the gateway together take at most 256 MiB, and an answer beyond that goes as it is.
//!
//! Caveats: an answer with a secret and a text that others choose gives the secret away by its compressed length (BREACH), TLS or not;
//! don't list the types of such answers. `If-Match` never holds with a weak tag, so clients that edit by it need plain answers.
//!
//! ```
//! use tollgate::plugins::compress::{Compress, CompressLayer, Types};
//! use tollgate::plugins::gzip::GzipConfig;
//!
//! let mut config = GzipConfig::default();
//! config.types = Types::Listed(vec!["text/html".to_owned(), "application/json".to_owned()]);
//! let layer = CompressLayer::of(Compress::gzip(config)?); // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"gzip": {"types": ["text/html", "application/json"], "min_length": 1000, "comp_level": 5}}
//! ```
mod config;
mod encoder;
mod plugin;

pub use config::{Buffers, GzipConfig};
pub use plugin::GzipPlugin;
