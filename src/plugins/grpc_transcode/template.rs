//! Path templates of `google.api.http` annotations: `/v1/{name=shelves/*/books/*}:read`.
use std::sync::Arc;

/// A compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    segments: Vec<Segment>,
    verb: Option<String>,
    variables: Vec<Variable>,
}

/// In the order in which they are tried where several could match.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    /// `*`
    One,
    /// `**`, at the end alone.
    Rest,
}

/// The segments that a field takes its value from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Variable {
    field: Arc<str>,
    from: usize,
    to: usize,
}

impl Template {
    /// `None` for what is no template.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('/')?;
        // A colon behind the last slash and outside of braces begins the verb.
        let end = text.rfind(['/', '}']).map_or(0, |at| at + 1);
        let (path, verb) = match text.get(end..)?.find(':') {
            None => (text, None),
            Some(at) => (text.get(..end + at)?, Some(text.get(end + at + 1..)?.to_owned())),
        };
        let mut template = Self { segments: Vec::new(), verb, variables: Vec::new() };
        let mut rest = path;
        loop {
            rest = match rest.strip_prefix('{') {
                Some(inner) => {
                    let (variable, behind) = inner.split_once('}')?;
                    template.variable(variable)?;
                    behind
                }
                None => {
                    let (segment, behind) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                    template.segment(segment)?;
                    behind
                }
            };
            match rest.strip_prefix('/') {
                Some(behind) => rest = behind,
                None => break,
            }
        }
        let ends_well = template.segments.iter().rev().skip(1).all(|segment| *segment != Segment::Rest);
        (rest.is_empty() && ends_well).then_some(template)
    }

    fn variable(&mut self, text: &str) -> Option<()> {
        let (field, pattern) = text.split_once('=').unwrap_or((text, "*"));
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !field.split('.').all(is_name) {
            return None;
        }
        let from = self.segments.len();
        pattern.split('/').try_for_each(|segment| self.segment(segment))?;
        self.variables.push(Variable { field: field.into(), from, to: self.segments.len() });
        Some(())
    }

    fn segment(&mut self, text: &str) -> Option<()> {
        let segment = match text {
            "*" => Segment::One,
            "**" => Segment::Rest,
            "" => return None,
            text if text.contains(['{', '}', '*']) => return None,
            text => Segment::Literal(text.to_owned()),
        };
        self.segments.push(segment);
        Some(())
    }

    /// What decides which of several templates is tried first: literals before `*`, that before `**`, and a verb before none.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        let kinds = self.segments.iter().map(|segment| match segment {
            Segment::Literal(_) => 0,
            Segment::One => 1,
            Segment::Rest => 2,
        });
        (kinds.collect::<Vec<u8>>(), self.verb.is_none())
    }

    /// The fields that a path gives values to, if it matches.
    pub(super) fn find(&self, path: &str) -> Option<Vec<(Arc<str>, String)>> {
        let path = path.strip_prefix('/')?;
        let path = match &self.verb {
            None => path,
            Some(verb) => path.strip_suffix(verb.as_str())?.strip_suffix(':')?,
        };
        let parts: Vec<&str> = path.split('/').collect();
        let rests = self.segments.last() == Some(&Segment::Rest);
        let most = if rests { usize::MAX } else { self.segments.len() };
        if parts.len() > most || parts.len() < self.segments.len() - usize::from(rests) {
            return None;
        }
        let fits = |(segment, part): (&Segment, &&str)| match segment {
            Segment::Literal(text) => decoded(part) == *text,
            Segment::One => !part.is_empty(),
            Segment::Rest => true,
        };
        if !self.segments.iter().zip(&parts).all(fits) {
            return None;
        }
        let value = |variable: &Variable| {
            let to = if rests && variable.to == self.segments.len() { parts.len() } else { variable.to };
            let taken = parts.get(variable.from..to).unwrap_or_default();
            let taken: Vec<_> = taken.iter().map(|part| decoded(part)).collect();
            (Arc::clone(&variable.field), taken.join("/"))
        };
        Some(self.variables.iter().map(value).collect())
    }
}

fn decoded(part: &str) -> String {
    super::end::percent_decoded(part.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_matched_and_taken_apart() {
        for (template, path, found) in [
            ("/v1/users", "/v1/users", Some(&[][..])),
            ("/v1/users", "/v1/users/", None),
            ("/v1/users", "/v1", None),
            ("/v1/users/{id}", "/v1/users/a%20b", Some(&[("id", "a b")])),
            ("/v1/users/{id}", "/v1/users/", None),
            ("/v1/users/{user.id}/x", "/v1/users/7/x", Some(&[("user.id", "7")])),
            ("/v1/{name=shelves/*/books/*}", "/v1/shelves/1/books/2", Some(&[("name", "shelves/1/books/2")])),
            ("/v1/{name=shelves/*/books/*}", "/v1/shelves/1/book/2", None),
            ("/v1/{name=**}", "/v1/a/b/c", Some(&[("name", "a/b/c")])),
            ("/v1/{name=**}", "/v1", Some(&[("name", "")])),
            ("/v1/{a=x/**}", "/v1/x/y", Some(&[("a", "x/y")])),
            ("/v1/{a}/{b}:read", "/v1/1/2:read", Some(&[("a", "1"), ("b", "2")])),
            ("/v1/{a}:read", "/v1/1:write", None),
            ("/v1/{a}", "/v1/1:read", Some(&[("a", "1:read")])),
            ("/v1/*/x", "/v1/anything/x", Some(&[])),
        ] {
            let parsed = Template::parse(template).unwrap();
            let found = found.map(|found| {
                found.iter().map(|(name, value)| (Arc::from(*name), (*value).to_owned())).collect::<Vec<_>>()
            });
            assert_eq!(parsed.find(path), found, "{template} {path}");
        }
    }

    #[test]
    fn what_is_no_template_is_none() {
        for text in [
            "",
            "a",
            "/",
            "//",
            "/a/",
            "/{",
            "/{}",
            "/{a",
            "/{a=}",
            "/{a.}",
            "/a{b}",
            "/**/a",
            "/{a=**}/b",
            "/a*",
            "/{a}b",
        ] {
            assert_eq!(Template::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_narrower_one_is_tried_first() {
        let mut all: Vec<_> =
            ["/a/**", "/a/*", "/a/{b}:c", "/a/b", "/*/b"].map(|text| Template::parse(text).unwrap()).into();
        all.sort_by_key(Template::rank);
        let wanted = ["/a/b", "/a/{b}:c", "/a/*", "/a/**", "/*/b"].map(|text| Template::parse(text).unwrap());
        assert_eq!(all, wanted);
    }
}
