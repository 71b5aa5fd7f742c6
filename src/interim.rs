//! Interim responses (1xx) on their way from an upstream to the client (security.md UP-08).
//!
//! They come up while the future of a request is polled, and whoever polls it passes them on. A thread-local carries
//! them over that one call: a request extension would be an allocation for every request, for what few of them have.
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

use http::{Response, StatusCode};

thread_local! {
    static OFFERED: Offered = const { Offered { listening: Cell::new(false), heads: RefCell::new(Vec::new()) } };
}

struct Offered {
    listening: Cell<bool>,
    heads: RefCell<Vec<Response<()>>>,
}

/// Offers an interim response to whoever polls the request. Only `103` goes on: `100` is between the gateway and the
/// endpoint, and the others mean nothing to a client (RFC 9110 §15.2).
pub(crate) fn offer(head: Response<()>) {
    if head.status() == StatusCode::EARLY_HINTS {
        OFFERED.with(|offered| {
            if offered.listening.get() {
                offered.heads.borrow_mut().push(head);
            }
        });
    }
}

/// Hears what is offered on this thread, from its making on; a later one hears instead of it while it is there.
pub(crate) struct Listener {
    /// What stood before, and is put back also by a panic.
    listening: bool,
    heads: usize,
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

#[cfg_attr(not(any(feature = "server", test)), expect(dead_code, reason = "only our own listeners pass them on"))]
impl Listener {
    pub(crate) fn new() -> Self {
        OFFERED.with(|offered| Self {
            listening: offered.listening.replace(true),
            heads: offered.heads.borrow().len(),
            _thread: PhantomData,
        })
    }

    /// What was offered.
    pub(crate) fn heard(self) -> Vec<Response<()>> {
        OFFERED.with(|offered| {
            let mut heads = offered.heads.borrow_mut();
            if heads.len() == self.heads { Vec::new() } else { heads.split_off(self.heads) }
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        OFFERED.with(|offered| {
            offered.listening.set(self.listening);
            let mut heads = offered.heads.borrow_mut();
            if heads.len() > self.heads {
                heads.truncate(self.heads);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16) -> Response<()> {
        Response::builder().status(status).body(()).unwrap()
    }

    #[test]
    fn early_hints_reach_the_listener_of_their_own_poll() {
        offer(head(103));
        let listener = Listener::new();
        offer(head(103));
        let inner = Listener::new();
        offer(head(103));
        assert_eq!(inner.heard().len(), 1);
        [100, 102, 103, 199].map(head).into_iter().for_each(offer);
        let panics = || {
            let _listener = Listener::new();
            offer(head(103));
            panic!("in a poll");
        };
        assert!(std::panic::catch_unwind(panics).is_err());
        let heard = listener.heard();
        assert_eq!(heard.len(), 2);
        assert!(heard.iter().all(|one| one.status() == 103));
        assert!(Listener::new().heard().is_empty());
    }
}
