//! `multipart/form-data` in memory (RFC 7578, RFC 2046 §5.1.1).
use memchr::memmem::Finder;

use super::field::{is_token, only, parameters};

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

/// The parts of a body, at most `most`. What some readers skip and others read as parts is refused: text before the first boundary
/// and behind the last one, a boundary behind a bare CR or LF, and whatever says twice what it is.
///
/// # Errors
/// [`BadForm`].
pub(super) fn parts<'b>(content_type: &str, body: &'b [u8], most: usize) -> Result<Vec<Part<'b>>, BadForm> {
    let boundary =
        boundary(content_type).filter(|boundary| (1..=70).contains(&boundary.len())).ok_or(BadForm::NoBoundary)?;
    let opening = format!("--{boundary}");
    let delimiter = format!("\r\n{opening}");
    let finder = Finder::new(&delimiter);
    let body = body.strip_prefix(b"\r\n").unwrap_or(body);
    let mut rest = body.strip_prefix(opening.as_bytes()).ok_or(BadForm::Malformed)?;
    let mut parts = Vec::new();
    loop {
        if let Some(behind) = rest.strip_prefix(b"--") {
            return if behind.trim_ascii().is_empty() { Ok(parts) } else { Err(BadForm::Malformed) };
        }
        if parts.len() >= most {
            return Err(BadForm::TooMany(most));
        }
        let part = behind_line(rest).ok_or(BadForm::Malformed)?;
        let end = finder.find(part).ok_or(BadForm::Malformed)?;
        let (part, after) =
            (part.get(..end).unwrap_or_default(), part.get(end + delimiter.len()..).unwrap_or_default());
        let begins_line =
            |at: usize| at.checked_sub(1).is_none_or(|before| matches!(part.get(before), Some(b'\r' | b'\n')));
        if memchr::memmem::find_iter(part, &opening).any(begins_line) {
            return Err(BadForm::Malformed);
        }
        parts.push(read(part).ok_or(BadForm::Malformed)?);
        rest = after;
    }
}

/// The one boundary that a `Content-Type` names, where readers find no other that look for the word alone.
fn boundary(content_type: &str) -> Option<String> {
    let parameters = parameters(content_type)?;
    let has_word = |text: &str| text.to_ascii_lowercase().contains("boundary");
    let first = parameters.iter().find(|(name, value)| has_word(name) || has_word(value))?;
    let is_first = first.0 == "boundary" && !content_type.split(';').next().is_some_and(has_word);
    is_first.then(|| only(&parameters, "boundary")).flatten()
}

/// What stands behind blanks and a line end.
fn behind_line(text: &[u8]) -> Option<&[u8]> {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    text.get(blanks..)?.strip_prefix(b"\r\n")
}

fn read(part: &[u8]) -> Option<Part<'_>> {
    let end = memchr::memmem::find(part, b"\r\n\r\n")?;
    let head = std::str::from_utf8(part.get(..end)?).ok()?;
    let mut fields = Vec::new();
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':').filter(|_| !line.contains(['\r', '\n']))?;
        // a line that begins with a blank goes on with the one before, says one reader or another
        is_token(name).then_some(())?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let of_once = |wanted: &str| fields.iter().filter(|(name, _)| name == wanted).count() <= 1;
    let disposition = only(&fields, "content-disposition")?;
    let kind = disposition.split(';').next()?.trim();
    let parameters = parameters(&disposition).filter(|all| !all.iter().any(|(name, _)| name.starts_with("name*")))?;
    let name = only(&parameters, "name").filter(|_| kind.eq_ignore_ascii_case("form-data"))?;
    let content_type = only(&fields, "content-type");
    of_once("content-type").then_some(())?;
    // RFC 7578 §4.7: not to be sent; some readers undo it
    let is_plain = |coding: &String| ["7bit", "8bit", "binary"].iter().any(|plain| coding.eq_ignore_ascii_case(plain));
    let mut codings = fields.iter().filter(|(name, _)| name == "content-transfer-encoding");
    codings.all(|(_, coding)| is_plain(coding)).then_some(())?;
    Some(Part { name, content_type, data: part.get(end + 4..)? })
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
    }

    #[test]
    fn what_other_readers_may_see_in_it_is_refused() {
        let valid = form(&[("n", "1")]);
        let part = |head: &str| format!("--x y\r\n{head}\r\n\r\nadmin\r\n--x y--\r\n");
        let role = part("Content-Disposition: form-data; name=\"role\"");
        assert_eq!(parts(TYPE, role.as_bytes(), 9).unwrap().len(), 1);
        for body in [
            format!("{valid}{role}"),
            format!("before\r\n{valid}"),
            format!("x\n--x y\nContent-Disposition: form-data; name=\"role\"\n\nadmin\r\n{valid}"),
            part("Content-Disposition: form-data; name=\"n\"\r\nContent-Disposition: form-data; name=\"role\""),
            part("Content-Disposition: form-data; name=\"n\"; name=\"role\""),
            part("Content-Disposition: form-data; name=\"n\"; name*=utf-8''role"),
            part("Content-Disposition: form-data; name=n\r\nContent-Type: a/b\r\nContent-Type: application/json"),
            part("Content-Disposition: form-data; name=n\nContent-Type: a/b"),
            part(" folded\r\nContent-Disposition: form-data; name=n"),
            part("Content-Disposition: form-data; name=n\r\n ; name=\"role\"; x=\":\""),
            part("Content-Disposition : form-data; name=n"),
            part("Content-Disposition: form-data; x; name=\"role\"; name=\"n\""),
            part("Content-Disposition: form-data; x; name*=utf-8''role; name=\"n\""),
            part("Content-Disposition: form-data; name=n\r\nContent-Transfer-Encoding: quoted-printable"),
            form(&[("n", "x\n--x y\nContent-Disposition: form-data; name=\"role\"\n\nadmin")]),
            form(&[("n", "x\r--x y--")]),
        ] {
            assert_eq!(parts(TYPE, body.as_bytes(), 9), Err(BadForm::Malformed), "{body:?}");
        }
        for kind in [
            "multipart/form-data; boundary=\"x y\"; boundary=z",
            "multipart/form-data; x; boundary=z; boundary=\"x y\"",
            "multipart/form-data; xboundary=z; boundary=\"x y\"",
            "multipart/form-data; x=\"boundary=z\"; boundary=\"x y\"",
            "multipart/boundary=z; boundary=\"x y\"",
        ] {
            assert_eq!(parts(kind, valid.as_bytes(), 9), Err(BadForm::NoBoundary), "{kind}");
        }
        let usual = "----WebKitFormBoundary7MA4YWxkTrZu0gW";
        let body = valid.replace("x y", usual);
        assert_eq!(parts(&format!("multipart/form-data; boundary={usual}"), body.as_bytes(), 9).unwrap().len(), 1);
        let binary = part("Content-Disposition: form-data; name=n\r\nContent-Transfer-Encoding: binary");
        assert_eq!(parts(TYPE, binary.as_bytes(), 9).unwrap().len(), 1);
        for around in [format!("\r\n{valid}"), format!("{valid}\r\n \n")] {
            assert_eq!(parts(TYPE, around.as_bytes(), 9).unwrap().len(), 1);
        }
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
