//! Who is logged in, in the memory of this gateway.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

use super::server::Known;
use crate::plugins::random::Random;
use crate::request::ExternalUser;

/// Seconds after its last use in which a session ends.
pub(super) const IDLE: u64 = 3600;
/// Seconds after which it ends whether it is used or not.
pub(super) const OLDEST: u64 = 86_400;
/// Seconds between two searches for what is over; log-ins do them.
const SWEEP: u64 = 60;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Most sessions, and most tickets.
    pub(super) sessions: usize,
    /// Most bytes of what the server told of their users.
    pub(super) bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { sessions: 100_000, bytes: 64 * 1024 * 1024 }
    }
}

/// A keyed digest of a ticket, or of a session's name and its service: none is kept as such (security.md AUTH-01).
type Digest = [u8; 16];

/// The sessions of all blocks with one server, way back and secret. Reading one takes no lock.
#[derive(Debug)]
pub(super) struct Sessions {
    began: Instant,
    room: Room,
    key: [u8; blake3::KEY_LEN],
    random: Random,
    open: papaya::HashMap<Digest, Arc<Session>>,
    /// Held while sessions begin and end.
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Session {
    user: ExternalUser,
    weight: usize,
    /// When it began, in seconds since [`Sessions::began`], as all times here.
    created: u64,
    used: AtomicU64,
}

#[derive(Debug, Default)]
struct Book {
    /// Every ticket that was taken, until its session is over, and a while after a log-out: none is taken twice.
    tickets: HashMap<Digest, Taken>,
    bytes: usize,
    swept: u64,
}

#[derive(Debug)]
struct Taken {
    session: Digest,
    at: u64,
}

impl Session {
    fn is_alive(&self, now: u64) -> bool {
        now.saturating_sub(self.used.load(Relaxed)) < IDLE && now.saturating_sub(self.created) < OLDEST
    }
}

impl Sessions {
    /// # Errors
    /// When the system has no randomness to give.
    pub(super) fn new(room: Room) -> Result<Self, getrandom::Error> {
        let random = Random::new()?;
        Ok(Self {
            began: Instant::now(),
            room,
            key: random.bytes(),
            random,
            open: papaya::HashMap::new(),
            book: Mutex::default(),
        })
    }

    /// Whose the session of that name is at a service, while it is alive. That is a use of it.
    pub(super) fn user(&self, service: &str, name: &str) -> Option<ExternalUser> {
        let now = self.now();
        let open = self.open.pin();
        let session = open.get(&self.session(service, name)).filter(|session| session.is_alive(now))?;
        if session.used.load(Relaxed) < now {
            session.used.fetch_max(now, Relaxed);
        }
        Some(session.user.clone())
    }

    /// Begins a session by a ticket for a service, and names it; `None` when that ticket was taken before. It is one for that
    /// service alone: the server may keep the user from another, and tell another one other things.
    pub(super) fn begin(&self, service: &str, ticket: &str, known: Known) -> Option<String> {
        let now = self.now();
        let ticket = self.ticket(ticket);
        let name = URL_SAFE_NO_PAD.encode(self.random.bytes::<32>());
        let key = self.session(service, &name);
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(book.swept) >= SWEEP {
            self.sweep(&mut book, now);
        }
        self.make_room(&mut book, known.weight, now);
        if book.tickets.contains_key(&ticket) {
            return None;
        }
        book.tickets.insert(ticket, Taken { session: key, at: now });
        book.bytes = book.bytes.saturating_add(known.weight);
        let user = ExternalUser::new(known.user);
        let session = Session { user, weight: known.weight, created: now, used: AtomicU64::new(now) };
        self.open.pin().insert(key, Arc::new(session));
        Some(name)
    }

    /// Ends the session of that name at a service.
    pub(super) fn end(&self, service: &str, name: &str) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        self.close(&mut book, &self.session(service, name));
    }

    /// Ends the session that began with a ticket.
    pub(super) fn end_of_ticket(&self, ticket: &str) {
        let ticket = self.ticket(ticket);
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = book.tickets.get(&ticket).map(|taken| taken.session) {
            self.close(&mut book, &session);
        }
    }

    fn close(&self, book: &mut Book, key: &Digest) {
        if let Some(session) = self.open.pin().remove(key) {
            book.bytes = book.bytes.saturating_sub(session.weight);
        }
    }

    /// Forgets what is over.
    fn sweep(&self, book: &mut Book, now: u64) {
        book.swept = now;
        let over: Vec<Digest> = {
            let open = self.open.pin();
            open.iter().filter(|(_, session)| !session.is_alive(now)).map(|(key, _)| *key).collect()
        };
        for key in over {
            self.close(book, &key);
        }
        let open = self.open.pin();
        book.tickets.retain(|_, taken| now.saturating_sub(taken.at) < IDLE || open.contains_key(&taken.session));
    }

    /// Makes room for one more: at the bounds the sessions go that would end first, a sixteenth of all at once.
    fn make_room(&self, book: &mut Book, weight: usize, now: u64) {
        let is_full = |book: &Book| {
            book.tickets.len() >= self.room.sessions || book.bytes.saturating_add(weight) > self.room.bytes
        };
        if !is_full(book) {
            return;
        }
        self.sweep(book, now);
        while is_full(book) && !book.tickets.is_empty() {
            let mut tickets: Vec<(u64, Digest, Digest)> = {
                let open = self.open.pin();
                let used = |taken: &Taken| open.get(&taken.session).map_or(0, |session| session.used.load(Relaxed));
                book.tickets.iter().map(|(ticket, taken)| (used(taken), *ticket, taken.session)).collect()
            };
            let going = tickets.len().div_ceil(16);
            tickets.select_nth_unstable(going - 1);
            for (_, ticket, session) in tickets.into_iter().take(going) {
                self.close(book, &session);
                book.tickets.remove(&ticket);
            }
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    fn ticket(&self, ticket: &str) -> Digest {
        self.digest(|hasher| hasher.update(b"t").update(ticket.as_bytes()))
    }

    fn session(&self, service: &str, name: &str) -> Digest {
        // with its length, so that no other service and name give the same bytes
        let length = (service.len() as u64).to_le_bytes();
        self.digest(|hasher| hasher.update(b"s").update(&length).update(service.as_bytes()).update(name.as_bytes()))
    }

    fn digest(&self, told: impl FnOnce(&mut blake3::Hasher) -> &mut blake3::Hasher) -> Digest {
        let mut digest = Digest::default();
        let hash = told(&mut blake3::Hasher::new_keyed(&self.key)).finalize();
        digest.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
        digest
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    const SHOP: &str = "http://shop.test/cb";

    fn sessions(room: Room) -> Sessions {
        Sessions::new(room).unwrap()
    }

    fn known(user: &str, weight: usize) -> Known {
        Known { user: json!({"user": user}), weight }
    }

    fn name_of(sessions: &Sessions, session: &str) -> Option<String> {
        sessions.user(SHOP, session).map(|user| user.description()["user"].as_str().unwrap().to_owned())
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_an_hour_after_its_last_use_and_a_day_after_it_began() {
        let sessions = sessions(Room::default());
        let (idle, busy) = (
            sessions.begin(SHOP, "ST-1", known("ann", 9)).unwrap(),
            sessions.begin(SHOP, "ST-2", known("bob", 9)).unwrap(),
        );
        pass(IDLE - 1).await;
        assert_eq!(name_of(&sessions, &busy).as_deref(), Some("bob"));
        pass(1).await;
        assert_eq!((name_of(&sessions, &idle), name_of(&sessions, &busy).as_deref()), (None, Some("bob")));
        let mut seconds = IDLE;
        while sessions.user(SHOP, &busy).is_some() {
            pass(60).await;
            seconds += 60;
        }
        assert_eq!(seconds, OLDEST);
        sessions.begin(SHOP, "ST-3", known("eve", 9)).unwrap();
        assert_eq!((sessions.open.len(), sessions.book.lock().unwrap().bytes), (1, 9), "what is over is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_taken_once_also_after_a_log_out() {
        let sessions = sessions(Room::default());
        let first = sessions.begin(SHOP, "ST-1", known("ann", 1)).unwrap();
        assert!(sessions.begin(SHOP, "ST-1", known("ann", 1)).is_none());
        sessions.end(SHOP, &first);
        assert_eq!(name_of(&sessions, &first), None);
        assert!(sessions.begin(SHOP, "ST-1", known("ann", 1)).is_none());
        assert_eq!(sessions.book.lock().unwrap().bytes, 0);
        pass(IDLE).await;
        sessions.begin(SHOP, "ST-2", known("ann", 1)).unwrap();
        assert_eq!(sessions.book.lock().unwrap().tickets.len(), 1, "no ticket is remembered for ever");
    }

    #[tokio::test]
    async fn a_session_ends_by_its_ticket_and_no_other() {
        let sessions = sessions(Room::default());
        let (one, other) = (
            sessions.begin(SHOP, "ST-1", known("ann", 1)).unwrap(),
            sessions.begin(SHOP, "ST-2", known("ann", 1)).unwrap(),
        );
        for unknown in ["ST-3", "", &*one] {
            sessions.end_of_ticket(unknown);
        }
        assert!(sessions.user(SHOP, &one).is_some());
        sessions.end_of_ticket("ST-1");
        sessions.end_of_ticket("ST-1");
        assert_eq!((name_of(&sessions, &one), name_of(&sessions, &other).as_deref()), (None, Some("ann")));
        assert!(sessions.user(SHOP, "ST-2").is_none(), "a ticket is no name of a session");
    }

    #[tokio::test]
    async fn a_session_is_one_of_its_service() {
        let sessions = sessions(Room::default());
        let name = sessions.begin(SHOP, "ST-1", known("ann", 1)).unwrap();
        for other in ["http://hr.test/cb", "", "http://shop.test/cb\0"] {
            assert!(sessions.user(other, &name).is_none(), "{other}");
            sessions.end(other, &name);
        }
        assert!(sessions.user("http://shop.test/c", &format!("b{name}")).is_none());
        assert_eq!(name_of(&sessions, &name).as_deref(), Some("ann"));
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_full_house_the_longest_unused_go() {
        let by_number = Room { sessions: 32, bytes: usize::MAX };
        let by_bytes = Room { sessions: usize::MAX, bytes: 320 };
        for room in [by_number, by_bytes] {
            let sessions = sessions(room);
            let kept = sessions.begin(SHOP, "ST-first", known("first", 10)).unwrap();
            for count in 0..100 {
                pass(1).await;
                assert!(sessions.user(SHOP, &kept).is_some(), "{count}");
                let newest = sessions.begin(SHOP, &format!("ST-{count}"), known("ann", 10)).unwrap();
                assert!(sessions.user(SHOP, &newest).is_some(), "{count}");
                assert!(sessions.open.len() <= 32, "{}", sessions.open.len());
                let book = sessions.book.lock().unwrap();
                assert_eq!((book.tickets.len(), book.bytes), (sessions.open.len(), sessions.open.len() * 10));
            }
        }
        let tiny = sessions(Room { sessions: 9, bytes: 5 });
        assert!(tiny.begin(SHOP, "ST-1", known("ann", 10)).is_some(), "even what is larger than the room");
    }
}
