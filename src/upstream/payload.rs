//! The body of a request over its attempts.
use bytes::Bytes;

use crate::Body;

/// The largest body at hand that is kept for another attempt (security.md RET-03).
const MAX_REPLAY: usize = 64 * 1024;

/// A request body that may be asked for more than once.
#[derive(Debug)]
pub(crate) enum Payload {
    /// At hand, or empty: each attempt gets it.
    Bytes(Bytes),
    /// A stream of which nothing has been taken.
    Stream(Body),
    /// Gone with an attempt.
    Spent,
}

impl Payload {
    pub(crate) fn new(body: Body) -> Self {
        match body.into_bytes() {
            Ok(bytes) => Self::Bytes(bytes),
            Err(stream) => Self::Stream(stream),
        }
    }

    /// The body for an attempt; `None` when an earlier one used it up.
    pub(crate) fn take(&mut self) -> Option<Body> {
        match std::mem::replace(self, Self::Spent) {
            Self::Bytes(bytes) => {
                if bytes.len() <= MAX_REPLAY {
                    *self = Self::Bytes(bytes.clone());
                }
                Some(bytes.into())
            }
            Self::Stream(body) => Some(body),
            Self::Spent => None,
        }
    }

    /// Brings back a body from which nothing was taken.
    #[cfg(feature = "client")]
    pub(crate) fn give_back(&mut self, body: Body) {
        if matches!(self, Self::Spent) {
            *self = Self::new(body);
        }
    }

    /// Whether another attempt can have it.
    pub(crate) fn is_there(&self) -> bool {
        !matches!(self, Self::Spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_ret_03_small_bodies_are_replayed_and_large_ones_are_not() {
        let mut small = Payload::new(Body::from("abc"));
        assert_eq!(small.take().unwrap().as_bytes(), small.take().unwrap().as_bytes());
        let mut large = Payload::new(Body::from(vec![0; MAX_REPLAY + 1]));
        let body = large.take().unwrap();
        assert!(!large.is_there() && large.take().is_none());
        #[cfg(feature = "client")]
        large.give_back(body);
        #[cfg(feature = "client")]
        assert!(large.is_there());
    }
}
