//! The wanted set of listeners against the one at work.
use std::sync::Arc;

use super::arrive::Start;
use super::door::BindError;
use super::listening::{Listeners, Listening};
use super::registry::Registry;
use super::{ListenAddress, Listener};

/// What became of a wanted set of listeners.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Applied {
    /// Addresses that are listened on as of now; where the port was 0, those that it became.
    pub opened: Vec<ListenAddress>,
    /// Addresses whose options changed: connections that are accepted from now on have them.
    pub changed: Vec<ListenAddress>,
    /// Addresses that are no longer listened on. Their connections go on, unless
    /// [`drain_when_removed`](Listener::drain_when_removed) says otherwise.
    pub closed: Vec<ListenAddress>,
    /// Addresses that are no longer wanted and listened on even so, because what should be in their place failed.
    pub kept: Vec<ListenAddress>,
    /// What could not be had. The rest is in force.
    pub failed: Vec<BindError>,
}

impl Applied {
    /// Whether anything is different from before.
    pub fn is_change(&self) -> bool {
        !(self.opened.is_empty() && self.changed.is_empty() && self.closed.is_empty())
    }
}

/// What [`Listeners::apply`] works with.
pub(super) type With<'a> = (&'a Arc<Registry>, &'a Arc<Start>);

impl Listeners {
    /// Goes over to the wanted set. What is to end has left the list of open ones and is handed back, to be ended without the
    /// lock; what another one follows has its time to leave.
    pub(super) fn apply(&mut self, wanted: Vec<Listener>, with: With<'_>) -> (Applied, Vec<Listening>) {
        let mut applied = Applied::default();
        let mut old = std::mem::take(&mut self.open);
        self.missing.clear();
        let mut new = Vec::new();
        let mut seen: Vec<ListenAddress> = Vec::new();
        for listener in wanted {
            if is_one(&listener.address) && seen.contains(&listener.address) {
                let error = BindError::Twice(listener.address.clone());
                self.fail(listener, error, &mut applied);
                continue;
            }
            seen.push(listener.address.clone());
            match old.iter().position(|one| is_same_socket(one, &listener)) {
                None => new.push(listener),
                Some(at) => {
                    let mut one = old.swap_remove(at);
                    one.outdated = false;
                    if one.listener != listener {
                        let address = listener.address.clone();
                        match one.change(listener) {
                            Ok(()) => applied.changed.push(address),
                            Err((listener, error)) => {
                                one.outdated = true;
                                applied.kept.push(address);
                                self.fail(listener, error, &mut applied);
                            }
                        }
                    }
                    self.open.push(one);
                }
            }
        }
        let mut not_had = Vec::new();
        for listener in new {
            if let Err(address) = self.open_new(listener, &old, &mut applied, with) {
                not_had.push(address);
            }
        }
        // After all were tried: one that stays may be in the place of several.
        let is_kept = |one: &Listening| not_had.iter().any(|address| one.overlaps(address));
        let (kept, old): (Vec<_>, Vec<_>) = old.into_iter().partition(is_kept);
        for mut one in kept {
            let _ = one.entrance.door.share(one.listener.socket.reuse_port);
            one.outdated = true;
            applied.kept.push(one.address());
            self.open.push(one);
        }
        applied.closed = old.iter().map(Listening::address).collect();
        // Those that share their port with another process are followed by that.
        let is_followed =
            |one: &Listening| one.shares_port() || applied.opened.iter().any(|address| one.overlaps(address));
        let (followed, ended): (Vec<_>, Vec<_>) = old.into_iter().partition(is_followed);
        self.leaving.retain(|one| !one.entrance.door.is_closed());
        for one in followed.into_iter().map(Arc::new) {
            one.end_later(with.1);
            self.leaving.push(one);
        }
        (applied, ended)
    }

    /// Opens a listener. Where one that is to go has the address, or a part of it, both have it for a moment, so that there
    /// is none at which a connection finds nobody. The error is the address that is not to be had.
    fn open_new(
        &mut self,
        listener: Listener,
        old: &[Listening],
        applied: &mut Applied,
        with: With<'_>,
    ) -> Result<(), ListenAddress> {
        let leaving = self.leaving.iter().map(AsRef::as_ref);
        let mut is_move = false;
        // A socket of somebody else is not shared: that would outlast the listener, and whoever else has the socket has it too.
        let own = old.iter().chain(leaving).filter(|one| !one.inherited);
        for one in own.filter(|one| one.overlaps(&listener.address)) {
            is_move = true;
            // If it cannot be shared, the other one cannot be opened, which is told.
            let _ = one.entrance.door.share(true);
        }
        let reuse_port = listener.socket.reuse_port;
        let address = listener.address.clone();
        match Listening::begin(listener, &self.inherited, is_move, with) {
            Ok(one) => {
                if is_move && !reuse_port {
                    let _ = one.entrance.door.share(false);
                }
                applied.opened.push(one.address());
                self.open.push(one);
                Ok(())
            }
            Err((listener, error)) => {
                self.fail(listener, error, applied);
                Err(address)
            }
        }
    }

    fn fail(&mut self, listener: Listener, error: BindError, applied: &mut Applied) {
        applied.failed.push(error.clone());
        self.missing.push((listener, error));
    }

    /// The set that is wanted, as far as it is known.
    pub(super) fn wanted(&self) -> Vec<Listener> {
        let open = self.open.iter().filter(|one| !one.outdated).map(|one| one.listener.clone());
        open.chain(self.missing.iter().map(|(listener, _)| listener.clone())).collect()
    }
}

/// Whether the address stands for one socket: port 0 is another one each time.
fn is_one(address: &ListenAddress) -> bool {
    !matches!(address, ListenAddress::Tcp(address) if address.port() == 0)
}

/// Whether the listener can go on with this socket.
fn is_same_socket(one: &Listening, listener: &Listener) -> bool {
    let has_only_v6 = matches!(listener.address, ListenAddress::Tcp(std::net::SocketAddr::V6(_)));
    one.is_at(&listener.address) && (!has_only_v6 || one.listener.socket.only_v6 == listener.socket.only_v6)
}
