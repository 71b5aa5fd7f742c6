//! `bodies`: how plugins read whole bodies, within the limits of the gateway.
//!
//! A plugin asks its context for [`Bodies`](crate::plugin::BuildContext::bodies) when it is built and keeps it. What it
//! collects counts against the room that all plugins of the gateway have together (`limits.buffer_total_bytes`,
//! security.md LIM-04) until the last clone of the bytes is gone, and no client holds more of it than it leaves to others; what it parses is bounded in depth and number
//! (`limits.max_parse_depth`, `limits.max_parse_nodes`, LIM-15), and a name that stands twice in one object is refused,
//! because two readers of such a document see different things. What it unpacks is bounded in size and ratio
//! (`limits.decompressed_bytes`, `limits.max_decompression_ratio`, LIM-14).
//!
//! # Example
//! ```
//! # use tollgate::Body;
//! # use tollgate::plugin::bodies::{Bodies, Misread};
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let bodies = Bodies::default();
//! let bytes = bodies.collect(Body::from(r#"{"a": 1, "a": 2}"#), 1024).await.unwrap();
//! assert_eq!(bodies.json(&bytes), Err(Misread::Twice("a".to_owned())));
//! # });
//! ```
mod ahead;
#[cfg(feature = "validation")]
mod charset;
mod coding;
mod collect;
mod form;
mod json;
mod misread;
mod pieces;
mod reader;
mod replay;
mod room;
#[cfg(feature = "decode")]
pub(crate) mod unpack;

#[cfg(feature = "body-transformer")]
pub(crate) use ahead::Ahead;
#[cfg(feature = "validation")]
pub(crate) use charset::is_utf8;
pub(crate) use collect::PIECE;
pub use collect::Unread;
pub use misread::Misread;
pub use reader::Bodies;
pub(crate) use replay::Replay;
pub(crate) use room::Room;
