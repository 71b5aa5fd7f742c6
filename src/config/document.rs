//! From the bytes of a file to a snapshot.
use std::path::Path;

use serde_json::Value;

use super::environment::{self, Environment, Undefined};
use super::places::places;
use super::stack::on_deep_stack;
use crate::gateway::SourceError;
use crate::model::{Finding, Kind, Read, ReadOptions, Snapshot, read};
use crate::syntax::lines::Tree;
#[cfg(feature = "yaml")]
use crate::syntax::yaml;
use crate::syntax::{Bounds, Syntax, json};

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
    /// The document in `bytes`, as it is written.
    pub(super) fn document(&self, bytes: &[u8]) -> Result<Value, SourceError> {
        Ok(self.parse(bytes)?.0)
    }

    fn parse(&self, bytes: &[u8]) -> Result<(Value, Source), SourceError> {
        self.demand_marker(self.end_marker, self.format.is_marked_complete(bytes))?;
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            self.syntax(Syntax { line: u32::try_from(line).ok(), message: "is not UTF-8 text".to_owned() })
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let source = self.source(text)?;
        let document = source.parse().map_err(|fault| self.fault(fault))?;
        self.count(&document)?;
        Ok((document, source))
    }

    /// Parses and reads `bytes`. Findings have their lines.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Read, SourceError> {
        let (document, source) = self.parse(bytes)?;
        let mut read = read(&document, self.options);
        drop(document);
        let marked = self.format.is_marked_complete(bytes);
        self.demand_marker(read.snapshot.settings.require_end_marker, marked)?;
        if !read.findings.is_empty() {
            source.tree().iter().for_each(|tree| number(&mut read, tree));
        }
        if read.is_unusable() {
            let findings = read.errors().filter(|finding| finding.kind == Kind::Document).cloned().collect();
            return Err(SourceError::Document { place: self.place.to_owned(), findings });
        }
        read.snapshot.places = places(source);
        Ok(read)
    }

    fn demand_marker(&self, demanded: bool, marked: bool) -> Result<(), SourceError> {
        if demanded && self.format == Format::Yaml && !marked {
            return Err(SourceError::Incomplete { place: self.place.to_owned() });
        }
        Ok(())
    }

    /// The text as it is parsed.
    fn source(&self, text: &str) -> Result<Source, SourceError> {
        let expanded = match self.format {
            Format::Json => None,
            Format::Yaml => self.environment.expand(text).map_err(|fault| self.fault(Fault::Undefined(fault)))?,
        };
        Ok(Source {
            text: expanded.unwrap_or_else(|| text.to_owned()),
            format: self.format,
            bounds: self.bounds.clone(),
            environment: self.environment.clone(),
        })
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

    fn fault(&self, fault: Fault) -> SourceError {
        match fault {
            Fault::Syntax(fault) => self.syntax(fault),
            Fault::Undefined(Undefined { line, name }) => {
                SourceError::Variable { place: self.place.to_owned(), line, name }
            }
        }
    }
}

/// Why a text is no document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Syntax(Syntax),
    Undefined(Undefined),
}

impl Fault {
    /// With its line in `text`, if it is about a reference.
    fn placed(self, text: &str) -> Self {
        match self {
            Self::Undefined(Undefined { line: None, name }) => {
                let line = environment::line_of(text, &name);
                Self::Undefined(Undefined { line, name })
            }
            other => other,
        }
    }

    /// Two entries of one map have the same key.
    pub(super) fn twice(key: &str) -> Self {
        Self::Syntax(Syntax { line: None, message: format!("the key `{key}` stands twice in one object") })
    }
}

/// A text to parse: YAML with its environment variables replaced, JSON as it was.
pub(super) struct Source {
    text: String,
    format: Format,
    bounds: Bounds,
    environment: Environment,
}

impl Source {
    /// The document and the lines in it, on a stack of their own; `None` for a text that is none.
    pub(super) fn with_lines(&self) -> Option<(Value, Tree)> {
        on_deep_stack(|| self.parse().ok().zip(self.tree())).ok().flatten()
    }

    fn parse(&self) -> Result<Value, Fault> {
        match self.format {
            Format::Json => {
                let mut document = json::parse(&self.text, self.bounds.depth()).map_err(Fault::Syntax)?;
                self.environment.expand_value(&mut document).map_err(|fault| fault.placed(&self.text))?;
                Ok(document)
            }
            Format::Yaml => self.yaml().map_err(Fault::Syntax),
        }
    }

    #[cfg(feature = "yaml")]
    fn yaml(&self) -> Result<Value, Syntax> {
        yaml::parse(&self.text, &self.bounds)
    }

    #[cfg(not(feature = "yaml"))]
    fn yaml(&self) -> Result<Value, Syntax> {
        let message =
            "YAML cannot be read by this build: turn on the feature `yaml`, or name a `.json` file".to_owned();
        Err(Syntax { line: None, message })
    }

    fn tree(&self) -> Option<Tree> {
        match self.format {
            Format::Json => Some(json::lines(&self.text)),
            #[cfg(feature = "yaml")]
            Format::Yaml => yaml::lines(&self.text, &self.bounds),
            #[cfg(not(feature = "yaml"))]
            Format::Yaml => None,
        }
    }
}

/// Writes the line of each finding into it, wherever it stands.
fn number(read: &mut Read, tree: &Tree) {
    let Snapshot { rejected, warnings, .. } = &mut read.snapshot;
    let rejected = rejected.iter_mut().flat_map(|item| &mut item.findings);
    for finding in read.findings.iter_mut().chain(warnings).chain(rejected) {
        finding.line = tree.line_of(finding, finding.index);
    }
}
