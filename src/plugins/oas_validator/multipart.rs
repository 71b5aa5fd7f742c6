//! `multipart/form-data` in memory (RFC 7578, RFC 2046 §5.1.1).
use memchr::memmem::Finder;

/// One part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'b> {
    pub(super) name: String,
    pub(super) content_type: Option<String>,
    pub(super) data: &'b [u8],
}

/// Why a body is no such form.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadForm {
    #[error("`Content-Type` names no boundary")]
    NoBoundary,
    #[error("the body is no multipart form")]
    Malformed,
    #[error("the body has more than {0} parts")]
    TooMany(usize),
}

/// The value of a parameter of a field such as `form-data; name="a"`; quoted or not.
fn parameter(field: &str, wanted: &str) -> Option<String> {
    let mut rest = field.split_once(';')?.1;
    loop {
        let (name, behind) = rest.split_once('=')?;
        let behind = behind.trim_start();
        let (value, after) = match behind.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => {
                let end = behind.find(';').unwrap_or(behind.len());
                (behind.get(..end)?.trim_end().to_owned(), behind.get(end..)?)
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after.trim_start().strip_prefix(';')?;
    }
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

/// The parts of a body, at most `most`.
///
/// # Errors
/// [`BadForm`].
pub(super) fn parts<'b>(content_type: &str, body: &'b [u8], most: usize) -> Result<Vec<Part<'b>>, BadForm> {
    let boundary = parameter(content_type, "boundary").filter(|boundary| (1..=70).contains(&boundary.len()));
    let boundary = boundary.ok_or(BadForm::NoBoundary)?;
    let opening = format!("--{boundary}");
    let delimiter = format!("\r\n{opening}");
    let finder = Finder::new(&delimiter);
    // text before the first boundary means nothing
    let mut rest = match body.strip_prefix(opening.as_bytes()) {
        Some(rest) => rest,
        None => finder.find(body).and_then(|at| body.get(at + delimiter.len()..)).ok_or(BadForm::Malformed)?,
    };
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        if parts.len() >= most {
            return Err(BadForm::TooMany(most));
        }
        let part = behind_line(rest).ok_or(BadForm::Malformed)?;
        let end = finder.find(part).ok_or(BadForm::Malformed)?;
        let (part, after) =
            (part.get(..end).unwrap_or_default(), part.get(end + delimiter.len()..).unwrap_or_default());
        parts.push(read(part).ok_or(BadForm::Malformed)?);
        rest = after;
    }
}

/// What stands behind blanks and a line end.
fn behind_line(text: &[u8]) -> Option<&[u8]> {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    text.get(blanks..)?.strip_prefix(b"\r\n")
}

fn read(part: &[u8]) -> Option<Part<'_>> {
    let end = memchr::memmem::find(part, b"\r\n\r\n")?;
    let head = std::str::from_utf8(part.get(..end)?).ok()?;
    let field = |wanted: &str| {
        head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    let disposition = field("content-disposition")?;
    let kind = disposition.split(';').next()?.trim();
    let name = parameter(disposition, "name").filter(|_| kind.eq_ignore_ascii_case("form-data"))?;
    Some(Part { name, content_type: field("content-type").map(str::to_owned), data: part.get(end + 4..)? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "multipart/form-data; charset=utf-8; boundary=\"x y\"";

    fn form(parts: &[(&str, &str)]) -> String {
        let part = |(name, data): &(&str, &str)| {
            format!(
                "--x y\r\nContent-Disposition: form-data; name=\"{name}\"\r\nContent-Type: text/plain\r\n\r\n{data}\r\n"
            )
        };
        format!("{}--x y--\r\n", parts.iter().map(part).collect::<String>())
    }

    #[test]
    fn parts_are_read_with_name_type_and_data() {
        let body = form(&[("a", "1"), ("b \\\" c", "x\r\n--x\r\n"), ("e", "")]);
        let parts = parts(TYPE, body.as_bytes(), 3).unwrap();
        let seen: Vec<_> = parts.iter().map(|part| (part.name.as_str(), part.data)).collect();
        assert_eq!(seen, [("a", &b"1"[..]), ("b \" c", b"x\r\n--x\r\n"), ("e", b"")]);
        assert_eq!(parts[0].content_type.as_deref(), Some("text/plain"));
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let whole = form(&[("a", "1"), ("b", "2")]);
        assert_eq!(parts(TYPE, whole.as_bytes(), 1), Err(BadForm::TooMany(1)));
        assert_eq!(parts("multipart/form-data", whole.as_bytes(), 9), Err(BadForm::NoBoundary));
        for body in [
            "",
            "--x y",
            "--x y\r\n",
            "--x y\r\n\r\n1\r\n--x y--",
            "--x y\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--x y--",
            "--x y\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x y--",
            &whole[..whole.len() - 6],
        ] {
            assert_eq!(parts(TYPE, body.as_bytes(), 9), Err(BadForm::Malformed), "{body:?}");
        }
        let before = format!("before\r\n{}", form(&[("a", "1")]));
        assert_eq!(parts(TYPE, before.as_bytes(), 9).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..300), kind in ".{0,60}") {
            let _ = parts(TYPE, &body, 10);
            let _ = parts(&kind, &body, 10);
        }

        #[test]
        fn what_is_written_is_read(data in proptest::collection::vec("[a-z\r\n-]{0,20}", 0..5)) {
            let written: Vec<_> = data.iter().map(|data| ("n", data.as_str())).collect();
            let body = form(&written);
            let read = parts(TYPE, body.as_bytes(), 10).unwrap();
            prop_assert_eq!(read.iter().map(|part| part.data).collect::<Vec<_>>(), data.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
        }
    }
}
