//! Which certificate answers a server name (router.md §8).
use std::collections::HashMap;

/// Values, such as certificates, by server name.
///
/// An exact name wins over a wildcard, a wildcard (`*.x.io`, exactly one label) over `*`. Of values of the same name
/// the first that was added wins.
#[derive(Clone, Debug)]
pub struct SniTable<T> {
    exact: HashMap<Box<str>, T>,
    /// By what follows `*.`.
    wildcards: HashMap<Box<str>, T>,
    any: Option<T>,
}

/// Why a server name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("server name {0:?}: use a name, *.name for one label below it, or * for every name")]
pub struct SniFault(
    /// The name.
    pub String,
);

impl<T> Default for SniTable<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wildcards: HashMap::new(), any: None }
    }
}

impl<T: Clone> SniTable<T> {
    /// Adds a value under each of its names.
    ///
    /// # Errors
    /// [`SniFault`] at the first name that is none; names before it are in.
    pub fn insert<'a>(&mut self, names: impl IntoIterator<Item = &'a str>, value: &T) -> Result<(), SniFault> {
        for name in names {
            let normal = normalise(name);
            let (table, key) = match normal.strip_prefix('*') {
                Some("") => {
                    self.any.get_or_insert_with(|| value.clone());
                    continue;
                }
                Some(rest) => (&mut self.wildcards, rest.strip_prefix('.').unwrap_or_default()),
                None => (&mut self.exact, &*normal),
            };
            if key.is_empty() || key.contains('*') {
                return Err(SniFault(name.to_owned()));
            }
            table.entry(key.into()).or_insert_with(|| value.clone());
        }
        Ok(())
    }
}

impl<T> SniTable<T> {
    /// The value for the name that a client asks for; `None` ends the handshake. A client that names nothing is to be
    /// looked up by the configured fallback.
    pub fn find(&self, name: &str) -> Option<&T> {
        let name = normalise(name);
        let wildcard = || name.split_once('.').filter(|(label, _)| !label.is_empty());
        self.exact
            .get(&*name)
            .or_else(|| wildcard().and_then(|(_, rest)| self.wildcards.get(rest)))
            .or(self.any.as_ref().filter(|_| !name.is_empty()))
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty() && self.any.is_none()
    }
}

/// Lower case, without one trailing dot.
fn normalise(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
