//! The addresses of one host, kept fresh in the background.
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::resolve::Resolve;

/// The wait after a failed look-up, doubled up to [`MAX_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait after a failed look-up.
const MAX_RETRY: Duration = Duration::from_secs(30);

/// Where a host is.
pub(super) enum Names {
    /// It was given by its address.
    Literal([IpAddr; 1]),
    /// It is a name.
    Name(Lookup),
}

impl Names {
    pub(super) fn new(host: &str, resolver: &Arc<dyn Resolve>) -> Self {
        match host.parse() {
            Ok(address) => Self::Literal([address]),
            Err(_) => Self::Name(Lookup {
                host: host.into(),
                resolver: Arc::clone(resolver),
                current: Arc::default(),
                task: Mutex::new(None),
            }),
        }
    }

    /// The addresses now; waits only if there never were any.
    pub(super) async fn addresses(&self) -> io::Result<Arc<[IpAddr]>> {
        match self {
            Self::Literal(address) => Ok(address.as_slice().into()),
            Self::Name(lookup) => lookup.addresses().await,
        }
    }

    /// Whether a connection to `address` still leads to the host.
    pub(super) fn is_current(&self, address: IpAddr) -> bool {
        match self {
            Self::Literal(_) => true,
            Self::Name(lookup) => lookup.is_current(address),
        }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal([address]) => write!(f, "{address}"),
            Self::Name(lookup) => f.write_str(&lookup.host),
        }
    }
}

/// A name with the task that keeps its addresses fresh. The task begins with the first connection and ends with this.
pub(super) struct Lookup {
    host: Arc<str>,
    resolver: Arc<dyn Resolve>,
    /// The last good answer, for requests that only want to know whether a connection is still right.
    current: Arc<Current>,
    task: Mutex<Option<Running>>,
}

type Current = ArcSwapOption<Arc<[IpAddr]>>;

struct Running {
    known: watch::Receiver<Known>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is known of a name.
#[derive(Clone)]
enum Known {
    /// No look-up has ended yet.
    Nothing,
    /// The last good answer; it stays whatever later look-ups say.
    Addresses(Arc<[IpAddr]>),
    /// There never was a good answer.
    Failed(io::ErrorKind, Arc<str>),
}

impl Lookup {
    async fn addresses(&self) -> io::Result<Arc<[IpAddr]>> {
        let mut known = self.watch();
        let waited = known.wait_for(|known| !matches!(known, Known::Nothing)).await;
        match waited.as_deref() {
            Ok(Known::Addresses(addresses)) => Ok(Arc::clone(addresses)),
            Ok(Known::Failed(kind, text)) => Err(io::Error::new(*kind, text.to_string())),
            Ok(Known::Nothing) | Err(_) => Err(io::Error::other("the look-up was stopped")),
        }
    }

    /// The answers to come; starts the task if it does not run, or if its runtime has ended under it.
    fn watch(&self) -> watch::Receiver<Known> {
        let mut running = self.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(running) = &*running
            && running.known.has_changed().is_ok()
        {
            return running.known.clone();
        }
        let last = running.take().map_or(Known::Nothing, |old| old.known.borrow().clone());
        let (sender, known) = watch::channel(last);
        let refresh = refresh(Arc::clone(&self.host), Arc::clone(&self.resolver), Arc::clone(&self.current), sender);
        let task = tokio::spawn(refresh).abort_handle();
        *running = Some(Running { known: known.clone(), task });
        known
    }

    fn is_current(&self, address: IpAddr) -> bool {
        self.current.load().as_ref().is_none_or(|addresses| addresses.contains(&address))
    }
}

/// Looks the name up again whenever the answer has run out, for ever.
async fn refresh(host: Arc<str>, resolver: Arc<dyn Resolve>, current: Arc<Current>, known: watch::Sender<Known>) {
    let mut retry = FIRST_RETRY;
    loop {
        let pause = match resolver.resolve(&host).await {
            Ok(answer) if !answer.addresses.is_empty() => {
                retry = FIRST_RETRY;
                let addresses: Arc<[IpAddr]> = answer.addresses.into();
                current.store(Some(Arc::new(Arc::clone(&addresses))));
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

    fn names(script: Vec<io::Result<Vec<IpAddr>>>) -> Names {
        let resolver: Arc<dyn Resolve> = Arc::new(Scripted(Mutex::new(script.into())));
        Names::new("a.test", &resolver)
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_good_answer_stays_when_look_ups_fail() {
        let names = names(vec![Ok(vec![ip(1)]), Err(io::ErrorKind::TimedOut.into()), Ok(vec![]), Ok(vec![ip(2)])]);
        assert_eq!(*names.addresses().await.unwrap(), [ip(1)]);
        tokio::time::sleep(Duration::from_millis(7500)).await;
        assert_eq!(*names.addresses().await.unwrap(), [ip(1)]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(*names.addresses().await.unwrap(), [ip(2)]);
        assert!(names.is_current(ip(2)) && !names.is_current(ip(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_fails_first_recovers() {
        let names = names(vec![Err(io::ErrorKind::NotFound.into()), Ok(vec![ip(1)])]);
        assert_eq!(names.addresses().await.unwrap_err().kind(), io::ErrorKind::NotFound);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(*names.addresses().await.unwrap(), [ip(1)]);
    }
}
