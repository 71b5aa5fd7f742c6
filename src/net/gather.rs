//! One write for what many tasks have to say.
use std::task::{Context, Poll};

/// Lets a task that was woken wait for one more turn of the runtime before it works.
///
/// The streams of an HTTP/2 connection are tasks, and the one that writes for all of them is woken by the first that has
/// something. The runtime runs who was woken last next; so each stream would cost a write of its own. Behind the other
/// tasks that are ready now, one write takes what all of them have.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    waited: bool,
}

impl Gather {
    /// Polls `work` in every second poll, and sees to it that there is one.
    pub(crate) fn poll<T>(&mut self, cx: &mut Context<'_>, work: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.waited = !self.waited;
        if self.waited {
            // A task that wakes itself goes to the end of the queue.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        work(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::rc::Rc;

    use super::*;

    #[tokio::test]
    async fn who_is_ready_now_comes_first() {
        let said = Rc::new(RefCell::new(Vec::new()));
        let local = tokio::task::LocalSet::new();
        for name in ["a", "b"] {
            let said = Rc::clone(&said);
            local.spawn_local(async move {
                let mut gather = Gather::default();
                poll_fn(|cx| gather.poll(cx, |_| Poll::Ready(()))).await;
                said.borrow_mut().push(format!("work {name}"));
            });
        }
        for name in ["a", "b"] {
            let said = Rc::clone(&said);
            local.spawn_local(async move { said.borrow_mut().push(format!("say {name}")) });
        }
        local.await;
        assert_eq!(*said.borrow(), ["say a", "say b", "work a", "work b"]);
    }
}
