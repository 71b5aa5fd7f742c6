//! Patterns of matchers, compiled.
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use regex::{Regex, RegexBuilder};

/// How a pattern is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        // PATH-11 bounds what a pattern may become; what a search may keep is less than by default, as each thread has its own
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

/// Most patterns of a kind that a thread remembers: those of the policies, as a rule, and not more where a matcher puts them together.
const MOST: usize = 10_000;

type Memory = RefCell<HashMap<String, Option<Rc<Pattern>>>>;

thread_local! {
    // Casbin takes plain functions, which can keep nothing: so each thread remembers what they compiled.
    static REGEXES: Memory = RefCell::default();
    static COLONS: Memory = RefCell::default();
    static BRACES: Memory = RefCell::default();
}

/// A pattern that has been compiled at its first use in this thread; `None` for what is none.
pub(super) fn remembered(kind: Kind, text: &str) -> Option<Rc<Pattern>> {
    let memory = match kind {
        Kind::Regex => &REGEXES,
        Kind::Colons => &COLONS,
        Kind::Braces => &BRACES,
    };
    memory.with_borrow_mut(|memory| {
        if let Some(known) = memory.get(text) {
            return known.clone();
        }
        if memory.len() >= MOST {
            memory.clear();
        }
        let pattern = Pattern::compile(kind, text).ok().map(Rc::new);
        memory.insert(text.to_owned(), pattern.clone());
        pattern
    })
}
