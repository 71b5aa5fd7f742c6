//! What an upstream does against slow and failing endpoints, as far as the reference has no field for it: [`RetryOn`],
//! [`Hedge`], [`AdaptiveConcurrency`].
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check::shape::{Either, Field, List, Shape, Struct};
use super::check::walk::Walk;

/// What counts as a failed attempt: a status, or a condition by its name. On the wire a number or a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum RetryOn {
    /// A status of the endpoint, 200–599.
    Status(u16),
    /// A condition.
    When(RetryCondition),
}

impl From<u16> for RetryOn {
    fn from(status: u16) -> Self {
        Self::Status(status)
    }
}

impl From<RetryCondition> for RetryOn {
    fn from(condition: RetryCondition) -> Self {
        Self::When(condition)
    }
}

/// A condition by the name that Envoy has for it; `timeout` is nginx's.
///
/// The first three are failures without an answer, which are retried anyway; as soon as one of them is named, the others
/// are not. The rest are answers that count as failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RetryCondition {
    /// No connection: refused, or not in time.
    ConnectFailure,
    /// The connection or stream ended before the response head.
    Reset,
    /// No response head in time.
    Timeout,
    /// Any status from 500 to 599.
    #[serde(rename = "5xx")]
    ServerError,
    /// 502, 503 and 504.
    GatewayError,
    /// `grpc-status` 1, as all below in a response without a message.
    Cancelled,
    /// `grpc-status` 4.
    DeadlineExceeded,
    /// `grpc-status` 13.
    Internal,
    /// `grpc-status` 8.
    ResourceExhausted,
    /// `grpc-status` 14.
    Unavailable,
}

/// A second attempt at another endpoint while the first has not answered; the first answer wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Hedge {
    /// How long the first attempt has, in milliseconds, at least 1. Best a little over what 95 % of the requests take.
    pub after_ms: u64,
}

/// A limit of requests at a time that follows latency; `max_requests` bounds it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AdaptiveConcurrency {
    /// The least limit, at least 1. Default 4.
    pub min: u32,
    /// Where it begins. Default 20.
    pub initial: u32,
    /// By how much latency may exceed what it is without a queue, at least 1. Default 1.5: half as much again.
    pub tolerance: f64,
}

impl Default for AdaptiveConcurrency {
    fn default() -> Self {
        Self { min: 4, initial: 20, tolerance: 1.5 }
    }
}

/// A time in milliseconds that is not nothing, up to an hour.
pub(crate) const SOME_MILLISECONDS: Shape = Shape::Int(1, 3_600_000);

const STATUS: Shape = Shape::Int(200, 599);
const CONDITION: Shape = Shape::Word(&[
    "connect-failure",
    "reset",
    "timeout",
    "5xx",
    "gateway-error",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
]);

pub(crate) const RETRY_ON: Shape = Shape::List(&List {
    of: Shape::Either(&Either { forms: &[STATUS, CONDITION], judge: judge_retry_on }),
    min: 0,
    max: usize::MAX,
    unique: true,
});

pub(crate) const HEDGE: Shape =
    Shape::Struct(&Struct::new(&[Field { required: true, ..Field::extension("after_ms", SOME_MILLISECONDS) }]));

pub(crate) const ADAPTIVE: Shape = Shape::Struct(&Struct::new(&[
    Field::extension("min", Shape::Int(1, u32::MAX as i64)),
    Field::extension("initial", Shape::Int(1, u32::MAX as i64)),
    Field::extension("tolerance", Shape::From(1.0)),
]));

fn judge_retry_on<'v>(value: &'v Value, walk: &mut Walk<'_, 'v>) {
    walk.value(value, if value.is_string() { &CONDITION } else { &STATUS });
}
