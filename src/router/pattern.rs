//! Path patterns (router.md §3): parsed once into literal runs and captures.
use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::path::{self, PathFault, PathMode};

/// Places of captures in a path, in the order of their names.
pub(super) type Spans = SmallVec<[(u32, u32); 4]>;

/// Name of the capture of a `*` that was given none.
const UNNAMED: &str = ":ext";

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// As written.
    pub(super) source: Arc<str>,
    /// What it is made of, in order. Literal runs never follow one another.
    pub(super) steps: Arc<[Step]>,
    /// Names of the captures, in order.
    pub(super) names: Arc<[Box<str>]>,
    /// Whether a run of segments stands before the end, so that the tree finds the pattern only by what precedes it.
    pub(super) has_inner_run: bool,
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

impl Pattern {
    /// Parses a pattern. With `parameters` a `:` at the start of a segment begins a capture.
    pub(super) fn parse(source: &str, parameters: bool, mode: PathMode) -> Result<Self, PatternFault> {
        if source.len() > 4096 {
            return Err(PatternFault::TooLong);
        }
        let mut building = Building::default();
        if source == "*" {
            building.capture(UNNAMED, Step::Run)?;
            return Ok(building.finish(source));
        }
        let text = source.strip_prefix('/').ok_or(PatternFault::NoSlash)?;
        let mut literal = String::from("/");
        let mut segments = text.split('/').peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            let capture = if let Some(name) = segment.strip_prefix('*') {
                Some((if name.is_empty() { UNNAMED } else { name }, Step::Run))
            } else if parameters {
                segment.strip_prefix(':').map(|name| (name, Step::Segment))
            } else {
                None
            };
            match capture {
                Some((name, step)) => {
                    building.literal(&mut literal, false, mode)?;
                    building.capture(name, step)?;
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
        }
        building.literal(&mut literal, false, mode)?;
        Ok(building.finish(source))
    }

    /// Whether the pattern is a prefix that ends inside a segment, such as `/admin*`.
    pub(super) fn ends_inside_segment(&self) -> bool {
        match &*self.steps {
            [.., Step::Literal(literal), Step::Anything] => !literal.ends_with(b"/"),
            _ => false,
        }
    }

    /// Places of the captures in `path`; `None` if the pattern does not match it.
    pub(super) fn captures(&self, path: &[u8]) -> Option<Spans> {
        let mut spans = Spans::new();
        if self.has_inner_run {
            return Blocks { path }.captures(&self.steps, &mut spans).then_some(spans);
        }
        let end = forward(&self.steps, path, 0, &mut spans)?;
        (end == path.len()).then_some(spans)
    }
}

#[derive(Default)]
struct Building {
    steps: Vec<Step>,
    names: Vec<Box<str>>,
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

    fn capture(&mut self, name: &str, step: Step) -> Result<(), PatternFault> {
        if name.is_empty() {
            return Err(PatternFault::NoName);
        }
        if name.contains('*') {
            return Err(PatternFault::InnerStar);
        }
        if self.names.iter().any(|known| **known == *name) {
            return Err(PatternFault::DuplicateName(name.to_owned()));
        }
        self.names.push(name.into());
        self.steps.push(step);
        Ok(())
    }

    fn finish(self, source: &str) -> Pattern {
        let run = self.steps.iter().position(|step| *step == Step::Run);
        let has_inner_run = run.is_some_and(|at| at + 1 < self.steps.len());
        Pattern { source: source.into(), steps: self.steps.into(), names: self.names.into(), has_inner_run }
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
            spans.push(span(at..at + length));
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

fn span(range: Range<usize>) -> (u32, u32) {
    (u32::try_from(range.start).unwrap_or(u32::MAX), u32::try_from(range.end).unwrap_or(u32::MAX))
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
                found.push(span(end..limit));
            }
            behind.push(found);
            limit = begin;
            is_last = false;
        }
        spans.extend(head);
        spans.push(span(start..limit));
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
        let pattern = Pattern::parse(pattern, true, PathMode::Strict).unwrap();
        let spans = pattern.captures(path.as_bytes())?;
        assert_eq!(spans.len(), pattern.names.len());
        Some(spans.iter().map(|(from, to)| path[*from as usize..*to as usize].to_owned()).collect())
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
        let fault = |pattern| Pattern::parse(pattern, true, PathMode::Strict).unwrap_err();
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
