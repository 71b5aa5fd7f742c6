//! The text of policies.

/// The values of a line, which commas part; `None` for an empty line and a comment. A value that has commas stands in quotes, and a
/// quote in it is written twice.
///
/// # Errors
/// What is wrong with the line.
pub(super) fn values(line: &str) -> Result<Option<Vec<String>>, &'static str> {
    let mut rest = line.trim();
    if rest.is_empty() || rest.starts_with('#') {
        return Ok(None);
    }
    let mut values = Vec::new();
    loop {
        let (value, behind) = match rest.trim_start().strip_prefix('"') {
            Some(text) => quoted(text)?,
            None => {
                let (value, behind) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                (value.trim().to_owned(), behind)
            }
        };
        if value.contains('"') && !rest.trim_start().starts_with('"') {
            return Err("has a quote inside of a value: put the whole value in quotes");
        }
        values.push(value);
        match behind.trim_start().strip_prefix(',') {
            Some(next) => rest = next,
            None if behind.trim().is_empty() => return Ok(Some(values)),
            None => return Err("has something behind a value in quotes: write a comma there"),
        }
    }
}

/// A value of which the first quote has been taken off, and what stands behind it.
fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (before, behind) = rest.split_once('"').ok_or("has a quote that is not closed")?;
        value.push_str(before);
        match behind.strip_prefix('"') {
            Some(behind) => {
                value.push('"');
                rest = behind;
            }
            None => return Ok((value, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commas_part_values_and_quotes_hold_them_together() {
        for (line, wanted) in [
            ("p, alice ,/a, GET", &["p", "alice", "/a", "GET"][..]),
            ("  g,a,b  ", &["g", "a", "b"]),
            ("p,,", &["p", "", ""]),
            ("p, \"a, b\", c", &["p", "a, b", "c"]),
            ("p, \" a \"\"b\"\" \"", &["p", " a \"b\" "]),
            ("p, \"\", x", &["p", "", "x"]),
        ] {
            assert_eq!(values(line).unwrap().unwrap(), wanted, "{line}");
        }
        for line in ["", "  ", "# p, a", "  #"] {
            assert_eq!(values(line), Ok(None), "{line}");
        }
        for (line, says) in
            [("p, \"a", "not closed"), ("p, a\"b", "inside"), ("p, \"a\"b", "behind"), ("p, \"a\"\"", "not closed")]
        {
            assert!(values(line).unwrap_err().contains(says), "{line}");
        }
    }

    proptest! {
        #[test]
        fn quoted_values_are_read_as_they_were(all in proptest::collection::vec("[a,\"# ]{0,4}", 1..4)) {
            let line = all.iter().map(|value| format!("\"{}\"", value.replace('"', "\"\""))).collect::<Vec<_>>().join(", ");
            prop_assert_eq!(values(&line), Ok(Some(all)));
        }

        #[test]
        fn any_line_is_read_or_refused(line in ".{0,40}") {
            let _ = values(&line);
        }
    }
}
