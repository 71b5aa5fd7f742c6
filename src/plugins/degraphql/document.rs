//! What operations a GraphQL document has (GraphQL of October 2021, §2): as much of its grammar as that takes.

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) name: Option<String>,
    pub(super) is_mutation: bool,
}

/// The operations of a document, in order.
///
/// # Errors
/// What is wrong with it.
pub(super) fn operations(text: &str) -> Result<Vec<Operation>, String> {
    let mut operations = Vec::new();
    let mut tokens = Tokens { rest: text };
    let mut definition: Option<Definition<'_>> = None;
    let mut open = Vec::new();
    while let Some(token) = tokens.next()? {
        match token {
            Token::Open(bracket) => {
                if open.is_empty() && definition.is_none() {
                    if bracket != '{' {
                        return Err(format!("`{bracket}` stands where an operation begins"));
                    }
                    definition = Some(Definition { keyword: "query", name: None, is_named: true });
                }
                open.push(bracket);
            }
            Token::Close(bracket) => {
                if open.pop() != Some(opening(bracket)) {
                    return Err(format!("`{bracket}` closes nothing"));
                }
                if open.is_empty()
                    && bracket == '}'
                    && let Some(definition) = definition.take()
                {
                    operations.extend(definition.operation());
                }
            }
            Token::Name(name) if open.is_empty() => match &mut definition {
                None if ["query", "mutation", "subscription", "fragment"].contains(&name) => {
                    definition = Some(Definition { keyword: name, name: None, is_named: false });
                }
                None => return Err(format!("`{name}` stands where an operation begins")),
                Some(definition) if !definition.is_named => {
                    (definition.name, definition.is_named) = (Some(name), true);
                }
                Some(_) => {}
            },
            // `query ($a: …)` and `query @directive` have no name.
            Token::Name(_) => {}
            Token::Other if open.is_empty() => match &mut definition {
                None => return Err("text stands where an operation begins".to_owned()),
                Some(definition) => definition.is_named = true,
            },
            Token::Other => {}
        }
        if let (Some(definition), false) = (&mut definition, open.is_empty()) {
            definition.is_named = true;
        }
    }
    match (open.pop(), definition, operations.len()) {
        (Some(bracket), ..) => Err(format!("`{bracket}` is not closed")),
        (None, Some(definition), _) => Err(format!("the {} has no fields", definition.keyword)),
        (None, None, 0) => Err("there is no operation".to_owned()),
        (None, None, count) if count > 1 && operations.iter().any(|operation| operation.name.is_none()) => {
            Err("of several operations each has a name".to_owned())
        }
        _ => Ok(operations),
    }
}

/// A definition that is being read.
struct Definition<'t> {
    keyword: &'t str,
    name: Option<&'t str>,
    /// Whether what comes next is no name of it any more.
    is_named: bool,
}

impl Definition<'_> {
    fn operation(self) -> Option<Operation> {
        let is_mutation = self.keyword == "mutation";
        (self.keyword != "fragment").then(|| Operation { name: self.name.map(str::to_owned), is_mutation })
    }
}

fn opening(bracket: char) -> char {
    match bracket {
        '}' => '{',
        ')' => '(',
        _ => '[',
    }
}

enum Token<'t> {
    Name(&'t str),
    Open(char),
    Close(char),
    Other,
}

struct Tokens<'t> {
    rest: &'t str,
}

impl<'t> Tokens<'t> {
    fn next(&mut self) -> Result<Option<Token<'t>>, String> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n', ',', '\u{feff}']);
            let Some(comment) = self.rest.strip_prefix('#') else { break };
            self.rest = comment.split_once('\n').map_or("", |(_, behind)| behind);
        }
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
        Ok(Some(match first {
            '{' | '(' | '[' => {
                self.skip(1);
                Token::Open(first)
            }
            '}' | ')' | ']' => {
                self.skip(1);
                Token::Close(first)
            }
            '"' => {
                self.text()?;
                Token::Other
            }
            first if is_name(first) => {
                let length = self.rest.find(|character| !is_name(character)).unwrap_or(self.rest.len());
                let (name, rest) = self.rest.split_at(length);
                self.rest = rest;
                Token::Name(name)
            }
            other => {
                self.skip(other.len_utf8());
                // The name behind is that of a variable or directive.
                let length = self.rest.find(|character| !is_name(character)).unwrap_or(self.rest.len());
                if matches!(other, '$' | '@') {
                    self.skip(length);
                }
                Token::Other
            }
        }))
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Skips a text, in quotes or in three of them.
    fn text(&mut self) -> Result<(), String> {
        let (quote, may_break) = if self.rest.starts_with("\"\"\"") { ("\"\"\"", true) } else { ("\"", false) };
        self.skip(quote.len());
        loop {
            if self.rest.starts_with(quote) {
                self.skip(quote.len());
                return Ok(());
            }
            match self.rest.chars().next() {
                None => return Err("a text is not closed".to_owned()),
                Some('\n' | '\r') if !may_break => return Err("a text is not closed".to_owned()),
                Some('\\') => {
                    self.skip(1);
                    let escaped = self.rest.chars().next().map_or(0, char::len_utf8);
                    self.skip(if may_break && self.rest.starts_with(quote) { quote.len() } else { escaped });
                }
                Some(character) => self.skip(character.len_utf8()),
            }
        }
    }
}

#[cfg(test)]
mod unit {
    use proptest::prelude::*;

    use super::*;

    fn names(text: &str) -> Result<Vec<String>, String> {
        let kind = |operation: Operation| {
            let kind = if operation.is_mutation { "!" } else { "" };
            operation.name.unwrap_or_default() + kind
        };
        operations(text).map(|operations| operations.into_iter().map(kind).collect())
    }

    #[test]
    fn operations_are_found() {
        for (text, found) in [
            ("{ a }", &[""][..]),
            ("query { a { b } }", &[""]),
            ("query q { a }", &["q"]),
            ("query ($id: ID! = \"}\", $l: [Int] = [1]) @d(x: {y: 1}) { a(id: $id) }", &[""]),
            ("query q($id: ID!) { a } mutation m { b } subscription s { c }", &["q", "m!", "s"]),
            ("# { \nquery q { ...f } fragment f on T { a(b: \"\"\"x \\\"\"\" }\n\"\"\") }", &["q"]),
            ("query query { fragment }", &["query"]),
        ] {
            assert_eq!(names(text).unwrap(), found, "{text}");
        }
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in [
            "",
            "# only",
            "a",
            "{",
            "}",
            "{ a ] }",
            "query q",
            "fragment f on T { a }",
            "{ a } { b }",
            "query q { a } { b }",
            "(a)",
            "{ a(b: \"x) }",
            "{ a } b",
            "\"d\" { a }",
            "$a { b }",
        ] {
            assert!(names(text).is_err(), "{text}: {:?}", names(text));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[{}()\\[\\]\"\\\\#$@!:, \na-qé]{0,40}") {
            let _ = operations(&text);
        }
    }
}
