//! How a request's counter is named, in this process and in Redis.
use super::hash::{Key, Namespace};
use super::key::{KeySpec, Pieces};

/// A longer key stands in Redis as its hash: a client may choose it, and must not choose how much memory it takes.
const LONGEST: usize = 256;

/// What all counters of a block have in common.
pub(crate) struct Naming {
    pub(crate) namespace: Namespace,
    /// What stands before the key in Redis; `None` where there is none.
    pub(crate) prefix: Option<Vec<u8>>,
    /// What stands behind the key: the action of a workflow.
    pub(crate) suffix: Option<String>,
}

/// The name of one counter.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) key: Key,
    /// The name in Redis; empty where there is none.
    pub(crate) text: Vec<u8>,
}

/// What names the counter of a block, or of one of its rules.
pub(crate) struct CounterKey {
    spec: KeySpec,
    /// Of several rules: the number of this one.
    rule: Option<String>,
}

impl CounterKey {
    /// The key of a block. Every request has one.
    pub(crate) fn of_block(spec: KeySpec) -> Self {
        Self { spec, rule: None }
    }

    /// The key of a rule, by its number. Requests without any of its variables have none.
    pub(crate) fn of_rule(spec: KeySpec, number: usize) -> Self {
        Self { spec, rule: Some(number.to_string()) }
    }

    /// The name of a request's counter, if it has one.
    pub(crate) fn name<B>(&self, naming: &Naming, request: &http::Request<B>) -> Option<Name> {
        let Some(prefix) = &naming.prefix else {
            let mut writer = naming.namespace.writer();
            self.write(naming, request, &mut writer)?;
            return Some(Name { key: writer.finish(), text: Vec::new() });
        };
        let mut text = prefix.clone();
        self.write(naming, request, &mut text)?;
        let key = naming.namespace.key(text.get(prefix.len()..).unwrap_or_default());
        shorten(&mut text, prefix.len());
        Some(Name { key, text })
    }

    /// The key of a request as text, for logs.
    pub(crate) fn text<B>(&self, request: &http::Request<B>) -> String {
        let mut text = Vec::new();
        self.spec.write(request, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn write<B>(&self, naming: &Naming, request: &http::Request<B>, to: &mut impl Pieces) -> Option<()> {
        match &self.rule {
            None => self.spec.write(request, to),
            Some(number) => {
                self.spec.write_resolved(request, to).then_some(())?;
                // two rules may have the same text for different reasons
                to.piece(b"#");
                to.piece(number.as_bytes());
            }
        }
        if let Some(suffix) = &naming.suffix {
            to.piece(b":");
            to.piece(suffix.as_bytes());
        }
        Some(())
    }
}

fn shorten(name: &mut Vec<u8>, prefix: usize) {
    let key = name.get(prefix..).unwrap_or_default();
    if key.len() > LONGEST {
        let hash = blake3::hash(key);
        name.truncate(prefix);
        name.extend_from_slice(b"blake3:");
        name.extend_from_slice(hash.to_hex().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::limit::hash::Secret;

    fn names(prefix: Option<&str>, suffix: Option<&str>) -> Naming {
        let prefix = prefix.map(|prefix| prefix.as_bytes().to_vec());
        Naming { namespace: Secret::random().namespace(b"n"), prefix, suffix: suffix.map(str::to_owned) }
    }

    #[test]
    fn blocks_rules_and_actions_have_names_of_their_own() {
        let request = http::Request::builder().header("x-a", "v").body(()).unwrap();
        let spec = |template| KeySpec::template("limit-count", "key", template).unwrap();
        let text = |key: &CounterKey, naming: &Naming| {
            key.name(naming, &request).map(|name| String::from_utf8(name.text).unwrap()).unwrap_or_default()
        };
        let (plain, action) = (names(Some("p:"), None), names(Some("p:"), Some("2")));
        assert_eq!(text(&CounterKey::of_block(spec("$http_x_a")), &plain), "p:v");
        assert_eq!(text(&CounterKey::of_block(spec("$http_x_a")), &action), "p:v:2");
        assert_eq!(text(&CounterKey::of_rule(spec("<$http_x_a>"), 3), &action), "p:<v>#3:2");
        assert_eq!(text(&CounterKey::of_rule(spec("$http_x_b"), 3), &action), "");
        // as a hash alone, where no Redis is asked
        let here = names(None, None);
        let name = CounterKey::of_block(spec("$http_x_a")).name(&here, &request).unwrap();
        assert_eq!((name.key, name.text.len()), (here.namespace.key(b"v"), 0));
    }

    #[test]
    fn long_keys_are_short_in_redis() {
        let name = |length: usize| {
            let mut name = [b"p:".to_vec(), vec![b'x'; length]].concat();
            shorten(&mut name, 2);
            name
        };
        assert_eq!(name(256).len(), 2 + 256);
        assert_eq!(name(257).len(), 2 + 7 + 64);
        assert!(name(257).starts_with(b"p:blake3:") && name(257) != name(258));
    }
}
