//! Fields with parameters, such as `form-data; name="a"` (RFC 9110 §5.6.6).

/// The parameters of a field, names in lower case; `None` if they are not written as such.
pub(super) fn parameters(field: &str) -> Option<Vec<(String, String)>> {
    let mut parameters = Vec::new();
    let mut rest = field.split_once(';').map_or("", |(_, rest)| rest).trim();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=')?;
        // one without a value before it would be a part of it
        let name = Some(name.trim()).filter(|name| is_token(name))?;
        let behind = behind.trim_start();
        let (value, after) = match behind.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => {
                let end = behind.find(';').unwrap_or(behind.len());
                (behind.get(..end)?.trim_end().to_owned(), behind.get(end..)?)
            }
        };
        parameters.push((name.to_ascii_lowercase(), value));
        rest = match after.trim() {
            "" => "",
            after => after.strip_prefix(';')?.trim(),
        };
    }
    Some(parameters)
}

/// Whether it can be a name (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The one parameter of that name; `None` if there is none, or more than one.
pub(super) fn only(parameters: &[(String, String)], wanted: &str) -> Option<String> {
    let mut own = parameters.iter().filter(|(name, _)| name == wanted);
    let (_, value) = own.next()?;
    own.next().is_none().then(|| value.clone())
}

/// A quoted text up to its end, and what stands behind it. Browsers write `%22` for a quote in names, others `\"`.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_or_the_field_is_refused() {
        for (field, expected) in [
            ("a/b", Some(&[][..])),
            ("a/b;", Some(&[])),
            ("a/b; X = 1;y=\"a;\\\"b\" ; z=", Some(&[("x", "1"), ("y", "a;\"b"), ("z", "")])),
            ("a/b; x", None),
            ("a/b; x; y=1", None),
            ("a/b; x y=1", None),
            ("a/b; =1", None),
            ("a/b; x=\"1", None),
            ("a/b; x=\"1\"y=2", None),
        ] {
            let expected = expected.map(|all| all.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
            assert_eq!(parameters(field), expected, "{field}");
        }
        let twice = parameters("a; x=1; y=2; x=3").unwrap();
        assert_eq!((only(&twice, "x"), only(&twice, "y").as_deref(), only(&twice, "z")), (None, Some("2"), None));
    }
}
