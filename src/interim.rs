//! Interim responses (1xx) on their way from an upstream to the client (security.md UP-08).
//!
//! They come up while the future of a request is polled, and whoever polls it passes them on. A thread-local carries
//! them over that one call: a request extension would be an allocation for every request, for what few of them have.
use std::cell::RefCell;

use http::{Response, StatusCode};

thread_local! {
    /// `None` while nobody listens.
    static OFFERED: RefCell<Option<Vec<Response<()>>>> = const { RefCell::new(None) };
}

/// Offers an interim response to whoever polls the request. Only `103` goes on: `100` is between the gateway and the
/// endpoint, and the others mean nothing to a client (RFC 9110 §15.2).
pub(crate) fn offer(head: Response<()>) {
    if head.status() == StatusCode::EARLY_HINTS {
        OFFERED.with_borrow_mut(|offered| {
            if let Some(offered) = offered {
                offered.push(head);
            }
        });
    }
}

/// Runs `poll` and tells what was offered meanwhile.
#[cfg_attr(not(any(feature = "server", test)), expect(dead_code, reason = "only our own listeners pass them on"))]
pub(crate) fn listen<R>(poll: impl FnOnce() -> R) -> (R, Vec<Response<()>>) {
    /// Puts back what stood before, also when `poll` panics.
    struct Restore(Option<Vec<Response<()>>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            OFFERED.set(self.0.take());
        }
    }
    let restore = Restore(OFFERED.replace(Some(Vec::new())));
    let result = poll();
    let offered = OFFERED.take().unwrap_or_default();
    drop(restore);
    (result, offered)
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
        let ((inner, mine), theirs) = listen(|| {
            offer(head(103));
            let inner = listen(|| offer(head(103))).1;
            [100, 102, 103, 199].map(head).into_iter().for_each(offer);
            (inner.len(), std::panic::catch_unwind(|| listen(|| panic!("in a poll"))).is_err())
        });
        assert_eq!((inner, mine, theirs.len()), (1, true, 2));
        assert!(theirs.iter().all(|one| one.status() == 103));
    }
}
