//! The addresses of one name, kept fresh in the background.
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::resolve::Resolve;

/// The wait after a failed look-up, doubled up to [`MAX_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait after a failed look-up.
const MAX_RETRY: Duration = Duration::from_secs(30);

/// A name. Its task begins when somebody follows it, and ends with this.
pub(crate) struct Name {
    host: Arc<str>,
    resolver: Arc<dyn Resolve>,
    known: Arc<watch::Sender<Known>>,
    task: Mutex<Option<AbortHandle>>,
}

/// What is known of a name.
#[derive(Clone, Debug)]
enum Known {
    /// No look-up has ended yet.
    Nothing,
    /// The last good answer; it stays whatever later look-ups say.
    Addresses(Arc<[IpAddr]>),
    /// There never was a good answer.
    Failed(io::ErrorKind, Arc<str>),
}

/// Tells of changes of a [`Name`].
#[derive(Debug)]
pub(crate) struct Changes(watch::Receiver<Known>);

impl Changes {
    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl Name {
    pub(crate) fn new(host: &str, resolver: &Arc<dyn Resolve>) -> Self {
        let (known, _) = watch::channel(Known::Nothing);
        Self { host: host.into(), resolver: Arc::clone(resolver), known: Arc::new(known), task: Mutex::new(None) }
    }

    /// The addresses of the last good answer, best first.
    pub(crate) fn addresses(&self) -> Option<Arc<[IpAddr]>> {
        match &*self.known.borrow() {
            Known::Addresses(addresses) => Some(Arc::clone(addresses)),
            Known::Nothing | Known::Failed(..) => None,
        }
    }

    /// Whether no look-up has ended yet.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(*self.known.borrow(), Known::Nothing)
    }

    /// Why there are no addresses.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        match &*self.known.borrow() {
            Known::Failed(kind, text) => Some(io::Error::new(*kind, text.to_string())),
            Known::Nothing | Known::Addresses(_) => None,
        }
    }

    /// The name itself.
    pub(crate) fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// The changes from now on. Must be called inside a tokio runtime: the task is started if it does not run, or if its
    /// runtime has ended under it.
    pub(crate) fn follow(&self) -> Changes {
        let changes = Changes(self.known.subscribe());
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(AbortHandle::is_finished) {
            let refresh = refresh(Arc::clone(&self.host), Arc::clone(&self.resolver), Arc::clone(&self.known));
            *task = Some(tokio::spawn(refresh).abort_handle());
        }
        changes
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task {
            task.abort();
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

/// Looks the name up again whenever the answer has run out, for ever.
async fn refresh(host: Arc<str>, resolver: Arc<dyn Resolve>, known: Arc<watch::Sender<Known>>) {
    let mut retry = FIRST_RETRY;
    loop {
        let pause = match resolver.resolve(&host).await {
            Ok(answer) if !answer.addresses.is_empty() => {
                retry = FIRST_RETRY;
                let addresses: Arc<[IpAddr]> = answer.addresses.into();
                known.send_if_modified(|known| {
                    let same = matches!(known, Known::Addresses(before) if *before == addresses);
                    *known = Known::Addresses(addresses);
                    !same
                });
                answer.ttl.max(Duration::from_secs(1))
            }
            failed => {
                let error = failed.err().unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address"));
                known.send_if_modified(|known| match known {
                    Known::Addresses(_) => false,
                    _ => {
                        *known = Known::Failed(error.kind(), error.to_string().into());
                        true
                    }
                });
                let pause = retry;
                retry = (retry * 2).min(MAX_RETRY);
                pause
            }
        };
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;

    use super::super::resolve::Resolved;
    use super::*;

    /// Answers from a list, the last one for ever.
    struct Scripted(Mutex<VecDeque<io::Result<Vec<IpAddr>>>>);

    impl Resolve for Scripted {
        fn resolve<'a>(&'a self, _: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Resolved>> + Send + 'a>> {
            let answer = self.0.lock().unwrap().pop_front().unwrap_or(Err(io::ErrorKind::TimedOut.into()));
            Box::pin(async { answer.map(|addresses| Resolved { addresses, ttl: Duration::from_secs(5) }) })
        }
    }

    fn name(script: Vec<io::Result<Vec<IpAddr>>>) -> (Name, Changes) {
        let resolver: Arc<dyn Resolve> = Arc::new(Scripted(Mutex::new(script.into())));
        let name = Name::new("a.test", &resolver);
        let changes = name.follow();
        (name, changes)
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_good_answer_stays_when_look_ups_fail() {
        let script = vec![Ok(vec![ip(1)]), Err(io::ErrorKind::TimedOut.into()), Ok(vec![]), Ok(vec![ip(2)])];
        let (name, mut changes) = name(script);
        assert!(name.is_pending());
        changes.next().await;
        assert_eq!(*name.addresses().unwrap(), [ip(1)]);
        tokio::time::sleep(Duration::from_millis(7500)).await;
        assert_eq!(*name.addresses().unwrap(), [ip(1)]);
        changes.next().await;
        assert_eq!(*name.addresses().unwrap(), [ip(2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_fails_first_recovers() {
        let (name, mut changes) = name(vec![Err(io::ErrorKind::NotFound.into()), Ok(vec![ip(1)])]);
        changes.next().await;
        assert_eq!(name.failure().unwrap().kind(), io::ErrorKind::NotFound);
        changes.next().await;
        assert_eq!((name.failure().is_none(), &*name.addresses().unwrap()), (true, [ip(1)].as_slice()));
    }
}
