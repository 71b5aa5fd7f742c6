//! [`Sealing`]: the secrets of items, encrypted, opened, hidden and put back.
use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Key, Keyring};
use crate::model::Kind;
use crate::plugin::{REDACTED, SecretFields, is_secret_reference};

/// What the text of an encrypted secret begins with. Behind it in base64: nonce, AES-GCM of the value's JSON text, tag.
pub(super) const SEALED: &str = "$sealed$1$";

/// What keeps the secrets of items from whoever reads a store, a copy of it, or an answer: private keys, and the fields
/// that plugins name ([`Plugin::SECRET_FIELDS`](crate::plugin::Plugin::SECRET_FIELDS)). References to secrets
/// (`$secret://…`, `$env://…`) are none, and stay as they are.
#[derive(Clone, Debug, Default)]
pub struct Sealing {
    keyring: Option<Keyring>,
    fields: Arc<SecretFields>,
}

/// Why secrets of an item could not be encrypted or decrypted. It names the item and the field, and no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {field}: {fault}")]
pub struct SealError {
    /// The item.
    pub key: Key,
    /// The field from the item's root, with dots: `keys.0`, `plugins.key-auth.key`.
    pub field: String,
    /// What is wrong with it.
    pub fault: SealFault,
}

/// What is wrong with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealFault {
    /// It is encrypted, and there are no keys.
    #[error("is encrypted, and there is no keyring: set `tollgate.keyring` to the keys that it was written with")]
    NoKeyring,
    /// It is encrypted with a key that is not there, was changed, or was taken from another place.
    #[error(
        "cannot be decrypted: it was encrypted with a key that `tollgate.keyring` does not have, or was changed or copied \
         from another field since: add the key, or write the secret again"
    )]
    NotOpened,
    /// It could not be encrypted.
    #[error("cannot be encrypted")]
    NotSealed,
}

impl Sealing {
    /// With these keys, for these fields. Without keys nothing is encrypted, and hiding works all the same.
    pub fn new(keyring: Option<Keyring>, fields: impl Into<Arc<SecretFields>>) -> Self {
        Self { keyring, fields: fields.into() }
    }

    /// The keys.
    pub fn keyring(&self) -> Option<&Keyring> {
        self.keyring.as_ref()
    }

    /// Encrypts the secrets of an item. What is encrypted already stays as it is.
    ///
    /// # Errors
    /// When the cipher fails; the item must then not be written.
    pub fn seal(&self, key: &Key, value: &mut Value) -> Result<(), SealError> {
        let Some(keyring) = &self.keyring else { return Ok(()) };
        self.each(key, value, |plugin, field, value| match keyring.is_compatible() {
            true => seal_compatibly(keyring, key, plugin, value),
            false => seal(keyring, &place(key, field), value),
        })
    }

    /// Decrypts the secrets of an item, in our form and in the reference's. What is not encrypted stays as it is. An
    /// error leaves the item partly decrypted.
    ///
    /// # Errors
    /// When one is encrypted and cannot be decrypted.
    pub fn open(&self, key: &Key, value: &mut Value) -> Result<(), SealError> {
        self.each(key, value, |plugin, field, value| open(self.keyring.as_ref(), key, plugin, field, value))
    }

    /// Puts `[redacted]` in the place of each secret of an item.
    pub fn redact(&self, key: &Key, value: &mut Value) {
        self.visit(key, value, &mut |_, _, value| {
            if !value.as_str().is_some_and(|text| text.is_empty() || is_secret_reference(text)) {
                *value = REDACTED.into();
            }
        });
    }

    /// As [`Sealing::redact`], and of a plugin that is not known in the place of every text and number: for whoever may see
    /// no secret at all. It cannot be put back.
    #[cfg(feature = "admin")]
    pub(crate) fn conceal(&self, key: &Key, value: &mut Value) {
        if let (Kind::PluginMetadata, Value::Object(block)) = (key.kind(), &mut *value) {
            let id = block.remove("id");
            self.fields.redact_block(key.id(), block);
            block.extend(id.map(|id| ("id".to_owned(), id)));
        } else {
            self.fields.redact(key.kind(), value);
        }
    }

    /// Hands over each private key of an item, with its field: what not even those see who may see secrets.
    #[cfg(feature = "admin")]
    pub(crate) fn visit_private_keys(&self, key: &Key, value: &mut Value, visit: &mut dyn FnMut(&str, &mut Value)) {
        self.visit(key, value, &mut |plugin, field, value| {
            let own = plugin.is_none() && key.kind() == Kind::Ssl;
            // References are no secrets, they only name them (SECR-04).
            let is_key = own || field.ends_with("client_key") || field.ends_with("private_key");
            if is_key && !value.as_str().is_some_and(is_secret_reference) {
                visit(field, value);
            }
        });
    }

    /// Puts the stored secrets where `[redacted]` was written, and tells the fields of which none is stored. Inside a list
    /// one counts as stored only if the list is as long as it was and the element is what it was but for its secrets:
    /// else it might be another's.
    pub fn restore(&self, key: &Key, value: &mut Value, stored: &Value) -> Vec<String> {
        let (mut shown, mut was) = (value.clone(), stored.clone());
        self.redact(key, &mut shown);
        self.redact(key, &mut was);
        let mut secrets = BTreeMap::new();
        self.visit(key, &mut stored.clone(), &mut |_, field, value| {
            secrets.insert(field.to_owned(), value.take());
        });
        let mut missing = Vec::new();
        self.visit(key, value, &mut |_, field, value| {
            if value == REDACTED {
                match secrets.remove(field).filter(|_| same_elements(field, &shown, &was)) {
                    Some(secret) => *value = secret,
                    None => missing.push(field.to_owned()),
                }
            }
        });
        missing
    }

    fn visit(&self, key: &Key, value: &mut Value, visit: &mut dyn FnMut(Option<&str>, &str, &mut Value)) {
        match key.kind() {
            // stored without an id it would be nobody's
            Kind::PluginMetadata => {
                self.fields.visit_block(key.id(), value, &mut |field, value| visit(Some(key.id()), field, value));
            }
            kind => self.fields.visit(kind, value, visit),
        }
    }

    /// Visits until the first fault.
    fn each(
        &self,
        key: &Key,
        value: &mut Value,
        mut work: impl FnMut(Option<&str>, &str, &mut Value) -> Result<(), SealFault>,
    ) -> Result<(), SealError> {
        let mut first = None;
        self.visit(key, value, &mut |plugin, field, value| {
            if first.is_none()
                && let Err(fault) = work(plugin, field, value)
            {
                first = Some(SealError { key: key.clone(), field: field.to_owned(), fault });
            }
        });
        first.map_or(Ok(()), Err)
    }
}

/// Whether a field stands in equal elements of lists that are equally long, if it stands in any.
fn same_elements(field: &str, mut left: &Value, mut right: &Value) -> bool {
    for step in field.split('.') {
        let (before, after) = match (left, right) {
            // Whatever else is in the element is compared along with it.
            (Value::Array(left), Value::Array(right)) => {
                let Ok(at) = step.parse::<usize>() else { return false };
                return left.len() == right.len() && left.get(at) == right.get(at);
            }
            (left, right) => (left.get(step), right.get(step)),
        };
        // A name with a dot in it: no list is on the way to it.
        let (Some(before), Some(after)) = (before, after) else { return true };
        (left, right) = (before, after);
    }
    true
}

/// What a secret is bound to: its item and field. Elements of arrays may change their places.
fn place(key: &Key, field: &str) -> Vec<u8> {
    let step = |step| if str::parse::<usize>(step).is_ok() { "*" } else { step };
    let field: Vec<_> = field.split('.').map(step).collect();
    format!("{key}\n{}", field.join(".")).into_bytes()
}

/// Whether a value is no secret, or one that is encrypted already.
fn is_open_to_all(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with(SEALED) || is_secret_reference(text))
}

fn seal(keyring: &Keyring, place: &[u8], value: &mut Value) -> Result<(), SealFault> {
    if is_open_to_all(value) {
        return Ok(());
    }
    let sealed = keyring.seal(place, value.to_string().as_bytes()).map_err(|_| SealFault::NotSealed)?;
    *value = format!("{SEALED}{}", STANDARD.encode(sealed)).into();
    Ok(())
}

/// As the reference does: texts alone, private keys as PEM alone, and nothing that it does not read encrypted.
fn seal_compatibly(keyring: &Keyring, key: &Key, plugin: Option<&str>, value: &mut Value) -> Result<(), SealFault> {
    let Some(text) = value.as_str().filter(|_| !is_open_to_all(value)) else { return Ok(()) };
    let is_pem = text.starts_with("---");
    let is_sealed = !is_pem && open_compatible(keyring, text).is_some();
    if is_sealed || (plugin.is_none() && (!is_pem || key.kind() == Kind::Secret)) {
        return Ok(());
    }
    let sealed = keyring.seal_compatibly(text.as_bytes()).map_err(|_| SealFault::NotSealed)?;
    *value = STANDARD.encode(sealed).into();
    Ok(())
}

fn open(
    keyring: Option<&Keyring>,
    key: &Key,
    plugin: Option<&str>,
    field: &str,
    value: &mut Value,
) -> Result<(), SealFault> {
    let Some(text) = value.as_str() else { return Ok(()) };
    if let Some(sealed) = text.strip_prefix(SEALED) {
        let keyring = keyring.ok_or(SealFault::NoKeyring)?;
        let sealed = STANDARD.decode(sealed).map_err(|_| SealFault::NotOpened)?;
        let plain = keyring.open(&place(key, field), &sealed).map_err(|_| SealFault::NotOpened)?;
        *value = serde_json::from_slice(&plain).map_err(|_| SealFault::NotOpened)?;
        return Ok(());
    }
    let Some(keyring) = keyring else { return Ok(()) };
    match open_compatible(keyring, text) {
        Some(plain) => *value = plain.into(),
        // A private key that is neither PEM nor a reference can only be one that was encrypted with another key. A
        // plugin's secret may be any text.
        None if plugin.is_none() && key.kind() == Kind::Ssl && is_ciphertext(text) => return Err(SealFault::NotOpened),
        None => {}
    }
    Ok(())
}

/// What the reference encrypted: base64 of whole blocks that decrypt to text. A secret that is no ciphertext passes for one
/// with a probability of 1 to 1.5 million at most, as its padding has to be right and the rest of it text.
fn open_compatible(keyring: &Keyring, text: &str) -> Option<String> {
    let sealed = STANDARD.decode(text).ok().filter(|sealed| !sealed.is_empty() && sealed.len() % 16 == 0)?;
    keyring.open_compatible(&sealed).ok()
}

fn is_ciphertext(text: &str) -> bool {
    STANDARD.decode(text).is_ok_and(|sealed| !sealed.is_empty() && sealed.len() % 16 == 0)
}

#[cfg(feature = "keyring")]
#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sealing(keys: &[&str]) -> Sealing {
        let fields = SecretFields::new([
            ("key-auth".to_owned(), vec!["key".to_owned()]),
            ("basic-auth".to_owned(), vec!["password".to_owned()]),
            ("lists".to_owned(), vec!["rules.*.password".to_owned()]),
        ]);
        Sealing::new((!keys.is_empty()).then(|| Keyring::new(keys).unwrap()), fields)
    }

    fn compatible(keys: &[&str]) -> Sealing {
        let sealing = sealing(keys);
        Sealing { keyring: sealing.keyring.map(|keyring| keyring.compatible(true)), ..sealing }
    }

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    const OLD: &str = "0123456789abcdef";
    const NEW: &str = "0123456789abcdef0123456789abcdef";

    /// Items of all kinds that have secrets, and the secrets in them.
    fn items() -> Vec<(Key, Value)> {
        vec![
            (
                key("ssls/1"),
                json!({"cert": "c", "key": "---canary", "keys": ["---canary", "$env://KEY"], "snis": ["a"]}),
            ),
            (key("upstreams/1"), json!({"tls": {"client_key": "---canary"}, "affinity": {"secret": "canary"}})),
            (key("consumers/jack/credentials/1"), json!({"plugins": {"key-auth": {"key": "canary"}}})),
            (key("plugin_metadata/key-auth"), json!({"key": "canary", "other": 1})),
            (key("secrets/vault/1"), json!({"uri": "u", "token": "canary"})),
            (
                key("routes/1"),
                json!({"plugins": {"lists": {"rules": [{"password": 7}, {"password": {"canary": ["canary"]}}, {}]},
                    "other": {"key": "open"}}}),
            ),
        ]
    }

    #[test]
    fn what_is_sealed_comes_back_with_every_length_of_keys() {
        for keys in [&[OLD][..], &[NEW], &[NEW, OLD]] {
            for (key, item) in items() {
                let sealing = sealing(keys);
                let mut sealed = item.clone();
                sealing.seal(&key, &mut sealed).unwrap();
                assert!(!sealed.to_string().contains("canary"), "{sealed}");
                let once = sealed.clone();
                sealing.seal(&key, &mut sealed).unwrap();
                assert_eq!(sealed, once, "sealing twice is sealing once");
                sealing.open(&key, &mut sealed).unwrap();
                assert_eq!(sealed, item);
                sealing.open(&key, &mut sealed).unwrap();
                assert_eq!(sealed, item, "what is open stays open");
            }
        }
    }

    #[test]
    fn equal_secrets_do_not_look_equal() {
        let mut item = json!({"keys": ["---same", "---same"]});
        sealing(&[OLD]).seal(&key("ssls/1"), &mut item).unwrap();
        assert_ne!(item["keys"][0], item["keys"][1]);
    }

    #[test]
    fn keys_are_changed_by_putting_a_new_one_first() {
        let (key, item) = items().remove(0);
        let mut sealed = item.clone();
        sealing(&[OLD]).seal(&key, &mut sealed).unwrap();
        let both = sealing(&[NEW, OLD]);
        both.open(&key, &mut sealed).unwrap();
        assert_eq!(sealed, item);
        both.seal(&key, &mut sealed).unwrap();
        sealing(&[NEW]).open(&key, &mut sealed).unwrap();
        assert_eq!(sealed, item);
    }

    #[test]
    fn faults_name_the_item_and_no_secret() {
        let (ssl, item) = items().remove(0);
        let mut sealed = item.clone();
        sealing(&[OLD]).seal(&ssl, &mut sealed).unwrap();
        let fault = |sealing: Sealing, key: &Key, mut item: Value| sealing.open(key, &mut item).unwrap_err();
        let wrong = fault(sealing(&["another key of 16"[..16].as_ref()]), &ssl, sealed.clone());
        assert_eq!((wrong.key.clone(), &*wrong.field, wrong.fault), (ssl.clone(), "key", SealFault::NotOpened));
        let missing = fault(sealing(&[]), &ssl, sealed.clone());
        assert_eq!(missing.fault, SealFault::NoKeyring);
        assert!(missing.to_string().starts_with("ssls/1: key: is encrypted, and there is no keyring"), "{missing}");
        let moved = fault(sealing(&[OLD]), &key("ssls/2"), sealed.clone());
        assert_eq!(moved.fault, SealFault::NotOpened, "another item's");
        let mut swapped = sealed.clone();
        swapped["keys"][0] = sealed["key"].clone();
        assert_eq!(fault(sealing(&[OLD]), &ssl, swapped).field, "keys.0", "another field's");
        let text = sealed["key"].as_str().unwrap().to_owned();
        for at in SEALED.len()..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let mut changed = sealed.clone();
            changed["key"] = String::from_utf8(bytes).unwrap().into();
            assert_eq!(fault(sealing(&[OLD]), &ssl, changed).fault, SealFault::NotOpened, "byte {at}");
        }
        for length in SEALED.len()..text.len() {
            let mut cut = sealed.clone();
            cut["key"] = text[..length].into();
            assert_eq!(fault(sealing(&[OLD]), &ssl, cut).fault, SealFault::NotOpened, "{length} bytes");
        }
    }

    /// `77+N…` stands in the reference's test `t/node/data_encrypt.t`, as what it wrote for `bar` with this key.
    #[test]
    fn what_the_reference_wrote_is_read_and_written() {
        let keys = ["edd1c9f0985e76a2"];
        let written = json!({"plugins": {"basic-auth": {"password": "77+NmbYqNfN+oLm0aX5akg=="}}});
        let clear = json!({"plugins": {"basic-auth": {"password": "bar"}}});
        for sealing in [sealing(&keys), compatible(&keys), sealing(&[NEW, keys[0]])] {
            let mut item = written.clone();
            sealing.open(&key("consumers/foo"), &mut item).unwrap();
            assert_eq!(item, clear);
        }
        let mut item = clear.clone();
        for _ in 0..2 {
            compatible(&keys).seal(&key("consumers/foo"), &mut item).unwrap();
            assert_eq!(item, written);
        }
    }

    #[test]
    fn compatible_items_are_encrypted_where_the_reference_reads_them_so() {
        for keys in [[OLD], [NEW]] {
            let sealing = compatible(&keys);
            for (key, item) in items() {
                let mut sealed = item.clone();
                sealing.seal(&key, &mut sealed).unwrap();
                assert!(!sealed.to_string().contains("---"), "{sealed}");
                assert_eq!(sealed.get("token"), item.get("token"), "managers' own fields stay");
                sealing.open(&key, &mut sealed).unwrap();
                assert_eq!(sealed, item);
            }
        }
        // a private key that another key encrypted cannot be taken for one in clear
        let mut item = json!({"key": "---canary"});
        compatible(&[OLD]).seal(&key("ssls/1"), &mut item).unwrap();
        let error = sealing(&[NEW]).open(&key("ssls/1"), &mut item).unwrap_err();
        assert_eq!(error.fault, SealFault::NotOpened);
    }

    #[test]
    fn what_is_hidden_is_put_back() {
        for (key, item) in items() {
            let sealing = sealing(&[]);
            let mut hidden = item.clone();
            sealing.redact(&key, &mut hidden);
            assert!(!hidden.to_string().contains("canary") && hidden.to_string().contains(REDACTED), "{hidden}");
            assert_eq!(sealing.restore(&key, &mut hidden, &item), [""; 0]);
            assert_eq!(hidden, item);
        }
        let sealing = sealing(&[]);
        let stored = json!({"keys": ["---one", "---two"], "key": "---three"});
        let mut item = json!({"keys": [REDACTED, "---new", REDACTED], "key": REDACTED, "labels": {"key": REDACTED}});
        assert_eq!(sealing.restore(&key("ssls/1"), &mut item, &stored), ["keys.0", "keys.2"], "the list is longer");
        assert_eq!(
            item,
            json!({"keys": [REDACTED, "---new", REDACTED], "key": "---three", "labels": {"key": REDACTED}})
        );
        let fields = SecretFields::new([("split".to_owned(), vec!["list.*.secret".to_owned()])]);
        let sealing = Sealing::new(None, fields);
        let block = |list: Value| json!({"plugins": {"split": {"list": list}}});
        let stored = block(json!([{"to": "a", "secret": "---a"}, {"to": "b", "secret": "---b"}]));
        let hidden = |to: &str| json!({"to": to, "secret": REDACTED});
        for (list, missing) in [
            (json!([hidden("a"), hidden("b")]), vec![]),
            (json!([hidden("a"), {"to": "c", "secret": "---c"}]), vec![]),
            (json!([hidden("b"), hidden("a")]), vec!["plugins.split.list.0", "plugins.split.list.1"]),
            (json!([hidden("b")]), vec!["plugins.split.list.0"]),
        ] {
            let missing: Vec<_> = missing.into_iter().map(|field| format!("{field}.secret")).collect();
            assert_eq!(sealing.restore(&key("routes/1"), &mut block(list.clone()), &stored), missing, "{list}");
        }
    }

    #[test]
    fn keys_have_16_or_32_bytes() {
        use crate::store::KeyringError;
        assert_eq!(Keyring::new([""; 0]).unwrap_err(), KeyringError::Empty);
        for length in [0, 1, 15, 17, 24, 31, 33, 64] {
            let keys = [OLD.as_bytes().to_vec(), vec![b'k'; length]];
            assert_eq!(Keyring::new(keys).unwrap_err(), KeyringError::Length { position: 2, length });
        }
        assert_eq!(format!("{:?}", Keyring::new([OLD, NEW]).unwrap()), "Keyring(2 keys)");
    }
}
