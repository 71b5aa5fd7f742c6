//! JSON Schema, as plugins judge requests by it.
//!
//! Patterns run in linear time where they can: with the `regex` engine. Those that look around need another engine, each for
//! itself; what one of them may cost is bounded, and a value with a text that costs more is refused as a whole, since nobody can
//! say whether it fits.
mod pattern;
mod schema;
mod width;

pub(super) use schema::{Schema, held_bodies, shortened};
pub(super) use width::Width;
