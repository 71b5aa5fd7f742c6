//! The manifest and the tree say what is so: the Rust version, the features, what lies where.
#![cfg(test)]
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What our own code asks for: `let` chains. Raise it with the first use of something newer; clippy tells (`incompatible_msrv`)
/// when that is a newer part of the standard library.
const OWN_CODE: [u64; 3] = [1, 88, 0];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn manifest() -> String {
    fs::read_to_string(root().join("Cargo.toml")).unwrap()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn version(text: &str) -> [u64; 3] {
    let mut numbers = text.split('.').map(|number| number.parse().unwrap());
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

/// `name version` of everything that a build with default features compiles here: `cargo tree` resolves features as a
/// build does, without those that only the development dependencies turn on.
fn default_tree() -> BTreeSet<(String, String)> {
    let tree = cargo(&["tree", "--locked", "--edges", "no-dev", "--prefix", "none", "--format", "{p}"]);
    let package = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    };
    tree.lines().filter_map(package).collect()
}

#[test]
fn rust_version_is_what_the_default_tree_asks_for() {
    let tree = default_tree();
    let about = cargo(&["-vV"]);
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = cargo(&["metadata", "--locked", "--format-version", "1", "--filter-platform", host]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let mut own = None;
    let mut highest = (OWN_CODE, "our own code".to_owned());
    for package in metadata["packages"].as_array().unwrap() {
        let (name, at) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        let Some(asked) = package["rust_version"].as_str().map(version) else { continue };
        if name == "tollgate" {
            own = Some(asked);
        } else if tree.contains(&(name.to_owned(), at.to_owned())) && asked > highest.0 {
            highest = (asked, format!("{name} {at}"));
        }
    }
    assert!(tree.len() > 20, "only {} packages in the default tree", tree.len());
    assert_eq!(own, Some(highest.0), "rust-version in Cargo.toml, against {}", highest.1);
}

#[test]
fn top_level_shows_only_what_belongs_there() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "examples",
        "tests",
        "benches",
        "docs",
        "CHANGELOG.md",
        "README.md",
        "SECURITY.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "target",
    ];
    let entries = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let strangers: Vec<_> =
        entries.filter(|name| !name.starts_with('.') && !allowed.contains(&name.as_str())).collect();
    assert!(strangers.is_empty(), "at the top level: {strangers:?}");
}

#[test]
fn every_feature_has_a_comment_line() {
    let manifest = manifest();
    let features = manifest.split("[features]").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
    let lines: Vec<_> = features.lines().filter(|line| !line.trim().is_empty()).collect();
    let bare: Vec<_> = lines
        .windows(2)
        .filter(|pair| !pair[1].starts_with(['#', ' ', ']']) && !pair[0].starts_with('#'))
        .map(|pair| pair[1])
        .collect();
    assert!(lines.len() > 10 && lines[0].starts_with('#'), "the section has not been read: {lines:?}");
    assert!(bare.is_empty(), "features without a comment line above: {bare:?}");
}

fn mod_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(mod_files(&path));
        } else if path.ends_with("mod.rs") {
            found.push(path);
        }
    }
    found
}

/// The first statement that is neither documentation nor `mod` nor `pub use`.
fn stray_statement(source: &str) -> Option<String> {
    let code: Vec<_> =
        source.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with("#[cfg")).collect();
    let code = code.join(" ");
    let statements = code.split(';').map(str::trim).filter(|statement| !statement.is_empty());
    let belongs = |statement: &str| {
        let rest = ["pub(crate) ", "pub(super) ", "pub "].iter().find_map(|prefix| statement.strip_prefix(prefix));
        let is_module = |text: &str| text.starts_with("mod ") && !text.contains('{');
        is_module(statement) || rest.is_some_and(|rest| is_module(rest) || rest.starts_with("use "))
    };
    let mut strays = statements.filter(|statement| !belongs(statement));
    strays.next().map(str::to_owned)
}

#[test]
fn mod_files_hold_docs_modules_and_re_exports_only() {
    let files = mod_files(&root().join("src"));
    assert!(files.len() > 5, "only {} files found", files.len());
    let strays: Vec<_> = files
        .iter()
        .filter_map(|path| {
            stray_statement(&fs::read_to_string(path).unwrap()).map(|stray| format!("{}: {stray}", path.display()))
        })
        .collect();
    assert!(strays.is_empty(), "statements that belong into a file of their own:\n{}", strays.join("\n"));
}

#[test]
fn a_stray_statement_is_found() {
    assert_eq!(
        stray_statement("//! Docs.\nmod a;\n#[cfg(feature = \"x\")]\npub mod b;\npub use a::{\n    A,\n    B,\n};\n"),
        None
    );
    assert_eq!(stray_statement("mod a;\nuse std::fs;\n").as_deref(), Some("use std::fs"));
    assert!(stray_statement("pub mod a { }\n").is_some());
    assert!(stray_statement("mod a;\npub fn f() {}\n").is_some());
}
