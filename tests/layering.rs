//! Imports point one way: the order of the parts, kernel first, from which a reader can tell what a part may know of.
//!
//! Read are all paths that begin with `crate` or `super` in `src/`; what the crate root re-exports counts as the part that
//! it comes from. Code under `#[cfg(test)]` may use all, like the files in `tests/`.
#![cfg(test)]
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const KERNEL: &[&str] = &[
    "agenda", "body", "connect", "error", "exchange", "fetch", "grpc", "held", "hop", "host", "interim", "service",
    "upgrade", "wall",
];

/// Part, and the parts that it may import beside itself and the kernel.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("net", &[]),
    ("tls", &[]),
    ("model", &[]),
    ("http1", &[]),
    ("acme", &["model", "tls"]),
    ("ocsp", &["tls"]),
    ("proto", &[]),
    ("syntax", &["model"]),
    ("router", &["model"]),
    ("upstream", &["model", "router", "net", "tls", "http1"]),
    ("cache", &["model"]),
    ("request", &["model", "router"]),
    ("plugin", &["model", "proto", "router", "request", "upstream"]),
    ("plugins", &["syntax", "model", "cache", "proto", "router", "request", "plugin", "upstream"]),
    ("gateway", &["net", "tls", "model", "http1", "proto", "router", "upstream", "request", "plugin", "plugins"]),
    ("config", &["syntax", "net", "model", "http1", "router", "upstream", "request", "plugin", "plugins", "gateway"]),
    ("store", &["net", "syntax", "model", "http1", "router", "upstream", "request", "plugin", "plugins", "gateway"]),
    (
        "admin",
        &["syntax", "net", "model", "http1", "router", "upstream", "request", "plugin", "plugins", "gateway", "store"],
    ),
    ("control", &["net", "model", "http1", "router", "upstream", "request", "plugin", "plugins", "gateway", "store"]),
    ("server", &["net", "tls", "model", "http1"]),
    (
        "testing",
        &[
            "syntax", "net", "model", "http1", "router", "upstream", "request", "plugin", "plugins", "gateway",
            "config", "store", "admin", "control", "server",
        ],
    ),
];

fn may_import(part: &str, other: &str) -> bool {
    let known = MAY_IMPORT.iter().find(|(name, _)| *name == part);
    part == other || KERNEL.contains(&other) || known.is_some_and(|(_, others)| others.contains(&other))
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The code that others see: without comments, and without what stands behind the first `#[cfg(test)]` on a `mod`.
fn visible(source: &str) -> String {
    let mut code = String::new();
    let mut lines = source.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{')) {
            break;
        }
        if !line.starts_with("//") {
            code.push_str(line.split(" // ").next().unwrap_or(line));
            code.push('\n');
        }
    }
    code
}

/// The first names behind a path's root: `a::b` gives `a`; `{a, b::{c, d}}` gives `a` and `b`.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| is_word(*c)).collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut names, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The names behind `crate::`, whether in a `use` or in the midst of code; and behind as many `super::` as lead from `module`
/// (the path below the root, a part first) out of its part.
fn names_used(code: &str, module: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` is the same root; `my_crate::` is not
        if !code[..at].ends_with(is_word) {
            names.extend(first_names(&code[at + "crate::".len()..]));
        }
    }
    let up = "super::".repeat(module.len());
    for (at, _) in code.match_indices(&up) {
        if !code[..at].ends_with(is_word) && !code[..at].ends_with("super::") {
            names.extend(first_names(&code[at + up.len()..]));
        }
    }
    names
}

/// Name at the crate root → part: the parts themselves, and the re-exports of lib.rs.
fn root_names(lib: &str) -> BTreeMap<String, String> {
    let parts = KERNEL.iter().chain(MAY_IMPORT.iter().map(|(name, _)| name));
    let mut names: BTreeMap<_, _> = parts.map(|part| ((*part).to_owned(), (*part).to_owned())).collect();
    for statement in visible(lib).split(';') {
        let Some((_, path)) = statement.split_once("pub use ") else { continue };
        let Some((part, rest)) = path.split_once("::") else { continue };
        names.extend(first_names(rest.trim()).into_iter().map(|name| (name, part.trim().to_owned())));
        // `a::b::Name` re-exports the last name
        if let Some(last) = rest.rsplit("::").next().filter(|last| !last.contains('{')) {
            names.insert(last.trim().to_owned(), part.trim().to_owned());
        }
    }
    names
}

/// What is wrong in one file: lines `part -> other`, or a name that no part has.
fn wrong_arrows(source: &str, module: &[String], roots: &BTreeMap<String, String>) -> Vec<String> {
    let Some(part) = module.first() else { return Vec::new() };
    let used = names_used(&visible(source), module);
    let judge = |name: &String| match roots.get(name) {
        Some(other) if may_import(part, other) => None,
        Some(other) => Some(format!("{part} -> {other} (by `{name}`)")),
        None => Some(format!("{part} -> `{name}`, which is no part in this test's table and no re-export of lib.rs")),
    };
    used.iter().filter_map(judge).collect()
}

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// `src/http1/parse/head.rs` → http1, parse, head; `src/net/mod.rs` → net; `src/lib.rs` → nothing.
fn module_of(relative: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        relative.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|last| last == "mod" || last == "lib") {
        names.pop();
    }
    names
}

#[test]
fn imports_point_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let roots = root_names(&fs::read_to_string(src.join("lib.rs")).unwrap());
    let mut wrong = Vec::new();
    for path in source_files(&src) {
        let relative = path.strip_prefix(&src).unwrap();
        let module = module_of(relative);
        if module.last().is_some_and(|last| last == "tests") {
            continue;
        }
        let found = wrong_arrows(&fs::read_to_string(&path).unwrap(), &module, &roots);
        wrong.extend(found.into_iter().map(|arrow| format!("src/{}: {arrow}", relative.display())));
    }
    assert!(wrong.is_empty(), "imports against the order of the parts:\n{}", wrong.join("\n"));
}

#[test]
fn every_part_stands_in_the_table() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let known = |part: &String| KERNEL.contains(&part.as_str()) || MAY_IMPORT.iter().any(|(name, _)| name == part);
    let modules = source_files(&src).into_iter().map(|path| module_of(path.strip_prefix(&src).unwrap()));
    let unknown: Vec<_> = modules.filter_map(|module| module.into_iter().next()).filter(|part| !known(part)).collect();
    assert!(unknown.is_empty(), "parts that are not in the table: {unknown:?}");
}

#[test]
fn a_wrong_arrow_is_found_however_it_is_written() {
    let roots =
        root_names("pub use body::{Body, BodyError};\npub use gateway::Gateway;\npub use plugin::contract::Plugin;\n");
    let module = ["router".to_owned(), "tree".to_owned()];
    let wrong = |source: &str| wrong_arrows(source, &module, &roots);
    let one = |arrow: &str| vec![arrow.to_owned()];
    assert_eq!(wrong("use crate::upstream::Client;"), one("router -> upstream (by `upstream`)"));
    assert_eq!(
        wrong("pub(crate) use crate::{\n    body::Body,\n    gateway::{chain, Scope},\n    model,\n};"),
        one("router -> gateway (by `gateway`)")
    );
    assert_eq!(wrong("fn f() -> crate::Gateway { todo() }"), one("router -> gateway (by `Gateway`)"));
    assert_eq!(wrong("use crate::Plugin;"), one("router -> plugin (by `Plugin`)"));
    assert_eq!(wrong("use super::super::server::Server;"), one("router -> server (by `server`)"));
    assert_eq!(wrong("use crate::nowhere::X;").len(), 1);
    assert_eq!(
        wrong("use crate::model::RouteSpec;\nuse crate::{Body, router};\nuse super::Node;\n// use crate::server;"),
        one("").split_off(1)
    );
    assert_eq!(
        wrong(
            "let a = 1; // like crate::server\nuse my_crate::server;\n#[cfg(test)]\nmod tests {\n    use crate::server;\n}"
        ),
        one("").split_off(1)
    );
}
