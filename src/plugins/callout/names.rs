//! Names of services to addresses.
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::watch;
use tokio::time::Instant;

/// What was found holds for so long: the system's resolver does not say.
const FOUND: Duration = Duration::from_secs(10);
/// That nothing was found holds for so long.
const NOTHING: Duration = Duration::from_secs(1);
/// From so many names on, those that are old are forgotten.
const MANY: usize = 64;

/// The operating system's resolver, asked about a name once at a time however many calls wait for it.
///
/// The system answers on a thread, which cannot be called back: without this, each call to a name that nobody answers about
/// would leave one behind until no thread is free for anything else.
#[derive(Clone, Default)]
pub(crate) struct Names(Arc<Mutex<HashMap<String, LookUp>>>);

type Answer = Result<Arc<[SocketAddr]>, Failed>;

/// One look-up: under way while there is nothing, then what it found and until when that holds.
type LookUp = watch::Receiver<Option<(Answer, Instant)>>;

/// Why a name has no address.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
struct Failed {
    kind: io::ErrorKind,
    text: Arc<str>,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self { kind: error.kind(), text: error.to_string().into() }
    }
}

impl Names {
    /// The addresses of a name or of an address, with this port.
    ///
    /// # Errors
    /// When it has none.
    #[cfg(feature = "ldap")]
    pub(crate) async fn addresses(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut addresses = found(self.by_system(name)).await?;
        addresses.iter_mut().for_each(|address| address.set_port(port));
        Ok(addresses)
    }

    fn by_system(&self, name: &str) -> LookUp {
        self.look_up(name, |name| async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    }

    /// The look-up that is under way or holds still, or a new one.
    fn look_up<F>(&self, name: &str, ask: impl FnOnce(String) -> F) -> LookUp
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(name).filter(|found| holds(found)) {
            return found.clone();
        }
        if known.len() >= MANY {
            known.retain(|_, found| holds(found));
        }
        let (tell, told) = watch::channel(None);
        known.insert(name.to_owned(), told.clone());
        let asking = ask(name.to_owned());
        // on a task of its own: whoever waits may go away, and the next one finds what has come by then
        tokio::spawn(async move {
            let answer = asking.await.map(Arc::from).map_err(Failed::from);
            let lifetime = if answer.is_ok() { FOUND } else { NOTHING };
            tell.send_replace(Some((answer, Instant::now() + lifetime)));
        });
        told
    }
}

/// # Errors
/// When the name has no address.
async fn found(look_up: LookUp) -> io::Result<Vec<SocketAddr>> {
    match answer(look_up).await {
        Ok(found) => Ok(Vec::from(&*found)),
        Err(failed) => Err(io::Error::new(failed.kind, failed)),
    }
}

fn holds(look_up: &LookUp) -> bool {
    match &*look_up.borrow() {
        Some((_, until)) => Instant::now() < *until,
        // under way, unless its runtime has ended
        None => look_up.has_changed().is_ok(),
    }
}

async fn answer(mut look_up: LookUp) -> Answer {
    match look_up.wait_for(Option::is_some).await.as_deref() {
        Ok(Some((answer, _))) => answer.clone(),
        Ok(None) | Err(_) => Err(io::Error::other("the look-up broke off").into()),
    }
}

impl tower::Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let look_up = self.by_system(name.as_str());
        Box::pin(async move { Ok(found(look_up).await?.into_iter()) })
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_name_is_asked_about_once_at_a_time_and_again_when_the_answer_is_old() {
        let (names, asked) = (Names::default(), Arc::new(AtomicUsize::new(0)));
        let look_up = |takes: Duration, works: bool| {
            let asked = Arc::clone(&asked);
            answer(names.look_up("a.test", move |_| async move {
                asked.fetch_add(1, SeqCst);
                tokio::time::sleep(takes).await;
                match works {
                    true => Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))]),
                    false => Err(io::Error::from(io::ErrorKind::NotFound)),
                }
            }))
        };
        let minute = Duration::from_secs(60);
        for _ in 0..100 {
            // nobody waits for longer than this
            assert!(tokio::time::timeout(Duration::from_millis(10), look_up(minute, false)).await.is_err());
        }
        assert_eq!(asked.load(SeqCst), 1, "a hundred calls wait for one thread");
        assert_eq!(look_up(minute, true).await.unwrap_err().kind, io::ErrorKind::NotFound);
        tokio::time::advance(NOTHING).await;
        assert_eq!(look_up(Duration::ZERO, true).await.unwrap().len(), 1);
        tokio::time::advance(FOUND - Duration::from_millis(10)).await;
        assert!(look_up(minute, false).await.is_ok(), "it holds");
        tokio::time::advance(Duration::from_millis(10)).await;
        assert!(look_up(Duration::ZERO, false).await.is_err());
        assert_eq!(asked.load(SeqCst), 3);
    }
}
