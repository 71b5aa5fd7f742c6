//! [`Timeouts`] of an upstream or route.
use serde::{Deserialize, Serialize};

use super::Seconds;
use super::check::shape::{Field, Shape, Struct};

/// Time-outs towards an upstream, in seconds, each above 0. On the wire the first three must be given; a route's replace the
/// upstream's as a whole (upstream.md §1).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// Bounds TCP and, again, TLS. Default 5 (security.md UP-09; the reference has 60).
    pub connect: Seconds,
    /// Bounds each stall while the request is sent. Default 60.
    pub send: Seconds,
    /// Bounds the whole response head, then each gap in the body; and the silence of a tunnel. Default 60.
    pub read: Seconds,
    /// **Extension.** Bounds a request from when it is taken to the end of its response, queue and retries included; over
    /// it: 504, or a cut response. Tunnels are exempt. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Seconds>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Seconds(5.0), send: Seconds(60.0), read: Seconds(60.0), total: None }
    }
}

pub(crate) const TIMEOUT: Shape = Shape::Struct(&Struct::new(&[
    Field::required("connect", Shape::Above(0.0)),
    Field::required("send", Shape::Above(0.0)),
    Field::required("read", Shape::Above(0.0)),
    Field::extension("total", Shape::Above(0.0)),
]));
