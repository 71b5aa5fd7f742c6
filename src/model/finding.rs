//! What a reader or check has to say about a configuration: [`Finding`].
use std::fmt;

use serde::Serialize;

use super::{Id, Kind};

/// How much a [`Finding`] weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Taken, but doubtful.
    Warning,
    /// The item, or the document where [`Finding::kind`] is [`Kind::Document`], must not be used.
    Error,
}

/// One fault of one field, with the way to mend it. Never quotes a value that could be a secret.
///
/// `Display` is one line: ``route `r1`, field upstream.nodes[0].weight: is a string; write an integer from 0 up``.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// What the item is.
    pub kind: Kind,
    /// The item's id, if it has a readable one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// The item's 0-based place in its list: of the document when read, of the snapshot when checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// The field, such as `upstream.nodes[0].weight`; keys that are not plain words stand in `["…"]`. Empty for the
    /// item as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
    /// The 1-based line of the file, where a file source knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl Finding {
    /// An error of the item `id` of `kind`, in the field `path` (empty: the item as a whole).
    pub fn error(kind: Kind, id: Option<Id>, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            kind,
            id,
            index: None,
            path: path.into(),
            message: message.into(),
            mend: None,
            line: None,
        }
    }

    /// A warning; else as [`Finding::error`].
    pub fn warning(kind: Kind, id: Option<Id>, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(kind, id, path, message) }
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn with_mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    /// Adds the item's place in its list.
    #[must_use]
    pub const fn with_index(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }

    /// What it says of which field. Who finds it again later may know its place better or worse.
    pub(crate) fn key(&self) -> (Severity, Kind, Option<Id>, String, String) {
        (self.severity, self.kind, self.id.clone(), self.path.clone(), self.message.clone())
    }

    /// Whether the item must not be used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(self.kind.as_str())?;
        match (&self.id, self.index) {
            (Some(id), _) => write!(f, " `{id}`")?,
            (None, Some(index)) => write!(f, " {}", index + 1)?,
            (None, None) => {}
        }
        if !self.path.is_empty() {
            write!(f, ", field {}", self.path)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.mend {
            Some(mend) => write!(f, "; {mend}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_one_line() {
        let finding = Finding::error(Kind::Route, Some("r1".into()), "upstream.nodes[0].weight", "is a string")
            .with_mend("write an integer from 0 up");
        assert_eq!(
            finding.to_string(),
            "route `r1`, field upstream.nodes[0].weight: is a string; write an integer from 0 up"
        );
        let mut nameless = Finding::warning(Kind::Upstream, None, "", "is empty").with_index(2);
        nameless.line = Some(7);
        assert_eq!(nameless.to_string(), "line 7: upstream 3: is empty");
    }
}
