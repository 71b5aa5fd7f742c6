//! Where an item stands in a store.
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::model::{Id, Kind};

/// Where an item stands in a store, without the store's prefix: `routes/7`, `consumers/jack`,
/// `consumers/jack/credentials/one`, `secrets/vault/1`, `plugin_metadata/prometheus`, `plugins` (config-sources.md §5).
///
/// Keys are ordered as text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    text: Arc<str>,
    kind: Kind,
}

impl Key {
    /// The key of the list of enabled plugins.
    pub const PLUGINS: &'static str = "plugins";

    /// The key of an item: `id` as [`Resource::id`](crate::model::Resource::id) gives it. That of [`Kind::Plugin`] is
    /// the whole list's. `None` for kinds that no store has, an id that is empty, begins or ends with `/`, and one that
    /// would be another kind's.
    pub fn new(kind: Kind, id: &str) -> Option<Self> {
        let text = match kind {
            Kind::Plugin => Self::PLUGINS.to_owned(),
            _ => format!("{}/{id}", kind.root_key()),
        };
        Self::parse(&text).filter(|key| key.kind == kind)
    }

    /// Reads a key. `None` for what is no item: placeholders (`routes/`), scratch keys (`gen_id`), unknown kinds.
    pub fn parse(text: &str) -> Option<Self> {
        if text == Self::PLUGINS {
            return Some(Self { text: text.into(), kind: Kind::Plugin });
        }
        let (folder, id) = text.split_once('/')?;
        let kind = Kind::LISTS.into_iter().find(|kind| *kind != Kind::Plugin && kind.root_key() == folder)?;
        if id.is_empty() || id.split('/').any(str::is_empty) {
            return None;
        }
        let kind = match (kind, id.split('/').collect::<Vec<_>>().as_slice()) {
            (Kind::Consumer, [_, "credentials", _]) => Kind::Credential,
            (Kind::Secret, [_, _]) => Kind::Secret,
            (Kind::Secret, _) => return None,
            (kind, [_]) => kind,
            _ => return None,
        };
        Some(Self { text: text.into(), kind })
    }

    /// What the item is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The item's id; empty for the list of enabled plugins.
    pub fn id(&self) -> &str {
        self.text.split_once('/').map_or("", |(_, id)| id)
    }

    /// The item's id as such.
    pub fn to_id(&self) -> Id {
        Id::from(self.id())
    }

    /// The whole key.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the keys of all items of a kind begin with: `routes/`. Consumers and credentials share one.
    pub fn folder(kind: Kind) -> String {
        match kind {
            Kind::Plugin => Self::PLUGINS.to_owned(),
            kind => format!("{}/", kind.root_key()),
        }
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_reference() {
        for (text, expected) in [
            ("routes/7", Some((Kind::Route, "7"))),
            ("consumers/jack", Some((Kind::Consumer, "jack"))),
            ("consumers/jack/credentials/one", Some((Kind::Credential, "jack/credentials/one"))),
            ("secrets/vault/1", Some((Kind::Secret, "vault/1"))),
            ("plugin_metadata/prometheus", Some((Kind::PluginMetadata, "prometheus"))),
            ("plugins", Some((Kind::Plugin, ""))),
            ("routes/", None),
            ("routes", None),
            ("routes/a/b", None),
            ("routes//b", None),
            ("consumers/jack/credentials/", None),
            ("consumers/jack/other/one", None),
            ("secrets/vault", None),
            ("gen_id", None),
            ("data_plane/server_info/1", None),
        ] {
            let key = Key::parse(text);
            assert_eq!(key.as_ref().map(|key| (key.kind(), key.id())), expected, "{text}");
            if let Some((kind, id)) = expected {
                assert_eq!(Key::new(kind, id), key, "{text}");
            }
        }
        assert_eq!(Key::new(Kind::Consumer, "jack/credentials/one"), None, "a credential's id is no consumer's");
        assert_eq!(Key::new(Kind::Settings, "1"), None);
    }
}
