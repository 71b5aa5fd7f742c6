//! JSON documents.
use serde::de::DeserializeSeed;
use serde_json::Value;

use super::Syntax;
use super::lines::{Node, Tree};
use super::strict::Strict;

/// Parses a document that nests at most `depth` deep.
pub(crate) fn parse(text: &str, depth: usize) -> Result<Value, Syntax> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = Strict { depth }.deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    value.map_err(|error| {
        let message = error.to_string();
        // The place stands in the error already; it is told apart here.
        let message = message.split_once(" at line ").map_or(message.as_str(), |(message, _)| message).to_owned();
        Syntax { line: u32::try_from(error.line()).ok().filter(|line| *line > 0), message }
    })
}

/// Where each value of a document stands. Only for text that [`parse`] took; of other text it gives less.
pub(crate) fn lines(text: &str) -> Tree {
    Scanner { rest: text.as_bytes(), line: 1 }.tree()
}

struct Scanner<'a> {
    rest: &'a [u8],
    line: u32,
}

impl Scanner<'_> {
    fn tree(&mut self) -> Tree {
        self.skip_blanks();
        let line = self.line;
        let node = match self.rest.first() {
            Some(b'{') => Node::Map(self.entries()),
            Some(b'[') => Node::List(self.elements()),
            Some(b'"') => {
                self.string();
                Node::Leaf
            }
            _ => {
                while self.rest.first().is_some_and(|byte| !b",]} \t\r\n".contains(byte)) {
                    self.step();
                }
                Node::Leaf
            }
        };
        Tree { line, node }
    }

    fn entries(&mut self) -> Vec<(String, Tree)> {
        let mut entries = Vec::new();
        while self.next_in(b'}') {
            let before = self.rest;
            self.string();
            let key = before.get(..before.len() - self.rest.len()).unwrap_or_default();
            let key = serde_json::from_slice(key).unwrap_or_default();
            self.skip_blanks();
            self.step();
            entries.push((key, self.tree()));
        }
        entries
    }

    fn elements(&mut self) -> Vec<Tree> {
        let mut elements = Vec::new();
        while self.next_in(b']') {
            elements.push(self.tree());
        }
        elements
    }

    /// Steps over an opening bracket or a comma; false at `end`, and where the text ends too early.
    fn next_in(&mut self, end: u8) -> bool {
        self.skip_blanks();
        if self.rest.first() == Some(&end) {
            self.step();
            return false;
        }
        self.step();
        self.skip_blanks();
        if self.rest.first() == Some(&end) {
            self.step();
            return false;
        }
        !self.rest.is_empty()
    }

    fn string(&mut self) {
        self.step();
        loop {
            match self.rest.first() {
                None => return,
                Some(b'"') => return self.step(),
                Some(b'\\') => {
                    self.step();
                    self.step();
                }
                Some(_) => self.step(),
            }
        }
    }

    fn skip_blanks(&mut self) {
        while self.rest.first().is_some_and(u8::is_ascii_whitespace) {
            self.step();
        }
    }

    fn step(&mut self) {
        if let Some((byte, rest)) = self.rest.split_first() {
            self.line += u32::from(*byte == b'\n');
            self.rest = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_values() {
        let text =
            "{\n \"routes\": [\n  {\"id\": 1,\n   \"a\\\"]\": \"}\\\\\"},\n  {\"uri\":\n    {}}\n ], \"x\": null\n}";
        let tree = lines(text);
        for (steps, line) in [
            (&["routes"][..], 2),
            (&["routes", "0"], 3),
            (&["routes", "0", "a\"]"], 4),
            (&["routes", "1"], 5),
            (&["routes", "1", "uri"], 6),
            (&["x"], 7),
        ] {
            let found = steps.iter().try_fold(&tree, |tree, step| match step.parse::<usize>() {
                Ok(index) => tree.element(index),
                Err(_) => tree.entry(step),
            });
            assert_eq!(found.map(|tree| tree.line), Some(line), "{steps:?}");
        }
    }

    #[test]
    fn broken_text_ends_the_scan() {
        for text in ["", "{", "[", "[1,", "{\"a", "{\"a\":", "\"", "[[[", "}", "{]}", "[}"] {
            lines(text);
        }
    }

    #[test]
    fn faults_say_their_line() {
        for (text, line, message) in [
            ("{\n\"a\": }", 2, "expected value"),
            ("{\"a\": 1,\n\"a\": 2}", 2, "the key `a` stands twice in one object"),
            ("[[[]]]", 1, "is nested too deep"),
            ("{} x", 1, "trailing characters"),
        ] {
            let fault = parse(text, 2).expect_err(text);
            assert_eq!((fault.line, fault.message.as_str()), (Some(line), message), "{text}");
        }
        assert!(parse("[[]]", 2).is_ok());
    }
}
