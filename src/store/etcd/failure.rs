//! Why etcd did not do what it was asked for.
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Status};

use super::super::StoreError;

/// Why there is no answer, or not the one that was hoped for.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// No server can be reached. Nobody is asked before `again`.
    Unreachable { message: String, again: Option<Instant> },
    /// No answer within this time.
    Silent(Duration),
    /// What the server, or what is between, says.
    Said(Status),
    /// The answer is none that a server may give.
    Nonsense(&'static str),
}

/// What a failure means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The server is of no use now; another one may be.
    Down,
    /// The log-in is over, or was made before rights were changed: log in anew.
    LoggedOut,
    /// The server wants to know who asks.
    Nameless,
    /// The server knows no users.
    NoUsers,
    /// What was asked for is compacted away.
    Compacted,
    /// The answer is larger than the limit.
    TooLarge,
    /// The server is well and does not want to.
    Refused(&'static str),
}

impl Failure {
    pub(super) fn meaning(&self) -> Meaning {
        match self {
            Self::Unreachable { .. } | Self::Silent(_) | Self::Nonsense(_) => Meaning::Down,
            Self::Said(status) => of_status(status.code(), status.message()),
        }
    }

    /// Whether a new log-in may help.
    pub(super) fn is_of_login(&self) -> bool {
        matches!(self.meaning(), Meaning::LoggedOut | Meaning::Nameless)
    }

    /// Before when nothing can be had.
    pub(super) fn again(&self) -> Option<Instant> {
        match self {
            Self::Unreachable { again, .. } => *again,
            _ => None,
        }
    }

    /// As whoever uses the store sees it.
    pub(super) fn at(&self, place: &Arc<str>) -> StoreError {
        let place = Arc::clone(place);
        match self.meaning() {
            Meaning::Refused(mend) => StoreError::Refused { place, message: format!("{}; {mend}", self.text()) },
            Meaning::Nameless => {
                StoreError::Refused { place, message: format!("{}; set `user` and `password`", self.text()) }
            }
            Meaning::LoggedOut => StoreError::Refused { place, message: self.text() },
            _ => StoreError::Unavailable { place, message: self.text() },
        }
    }

    /// It in words.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Unreachable { message, .. } => message.clone(),
            Self::Silent(time) => format!("no answer within {time:?}"),
            Self::Said(status) => status.message().to_owned(),
            Self::Nonsense(what) => format!("the answer makes no sense: {what}"),
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Said(status)
    }
}

/// The texts are those of `api/v3rpc/rpctypes/error.go`; codes alone are too coarse.
fn of_status(code: Code, text: &str) -> Meaning {
    const TEXTS: [(&str, Meaning); 16] = [
        ("invalid auth token", Meaning::LoggedOut),
        ("revision of auth store is old", Meaning::LoggedOut),
        ("authentication is not enabled", Meaning::NoUsers),
        ("required revision has been compacted", Meaning::Compacted),
        ("decoded message length too large", Meaning::TooLarge),
        // Refusals to the letter, which another member does not join in.
        ("not supported for learner", Meaning::Down),
        ("not capable", Meaning::Down),
        ("not leader", Meaning::Down),
        ("permission denied", Meaning::Refused("grant its user a role for the prefix")),
        ("user name is empty", Meaning::Nameless),
        ("authentication failed", Meaning::Refused("set the right `user` and `password`")),
        (
            "database space exceeded",
            Meaning::Refused("compact and defragment it, or raise --quota-backend-bytes; then `etcdctl alarm disarm`"),
        ),
        ("request is too large", Meaning::Refused("make the change smaller, or raise its --max-request-bytes")),
        ("message larger than max", Meaning::Refused("make the change smaller, or raise its --max-request-bytes")),
        (
            "too many operations",
            Meaning::Refused("make fewer changes at once, or raise its --max-txn-ops (128 unless set)"),
        ),
        ("duplicate key given", Meaning::Refused("write each key once")),
    ];
    if let Some((_, meaning)) = TEXTS.iter().find(|(part, _)| text.contains(part)) {
        return *meaning;
    }
    match code {
        Code::PermissionDenied => Meaning::Refused("grant its user a role for the prefix"),
        Code::InvalidArgument | Code::Unimplemented => Meaning::Refused("use etcd 3.4 or later"),
        Code::Unauthenticated => Meaning::LoggedOut,
        Code::NotFound | Code::OutOfRange | Code::AlreadyExists | Code::FailedPrecondition => {
            Meaning::Refused("the server is well otherwise")
        }
        _ => Meaning::Down,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_etcd_says_is_told_apart() {
        let meaning = |code, text: &str| Failure::Said(Status::new(code, text)).meaning();
        for (code, text, expected) in [
            (Code::Unauthenticated, "etcdserver: invalid auth token", Meaning::LoggedOut),
            (Code::InvalidArgument, "etcdserver: revision of auth store is old", Meaning::LoggedOut),
            (Code::FailedPrecondition, "etcdserver: authentication is not enabled", Meaning::NoUsers),
            (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted", Meaning::Compacted),
            (Code::OutOfRange, "Error, decoded message length too large: found 5 bytes", Meaning::TooLarge),
            (Code::Unavailable, "etcdserver: no leader", Meaning::Down),
            (Code::FailedPrecondition, "etcdserver: not leader", Meaning::Down),
            (Code::FailedPrecondition, "etcdserver: rpc not supported for learner", Meaning::Down),
            (Code::InvalidArgument, "etcdserver: user name is empty", Meaning::Nameless),
            (Code::ResourceExhausted, "etcdserver: too many requests", Meaning::Down),
            (Code::Unknown, "anything", Meaning::Down),
        ] {
            assert_eq!(meaning(code, text), expected, "{text}");
        }
        for (code, text) in [
            (Code::NotFound, "etcdserver: requested lease not found"),
            (Code::OutOfRange, "etcdserver: too large lease TTL"),
            (Code::AlreadyExists, "etcdserver: lease already exists"),
            (Code::FailedPrecondition, "etcdserver: anything that comes to be"),
        ] {
            assert!(matches!(meaning(code, text), Meaning::Refused(_)), "{text}: the connection stays");
        }
        let place = Arc::from("etcd a:2379");
        let full = Failure::Said(Status::resource_exhausted("etcdserver: mvcc: database space exceeded"));
        let StoreError::Refused { message, .. } = full.at(&place) else { panic!("{full:?}") };
        assert!(message.contains("alarm disarm"), "{message}");
        let many = Failure::Said(Status::invalid_argument("etcdserver: too many operations in txn request"));
        assert!(many.at(&place).to_string().contains("--max-txn-ops"));
        assert!(matches!(Failure::Silent(Duration::from_secs(3)).at(&place), StoreError::Unavailable { .. }));
    }
}
