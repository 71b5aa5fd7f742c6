//! Configuration out of a file: [`FileSource`] reads a declarative document, watches it, and yields a snapshot
//! whenever it changes. Feature `config-file`; YAML beside JSON with feature `yaml`.
//!
//! * **Format**: JSON for names that end in `.json`, else YAML. Root: kind → array of items, as
//!   [`model::read`](crate::model::read) takes it.
//! * **Environment**: `${{NAME}}` and `${{NAME:=default}}`, in YAML replaced in the text before it is parsed (quotes
//!   decide the type), in JSON in the parsed strings and keys (a value that then looks like a number or boolean becomes
//!   one). A variable that is not set and has no default makes the whole load fail.
//! * **Completeness**: a file counts once it looked the same twice, 50 ms apart (an empty one for a second, as writing in
//!   place begins with that); at once if it is YAML and its last line is `#END`. [`FileSource::requiring_end_marker`], or `require_end_marker` under the
//!   root key `tollgate`, makes that line a must.
//! * **Changes** are found by events of the file's directory and by a poll; content decides, never times of change, so
//!   that two writes within one tick of the clock, renames and swapped symbolic links (mounted volumes) are all seen.
//! * **Bounds**: [`Bounds`].
mod document;
mod environment;
mod file;
mod look;
mod places;
mod share;
mod stack;
mod watch;

pub use crate::syntax::Bounds;
pub use file::FileSource;
