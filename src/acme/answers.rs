//! What an authority is answered with when it asks over HTTP (http-01, RFC 8555 §8.3).
use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::folder::{Folder, Shelf};

/// What the path of such a question begins with.
pub(super) const PREFIX: &str = "/.well-known/acme-challenge/";

/// The answers of this process, and those that others put into the folder.
#[derive(Debug)]
pub(super) struct Answers {
    own: ArcSwap<HashMap<String, Arc<str>>>,
    /// As the folder was when it was looked at last. Who asks never leads to a look: anybody may ask.
    others: ArcSwap<HashMap<String, Arc<str>>>,
    folder: Arc<Folder>,
}

impl Answers {
    pub(super) fn new(folder: Arc<Folder>) -> Self {
        Self { own: ArcSwap::default(), others: ArcSwap::default(), folder }
    }

    /// The token of a path that asks for an answer.
    pub(super) fn token(path: &str) -> Option<&str> {
        let token = path.strip_prefix(PREFIX)?;
        let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        ((1..=128).contains(&token.len()) && token.bytes().all(is_of_token)).then_some(token)
    }

    /// The answer for a token, of this process or of another.
    pub(super) fn get(&self, token: &str) -> Option<Arc<str>> {
        let own = self.own.load().get(token).cloned();
        own.or_else(|| self.others.load().get(token).cloned())
    }

    /// Takes up what stands in the folder, and nothing else. Blocks.
    pub(super) fn look(&self) {
        // A folder that cannot be read changes nothing.
        let Ok(tokens) = self.folder.names(Shelf::Answers) else { return };
        let known = self.others.load();
        if known.is_empty() && tokens.is_empty() {
            return;
        }
        let read = |token: &str| Some(Arc::from(self.folder.get(Shelf::Answers, token).ok().flatten()?));
        let others = tokens.into_iter().filter_map(|token| {
            let answer = known.get(&token).cloned().or_else(|| read(&token))?;
            Some((token, answer))
        });
        self.others.store(Arc::new(others.collect()));
    }

    /// Makes an answer known, here and to others. Blocks.
    pub(super) fn put(&self, token: &str, answer: &str) -> std::io::Result<()> {
        self.own.rcu(|own| {
            let mut own = HashMap::clone(own);
            own.insert(token.to_owned(), Arc::from(answer));
            own
        });
        self.folder.put(Shelf::Answers, token, answer)
    }

    /// Blocks.
    pub(super) fn remove(&self, token: &str) {
        self.own.rcu(|own| {
            let mut own = HashMap::clone(own);
            own.remove(token);
            own
        });
        self.folder.remove(Shelf::Answers, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_are_looked_for() {
        let token = |rest: &str| Answers::token(&format!("{PREFIX}{rest}")).map(str::to_owned);
        assert_eq!(token("aB3-_").as_deref(), Some("aB3-_"));
        for rest in ["", "a/b", "..", "a.b", "a%2f", &"a".repeat(129)] {
            assert_eq!(token(rest), None, "{rest}");
        }
        assert_eq!(Answers::token("/.well-known/acme-challenge"), None);
    }

    #[test]
    fn answers_are_seen_by_all_on_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let open = || Answers::new(Arc::new(Folder::open(place.path(), "https://acme.test/").unwrap()));
        let (one, other) = (open(), open());
        one.put("token", "answer").unwrap();
        assert_eq!(one.get("token").as_deref(), Some("answer"));
        assert_eq!(other.get("token"), None, "a question does not lead to a look");
        other.look();
        assert_eq!(other.get("token").as_deref(), Some("answer"));
        one.remove("token");
        other.look();
        assert_eq!((one.get("token"), other.get("token")), (None, None));
    }
}
