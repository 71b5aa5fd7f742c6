//! How deep texts go. Cedar's parser, and whatever goes through what it made, goes down as deep as a text does, and looks after no
//! stack: what is too deep is refused before.

/// Most brackets inside of each other; `if`s of a policy, and `!` and `-` one after the other, nest as brackets do.
const DEEPEST: usize = 24;
/// Most operators of a policy that join, such as `&&`, `+` and `.`: each holds what stands before it.
const LONGEST: usize = 250;

/// Judges policies.
///
/// # Errors
/// What they have too much of, with its line.
pub(super) fn of_policies(text: &str) -> Result<(), String> {
    Scan::default().judge(text)
}

/// Judges a schema, in which `<` is a bracket.
///
/// # Errors
/// What it has too much of, with its line.
pub(super) fn of_schema(text: &str) -> Result<(), String> {
    Scan { is_schema: true, ..Scan::default() }.judge(text)
}

fn is_of_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Of a text in quotes, to the quote that ends it or to the end of all.
fn text_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 2)
}

#[derive(Default)]
struct Scan {
    is_schema: bool,
    /// Lines before this one.
    lines: usize,
    depth: usize,
    ifs: usize,
    /// `!` and `-`, one after the other.
    unary: usize,
    joined: usize,
}

impl Scan {
    fn judge(mut self, text: &str) -> Result<(), String> {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '"' => text_length(rest),
                '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
                _ if is_of_word(first) => rest.find(|other| !is_of_word(other)).unwrap_or(rest.len()),
                _ if rest.starts_with("&&") || rest.starts_with("||") => 2,
                _ => first.len_utf8(),
            };
            let (token, behind) = rest.split_at(length);
            self.take(token)?;
            rest = behind;
        }
        Ok(())
    }

    fn take(&mut self, token: &str) -> Result<(), String> {
        self.unary = match token {
            "!" | "-" => self.unary + 1,
            _ if token.trim().is_empty() => self.unary,
            _ => 0,
        };
        match token {
            "(" | "[" | "{" => self.depth += 1,
            ")" | "]" | "}" => self.depth = self.depth.saturating_sub(1),
            "<" if self.is_schema => self.depth += 1,
            ">" if self.is_schema => self.depth = self.depth.saturating_sub(1),
            "if" => self.ifs += 1,
            ";" => (self.ifs, self.joined) = (0, 0),
            _ => {}
        }
        self.joined += usize::from(matches!(token, "&&" | "||" | "+" | "-" | "*" | "." | "has" | "in" | "like" | "is"));
        self.lines += token.matches('\n').count();
        if self.depth + self.ifs + self.unary > DEEPEST {
            return Err(format!("line {}: goes deeper than {DEEPEST} brackets, `if`s and signs", self.lines + 1));
        }
        if self.joined > LONGEST {
            return Err(format!(
                "line {}: a policy has more than {LONGEST} operators: write several policies",
                self.lines + 1
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_nests_is_counted_where_it_is_code() {
        for (text, says) in [
            ("(".repeat(25), "deeper than 24"),
            (format!("\n\n{}", "[{".repeat(13)), "line 3: goes deeper"),
            ("!".repeat(25), "deeper than 24"),
            ("- !\n".repeat(13), "line 13: "),
            ("if a then b else ".repeat(25), "deeper than 24"),
            ("a && ".repeat(251), "more than 250 operators"),
            (format!("a{}", ".b".repeat(251)), "more than 250 operators"),
        ] {
            assert!(of_policies(&text).unwrap_err().contains(says), "{text:.80}");
        }
        assert!(of_schema(&"Set<".repeat(25)).unwrap_err().contains("deeper"));
        for text in [
            format!("\"{}\\\"((\" // {}\n", "(".repeat(100), "(".repeat(100)),
            "(a)[b]{c}".repeat(100),
            "a < b; !c; if d then e else f; g && h.i;".repeat(1000),
            "!a == ".repeat(100),
        ] {
            assert_eq!(of_policies(&text), Ok(()), "{text:.80}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in ".{0,60}|[a\"\\\\/\n(!;]{0,30}") {
            let _ = (of_policies(&text), of_schema(&text));
        }
    }
}
