//! Patterns of matchers, compiled.
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use regex::{Regex, RegexBuilder};

/// How a pattern is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A regular expression, which may match anywhere.
    Regex,
    /// `/users/:id/*`.
    Colons,
    /// `/users/{id}/*`.
    Braces,
}

/// A pattern, and the names in it: the first one is that of the group `v0`.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    names: Vec<String>,
}

impl Pattern {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn compile(kind: Kind, text: &str) -> Result<Self, String> {
        let mut names = Vec::new();
        let text = match kind {
            Kind::Regex => text.to_owned(),
            Kind::Colons | Kind::Braces => {
                // the whole of it, also where it has alternatives
                format!("^(?:{})$", with_groups(kind, &text.replace("/*", "/.*"), &mut names))
            }
        };
        // PATH-11 bounds what a pattern may become; what a search may keep is less than by default, as there may be many
        let built = RegexBuilder::new(&text).size_limit(1 << 20).dfa_size_limit(1 << 18).build();
        let regex = built.map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        })?;
        Ok(Self { regex, names })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Whether it matches, with the same value wherever the same name stands.
    pub(super) fn matches_alike(&self, text: &str) -> bool {
        let Some(found) = self.regex.captures(text) else { return false };
        let values = |wanted: &str| {
            let numbers = self.names.iter().enumerate().filter(move |(_, name)| *name == wanted);
            numbers.map(|(number, _)| found.name(&group(number)).map(|value| value.as_str())).collect::<Vec<_>>()
        };
        self.names.iter().all(|name| values(name).windows(2).all(|pair| matches!(pair, [one, other] if one == other)))
    }

    /// What stands where `name` does.
    pub(super) fn value<'t>(&self, text: &'t str, name: &str) -> Option<&'t str> {
        let number = self.names.iter().position(|known| known == name)?;
        Some(self.regex.captures(text)?.name(&group(number))?.as_str())
    }
}

fn group(number: usize) -> String {
    format!("v{number}")
}

/// The text with a group in the place of each name.
fn with_groups(kind: Kind, mut text: &str, names: &mut Vec<String>) -> String {
    let mut regex = String::new();
    let opening = if kind == Kind::Colons { ':' } else { '{' };
    while let Some((before, rest)) = text.split_once(opening) {
        let segment = rest.split('/').next().unwrap_or_default();
        let named = match kind {
            Kind::Colons => Some((segment, segment.len())),
            _ => segment.split_once('}').filter(|(name, _)| !name.is_empty()).map(|(name, _)| (name, name.len() + 1)),
        };
        regex.push_str(before);
        let Some((name, length)) = named else {
            regex.push(opening);
            text = rest;
            continue;
        };
        let some = if kind == Kind::Colons { "[^/]+" } else { "[^/]+?" };
        regex.push_str(&format!("(?P<{}>{some})", group(names.len())));
        names.push(name.to_owned());
        text = rest.get(length..).unwrap_or_default();
    }
    regex + text
}

/// The patterns of a policy's lines, compiled when it is loaded.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    regexes: HashMap<String, Pattern>,
    colons: HashMap<String, Pattern>,
    braces: HashMap<String, Pattern>,
}

impl Patterns {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn add(&mut self, kind: Kind, text: &str) -> Result<(), String> {
        let known = match kind {
            Kind::Regex => &mut self.regexes,
            Kind::Colons => &mut self.colons,
            Kind::Braces => &mut self.braces,
        };
        if !known.contains_key(text) {
            known.insert(text.to_owned(), Pattern::compile(kind, text)?);
        }
        Ok(())
    }

    pub(super) fn get(&self, kind: Kind, text: &str) -> Option<&Pattern> {
        let known = match kind {
            Kind::Regex => &self.regexes,
            Kind::Colons => &self.colons,
            Kind::Braces => &self.braces,
        };
        known.get(text)
    }
}

/// Most other patterns that a thread remembers.
const MOST: usize = 100;

type Others = HashMap<(Kind, String), Option<Rc<Pattern>>>;

thread_local! {
    static OTHERS: RefCell<Others> = RefCell::default();
}

/// A pattern that stands in a matcher itself, or that the matcher puts together, compiled at its first use in this thread; `None`
/// for what is none.
pub(super) fn remembered(kind: Kind, text: &str) -> Option<Rc<Pattern>> {
    OTHERS.with_borrow_mut(|memory| {
        let key = (kind, text.to_owned());
        if let Some(known) = memory.get(&key) {
            return known.clone();
        }
        if memory.len() >= MOST {
            memory.clear();
        }
        let pattern = Pattern::compile(kind, text).ok().map(Rc::new);
        memory.insert(key, pattern.clone());
        pattern
    })
}
