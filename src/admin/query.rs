//! The arguments of a request.
use super::answer::Answer;

/// The arguments behind `?`. Of one that stands twice the last counts.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is exactly `true`.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// A number, where one is given.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Answer> {
        let Some(text) = self.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Answer::bad(format!("invalid argument {name}: write a whole number")))
    }
}
