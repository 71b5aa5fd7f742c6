//! [`Traffic`]: what a store asked of the network.

/// What a store has asked of the network since it was opened. Counts only grow, but for `open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Connections that were opened, those to servers that then turned out to be of no use included.
    pub opened: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Bytes that came, without those of TLS, TCP and IP.
    pub bytes_in: u64,
    /// Bytes that went, counted as those that came.
    pub bytes_out: u64,
    /// Connections that replaced one that had failed.
    pub reconnects: u64,
    /// Watches that were begun. All but the first of a reader went on behind one that had ended.
    pub watches: u64,
    /// Reads of everything.
    pub full_reads: u64,
}
