//! Which operations a GraphQL document has, as far as a cache has to know.
use std::iter::Peekable;
use std::str::CharIndices;

/// What a document asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operations {
    /// Reading alone.
    Queries,
    /// Something that changes, or goes on.
    Others,
}

/// Why a document is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoDocument {
    /// It does not read.
    Malformed,
    /// It has no operation.
    Empty,
}

/// Reads the operations of a document (GraphQL, October 2021, §2). What stands inside of selections is read over: no word there
/// makes a query of a mutation or the other way round.
///
/// # Errors
/// [`NoDocument`].
pub(super) fn operations(text: &str) -> Result<Operations, NoDocument> {
    let mut tokens = Tokens { text, rest: text.char_indices().peekable() };
    let (mut open, mut found, mut others) = (Vec::new(), false, false);
    // Whether the name of a definition may come: at the beginning, and behind a definition's selections.
    let mut begins = true;
    while let Some(token) = tokens.next()? {
        match token {
            Token::Open(bracket) => {
                // a query without its name
                found |= begins && bracket == '{';
                if begins && bracket != '{' {
                    return Err(NoDocument::Malformed);
                }
                begins = false;
                open.push(bracket);
            }
            Token::Close(bracket) => {
                let opened = open.pop().ok_or(NoDocument::Malformed)?;
                if !matches!((opened, bracket), ('{', '}') | ('(', ')') | ('[', ']')) {
                    return Err(NoDocument::Malformed);
                }
                begins = open.is_empty() && bracket == '}';
            }
            Token::Name(name) if begins => {
                begins = false;
                match name {
                    "query" => found = true,
                    "mutation" | "subscription" => (found, others) = (true, true),
                    "fragment" => {}
                    _ => return Err(NoDocument::Malformed),
                }
            }
            Token::Name(_) | Token::Other if !begins => {}
            _ => return Err(NoDocument::Malformed),
        }
    }
    match (open.is_empty() && (begins || !found), found) {
        (false, _) => Err(NoDocument::Malformed),
        (true, false) => Err(NoDocument::Empty),
        (true, true) if others => Ok(Operations::Others),
        (true, true) => Ok(Operations::Queries),
    }
}

enum Token<'a> {
    Name(&'a str),
    Open(char),
    Close(char),
    /// Punctuation, a number, a text.
    Other,
}

struct Tokens<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Result<Option<Token<'a>>, NoDocument> {
        while let Some((at, first)) = self.rest.next() {
            return Ok(Some(match first {
                ' ' | '\t' | '\r' | '\n' | ',' | '\u{feff}' => continue,
                '#' => {
                    while self.rest.next_if(|(_, next)| !matches!(next, '\n' | '\r')).is_some() {}
                    continue;
                }
                '{' | '(' | '[' => Token::Open(first),
                '}' | ')' | ']' => Token::Close(first),
                '"' => {
                    self.string(at)?;
                    Token::Other
                }
                'A'..='Z' | 'a'..='z' | '_' => {
                    let mut end = at + 1;
                    while let Some((next, _)) =
                        self.rest.next_if(|(_, next)| next.is_ascii_alphanumeric() || *next == '_')
                    {
                        end = next + 1;
                    }
                    Token::Name(self.text.get(at..end).unwrap_or_default())
                }
                '!' | '$' | '&' | '.' | ':' | '=' | '@' | '|' | '-' | '+' | '0'..='9' => Token::Other,
                _ => return Err(NoDocument::Malformed),
            }));
        }
        Ok(None)
    }

    /// Reads over a text that begins at `at`.
    fn string(&mut self, at: usize) -> Result<(), NoDocument> {
        let is_block = self.text.get(at..).is_some_and(|rest| rest.starts_with("\"\"\""));
        if !is_block {
            while let Some((_, next)) = self.rest.next() {
                match next {
                    '"' => return Ok(()),
                    '\n' | '\r' => break,
                    '\\' => drop(self.rest.next()),
                    _ => {}
                }
            }
            return Err(NoDocument::Malformed);
        }
        let inside = self.text.get(at + 3..).unwrap_or_default();
        let mut from = 0;
        let end = loop {
            let found = inside.get(from..).and_then(|rest| rest.find("\"\"\"")).ok_or(NoDocument::Malformed)? + from;
            if !inside.get(..found).is_some_and(|before| before.ends_with('\\')) {
                break at + 3 + found + 3;
            }
            from = found + 3;
        };
        while self.rest.next_if(|(place, _)| *place < end).is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn operations_are_told_by_their_first_word() {
        for (text, wanted) in [
            ("{a}", Ok(Operations::Queries)),
            (
                "query Q($a: [Int!]! = [1]) @d(x: {y: 2}) { a { b(c: -1.5e3) ...F } } fragment F on T { c }",
                Ok(Operations::Queries),
            ),
            ("# mutation { a }\nquery { mutation { subscription } }", Ok(Operations::Queries)),
            ("{a(b: \"mutation \\\" { x\")}", Ok(Operations::Queries)),
            ("{a(b: \"\"\"} mutation { \\\"\"\" \" \"\"\")}", Ok(Operations::Queries)),
            ("{a(b: \"\")}", Ok(Operations::Queries)),
            ("mutation M { a }", Ok(Operations::Others)),
            ("\u{feff},mutation{a}", Ok(Operations::Others)),
            ("query A { a } mutation B { b }", Ok(Operations::Others)),
            ("{a} subscription { b }", Ok(Operations::Others)),
            ("fragment F on T { c } mutation{a}", Ok(Operations::Others)),
            ("", Err(NoDocument::Empty)),
            (" # nothing\n", Err(NoDocument::Empty)),
            ("fragment F on T { c }", Err(NoDocument::Empty)),
            ("{a", Err(NoDocument::Malformed)),
            ("{a)}", Err(NoDocument::Malformed)),
            ("}", Err(NoDocument::Malformed)),
            ("a {b}", Err(NoDocument::Malformed)),
            ("(a)", Err(NoDocument::Malformed)),
            ("query", Err(NoDocument::Malformed)),
            ("{a(b: \"x)}", Err(NoDocument::Malformed)),
            ("{a(b: \"\"\"x)}", Err(NoDocument::Malformed)),
            ("{a} ; {b}", Err(NoDocument::Malformed)),
            ("\"mutation\" {a}", Err(NoDocument::Malformed)),
        ] {
            assert_eq!(operations(text), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_mutation_is_seen_behind_any_document(before in "[ -~\n]{0,60}") {
            if operations(&before) == Ok(Operations::Queries) {
                prop_assert_eq!(operations(&format!("{before}\nmutation {{ a }}")), Ok(Operations::Others));
            }
        }
    }
}
