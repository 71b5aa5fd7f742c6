//! What an upstream does beside requests: following the names of its nodes.
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// The tasks of one upstream. They end with it.
#[derive(Debug)]
pub(crate) struct Upkeep {
    /// Whether there is anything to do at all.
    wanted: bool,
    runs: Arc<AtomicBool>,
    tasks: Mutex<JoinSet<()>>,
}

/// Says when tasks are gone: their runtime may end before the upstream does.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

impl Upkeep {
    pub(crate) fn new(wanted: bool) -> Self {
        Self { wanted, runs: Arc::default(), tasks: Mutex::default() }
    }

    /// Whether it should run and does not. One look, for each request.
    pub(crate) fn is_due(&self) -> bool {
        self.wanted && !self.runs.load(SeqCst)
    }

    /// Starts what `tasks` adds, in the runtime of the caller; without one nothing happens.
    pub(crate) fn start(&self, tasks: impl FnOnce(&mut JoinSet<()>)) {
        if Handle::try_current().is_err() {
            return;
        }
        let mut set = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_due() {
            return;
        }
        self.runs.store(true, SeqCst);
        set.abort_all();
        *set = JoinSet::new();
        tasks(&mut set);
        let running = Running(Arc::clone(&self.runs));
        set.spawn(async move {
            let _running = running;
            std::future::pending().await
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_again_after_its_runtime_has_ended() {
        let upkeep = Upkeep::new(true);
        upkeep.start(|_| panic!("there is no runtime"));
        assert!(upkeep.is_due());
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut started = 0;
            runtime.block_on(async {
                upkeep.start(|_| started += 1);
                upkeep.start(|_| started += 1);
            });
            assert_eq!((started, upkeep.is_due()), (1, false));
            drop(runtime);
            assert!(upkeep.is_due());
        }
        assert!(!Upkeep::new(false).is_due());
    }
}
