//! Why a configuration was refused.
use std::fmt;

use crate::model::Finding;

/// A snapshot was refused as a whole; the configuration before serves on. `Display` prints one line per fault.
#[derive(Debug)]
pub struct ApplyError {
    findings: Vec<Finding>,
}

impl ApplyError {
    pub(crate) fn new(findings: Vec<Finding>) -> Self {
        Self { findings }
    }

    /// Every fault, and the warnings that came with them.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(crate) fn findings_mut(&mut self) -> &mut [Finding] {
        &mut self.findings
    }

    /// Every fault, and the warnings that came with them.
    pub fn into_findings(self) -> Vec<Finding> {
        self.findings
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("configuration refused")?;
        for finding in self.findings.iter().filter(|finding| finding.is_error()) {
            write!(f, "\n  {finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ApplyError {}
