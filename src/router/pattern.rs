//! Path patterns (router.md §3): parsed once into literal runs and captures.
use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::path::{self, PathFault, PathMode};

/// Places of captures in a path, in the order of their names.
type Spans = SmallVec<[Range<usize>; 4]>;

/// Name of the capture of a `*` that was given none.
const UNNAMED: &str = ":ext";

/// What a match needs of a pattern. The tree has compared the literals, so only the places of the captures are here.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// As written.
    pub(super) source: Arc<str>,
    captures: SmallVec<[Capture; 3]>,
    /// The whole pattern, if a run of segments stands before its end: the tree has compared what precedes it only.
    inner_run: Option<Arc<[Step]>>,
}

/// A pattern as parsed: what the tree is built of.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) pattern: Pattern,
    /// What it is made of, in order. Literal runs never follow one another.
    pub(super) steps: Arc<[Step]>,
}

/// A captured piece of a path.
#[derive(Clone, Copy, Debug)]
struct Capture {
    /// Bytes between it and what was captured before.
    gap: u16,
    /// Where its name stands in the source; empty for [`UNNAMED`].
    name: (u16, u16),
    /// Whether it takes all that is left.
    is_rest: bool,
}

/// One piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// These bytes.
    Literal(Box<[u8]>),
    /// One non-empty segment.
    Segment,
    /// A run of segments; at the end: all that is left, which may be empty.
    Run,
    /// All that is left, not captured.
    Anything,
}

/// Why a pattern was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternFault {
    /// Neither `*` nor a path.
    #[error("a pattern begins with / or is *")]
    NoSlash,
    /// A `*` inside a segment that is not the end of the pattern.
    #[error("* stands only at the start of a segment or at the end of the pattern")]
    InnerStar,
    /// A capture without a name.
    #[error("a capture needs a name behind its colon")]
    NoName,
    /// Two captures of one name.
    #[error("the capture {0:?} occurs twice: give each its own name")]
    DuplicateName(String),
    /// Longer than 4096 bytes.
    #[error("a pattern is at most 4096 bytes long")]
    TooLong,
    /// It could not be the path of a request.
    #[error("{0}")]
    Path(#[from] PathFault),
}

impl Parsed {
    /// Parses a pattern. With `parameters` a `:` at the start of a segment begins a capture.
    pub(super) fn parse(source: &Arc<str>, parameters: bool, mode: PathMode) -> Result<Self, PatternFault> {
        if source.len() > 4096 {
            return Err(PatternFault::TooLong);
        }
        let mut building = Building::default();
        if &**source == "*" {
            building.capture("", 1, Step::Run)?;
            return Ok(building.finish(source));
        }
        let mut at = 1;
        let text = source.strip_prefix('/').ok_or(PatternFault::NoSlash)?;
        let mut literal = String::from("/");
        let mut segments = text.split('/').peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            let capture = if let Some(name) = segment.strip_prefix('*') {
                Some((name, Step::Run))
            } else if parameters {
                segment.strip_prefix(':').map(|name| (name, Step::Segment))
            } else {
                None
            };
            match capture {
                Some((name, step)) => {
                    building.literal(&mut literal, false, mode)?;
                    building.capture(name, at + 1, step)?;
                }
                None => match segment.strip_suffix('*') {
                    Some(start) if last && !start.contains('*') => {
                        literal.push_str(start);
                        building.literal(&mut literal, true, mode)?;
                        building.steps.push(Step::Anything);
                    }
                    Some(_) => return Err(PatternFault::InnerStar),
                    None if segment.contains('*') => return Err(PatternFault::InnerStar),
                    None => literal.push_str(segment),
                },
            }
            if !last {
                literal.push('/');
            }
            at += segment.len() + 1;
        }
        building.literal(&mut literal, false, mode)?;
        Ok(building.finish(source))
    }
}

impl Pattern {
    /// Whether nothing is captured.
    #[inline]
    pub(super) fn is_literal(&self) -> bool {
        self.captures.is_empty()
    }

    /// Whether the pattern is a prefix that ends inside a segment, such as `/admin*`.
    pub(super) fn ends_inside_segment(&self) -> bool {
        self.source.strip_suffix('*').is_some_and(|start| !start.is_empty() && !start.ends_with('/'))
    }

    /// Whether a path that the tree led here matches.
    #[inline]
    pub(super) fn holds(&self, path: &[u8]) -> bool {
        self.inner_run.as_ref().is_none_or(|steps| places(steps, path).is_some())
    }

    /// The captures of a path that matches: names, and places in the path.
    #[inline]
    pub(super) fn captures<'p, 'q>(&'p self, path: &'q [u8]) -> Captures<'p, 'q> {
        let places = self.inner_run.as_ref().map(|steps| places(steps, path).unwrap_or_default().into_iter());
        Captures { captures: self.captures.iter(), source: &self.source, path, at: 0, places }
    }
}

/// Finds the captures one after the other.
pub(super) struct Captures<'p, 'q> {
    captures: std::slice::Iter<'p, Capture>,
    source: &'p str,
    path: &'q [u8],
    at: usize,
    /// Where they are, if that takes the whole pattern to tell.
    places: Option<smallvec::IntoIter<[Range<usize>; 4]>>,
}

impl<'p> Iterator for Captures<'p, '_> {
    type Item = (&'p str, Range<usize>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let capture = self.captures.next()?;
        let place = match &mut self.places {
            Some(places) => places.next()?,
            None => {
                let start = self.at + usize::from(capture.gap);
                let rest = self.path.get(start..).unwrap_or_default();
                let length = if capture.is_rest { rest.len() } else { segment_end(rest).unwrap_or(0) };
                self.at = start + length;
                start..self.at
            }
        };
        Some((capture.name(self.source), place))
    }
}

impl Capture {
    #[inline]
    fn name<'s>(&self, source: &'s str) -> &'s str {
        let (from, to) = self.name;
        if from == to { UNNAMED } else { source.get(usize::from(from)..usize::from(to)).unwrap_or_default() }
    }
}

/// Places of the captures of a whole pattern in a path; `None` if it does not match.
pub(super) fn places(steps: &[Step], path: &[u8]) -> Option<Spans> {
    let mut spans = Spans::new();
    if has_inner_run(steps) {
        return Blocks { path }.captures(steps, &mut spans).then_some(spans);
    }
    let end = forward(steps, path, 0, &mut spans)?;
    (end == path.len()).then_some(spans)
}

fn has_inner_run(steps: &[Step]) -> bool {
    steps.iter().rev().skip(1).any(|step| *step == Step::Run)
}

#[derive(Default)]
struct Building {
    steps: Vec<Step>,
    names: Vec<Box<str>>,
    captures: SmallVec<[Capture; 3]>,
}

impl Building {
    fn literal(&mut self, text: &mut String, is_prefix: bool, mode: PathMode) -> Result<(), PatternFault> {
        if !text.is_empty() {
            let literal = path::canonicalise_literal(text, self.steps.is_empty(), is_prefix, mode)?;
            self.steps.push(Step::Literal(literal.into()));
            text.clear();
        }
        Ok(())
    }

    /// `at`: where the name stands in the source.
    fn capture(&mut self, name: &str, at: usize, step: Step) -> Result<(), PatternFault> {
        let is_rest = step == Step::Run;
        if name.is_empty() && !is_rest {
            return Err(PatternFault::NoName);
        }
        let label = if name.is_empty() { UNNAMED } else { name };
        if name.contains('*') {
            return Err(PatternFault::InnerStar);
        }
        if self.names.iter().any(|known| **known == *label) {
            return Err(PatternFault::DuplicateName(label.to_owned()));
        }
        self.names.push(label.into());
        let gap = match self.steps.last() {
            Some(Step::Literal(literal)) => literal.len(),
            _ => 0,
        };
        let place = |at: usize| u16::try_from(at).map_err(|_| PatternFault::TooLong);
        let name = (place(at)?, place(at + name.len())?);
        self.captures.push(Capture { gap: place(gap)?, name, is_rest });
        self.steps.push(step);
        Ok(())
    }

    fn finish(self, source: &Arc<str>) -> Parsed {
        let steps: Arc<[Step]> = self.steps.into();
        let inner_run = has_inner_run(&steps).then(|| Arc::clone(&steps));
        Parsed { pattern: Pattern { source: Arc::clone(source), captures: self.captures, inner_run }, steps }
    }
}

/// Matches `steps` from `at` on and returns where they end. A run takes all that is left.
fn forward(steps: &[Step], path: &[u8], mut at: usize, spans: &mut Spans) -> Option<usize> {
    for step in steps {
        let rest = path.get(at..)?;
        let length = match step {
            Step::Literal(literal) => rest.starts_with(literal).then_some(literal.len())?,
            Step::Segment => segment_end(rest)?,
            Step::Run | Step::Anything => rest.len(),
        };
        if matches!(step, Step::Segment | Step::Run) {
            spans.push(at..at + length);
        }
        at += length;
    }
    Some(at)
}

/// Where the non-empty segment that `text` begins with ends.
#[inline]
pub(super) fn segment_end(text: &[u8]) -> Option<usize> {
    let end = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
    (end > 0).then_some(end)
}

/// Patterns with a run of segments before their end.
///
/// Runs are greedy, the first one most. Between two runs stands a block of fixed length in segments; the blocks are
/// placed from the last to the first, each as far back as it goes. That gives every run before it the most, and no
/// placement is ever tried again: the work is at most path times pattern.
struct Blocks<'p> {
    path: &'p [u8],
}

impl Blocks<'_> {
    fn captures(&self, steps: &[Step], spans: &mut Spans) -> bool {
        let mut blocks = steps.split(|step| *step == Step::Run);
        let mut head = Spans::new();
        let Some(start) = blocks.next().and_then(|steps| forward(steps, self.path, 0, &mut head)) else {
            return false;
        };
        // From the end of the path: spans of each block, and of the run behind it, back to front.
        let mut behind: SmallVec<[Spans; 4]> = SmallVec::new();
        let mut limit = self.path.len();
        let mut is_last = true;
        for block in blocks.rev() {
            let Some((begin, end, mut found)) = self.last_place(block, start, limit, is_last) else { return false };
            if !is_last {
                found.push(end..limit);
            }
            behind.push(found);
            limit = begin;
            is_last = false;
        }
        spans.extend(head);
        spans.push(start..limit);
        spans.extend(behind.into_iter().rev().flatten());
        true
    }

    /// The last place between `from` and `to` where `block` stands: its begin, its end, its captures. The last block
    /// ends where the path ends.
    fn last_place(&self, block: &[Step], from: usize, to: usize, is_last: bool) -> Option<(usize, usize, Spans)> {
        if block.is_empty() {
            return (from <= to).then(|| (to, to, Spans::new()));
        }
        (from..=to).rev().find_map(|begin| {
            let mut spans = Spans::new();
            let end = forward(block, self.path, begin, &mut spans)?;
            let fits = if is_last { end == to } else { end <= to };
            fits.then_some((begin, end, spans))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(pattern: &str, path: &str) -> Option<Vec<String>> {
        let Parsed { pattern, steps } = Parsed::parse(&pattern.into(), true, PathMode::Strict).unwrap();
        let spans = places(&steps, path.as_bytes())?;
        let captures: Spans = pattern.captures(path.as_bytes()).map(|(_, span)| span).collect();
        assert_eq!(spans, captures);
        Some(spans.into_iter().map(|span| path[span].to_owned()).collect())
    }

    #[test]
    fn runs_take_the_most_and_the_first_run_first() {
        assert_eq!(captures("/a/*/z", "/a/x/z/z").unwrap(), ["x/z"]);
        assert_eq!(captures("/a/*/z", "/a/z"), None);
        assert_eq!(captures("/a/*m/b/*n/c", "/a/1/b/2/b/3/c").unwrap(), ["1/b/2", "3"]);
        assert_eq!(captures("/a/*m/b/:x/*n", "/a/1/b/2/b/3/c/d").unwrap(), ["1/b/2", "3", "c/d"]);
        assert_eq!(captures("/:v/*m/:w", "/1/2/3/4").unwrap(), ["1", "2/3", "4"]);
        assert_eq!(captures("/*m/b*", "/a/b/c/bb").unwrap(), ["a/b/c"]);
        assert_eq!(captures("/*m/b*", "/a/c"), None);
        assert_eq!(captures("/*m/*n", "/a/b/c").unwrap(), ["a/b", "c"]);
        assert_eq!(captures("*", "/a").unwrap(), ["/a"]);
    }

    #[test]
    fn faults_are_named() {
        let fault = |pattern: &str| Parsed::parse(&pattern.into(), true, PathMode::Strict).unwrap_err();
        assert_eq!(fault("a"), PatternFault::NoSlash);
        assert_eq!(fault(""), PatternFault::NoSlash);
        assert_eq!(fault("*/a"), PatternFault::NoSlash);
        assert_eq!(fault("/a*b"), PatternFault::InnerStar);
        assert_eq!(fault("/a*/b"), PatternFault::InnerStar);
        assert_eq!(fault("/a**"), PatternFault::InnerStar);
        assert_eq!(fault("/*a*"), PatternFault::InnerStar);
        assert_eq!(fault("/:id*"), PatternFault::InnerStar);
        assert_eq!(fault("/:"), PatternFault::NoName);
        assert_eq!(fault("/:a/:a"), PatternFault::DuplicateName("a".into()));
        assert_eq!(fault("/*/x/*"), PatternFault::DuplicateName(":ext".into()));
        assert_eq!(fault(&format!("/{}", "a".repeat(4096))), PatternFault::TooLong);
    }
}
