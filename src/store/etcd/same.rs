//! Whether a store is still the one that it was.
use super::message::ResponseHeader;

/// The latest that linearizable answers said of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// 0: nothing was seen yet.
    cluster: u64,
    revision: i64,
    term: u64,
}

impl Seen {
    pub(super) fn of(header: ResponseHeader) -> Self {
        Self { cluster: header.cluster_id, revision: header.revision, term: header.raft_term }
    }

    /// Whether nothing was seen yet.
    pub(super) fn is_nothing(&self) -> bool {
        self.cluster == 0
    }

    /// Notes one more answer of the same store; one of another store is for whoever asked to judge.
    pub(super) fn note(&mut self, header: ResponseHeader) {
        if self.cluster == 0 {
            *self = Self::of(header);
        } else if self.cluster == header.cluster_id {
            self.revision = self.revision.max(header.revision);
            self.term = self.term.max(header.raft_term);
        }
    }

    /// Whether a linearizable answer may come from that store. One that was restored or emptied has another cluster, or
    /// counts revisions or terms anew; nothing else can make these smaller.
    pub(super) fn allows(&self, header: ResponseHeader) -> bool {
        self.cluster == 0
            || (self.cluster == header.cluster_id && self.revision <= header.revision && self.term <= header.raft_term)
    }

    /// Whether any answer, a lagging member's too, may come from that store.
    pub(super) fn is_cluster_of(&self, header: ResponseHeader) -> bool {
        self.cluster == 0 || self.cluster == header.cluster_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_cluster_and_smaller_counts_are_another_store() {
        let header = |cluster_id, revision, raft_term| ResponseHeader { cluster_id, revision, raft_term };
        let mut seen = Seen::default();
        assert!(seen.allows(header(1, 1, 1)));
        seen.note(header(1, 10, 3));
        seen.note(header(1, 8, 4));
        for (answer, expected) in [
            (header(1, 10, 4), true),
            (header(1, 11, 5), true),
            (header(2, 11, 5), false),
            (header(1, 9, 5), false),
            (header(1, 11, 3), false),
        ] {
            assert_eq!(seen.allows(answer), expected, "{answer:?}");
        }
        assert!(seen.is_cluster_of(header(1, 2, 1)) && !seen.is_cluster_of(header(2, 20, 9)));
    }
}
