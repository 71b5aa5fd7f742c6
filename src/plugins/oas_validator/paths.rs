//! Path templates, and which of them a path fits.
use std::collections::HashMap;

use smallvec::SmallVec;

use crate::router::percent_decode;

/// Templates in a tree of their segments. A segment that is written out goes before one with text and captures, and that before
/// one that is a capture as a whole.
#[derive(Debug)]
pub(super) struct Paths<T>(Node<T>);

#[derive(Debug)]
struct Node<T> {
    literal: HashMap<Vec<u8>, Node<T>>,
    /// The longer its text, the earlier it is tried.
    patterns: Vec<(Pattern, Node<T>)>,
    end: Option<(Vec<String>, T)>,
}

/// Captures stand between these texts, of which the first and the last may be empty.
#[derive(Debug, PartialEq, Eq)]
struct Pattern(Vec<String>);

/// What a path has for the captures of a template: their names, and texts as they stand in the path.
pub(super) type Captures<'t, 'p> = SmallVec<[(&'t str, &'p str); 4]>;

impl<T> Paths<T> {
    pub(super) fn new() -> Self {
        Self(Node::new())
    }

    /// Adds a template.
    ///
    /// # Errors
    /// What is wrong with it: it does not begin with `/`, its braces do not match, or it fits the same paths as an earlier one.
    pub(super) fn insert(&mut self, template: &str, value: T) -> Result<(), &'static str> {
        let path = template.strip_prefix('/').ok_or("does not begin with `/`")?;
        let mut names = Vec::new();
        let mut node = &mut self.0;
        for segment in path.split('/') {
            node = match Pattern::parse(segment, &mut names)? {
                None => {
                    let literal = percent_decode(segment.as_bytes()).into_owned();
                    node.literal.entry(literal).or_insert_with(Node::new)
                }
                Some(pattern) => node.below(pattern),
            };
        }
        match &node.end {
            Some(_) => Err("fits the same paths as an earlier one"),
            None => {
                node.end = Some((names, value));
                Ok(())
            }
        }
    }

    /// The template that a path fits.
    pub(super) fn find<'t, 'p>(&'t self, path: &'p str) -> Option<(&'t T, Captures<'t, 'p>)> {
        let segments: SmallVec<[&str; 16]> = path.strip_prefix('/')?.split('/').collect();
        let mut texts = SmallVec::new();
        let (names, value) = self.0.find(&segments, &mut texts)?;
        Some((value, names.iter().map(String::as_str).zip(texts).collect()))
    }
}

impl<T> Node<T> {
    fn new() -> Self {
        Self { literal: HashMap::new(), patterns: Vec::new(), end: None }
    }

    fn below(&mut self, pattern: Pattern) -> &mut Self {
        let at = match self.patterns.iter().position(|(known, _)| *known == pattern) {
            Some(at) => at,
            None => {
                let length = pattern.length();
                let at = self.patterns.partition_point(|(known, _)| known.length() >= length);
                self.patterns.insert(at, (pattern, Self::new()));
                at
            }
        };
        #[expect(clippy::indexing_slicing, reason = "found or put there a moment ago")]
        &mut self.patterns[at].1
    }

    /// Each node is looked at once at most, so the whole tree bounds the search.
    fn find<'t, 'p>(
        &'t self,
        segments: &[&'p str],
        texts: &mut SmallVec<[&'p str; 4]>,
    ) -> Option<&'t (Vec<String>, T)> {
        let Some((&segment, rest)) = segments.split_first() else { return self.end.as_ref() };
        let literal = self.literal.get(&*percent_decode(segment.as_bytes()));
        if let Some(found) = literal.and_then(|node| node.find(rest, texts)) {
            return Some(found);
        }
        self.patterns.iter().find_map(|(pattern, node)| {
            let before = texts.len();
            let found = if pattern.captures(segment, texts) { node.find(rest, texts) } else { None };
            if found.is_none() {
                texts.truncate(before);
            }
            found
        })
    }
}

impl Pattern {
    /// `None` for a segment without captures.
    fn parse(segment: &str, names: &mut Vec<String>) -> Result<Option<Self>, &'static str> {
        const FAULT: &str = "has braces that do not match: a capture is `{name}`";
        let mut texts = Vec::new();
        let mut rest = segment;
        while let Some((text, behind)) = rest.split_once('{') {
            let (name, behind) = behind.split_once('}').ok_or(FAULT)?;
            if name.is_empty() || name.contains('{') || text.contains('}') || text.is_empty() && !texts.is_empty() {
                return Err(FAULT);
            }
            names.push(name.to_owned());
            texts.push(text.to_owned());
            rest = behind;
        }
        if rest.contains('}') {
            return Err(FAULT);
        }
        if texts.is_empty() {
            return Ok(None);
        }
        texts.push(rest.to_owned());
        Ok(Some(Self(texts)))
    }

    fn length(&self) -> usize {
        self.0.iter().map(String::len).sum()
    }

    /// Takes a segment apart; a capture ends where the text behind it stands first, and has at least one character.
    fn captures<'p>(&self, segment: &'p str, texts: &mut SmallVec<[&'p str; 4]>) -> bool {
        let Some((first, behind)) = self.0.split_first() else { return false };
        let Some(mut rest) = segment.strip_prefix(first.as_str()) else { return false };
        let Some((last, between)) = behind.split_last() else { return false };
        for text in between {
            let Some((capture, behind)) = rest.split_once(text.as_str()).filter(|(capture, _)| !capture.is_empty())
            else {
                return false;
            };
            texts.push(capture);
            rest = behind;
        }
        match rest.strip_suffix(last.as_str()).filter(|capture| !capture.is_empty()) {
            Some(capture) => {
                texts.push(capture);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(templates: &[&'static str], path: &str) -> Option<(&'static str, Vec<(String, String)>)> {
        let mut paths = Paths::new();
        templates.iter().for_each(|template| paths.insert(template, *template).unwrap());
        let (template, captures) = paths.find(path)?;
        Some((template, captures.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()))
    }

    #[test]
    fn the_most_exact_template_wins_and_dead_ends_are_left() {
        let templates = [
            "/",
            "/pets",
            "/pets/{id}",
            "/pets/mine",
            "/pets/{id}/{what}",
            "/pets/mine/x",
            "/f/{n}.json",
            "/f/{n}",
            "/d/{a}-{b}",
        ];
        for (path, template, captures) in [
            ("/", "/", &[][..]),
            ("/pets", "/pets", &[]),
            ("/pets/mine", "/pets/mine", &[]),
            ("/pets/m%69ne", "/pets/mine", &[]),
            ("/pets/7%2F8", "/pets/{id}", &[("id", "7%2F8")]),
            ("/pets/mine/y", "/pets/{id}/{what}", &[("id", "mine"), ("what", "y")]),
            ("/f/a.b.json", "/f/{n}.json", &[("n", "a.b")]),
            ("/f/a.xml", "/f/{n}", &[("n", "a.xml")]),
            ("/d/1-2-3", "/d/{a}-{b}", &[("a", "1"), ("b", "2-3")]),
        ] {
            let captures = captures.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            assert_eq!(found(&templates, path), Some((template, captures)), "{path}");
        }
        for path in ["/pets/", "/Pets", "/pets/1/2/3", "/f/", "/d/-1", "/d/1", "", "*"] {
            assert_eq!(found(&templates, path), None, "{path}");
        }
    }

    #[test]
    fn templates_that_cannot_be_told_apart_or_read_are_refused() {
        let mut paths = Paths::new();
        paths.insert("/a/{b}", ()).unwrap();
        for template in ["a", "/a/{c}", "/{", "/}", "/{}", "/{a}{b}", "/{a{b}}"] {
            assert!(paths.insert(template, ()).is_err(), "{template}");
        }
    }
}
