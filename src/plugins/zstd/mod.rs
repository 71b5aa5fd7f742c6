//! `zstd`: answers are compressed by Zstandard (RFC 8878) for clients that accept it. Stage: respond, around everything that makes
//! or rewrites bodies.
//!
//! 1. An answer is compressed if its type is one of `types`, it has at least `min_length` bytes (or nobody knows how many), nothing
//!    compressed it before, and the client accepts zstd, in HTTP/1.1 or newer (`http_version`).
//! 2. Left alone are 206, 204 and 304, `Cache-Control: no-transform` of either side, gRPC, and answers with a digest of their content.
//! 3. Where `gzip` or `brotli` stand around the same answer, one of them compresses it: in what the client likes best, of equals in
//!    zstd, then br, then gzip.
//!
//! It writes `Content-Encoding` and, unless `vary` is off, `Vary: Accept-Encoding` (also for clients that get the answer as it is); it
//! removes `Content-Length` and `Accept-Ranges`, and makes a strong `ETag` weak. Without `vary` requests that came by a proxy (`Via`)
//! get plain answers.
//!
//! Bodies stream: a piece of 16 KiB is held beside what the upstream sent last, and whenever the upstream pauses, what it sent is
//! flushed, so that events arrive one by one. The encoder takes memory for each answer that is being compressed, in MiB at most:
//! 1 with `comp_level` 1, 2 with 2 and 3 (the default), 4 up to 6, 11 up to 9, 41 up to 12, 65 up to 15, 82 up to 19; and the window.
//! For a shorter answer, whose length is known, the window is made as small as that. Windows are at most 8 MiB, which is what clients
//! must bear (RFC 9659). All encoders of the gateway together take at most 256 MiB; an answer beyond that is compressed by `brotli` or
//! `gzip` around it, or goes as it is.
//!
//! Caveats: an answer with a secret and a text that others choose gives the secret away by its compressed length (BREACH), TLS or not;
//! don't list the types of such answers. `If-Match` never holds with a weak tag, so clients that edit by it need plain answers.
//! `comp_level` from 13 on takes 10 times as long as 3 and more, beside the threads that serve.
//!
//! ```
//! use tollgate::plugins::compress::{Compress, CompressLayer};
//! use tollgate::plugins::zstd::ZstdConfig;
//!
//! let mut config = ZstdConfig::default();
//! config.comp_level = 6;
//! let layer = CompressLayer::of(Compress::zstd(config)?); // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"zstd": {"types": ["text/html", "application/json"], "min_length": 1000}}
//! ```
mod config;
mod encoder;
mod plugin;

pub use config::ZstdConfig;
pub use plugin::ZstdPlugin;
