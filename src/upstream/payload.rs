//! The body of a request over its attempts.
use bytes::Bytes;

use crate::Body;

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

    /// The body for an attempt; `None` when an earlier one used it up. One at hand of up to `replay_bytes` stays for
    /// another attempt (security.md RET-03).
    pub(crate) fn take(&mut self, replay_bytes: usize) -> Option<Body> {
        match std::mem::replace(self, Self::Spent) {
            Self::Bytes(bytes) => {
                if bytes.len() <= replay_bytes {
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
    fn an_empty_body_is_always_there_again() {
        let mut empty = Payload::new(Body::empty());
        assert!(empty.take(0).is_some() && empty.take(0).is_some());
    }

    #[test]
    fn sec_ret_03_small_bodies_are_replayed_and_large_ones_are_not() {
        let mut small = Payload::new(Body::from("abc"));
        assert_eq!(small.take(3).unwrap().as_bytes(), small.take(3).unwrap().as_bytes());
        let mut large = Payload::new(Body::from("abcd"));
        let body = large.take(3).unwrap();
        assert!(!large.is_there() && large.take(3).is_none());
        #[cfg(feature = "client")]
        large.give_back(body);
        #[cfg(feature = "client")]
        assert!(large.is_there());
    }
}
