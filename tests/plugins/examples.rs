//! The blocks that stand in the documentation of the plugins' modules are taken by a gateway.
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Deserializer, Value};
use tollgate::Gateway;

use super::support::{route_with, snapshot};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a gateway with every plugin says of a document.
fn apply(document: &str) -> Result<(), String> {
    let gateway = Gateway::builder().build().unwrap();
    gateway.apply(snapshot(document)).map(|_| ()).map_err(|error| error.to_string())
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The JSON of a module's documentation: the block of a route, then blocks of consumers.
fn blocks(source: &str) -> Vec<Value> {
    let documentation = source.lines().map_while(|line| line.strip_prefix("//!"));
    let mut inside = false;
    let mut json = String::new();
    for line in documentation {
        match line.trim() {
            "```json" => inside = true,
            "```" => inside = false,
            text if inside => json.push_str(text),
            _ => {}
        }
    }
    Deserializer::from_str(&json).into_iter().collect::<Result<_, _>>().unwrap()
}

/// The same with a text for each reference to a secret.
fn resolved(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("$env://") => Value::from("0123456789abcdef0123456789abcdef"),
        Value::Array(values) => values.into_iter().map(resolved).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, resolved(value))).collect(),
        other => other,
    }
}

#[test]
fn every_block_in_a_plugins_documentation_is_taken() {
    let mut count = 0;
    for path in sources(&root().join("src/plugins")) {
        let blocks = blocks(&fs::read_to_string(&path).unwrap());
        for (index, block) in blocks.into_iter().map(resolved).enumerate() {
            count += 1;
            let document = match index {
                0 => route_with(&block.to_string()),
                _ => format!("consumers: [{{username: someone, plugins: {block}}}]\n"),
            };
            if let Err(faults) = apply(&document) {
                panic!("{}: {block}: {faults}", path.display());
            }
        }
    }
    assert!(count >= 20, "only {count} blocks found");
}
