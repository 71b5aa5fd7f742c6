//! Forms within bounds (`application/x-www-form-urlencoded`, the URL standard §5; security.md LIM-15).
use super::{Bodies, Misread};

impl Bodies {
    /// The fields of a form, in order; a name may stand there more than once.
    ///
    /// # Errors
    /// [`Misread::TooMany`].
    pub fn form(&self, text: &[u8]) -> Result<Vec<(String, String)>, Misread> {
        let mut fields = Vec::new();
        for (name, text) in form_urlencoded::parse(text) {
            if fields.len() >= self.nodes {
                return Err(Misread::TooMany(self.nodes));
            }
            fields.push((name.into_owned(), text.into_owned()));
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
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
}
