//! From the bytes of a file to a snapshot.
use std::borrow::Cow;
use std::path::Path;

use serde_json::Value;

use super::bounds::Bounds;
use super::environment::{Environment, Undefined};
use super::json;
use super::lines::Tree;
#[cfg(feature = "yaml")]
use super::yaml;
use crate::gateway::SourceError;
use crate::model::{Finding, Kind, Read, ReadOptions, Snapshot, read};

/// What is wrong with a text.
#[derive(Debug)]
pub(super) struct Syntax {
    pub(super) line: Option<u32>,
    pub(super) message: String,
}

/// The language of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Yaml,
}

impl Format {
    /// JSON for names that end in `.json`, else YAML.
    pub(super) fn of(path: &Path) -> Self {
        match path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("json") => Self::Json,
            _ => Self::Yaml,
        }
    }

    /// Whether a document of this format says itself that it is complete.
    pub(super) fn is_marked_complete(self, bytes: &[u8]) -> bool {
        self == Self::Yaml && bytes.trim_ascii_end().ends_with(b"#END")
    }
}

/// How the bytes of one file are read.
pub(super) struct Reader<'a> {
    pub(super) place: &'a str,
    pub(super) format: Format,
    pub(super) bounds: &'a Bounds,
    pub(super) environment: &'a Environment,
    pub(super) options: &'a ReadOptions,
    /// Whether YAML must end with the line `#END`.
    pub(super) end_marker: bool,
}

impl Reader<'_> {
    /// Parses and reads `bytes`. Findings have their lines.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Read, SourceError> {
        let marked = self.format.is_marked_complete(bytes);
        self.demand_marker(self.end_marker, marked)?;
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            self.syntax(Syntax { line: u32::try_from(line).ok(), message: "is not UTF-8 text".to_owned() })
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (text, document) = self.parse(text)?;
        self.count(&document)?;
        let mut read = read(&document, self.options);
        drop(document);
        self.demand_marker(read.snapshot.settings.require_end_marker, marked)?;
        if !read.findings.is_empty() {
            self.lines(&text).iter().for_each(|tree| number(&mut read, tree));
        }
        if read.is_unusable() {
            let findings = read.errors().filter(|finding| finding.kind == Kind::Document).cloned().collect();
            return Err(SourceError::Document { place: self.place.to_owned(), findings });
        }
        Ok(read)
    }

    fn demand_marker(&self, demanded: bool, marked: bool) -> Result<(), SourceError> {
        if demanded && self.format == Format::Yaml && !marked {
            return Err(SourceError::Incomplete { place: self.place.to_owned() });
        }
        Ok(())
    }

    fn parse<'t>(&self, text: &'t str) -> Result<(Cow<'t, str>, Value), SourceError> {
        match self.format {
            Format::Json => {
                let mut document = json::parse(text, self.bounds.depth()).map_err(|fault| self.syntax(fault))?;
                self.environment.expand_value(&mut document).map_err(|fault| self.undefined(fault))?;
                Ok((Cow::Borrowed(text), document))
            }
            Format::Yaml => {
                let expanded = self.environment.expand(text).map_err(|fault| self.undefined(fault))?;
                let text = expanded.map_or_else(|| Cow::Borrowed(text), Cow::Owned);
                let document = self.yaml(&text)?;
                Ok((text, document))
            }
        }
    }

    #[cfg(feature = "yaml")]
    fn yaml(&self, text: &str) -> Result<Value, SourceError> {
        yaml::parse(text, self.bounds).map_err(|fault| self.syntax(fault))
    }

    #[cfg(not(feature = "yaml"))]
    fn yaml(&self, _: &str) -> Result<Value, SourceError> {
        let message =
            "YAML cannot be read by this build: turn on the feature `yaml`, or name a `.json` file".to_owned();
        Err(self.syntax(Syntax { line: None, message }))
    }

    fn lines(&self, text: &str) -> Option<Tree> {
        match self.format {
            Format::Json => Some(json::lines(text)),
            #[cfg(feature = "yaml")]
            Format::Yaml => yaml::lines(text, self.bounds),
            #[cfg(not(feature = "yaml"))]
            Format::Yaml => None,
        }
    }

    fn count(&self, document: &Value) -> Result<(), SourceError> {
        let lists = document.as_object().into_iter().flatten();
        let long = lists.filter_map(|(key, list)| Some((key, list.as_array()?.len())));
        let findings: Vec<Finding> = long
            .filter(|(_, length)| *length > self.bounds.items)
            .map(|(key, length)| {
                let mend = format!("write at most {}, or raise the bound", self.bounds.items);
                Finding::error(Kind::Document, None, key, format!("has {length} items")).with_mend(mend)
            })
            .collect();
        if findings.is_empty() { Ok(()) } else { Err(SourceError::Document { place: self.place.to_owned(), findings }) }
    }

    fn syntax(&self, fault: Syntax) -> SourceError {
        SourceError::Syntax { place: self.place.to_owned(), line: fault.line, message: fault.message }
    }

    fn undefined(&self, fault: Undefined) -> SourceError {
        SourceError::Variable { place: self.place.to_owned(), line: fault.line, name: fault.name }
    }
}

/// Writes the line of each finding into it, wherever it stands.
fn number(read: &mut Read, tree: &Tree) {
    let Snapshot { rejected, warnings, .. } = &mut read.snapshot;
    let rejected = rejected.iter_mut().flat_map(|item| &mut item.findings);
    for finding in read.findings.iter_mut().chain(warnings).chain(rejected) {
        finding.line = tree.line_of(finding);
    }
}
