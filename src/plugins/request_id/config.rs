//! The block.
use serde::Deserialize;

use super::Algorithm;

/// Options of `request-id`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RequestIdConfig {
    /// The field that carries the id. Default `X-Request-Id`.
    pub header_name: String,
    /// Tell the id in the answer. Default `true`.
    pub include_in_response: bool,
    /// How ids are made: `uuid` (random, version 4), `uuidv7` (in order of time), `nanoid` (21 characters), `range_id`
    /// (characters of a set) or `ksuid` (27 characters, in order of time). Default `uuid`.
    pub algorithm: Algorithm,
    /// What ids of the algorithm `range_id` look like.
    pub range_id: RangeId,
    /// Keep an id that the request brings. Default `true`.
    pub trust_incoming: bool,
}

impl Default for RequestIdConfig {
    fn default() -> Self {
        Self {
            header_name: "X-Request-Id".to_owned(),
            include_in_response: true,
            algorithm: Algorithm::default(),
            range_id: RangeId::default(),
            trust_incoming: true,
        }
    }
}

/// What ids of the algorithm `range_id` look like.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RangeId {
    /// How many characters an id has, 6 to 256. Default 16.
    pub length: usize,
    /// The characters it is drawn of, at least 6, all visible ASCII. Default: the letters and digits.
    pub char_set: String,
}

impl Default for RangeId {
    fn default() -> Self {
        let char_set = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        Self { length: 16, char_set: char_set.to_owned() }
    }
}
