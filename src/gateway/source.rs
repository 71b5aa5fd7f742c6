//! Where configurations come from: [`ConfigSource`].
use std::io;
use std::sync::Arc;

use futures_core::Stream;

use crate::model::{Finding, Snapshot};

/// Something that a gateway follows: a file, a store, a host program's own.
///
/// The stream yields the configuration as it is, then again whenever it changes. Dropping it ends the watch: nothing
/// that a source starts outlives its stream. An error means that there is no new configuration, not that the stream
/// has ended; the gateway serves the last good one meanwhile. A source tells single items that it could not make in
/// [`Snapshot::rejected`], and gives items that have not changed with the same `Arc` as before, so that they are not
/// compiled again.
pub trait ConfigSource: Send + 'static {
    /// Begins to watch.
    fn watch(self) -> impl Stream<Item = Result<Snapshot, SourceError>> + Send;
}

/// Why a source has no new configuration.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It cannot be read.
    #[error("{place}: cannot be read: {source}")]
    Read {
        /// The file or address.
        place: String,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// It is no document of its format.
    #[error("{place}{}: {message}", at_line(*.line))]
    Syntax {
        /// The file or address.
        place: String,
        /// The 1-based line, where it is known.
        line: Option<u32>,
        /// What is wrong, and where.
        message: String,
    },
    /// It ends too early.
    #[error("{place}: is not complete: write `#END` as its last line, or set `require_end_marker` to false")]
    Incomplete {
        /// The file or address.
        place: String,
    },
    /// It is larger than it may be.
    #[error("{place}: is larger than {limit} bytes")]
    TooLarge {
        /// The file or address.
        place: String,
        /// The bound.
        limit: u64,
    },
    /// It names environment variables that are not set.
    #[error("{place}{}: the environment variable {name} is not set: set it, or write `${{{{{name}:=default}}}}`", at_line(*.line))]
    Variable {
        /// The file or address.
        place: String,
        /// The 1-based line, where it is known.
        line: Option<u32>,
        /// The variable.
        name: String,
    },
    /// It is a document, but no configuration.
    #[error("{place}: {}", joined(.findings))]
    Document {
        /// The file or address.
        place: String,
        /// What is wrong with it.
        findings: Vec<Finding>,
    },
    /// It cannot be watched.
    #[error("{place}: cannot be watched: {message}")]
    Watch {
        /// The file or address.
        place: String,
        /// What the system said.
        message: String,
    },
}

fn at_line(line: Option<u32>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

fn joined(findings: &[Finding]) -> String {
    findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("; ")
}
