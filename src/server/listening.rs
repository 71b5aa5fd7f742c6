//! A listener at work, and the list of those that a server has.
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::task::AbortHandle;

use super::accept::{Entrance, accept};
use super::arrive::{Start, Way};
use super::door::{self, BindError, InheritedSocket};
use super::registry::Registry;
use super::{ListenAddress, Listener, ListenerStatus};

/// How long the handshake of a connection (SYN, SYN and ACK, ACK) may take that comes in although its socket is to close.
pub(super) const UNDER_WAY: Duration = Duration::from_millis(250);

/// What a server listens on, and what it should.
#[derive(Default)]
pub(super) struct Listeners {
    pub(super) open: Vec<Listening>,
    /// About to close: others have their addresses.
    pub(super) leaving: Vec<Arc<Listening>>,
    /// Wanted, and not to be had so far.
    pub(super) missing: Vec<(Listener, BindError)>,
    /// A drain took all of them: nothing is opened any more.
    pub(super) ended: bool,
    /// By name, what somebody else opened.
    pub(super) inherited: HashMap<String, Vec<InheritedSocket>>,
}

/// A listener at work.
pub(super) struct Listening {
    pub(super) listener: Listener,
    pub(super) entrance: Arc<Entrance>,
    /// It is no longer wanted, and stays because what should be in its place is not to be had.
    pub(super) outdated: bool,
    /// Somebody else opened the socket, whatever address it goes by since.
    pub(super) inherited: bool,
    since: SystemTime,
    task: AbortHandle,
}

impl Listening {
    /// Opens the socket and begins to accept. `shared`: another socket may have the same address for now.
    pub(super) fn begin(
        listener: Listener,
        inherited: &HashMap<String, Vec<InheritedSocket>>,
        shared: bool,
        (registry, start): (&Arc<Registry>, &Arc<Start>),
    ) -> Result<Self, (Listener, BindError)> {
        let opened = door::judge(&listener).and_then(|()| {
            let way = Way::new(&listener, None).map_err(|error| BindError::of(&listener.address, error))?;
            Ok((way, door::open(&listener, inherited, shared)?))
        });
        let (way, door) = match opened {
            Ok(opened) => opened,
            Err(error) => return Err((listener, error)),
        };
        let way = ArcSwap::from_pointee(way);
        let entrance = Arc::new(Entrance { door, group: registry.group(), way });
        let task = tokio::spawn(accept(Arc::clone(&entrance), Arc::clone(start))).abort_handle();
        let inherited = matches!(listener.address, ListenAddress::Inherited(_));
        Ok(Self { listener, entrance, outdated: false, inherited, since: SystemTime::now(), task })
    }

    /// Whether it is at this address, be it the one that was asked for or the one that this became.
    pub(super) fn is_at(&self, address: &ListenAddress) -> bool {
        self.listener.address == *address || matches!(address, ListenAddress::Tcp(address) if self.has(*address))
    }

    /// The address that was asked for; where the port was 0, the one that it became.
    pub(super) fn address(&self) -> ListenAddress {
        match self.entrance.door.addresses().first() {
            Some(became) if matches!(self.listener.address, ListenAddress::Tcp(_)) => (*became).into(),
            _ => self.listener.address.clone(),
        }
    }

    fn has(&self, address: SocketAddr) -> bool {
        self.entrance.door.addresses().contains(&address)
    }

    /// Whether a socket at `address` cannot be had as long as this one is there.
    pub(super) fn overlaps(&self, address: &ListenAddress) -> bool {
        let ListenAddress::Tcp(wanted) = address else { return self.listener.address == *address };
        let meets = |has: &SocketAddr| {
            has.port() == wanted.port()
                && (has.ip().to_canonical() == wanted.ip().to_canonical()
                    || has.ip().is_unspecified()
                    || wanted.ip().is_unspecified())
        };
        wanted.port() != 0 && self.entrance.door.addresses().iter().any(meets)
    }

    /// Whether it may share its port with another process, which then has the connections that this one turns away.
    pub(super) fn shares_port(&self) -> bool {
        self.listener.socket.reuse_port && !self.inherited
    }

    /// Takes other options, for connections from now on; the socket is the same.
    pub(super) fn change(&mut self, listener: Listener) -> Result<(), (Listener, BindError)> {
        let before = self.entrance.way.load_full();
        let changed = door::judge(&listener).and_then(|()| {
            let way = Way::new(&listener, Some((&self.listener, &before)));
            let changed = way.and_then(|way| {
                if self.listener.socket != listener.socket {
                    self.entrance.door.change(&listener.socket)?;
                }
                Ok(way)
            });
            changed.map_err(|error| BindError::of(&listener.address, error))
        });
        match changed {
            Ok(way) => self.entrance.way.store(Arc::new(way)),
            Err(error) => return Err((listener, error)),
        }
        self.listener = listener;
        Ok(())
    }

    /// Stops listening. Connections go on, unless the listener says otherwise.
    pub(super) fn end(&self, start: &Arc<Start>) {
        self.entrance.close(start);
        // The loop would see that the door is closed at the next connection, and there is none.
        self.task.abort();
        if self.listener.drain_when_removed {
            self.entrance.group.end();
        }
    }

    /// As [`end`](Self::end), in a moment: another listener has the address already, and connections that are under way to this
    /// one come in first.
    pub(super) fn end_later(self: &Arc<Self>, start: &Arc<Start>) {
        self.entrance.door.begin_to_close();
        let (one, start) = (Arc::downgrade(self), Arc::clone(start));
        tokio::spawn(async move {
            tokio::time::sleep(UNDER_WAY).await;
            // Without the list that holds it, the server is gone.
            if let Some(one) = one.upgrade() {
                one.end(&start);
            }
        });
    }

    /// Stops listening; connections that wait to be accepted are lost.
    pub(super) fn cut(&self) {
        self.entrance.door.close(drop);
        self.task.abort();
    }

    pub(super) fn status(&self) -> ListenerStatus {
        let group = &self.entrance.group;
        ListenerStatus {
            listener: self.listener.clone(),
            addresses: self.entrance.door.addresses(),
            since: Some(self.since),
            connections: group.open(),
            accepted: group.accepted(),
            refused: group.refused(),
            failed: group.failed(),
            error: None,
        }
    }
}

impl Listeners {
    pub(super) fn status(&self) -> Vec<ListenerStatus> {
        let missing = |(listener, error): &(Listener, BindError)| ListenerStatus {
            listener: listener.clone(),
            addresses: Vec::new(),
            since: None,
            connections: 0,
            accepted: 0,
            refused: 0,
            failed: 0,
            error: Some(error.to_string()),
        };
        self.open.iter().map(Listening::status).chain(self.missing.iter().map(missing)).collect()
    }
}
