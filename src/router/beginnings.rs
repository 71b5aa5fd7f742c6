//! Which paths can match at all, told by one byte.
use super::pattern::Step;

/// How many patterns go on with which byte behind their first slash. A path that goes on with another one has no route,
/// whatever its host: what scanners ask for mostly ends here, before anything else is looked at.
#[derive(Clone, Debug)]
pub(super) struct Beginnings {
    by_byte: [u32; 256],
    /// Patterns that leave it open.
    open: u32,
}

impl Default for Beginnings {
    fn default() -> Self {
        Self { by_byte: [0; 256], open: 0 }
    }
}

impl Beginnings {
    pub(super) fn add(&mut self, steps: &[Step]) {
        let count = self.count(steps);
        *count = count.saturating_add(1);
    }

    pub(super) fn remove(&mut self, steps: &[Step]) {
        let count = self.count(steps);
        *count = count.saturating_sub(1);
    }

    /// The count to which a pattern belongs.
    fn count(&mut self, steps: &[Step]) -> &mut u32 {
        let byte = match steps {
            [Step::Literal(literal), ..] => literal.get(1),
            _ => None,
        };
        match byte.and_then(|byte| self.by_byte.get_mut(usize::from(*byte))) {
            Some(count) => count,
            None => &mut self.open,
        }
    }

    /// Whether some pattern may match. Says yes too often, never too seldom.
    #[inline]
    pub(super) fn allow(&self, path: &[u8]) -> bool {
        let count = |byte: &u8| self.by_byte.get(usize::from(*byte)).is_none_or(|count| *count > 0);
        self.open > 0 || path.get(1).is_none_or(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HostName, NoMatch, NoVariables, PathMode, Query, Router, RouterOptions, Rule};
    use http::Method;

    fn is_found(router: &Router<()>, path: &str) -> bool {
        let host = HostName::parse("a.example").unwrap();
        let query =
            Query { method: &Method::GET, host: Some(&host), path: path.as_bytes(), client: None, vars: &NoVariables };
        match router.find(&query) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error, NoMatch::NotFound);
                false
            }
        }
    }

    #[test]
    fn only_patterns_that_fix_the_byte_close_it() {
        for host_first in [true, false] {
            for path_mode in [PathMode::Strict, PathMode::Compatible] {
                let options = RouterOptions { host_first, path_mode, ..RouterOptions::default() };
                for (pattern, takes) in [
                    ("*", ["/", "/a", "/z"].as_slice()),
                    ("/*", &["/", "/a", "/z"]),
                    ("/:name", &["/a", "/z"]),
                    ("/*inner/a", &["/b/a", "/z/a"]),
                    ("/", &["/"]),
                    ("/a*", &["/a", "/ab"]),
                ] {
                    let mut router = Router::new(options);
                    router.insert(Rule::new("fixed", "/q", ())).unwrap();
                    router.insert(Rule::new("rule", pattern, ())).unwrap();
                    for path in takes {
                        assert!(is_found(&router, path), "{pattern} takes {path}");
                    }
                    assert!(is_found(&router, "/q"));
                    assert!(router.remove("rule"));
                    for path in takes {
                        assert!(!is_found(&router, path), "{pattern} is gone");
                    }
                    assert!(is_found(&router, "/q"));
                    router.insert(Rule::new("fixed", "/r", ())).unwrap();
                    assert!(is_found(&router, "/r") && !is_found(&router, "/q"));
                }
            }
        }
    }
}
