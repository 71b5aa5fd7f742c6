//! References to secrets in plugin blocks: looked up while a configuration is compiled, never on a request's path
//! (model.md §9).
use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::path::{Component, Path};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::model::{Id, Items, SecretManager, SecretSpec, is_reference};

/// The managers of a configuration, and what references to them were answered while it was compiled.
pub(super) struct Secrets<'a> {
    managers: BTreeMap<&'a Id, &'a SecretManager>,
    /// Each reference is looked up once for a configuration, so that all blocks see the same value.
    answers: RefCell<BTreeMap<String, Result<Zeroizing<String>, Unresolved>>>,
    /// Each file or variable is read once, since thousands of references may lead into one.
    sources: RefCell<HashMap<Source, Result<Text, Unresolved>>>,
}

/// Where a text is read.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Source {
    Variable(String),
    /// A folder, and the name of a file in it.
    File(String, String),
}

/// What was read, and what it is as JSON, as soon as somebody wants to know.
struct Text {
    text: Zeroizing<String>,
    json: OnceCell<Option<Value>>,
}

/// What references were answered, as digests: what is kept to compare with is no copy of a secret (security.md SECR-01).
pub(super) type Answers = BTreeMap<String, Result<blake3::Hash, Unresolved>>;

/// A text, or what it refers to, which is wiped when it is done with.
pub(super) enum Told<'t> {
    Written(&'t str),
    Found(Zeroizing<String>),
}

impl Deref for Told<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        match self {
            Self::Written(text) => text,
            Self::Found(text) => text,
        }
    }
}

/// Why a reference has no value. The text never holds one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unresolved {
    #[error("the variable `{0}` is not set")]
    NoVariable(String),
    #[error("there is no secret manager `{0}` among `secrets`")]
    NoManager(String),
    #[error("the manager `{0}` is not asked yet; `env` and `file` are")]
    NotAsked(&'static str),
    #[error("`{0}` is not the name of a file in one folder")]
    BadName(String),
    #[error("the file `{0}` cannot be read")]
    NoFile(String),
    #[error("its value is not text in JSON under `{0}`")]
    NoKey(String),
    #[error("write `$env://NAME`, or `$secret://<manager>/<id>/<key>`")]
    Form,
}

/// A field of a block whose reference has no value.
#[derive(Debug)]
pub(super) struct Fault {
    /// Path of the field in the block.
    pub(super) field: String,
    pub(super) reason: Unresolved,
}

impl<'a> Secrets<'a> {
    pub(super) fn new(managers: &'a Items<SecretSpec>) -> Self {
        let managers = managers.iter().map(|spec| (&spec.id, &spec.manager)).collect();
        Self { managers, answers: RefCell::default(), sources: RefCell::default() }
    }

    /// Whether references that were answered so would be answered differently now.
    pub(super) fn differ_from(&self, answers: &Answers) -> bool {
        answers.iter().any(|(reference, answer)| digest(&self.look_up(reference)) != *answer)
    }

    /// Every reference that was looked up, with its answer.
    pub(super) fn into_answers(self) -> Answers {
        self.answers.into_inner().into_iter().map(|(reference, answer)| (reference, digest(&answer))).collect()
    }

    /// The block with values in the place of references.
    pub(super) fn resolve<'b>(&self, block: &'b Map<String, Value>) -> Result<Cow<'b, Map<String, Value>>, Fault> {
        if !block.values().any(holds_reference) {
            return Ok(Cow::Borrowed(block));
        }
        let mut block = block.clone();
        for (key, value) in &mut block {
            self.fill(value, key)?;
        }
        Ok(Cow::Owned(block))
    }

    /// The text, or what it refers to.
    pub(super) fn text<'t>(&self, text: &'t str) -> Result<Told<'t>, Unresolved> {
        if is_reference(text) { self.answer(text).map(Told::Found) } else { Ok(Told::Written(text)) }
    }

    /// The mode of the file that a reference leads into, if others than its owner may do anything with it.
    #[cfg(all(unix, feature = "tls"))]
    pub(super) fn open_mode(&self, text: &str) -> Option<u32> {
        use std::os::unix::fs::MetadataExt as _;
        let (Source::File(folder, name), _) = self.source(text).ok().filter(|_| is_reference(text))? else {
            return None;
        };
        let mode = std::fs::metadata(Path::new(&folder).join(name)).ok()?.mode() & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    }

    fn fill(&self, value: &mut Value, path: &str) -> Result<(), Fault> {
        match value {
            Value::String(text) if is_reference(text) => {
                *text = self.answer(text).map_err(|reason| Fault { field: path.to_owned(), reason })?.to_string();
                Ok(())
            }
            Value::Array(list) => {
                list.iter_mut().enumerate().try_for_each(|(index, value)| self.fill(value, &format!("{path}.{index}")))
            }
            Value::Object(fields) => {
                fields.iter_mut().try_for_each(|(key, value)| self.fill(value, &format!("{path}.{key}")))
            }
            _ => Ok(()),
        }
    }

    fn answer(&self, reference: &str) -> Result<Zeroizing<String>, Unresolved> {
        if let Some(answer) = self.answers.borrow().get(reference) {
            return answer.clone();
        }
        let answer = self.look_up(reference);
        self.answers.borrow_mut().insert(reference.to_owned(), answer.clone());
        answer
    }

    fn look_up(&self, reference: &str) -> Result<Zeroizing<String>, Unresolved> {
        let (source, key) = self.source(reference)?;
        self.read(source, key)
    }

    /// Where a reference leads, and the keys into JSON behind it.
    fn source<'r>(&self, reference: &'r str) -> Result<(Source, Option<&'r str>), Unresolved> {
        let Some(path) = reference.strip_prefix("$secret://") else {
            // `$env://NAME[/key]`, whose prefix may be in any case.
            let (name, key) = cut(reference.get("$env://".len()..).unwrap_or_default());
            return Ok((Source::Variable(name.to_owned()), key));
        };
        let mut parts = path.splitn(3, '/');
        let (Some(manager), Some(id), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Unresolved::Form);
        };
        let id = format!("{manager}/{id}");
        let found = self.managers.get(&Id::from(&*id)).ok_or(Unresolved::NoManager(id))?;
        let (name, key) = cut(rest);
        match found {
            SecretManager::Env(env) => Ok((Source::Variable(format!("{}{name}", env.prefix)), key)),
            SecretManager::File(file) => Ok((Source::File(file.path.clone(), name.to_owned()), key)),
            SecretManager::Vault(_) => Err(Unresolved::NotAsked("vault")),
            SecretManager::Aws(_) => Err(Unresolved::NotAsked("aws")),
            SecretManager::Gcp(_) => Err(Unresolved::NotAsked("gcp")),
        }
    }

    /// What a source says, or what stands under a path of keys in it.
    fn read(&self, source: Source, key: Option<&str>) -> Result<Zeroizing<String>, Unresolved> {
        let mut sources = self.sources.borrow_mut();
        let read = sources.entry(source).or_insert_with_key(|source| {
            let text = match source {
                Source::Variable(name) => variable(name),
                Source::File(folder, name) => content(Path::new(folder), name),
            };
            text.map(|text| Text { text: text.into(), json: OnceCell::new() })
        });
        match (read, key) {
            (Err(error), _) => Err(error.clone()),
            (Ok(read), None) => Ok(read.text.clone()),
            (Ok(read), Some(key)) => read.under(key),
        }
    }
}

impl Text {
    /// The value under a path of keys, when there is one.
    fn under(&self, key: &str) -> Result<Zeroizing<String>, Unresolved> {
        let json = self.json.get_or_init(|| serde_json::from_str(&self.text).ok());
        match json.as_ref().and_then(|json| json.pointer(&format!("/{key}"))) {
            Some(Value::String(value)) => Ok(value.clone().into()),
            Some(Value::Number(value)) => Ok(value.to_string().into()),
            _ => Err(Unresolved::NoKey(key.to_owned())),
        }
    }
}

fn digest(answer: &Result<Zeroizing<String>, Unresolved>) -> Result<blake3::Hash, Unresolved> {
    answer.as_ref().map(|text| blake3::hash(text.as_bytes())).map_err(Clone::clone)
}

/// The name, and the keys into JSON behind it.
fn cut(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        None => (path, None),
        Some((name, key)) => (name, Some(key)),
    }
}

fn variable(name: &str) -> Result<String, Unresolved> {
    let bad = name.is_empty() || name.contains(['=', '\0']);
    let value = if bad { None } else { std::env::var(name).ok() };
    value.ok_or_else(|| Unresolved::NoVariable(name.to_owned()))
}

fn content(folder: &Path, name: &str) -> Result<String, Unresolved> {
    let mut components = Path::new(name).components();
    let (Some(Component::Normal(file)), None) = (components.next(), components.next()) else {
        return Err(Unresolved::BadName(name.to_owned()));
    };
    let mut text = std::fs::read_to_string(folder.join(file)).map_err(|_| Unresolved::NoFile(name.to_owned()))?;
    // Editors and `echo` end a file so; no secret does.
    let end = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text).len());
    text.truncate(end.unwrap_or(text.len()));
    Ok(text)
}

/// Takes the values of references out of a text about a block.
pub(super) fn veil(text: &str, written: &Map<String, Value>, resolved: &Map<String, Value>) -> String {
    let mut values = Vec::new();
    for (key, value) in written {
        secret_values(value, resolved.get(key), &mut values);
    }
    // A value may hold another one.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let mut text = text.to_owned();
    for value in values.into_iter().filter(|value| !value.is_empty()) {
        text = text.replace(value, "[redacted]");
        // As errors quote it.
        let quoted = value.escape_debug().to_string();
        if quoted != value {
            text = text.replace(&quoted, "[redacted]");
        }
    }
    text
}

fn secret_values<'v>(written: &Value, resolved: Option<&'v Value>, values: &mut Vec<&'v str>) {
    match (written, resolved) {
        (Value::String(text), Some(Value::String(value))) if is_reference(text) => values.push(value),
        (Value::Array(written), Some(Value::Array(resolved))) => {
            written.iter().zip(resolved).for_each(|(written, resolved)| secret_values(written, Some(resolved), values));
        }
        (Value::Object(written), Some(Value::Object(resolved))) => {
            written.iter().for_each(|(key, written)| secret_values(written, resolved.get(key), values));
        }
        _ => {}
    }
}

/// Whether a reference stands anywhere in a value.
pub(super) fn holds_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => is_reference(text),
        Value::Array(list) => list.iter().any(holds_reference),
        Value::Object(object) => object.values().any(holds_reference),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::model::{EnvSecrets, FileSecrets};

    fn managers(folder: &Path) -> Items<SecretSpec> {
        let spec =
            |id: &str, manager| Arc::new(SecretSpec { id: id.into(), create_time: None, update_time: None, manager });
        let file = FileSecrets { path: folder.to_str().unwrap().to_owned() };
        let env = EnvSecrets { prefix: "CARGO_PKG_".to_owned() };
        [spec("file/k8s", SecretManager::File(file)), spec("env/cargo", SecretManager::Env(env))].into_iter().collect()
    }

    #[test]
    fn references_are_looked_up_wherever_they_stand() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "s3cret\n").unwrap();
        std::fs::write(folder.path().join("all.json"), r#"{"redis": {"password": "p", "port": 6380}}"#).unwrap();
        let managers = managers(folder.path());
        let secrets = Secrets::new(&managers);
        let block = json!({
            "a": "$secret://file/k8s/token", "b": ["plain", "$env://CARGO_PKG_NAME"],
            "c": {"d": "$secret://file/k8s/all.json/redis/password", "e": "$secret://file/k8s/all.json/redis/port"},
            "f": "$ENV://CARGO_PKG_NAME", "g": "$secret://env/cargo/NAME",
        });
        let resolved = secrets.resolve(block.as_object().unwrap()).unwrap().into_owned();
        let wanted = json!({
            "a": "s3cret", "b": ["plain", "tollgate"], "c": {"d": "p", "e": "6380"}, "f": "tollgate", "g": "tollgate",
        });
        assert_eq!(Value::Object(resolved), wanted);
        let answers = secrets.into_answers();
        assert!(!Secrets::new(&managers).differ_from(&answers));
        std::fs::write(folder.path().join("token"), "rotated").unwrap();
        assert!(Secrets::new(&managers).differ_from(&answers));
    }

    #[test]
    fn sec_secr_01_what_is_kept_to_compare_with_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "s3cret\n").unwrap();
        let managers = managers(folder.path());
        let secrets = Secrets::new(&managers);
        assert_eq!(&*secrets.text("$secret://file/k8s/token").unwrap(), "s3cret");
        let answers = secrets.into_answers();
        assert_eq!(answers["$secret://file/k8s/token"], Ok(blake3::hash(b"s3cret")));
        assert!(!Secrets::new(&managers).differ_from(&answers));
        std::fs::remove_file(folder.path().join("token")).unwrap();
        assert!(Secrets::new(&managers).differ_from(&answers));
    }

    #[test]
    fn what_has_no_value_is_a_fault_at_its_field() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("text"), "no json").unwrap();
        let managers = managers(folder.path());
        for (reference, says) in [
            ("$env://TOLLGATE_SURELY_NOT_SET", "the variable `TOLLGATE_SURELY_NOT_SET` is not set"),
            ("$env://", "the variable `` is not set"),
            ("$secret://file/k8s/none", "the file `none` cannot be read"),
            ("$secret://file/k8s/..", "`..` is not the name of a file"),
            ("$secret://file/k8s/text/key", "its value is not text in JSON under `key`"),
            ("$secret://file/other/none", "there is no secret manager `file/other`"),
            ("$secret://vault/1/a", "there is no secret manager `vault/1`"),
            ("$secret://file", "write `$env://NAME`"),
        ] {
            let block = json!({"a": [{"b": reference}]});
            let fault = Secrets::new(&managers).resolve(block.as_object().unwrap()).unwrap_err();
            assert_eq!(fault.field, "a.0.b");
            assert!(fault.reason.to_string().contains(says), "{reference}: {}", fault.reason);
        }
    }
}
