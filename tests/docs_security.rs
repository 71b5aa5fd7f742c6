//! `docs/security.md` is true: it has a row for every rule, the tests that it names are there and carry the rule's id, and its
//! defaults are those of the code.
#![cfg(test)]
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use tollgate::model::{Limits, RouterSettings};

const TEXT: &str = include_str!("../docs/security.md");

/// Rules by their prefix, and how many there are.
const RULES: [(&str, u32); 9] =
    [("H1", 25), ("PATH", 12), ("HOP", 11), ("UPG", 6), ("UP", 9), ("RET", 6), ("HC", 2), ("LIM", 15), ("CACHE", 4)];

/// The words of a row in place of a test, for rules about parts that there are none of yet.
const NOTHING: &str = "nothing to apply it to";

/// The rows of tables whose first cell is a rule's id: id, and the other cells.
fn rows() -> Vec<(&'static str, Vec<&'static str>)> {
    let is_rule = |cell: &str| {
        cell.split_once('-').is_some_and(|(area, number)| {
            area.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
                && number.starts_with(|first: char| first.is_ascii_digit())
        })
    };
    let cells = |line: &'static str| line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>();
    let lines = TEXT.lines().filter(|line| line.starts_with("| ")).map(cells);
    lines.filter(|cells| is_rule(cells[0])).map(|cells| (cells[0], cells[1..].to_vec())).collect()
}

/// Names in back-ticks.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// The names of all test functions of the crate that carry a rule's id.
fn tests() -> BTreeSet<String> {
    let (root, mut text) = (Path::new(env!("CARGO_MANIFEST_DIR")), String::new());
    sources(&root.join("src"), &mut text);
    sources(&root.join("tests"), &mut text);
    let functions = text.split("fn sec_").skip(1).filter_map(|behind| behind.split_once("()"));
    functions.map(|(name, _)| format!("sec_{name}")).collect()
}

#[test]
fn every_rule_has_its_row() {
    let listed: Vec<&str> = rows().iter().map(|(id, _)| *id).collect();
    let mut wanted: BTreeSet<String> =
        RULES.iter().flat_map(|(area, count)| (1..=*count).map(move |number| format!("{area}-{number:02}"))).collect();
    wanted.insert("UP-05b".to_owned());
    for id in &wanted {
        assert_eq!(listed.iter().filter(|listed| *listed == id).count(), 1, "rows of {id}");
    }
    let areas: Vec<&str> = RULES.iter().map(|(area, _)| *area).collect();
    let ours = |id: &&&str| id.split_once('-').is_some_and(|(area, _)| areas.contains(&area));
    assert_eq!(listed.iter().filter(ours).count(), wanted.len(), "a row for a rule that there is not");
}

#[test]
fn every_test_that_is_named_is_there_and_carries_its_rule() {
    let tests = tests();
    for (id, cells) in rows() {
        let [_, host, named] = cells[..] else { panic!("{id}: {cells:?}") };
        let carried = format!("sec_{}_", id.to_lowercase().replace('-', "_"));
        for name in names(named) {
            assert!(tests.contains(name), "{id}: there is no test {name}");
            let also = name.starts_with(&carried[..8]) && name.contains(&format!("_and_{}_", &id[id.len() - 2..]));
            assert!(name.starts_with(&carried) || also, "{id}: {name} is the test of another rule");
        }
        assert!(!names(named).is_empty() || host == NOTHING, "{id} has no test");
    }
}

#[test]
fn every_limit_stands_there_with_its_default() {
    let Value::Object(defaults) = serde_json::to_value(Limits::default()).unwrap() else { panic!("no object") };
    let table = TEXT.split("\n### Settings\n").nth(1).unwrap().split("\n### ").next().unwrap();
    let listed: BTreeMap<&str, &str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, rest)| (name, rest.split(" | ").next().unwrap()))
        .collect();
    for (name, default) in &defaults {
        assert_eq!(listed.get(name.as_str()), Some(&&*default.to_string()), "{name}");
    }
    assert_eq!(listed.len(), defaults.len(), "a limit that there is not");
}

#[test]
fn every_opt_out_is_a_setting() {
    let router = serde_json::to_value(RouterSettings::default()).unwrap();
    let table = TEXT.split("\n## Opt-outs\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let named = names(table).into_iter().filter_map(|name| name.strip_prefix("tollgate.router."));
    let named: BTreeSet<&str> = named.map(|name| name.split(':').next().unwrap()).collect();
    assert!(named.len() >= 5, "{named:?}");
    for name in named {
        assert!(router.get(name).is_some(), "{name}");
    }
}
