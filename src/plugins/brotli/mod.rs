//! `brotli`: answers are compressed by brotli (`br`, RFC 7932) for clients that accept it. Stage: respond, around everything that makes
//! or rewrites bodies.
//!
//! 1. An answer is compressed if its type is one of `types`, it has at least `min_length` bytes (or nobody knows how many), nothing
//!    compressed it before, and the client accepts br, in HTTP/1.1 or newer (`http_version`).
//! 2. Left alone are 206, 204 and 304, `Cache-Control: no-transform` of either side, gRPC, and answers with a digest of their content.
//! 3. Where `gzip` or `zstd` stand around the same answer, one of them compresses it: in what the client likes best, of equals in
//!    zstd, then br, then gzip.
//!
//! It writes `Content-Encoding` and, unless `vary` is off, `Vary: Accept-Encoding` (also for clients that get the answer as it is); it
//! removes `Content-Length` and `Accept-Ranges`, and makes a strong `ETag` weak. Without `vary` requests that came by a proxy (`Via`)
//! get plain answers.
//!
//! Bodies stream: a piece of 16 KiB is held beside what the upstream sent last, and whenever the upstream pauses, what it sent is
//! flushed, so that events arrive one by one. The encoder takes memory for each answer that is being compressed, in MiB at most:
//! 3 with `comp_level` 0 and 1, 4 with 2 and 3, 6 with 4 and 5, 7 with 6 (the default), 14 with 7, 21 with 8, 30 with 9, 16 with 10
//! and 11; 2 to 3 more with 4 to 6 for bodies that are known to be 1 MiB or more. That is with the default `lgwin`; one of 22 takes
//! 14 more, one of 24 takes 62 more (56 and 248 more with level 10 and 11). The window of a shorter answer, whose length is known, is
//! smaller (128 KiB at the least). All encoders of the gateway together take at most 256 MiB; an answer beyond that is compressed by
//! `zstd` or `gzip` around it, or goes as it is.
//!
//! Caveats: an answer with a secret and a text that others choose gives the secret away by its compressed length (BREACH), TLS or not;
//! don't list the types of such answers. `If-Match` never holds with a weak tag, so clients that edit by it need plain answers.
//! `comp_level` 10 and 11 take tens of times as long as 6, beside the threads that serve; they are for files that are compressed
//! once. With an `lgwin` of 10 to 16 the encoder searches in another way, which takes about 34 MiB from level 5 on.
//!
//! ```
//! use tollgate::plugins::brotli::BrotliConfig;
//! use tollgate::plugins::compress::{Compress, CompressLayer};
//!
//! let mut config = BrotliConfig::default();
//! config.comp_level = 4;
//! let layer = CompressLayer::of(Compress::brotli(config)?); // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"brotli": {"types": ["text/html", "application/json"], "min_length": 1000, "comp_level": 4}}
//! ```
mod config;
mod encoder;
mod plugin;

pub use config::BrotliConfig;
pub use plugin::BrotliPlugin;
