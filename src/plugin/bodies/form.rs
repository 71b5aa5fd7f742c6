//! Forms within bounds (`application/x-www-form-urlencoded`, the URL standard §5; security.md LIM-15).
use std::borrow::Cow;

use super::{Bodies, Misread};
use crate::request::decoded;

impl Bodies {
    /// The fields of a form, in order; a name may stand there more than once.
    ///
    /// # Errors
    /// [`Misread::TooMany`]; and [`Misread::Malformed`] for what is not in UTF-8: whoever reads it makes something else of it.
    pub fn form(&self, text: &[u8]) -> Result<Vec<(String, String)>, Misread> {
        let mut fields = Vec::new();
        let Ok(text) = std::str::from_utf8(text) else { return Err(no_text()) };
        for field in text.split('&').filter(|field| !field.is_empty()) {
            if fields.len() >= self.nodes {
                return Err(Misread::TooMany(self.nodes));
            }
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            fields.push((plain(name)?, plain(value)?));
        }
        Ok(fields)
    }
}

fn plain(text: &str) -> Result<String, Misread> {
    match decoded(text) {
        Cow::Borrowed(_) => Ok(text.to_owned()),
        Cow::Owned(bytes) => String::from_utf8(bytes).map_err(|_| no_text()),
    }
}

fn no_text() -> Misread {
    Misread::Malformed("the form is not in UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Limits;

    #[test]
    fn sec_lim_15_a_form_has_so_many_fields() {
        let bodies = Bodies::new(Bodies::default().room, &Limits { max_parse_nodes: 3, ..Limits::default() });
        let fields = bodies.form(b"a=1&b=%26+x&a=2").unwrap();
        assert_eq!(
            fields,
            [("a", "1"), ("b", "& x"), ("a", "2")].map(|(name, text)| (name.to_owned(), text.to_owned()))
        );
        assert_eq!(bodies.form(b"a&b&c&d"), Err(Misread::TooMany(3)));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for text in [&b"a=%ff"[..], b"%C3=1", b"a=\xff", b"a=1&b=%e9"] {
            assert_eq!(Bodies::default().form(text), Err(no_text()), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_form_is_read_as_the_url_standard_reads_it(text in "([a-zé%+=&;]|%[0-9A-Fa-f]{2}|%c3%a9|%){0,20}") {
            let standard = form_urlencoded::parse(text.as_bytes());
            let standard: Vec<_> = standard.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
            let is_lossy = standard.iter().any(|(name, value)| name.contains('\u{fffd}') || value.contains('\u{fffd}'));
            prop_assert_eq!(Bodies::default().form(text.as_bytes()), if is_lossy { Err(no_text()) } else { Ok(standard) });
        }
    }
}
