//! Forms in parts (RFC 7578; RFC 2046 §5.1).
use serde_json::{Map, Value, json};

use crate::plugin::bodies::{Bodies, Misread};
use crate::plugins::xml::add;

/// Values by name, and what is known of their parts.
type Parts = (Map<String, Value>, Map<String, Value>);

/// The parts of a body. Values that are no UTF-8 are shown with replacement characters.
///
/// # Errors
/// No boundary in `Content-Type`, a part without a name, a body that does not end with its last boundary, too many
/// parts; what stands twice where readers differ in which one counts.
pub(super) fn decode(bodies: &Bodies, content_type: &[u8], body: &[u8]) -> Result<Parts, Misread> {
    let malformed = |reason: &str| Misread::Malformed(reason.to_owned());
    let boundary = parameter(content_type, "boundary")?.filter(|boundary| (1..=70).contains(&boundary.len()));
    let boundary = boundary.ok_or_else(|| malformed("the content type has no boundary"))?;
    let delimiter = format!("\r\n--{boundary}");
    let delimiter = delimiter.as_bytes();
    // The first one may stand at the very beginning.
    let first = delimiter.get(2..).unwrap_or_default();
    let mut rest = match body.strip_prefix(first) {
        Some(rest) => rest,
        None => cut(body, delimiter).ok_or_else(|| malformed("the first boundary is missing"))?.1,
    };
    let (mut values, mut parts) = (Map::new(), Map::new());
    let most = bodies.most_values();
    let mut count = 0;
    while !rest.starts_with(b"--") {
        count += 1;
        if count > most {
            return Err(Misread::TooMany(most));
        }
        let end = cut(rest, b"\r\n").ok_or_else(|| malformed("a boundary has no end of line"))?;
        if !end.0.trim_ascii().is_empty() {
            return Err(malformed("text stands behind a boundary"));
        }
        let (part, behind) = cut(end.1, delimiter).ok_or_else(|| malformed("the last boundary is missing"))?;
        rest = behind;
        // A part without fields begins with the empty line.
        let (fields, content) = match part.strip_prefix(b"\r\n") {
            Some(content) => (&[][..], content),
            None => cut(part, b"\r\n\r\n").ok_or_else(|| malformed("a part has no empty line behind its fields"))?,
        };
        let disposition = field(fields, "content-disposition")?.unwrap_or_default();
        let name = parameter(disposition, "name")?.ok_or_else(|| malformed("a part has no name"))?;
        let value = Value::from(String::from_utf8_lossy(content));
        let told = json!({
            "value": value,
            "filename": parameter(disposition, "filename")?,
            "content_type": field(fields, "content-type")?.map(String::from_utf8_lossy),
        });
        add(&mut values, name.clone(), value);
        add(&mut parts, name, told);
    }
    Ok((values, parts))
}

/// What stands before and behind a pattern.
fn cut<'b>(bytes: &'b [u8], pattern: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = bytes.windows(pattern.len()).position(|window| window == pattern)?;
    Some((bytes.get(..at)?, bytes.get(at + pattern.len()..)?))
}

/// The value of a field of a part.
fn field<'b>(fields: &'b [u8], name: &str) -> Result<Option<&'b [u8]>, Misread> {
    let mut found = fields.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (told, value) = line.split_at_checked(colon)?;
        told.eq_ignore_ascii_case(name.as_bytes()).then(|| value.get(1..))?.map(<[u8]>::trim_ascii)
    });
    let first = found.next();
    if found.next().is_some() { Err(twice(name)) } else { Ok(first) }
}

/// A parameter of a field's value, such as `; name="a"`. One without a value is none.
fn parameter(value: &[u8], name: &str) -> Result<Option<String>, Misread> {
    let text = String::from_utf8_lossy(value);
    let behind_next = |text| str::split_once(text, ';').map_or("", |(_, behind)| behind);
    let (mut rest, mut found) = (behind_next(&text), None);
    while !rest.is_empty() {
        let end = rest.find(['=', ';']).unwrap_or(rest.len());
        let (told, behind) = rest.split_at(end);
        let Some(behind) = behind.strip_prefix('=') else {
            rest = behind.get(1..).unwrap_or_default();
            continue;
        };
        let (value, after) = match behind.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or_else(|| Misread::Malformed("a quote is not closed".to_owned()))?,
            None => {
                let end = behind.find(';').unwrap_or(behind.len());
                let (value, after) = behind.split_at(end);
                (value.trim().to_owned(), after)
            }
        };
        if told.trim().eq_ignore_ascii_case(name) && found.replace(value).is_some() {
            return Err(twice(name));
        }
        rest = behind_next(after);
    }
    Ok(found)
}

fn twice(name: &str) -> Misread {
    Misread::Malformed(format!("`{name}` stands twice"))
}

/// A quoted text without its escapes, and what stands behind it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            // Browsers leave other backslashes as they are, such as those of paths.
            '\\' if text.get(at + 1..)?.starts_with(['"', '\\']) => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod unit {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &[u8] = b"multipart/form-data; boundary=\"x y\"";

    fn read(body: &str) -> Result<Parts, Misread> {
        decode(&Bodies::default(), TYPE, body.as_bytes())
    }

    #[test]
    fn parts_have_names_values_and_more() {
        let body = "--x y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x y  \r\ncontent-type: text/css\r\n\
                    content-disposition: form-data; filename=\"b \\\"c\\\".txt\"; name=f\r\n\r\n\r\n--not\r\n\r\n--x y\r\n\
                    Content-Disposition: form-data; name=\"a\"\r\n\r\n2\r\n--x y--\r\nepilogue";
        let (values, parts) = read(body).unwrap();
        assert_eq!(Value::from(values), json!({"a": ["1", "2"], "f": "\r\n--not\r\n"}));
        assert_eq!(
            parts["f"],
            json!({"value": "\r\n--not\r\n", "filename": "b \"c\".txt", "content_type": "text/css"})
        );
        let (values, _) =
            read("--x y\r\nContent-Disposition: form-data; attachment; name=\"a\"\r\n\r\n1\r\n--x y--").unwrap();
        assert_eq!(Value::from(values), json!({"a": "1"}), "a parameter has no value");
        let (values, _) = read("preamble\r\n--x y--").unwrap();
        assert!(values.is_empty());
    }

    #[test]
    fn what_is_broken_is_refused() {
        for body in [
            "",
            "--x y",
            "--x y\r\n",
            "--x y\r\n\r\na",
            "--x y\r\nContent-Disposition: form-data\r\n\r\na\r\n--x y--",
            "--x y\r\nContent-Disposition: form-data; name=\"a\r\n\r\na\r\n--x y--",
            "--x y\r\nContent-Disposition: form-data; name=a\r\n\r\na\r\n--x yz\r\n--x y--",
            "--x y\r\n\r\na\r\n--x y--",
            "--x y\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\na\r\n--x y--",
            "--x y\r\nContent-Disposition: a; name=a\r\ncontent-disposition: a; name=b\r\n\r\na\r\n--x y--",
        ] {
            assert!(read(body).is_err(), "{body}");
        }
        for told in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"x",
            "multipart/form-data; boundary=x; boundary=x",
        ] {
            assert!(decode(&Bodies::default(), told.as_bytes(), b"--x--").is_err(), "{told}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_answered(body in "(--x y|\r\n|:|;|name=|\"|-|a){0,30}") {
            let _ = read(&body);
        }

        #[test]
        fn what_was_put_in_comes_out(value in "[ -~\r\n]{0,40}") {
            prop_assume!(!value.contains("\r\n--x y"));
            let body = format!("--x y\r\nContent-Disposition: form-data; name=a\r\n\r\n{value}\r\n--x y--\r\n");
            let (values, _) = read(&body).unwrap();
            prop_assert_eq!(values["a"].as_str(), Some(value.as_str()));
        }
    }
}
