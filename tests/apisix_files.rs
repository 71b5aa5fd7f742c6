//! Declarative files as users of Apache APISIX have them (`tests/data/apisix`, in our own words after its documentation and
//! tests) load without a word. In those of `tests/data/apisix-faulty` every fault is found in one go; what is to be said
//! stands at the end of each, in lines that begin with `#!`.
#![cfg(test)]
#![cfg(all(feature = "config-file", feature = "yaml"))]
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tollgate::config::FileSource;
use tollgate::gateway::Gateway;
use tollgate::model::{Finding, ReadOptions, check, read};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn source(path: &Path) -> FileSource {
    FileSource::new(path).with_environment(|_| None)
}

#[test]
fn existing_files_load_unmodified() {
    let files = files("apisix");
    assert!(files.len() > 15, "only {} files", files.len());
    for file in files {
        let name = file.display();
        let loaded = source(&file).requiring_end_marker().load().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.findings, [], "{name}");
        assert_eq!(check(&loaded.snapshot), [], "{name}");
        // What is written again is read the same.
        let document = loaded.snapshot.to_document().unwrap();
        assert_eq!(read(&document, &ReadOptions::default()).snapshot, loaded.snapshot, "{name}");
        // None of our own fields has slipped in.
        let strict = source(&file).with_options(ReadOptions::default().naming_extensions()).load().unwrap();
        assert_eq!(strict.findings, [], "{name}");
    }
}

/// What a file may name that is not there yet; anything else must be found fit to serve.
#[test]
fn existing_files_are_served_but_for_what_is_not_there_yet() {
    let known = ["no discovery `"];
    for file in files("apisix") {
        let loaded = source(&file).load().unwrap();
        let mut document = loaded.snapshot.to_document().unwrap();
        document["tollgate"] = json!({"unknown_plugin": "ignore"});
        let snapshot = read(&document, &ReadOptions::default()).snapshot;
        let gateway = Gateway::builder().build().unwrap();
        let errors: Vec<_> = gateway.check(&snapshot).into_iter().filter(Finding::is_error).collect();
        let strange: Vec<_> =
            errors.iter().filter(|finding| !known.iter().any(|known| finding.message.contains(known))).collect();
        assert!(strange.is_empty(), "{}: {strange:?}", file.display());
        gateway.adopt(snapshot).unwrap();
        assert_eq!(gateway.status().kept.len(), 0);
    }
}

#[test]
fn a_plugin_with_nothing_behind_its_name_has_an_empty_block() {
    let document = json!({"routes": [{"id": "a", "uri": "/", "plugins": {"key-auth": null}}]});
    let read = read(&document, &ReadOptions::default());
    assert_eq!(read.findings, []);
    let plugins = read.snapshot.routes[0].plugins.as_ref().unwrap();
    assert_eq!(plugins.get("key-auth").map(|block| Value::Object(block.clone())), Some(json!({})));
}

#[test]
fn every_fault_of_a_file_is_found_in_one_go() {
    let files = files("apisix-faulty");
    assert!(files.len() > 3, "only {} files", files.len());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let expected: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#! ")).collect();
        let mut found = source(&file).load().unwrap().findings;
        found.sort_by_key(|finding| finding.line);
        assert!(found.iter().all(|finding| finding.mend.is_some()), "{}: a fault without a mend", file.display());
        let found: Vec<_> = found.iter().map(Finding::to_string).collect();
        assert_eq!(found, expected, "{}:\n#! {}\n", file.display(), found.join("\n#! "));
    }
}
