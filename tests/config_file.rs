//! The file source: what it reads, what it refuses, and that every kind of change is seen.
#![cfg(all(feature = "config-file", feature = "yaml"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{FutureExt, Stream, StreamExt};
use tempfile::TempDir;
use tollgate::config::{Bounds, FileSource};
use tollgate::gateway::{ConfigSource, SourceError};
use tollgate::model::{Finding, Read, Snapshot};

fn source(path: impl Into<PathBuf>) -> FileSource {
    FileSource::new(path).with_poll(Duration::from_millis(20)).with_environment(|name| match name {
        "BACKEND" => Some("127.0.0.1:9".to_owned()),
        "WEIGHT" => Some("3".to_owned()),
        _ => None,
    })
}

fn yaml(text: &str) -> Result<Read, SourceError> {
    source("a.yaml").read(text.as_bytes())
}

fn json(text: &str) -> Result<Read, SourceError> {
    source("a.json").read(text.as_bytes())
}

/// A document of one route per pattern, called `r1`, `r2` and so on.
fn routes(patterns: &[&str]) -> String {
    let route =
        |(place, pattern): (usize, &&str)| format!("  - {{id: r{}, uri: {pattern}, plugins: {{}}}}\n", place + 1);
    let list: String = patterns.iter().enumerate().map(route).collect();
    format!("routes:\n{list}#END\n")
}

fn patterns(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.routes.iter().flat_map(|route| route.patterns()).collect()
}

/// Waits for the next item; a watch that does not see the change fails the test instead of hanging it.
async fn next<S: Stream + Unpin>(stream: &mut S) -> S::Item {
    let item = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
    item.expect("the change is seen").expect("a watch has no end")
}

struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces `path` as careful writers do.
    fn replace(&self, path: &Path, text: &str) {
        let next = self.file(".next");
        fs::write(&next, text).unwrap();
        fs::rename(next, path).unwrap();
    }
}

#[test]
fn an_existing_file_loads_unmodified() {
    let read = FileSource::new("tests/data/apisix.yaml").load().unwrap();
    assert_eq!(read.findings, []);
    let snapshot = &read.snapshot;
    let ids: Vec<_> = snapshot.routes.iter().map(|route| route.id.as_str()).collect();
    assert_eq!(ids, ["shop-orders", "2", "arr_3"]);
    let nodes = snapshot.routes[1].upstream.as_ref().unwrap().nodes.as_ref().unwrap();
    assert_eq!((nodes[0].port, nodes[0].weight, nodes[1].port, nodes[1].weight), (Some(1980), 1, Some(1981), 3));
    assert_eq!(snapshot.upstreams[1].nodes.as_ref().unwrap()[0].host, Some("[::1]".into()));
    assert_eq!((snapshot.consumers.len(), snapshot.credentials.len()), (1, 1));
    let counts = [
        snapshot.services.len(),
        snapshot.upstreams.len(),
        snapshot.consumer_groups.len(),
        snapshot.plugin_configs.len(),
        snapshot.global_rules.len(),
        snapshot.plugin_metadata.len(),
        snapshot.plugins.as_ref().unwrap().len(),
        snapshot.secrets.len(),
        snapshot.ssls.len(),
        snapshot.protos.len(),
        snapshot.stream_routes.len(),
    ];
    assert_eq!(counts, [1, 3, 1, 1, 1, 1, 4, 1, 1, 1, 1]);
}

#[test]
fn findings_have_their_lines() {
    let text = "routes:\n  - id: a\n    uri: /a\n    upstream:\n      nodes:\n        \"a:80\": -1\n\n  - id: b\n    uri: /b\n    \
                plugin: {}\nservces: []\n";
    let lines: Vec<_> = yaml(text).unwrap().findings.iter().map(Finding::to_string).collect();
    assert_eq!(
        lines,
        [
            "line 11: document, field servces: is no kind of resource; it is ignored; did you mean `services`?",
            "line 6: route `a`, field upstream.nodes[\"a:80\"]: is out of range; write an integer from 0 to 4294967295",
            "line 10: route `b`, field plugin: is not a field that is known here; did you mean `plugins`?",
            "line 8: route `b`: leads nowhere; write at least one of `upstream_id`, `upstream`, `service_id` and \
             `plugins` (`plugin_config_id` alone is not enough)",
        ]
    );
    let text = "{\n\"routes\": [\n{\"id\": \"a\", \"uri\": \"/\",\n\"plugins\": 5}]}";
    let read = json(text).unwrap();
    assert_eq!(read.findings[0].line, Some(4));
    assert_eq!(read.snapshot.rejected[0].findings, read.findings);
}

#[test]
fn text_that_is_no_document_names_its_line() {
    for (read, line, part) in [
        (yaml("routes:\n  - {id: a\n"), 2, ""),
        (yaml("a: 1\nroutes: []\nroutes: []\n"), 3, "the key `routes` stands twice in one object"),
        (yaml("a: &x [1]\nb: *y\n"), 2, ""),
        (yaml("routes: [\n"), 2, ""),
        (json("{\"routes\": [],\n\"routes\": []}"), 2, "the key `routes` stands twice in one object"),
        (json("{\n"), 2, "EOF"),
        (json(""), 1, "EOF"),
    ] {
        match read {
            Err(SourceError::Syntax { line: Some(found), message, place }) => {
                assert!(found <= line && message.contains(part), "{place}: line {found}: {message}");
                assert!(!message.contains('\n'), "one line: {message}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(source("a.yaml").read(b"a: \xff"), Err(SourceError::Syntax { line: Some(1), .. })));
    for empty in ["", "# nothing\n", "---\n", "{}"] {
        assert_eq!(yaml(empty).unwrap().snapshot, Snapshot::default(), "{empty:?}");
    }
    assert!(matches!(yaml("- a"), Err(SourceError::Document { .. })));
    assert!(matches!(yaml("routes: {a: 1}"), Err(SourceError::Document { .. })));
}

#[test]
fn sec_cfg_07_bounds() {
    let deep = |levels: usize| format!("x: {}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(yaml(&deep(63)).is_ok());
    assert!(matches!(yaml(&deep(64)), Err(SourceError::Syntax { .. })));
    assert!(matches!(yaml(&deep(100_000)), Err(SourceError::Syntax { .. })));
    let block: String = (0..200).map(|level| format!("{}- \n", " ".repeat(level))).collect();
    assert!(matches!(yaml(&format!("x:\n{block}")), Err(SourceError::Syntax { .. })));
    let deep = |levels: usize| format!("{{\"x\": {}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(json(&deep(63)).is_ok());
    assert!(matches!(json(&deep(64)), Err(SourceError::Syntax { .. })));
    assert!(matches!(json(&deep(100_000)), Err(SourceError::Syntax { .. })));

    // A billion laughs.
    let mut bomb = "a: &a [l, l, l, l, l, l, l, l, l]\n".to_owned();
    for (level, name) in ('b'..='j').enumerate() {
        let inner = char::from(b'a' + u8::try_from(level).unwrap());
        bomb += &format!("{name}: &{name} [{}]\n", vec![format!("*{inner}"); 9].join(", "));
    }
    assert!(matches!(yaml(&bomb), Err(SourceError::Syntax { .. })));
    let shared =
        "x: &plugins {cors: {}}\nroutes: [{id: a, uri: /a, plugins: *plugins}, {id: b, uri: /b, plugins: *plugins}]";
    assert_eq!(yaml(shared).unwrap().snapshot.routes.len(), 2);

    let mut bounds = Bounds::default();
    bounds.items = 2;
    bounds.alias_nodes = 0;
    let small = source("a.yaml").with_bounds(bounds);
    assert!(small.read(routes(&["/a", "/b"]).as_bytes()).is_ok());
    assert!(matches!(small.read(routes(&["/a", "/b", "/c"]).as_bytes()), Err(SourceError::Document { .. })));
    assert!(matches!(small.read(shared.as_bytes()), Err(SourceError::Syntax { .. })));

    let directory = Directory::new();
    let path = directory.file("a.yaml");
    fs::write(&path, routes(&["/a"])).unwrap();
    let mut bounds = Bounds::default();
    bounds.document_bytes = 20;
    let error = source(&path).with_bounds(bounds).load().unwrap_err();
    assert!(matches!(error, SourceError::TooLarge { limit: 20, .. }), "{error}");
}

#[test]
fn the_environment_is_read() {
    let text = "upstreams:\n  - {id: u, nodes: {\"${{BACKEND}}\": ${{ WEIGHT }}, \"${{OTHER:=b:1}}\": 1}}\n";
    let read = yaml(text).unwrap();
    assert_eq!(read.findings, []);
    let nodes = read.snapshot.upstreams[0].nodes.clone().unwrap();
    assert_eq!((nodes[0].port, nodes[0].weight, nodes[1].port), (Some(9), 3, Some(1)));

    let read = json(r#"{"upstreams": [{"id": "u", "nodes": {"${{BACKEND}}": "${{WEIGHT}}"}}]}"#).unwrap();
    assert_eq!(read.snapshot.upstreams[0].nodes.clone().unwrap(), nodes[..1]);

    let error = yaml("routes:\n  - id: ${{NOBODY}}\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "a.yaml, line 2: the environment variable NOBODY is not set: set it, or write `${{NOBODY:=default}}`"
    );
    let error = json("{\"a\":\n [\"${{ NOBODY }}\"]}").unwrap_err();
    assert!(matches!(error, SourceError::Variable { line: Some(2), .. }), "{error}");
    let error = json(r#"{"upstreams": [{"nodes": {"${{BACKEND}}": 1, "127.0.0.1:9": 2}}]}"#).unwrap_err();
    assert!(error.to_string().contains("the key `127.0.0.1:9` stands twice"), "{error}");
}

#[test]
fn the_end_marker_is_a_must_on_demand() {
    let strict = source("a.yaml").requiring_end_marker();
    assert!(strict.read(b"routes: []\n#END").is_ok());
    assert!(strict.read(b"routes: []\n#END  \n\n").is_ok());
    assert!(matches!(strict.read(b"routes: []\n"), Err(SourceError::Incomplete { .. })));
    assert!(source("a.json").requiring_end_marker().read(b"{}").is_ok(), "JSON ends by itself");
    assert!(yaml("routes: []\n").is_ok());
    assert!(matches!(yaml("tollgate: {require_end_marker: true}\n"), Err(SourceError::Incomplete { .. })));
    assert!(yaml("tollgate: {require_end_marker: true}\n#END").is_ok());
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = Directory::new();
    let error = source(directory.file("missing.yaml")).load().unwrap_err();
    assert!(matches!(error, SourceError::Read { .. }));
    assert!(error.to_string().contains("missing.yaml: cannot be read: "), "{error}");
    let error = source(directory.0.path()).load().unwrap_err();
    assert!(error.to_string().contains("is not a file"), "{error}");
}

#[tokio::test]
async fn a_file_without_marker_is_taken_once_it_is_still() {
    let directory = Directory::new();
    let path = directory.file("a.yaml");
    fs::write(&path, "routes: [{id: a, uri: /a, plugins: {}}]").unwrap();
    assert_eq!(patterns(&source(&path).load().unwrap().snapshot), ["/a"]);
    let mut watch = pin!(source(&path).watch());
    assert_eq!(patterns(&next(&mut watch).await.unwrap()), ["/a"]);
}

#[tokio::test]
async fn a_rename_is_seen() {
    let directory = Directory::new();
    let path = directory.file("a.yaml");
    fs::write(&path, routes(&["/a"])).unwrap();
    let mut watch = pin!(source(&path).watch());
    assert_eq!(patterns(&next(&mut watch).await.unwrap()), ["/a"]);
    for step in 0..5 {
        let pattern = format!("/{step}");
        directory.replace(&path, &routes(&[&pattern]));
        assert_eq!(patterns(&next(&mut watch).await.unwrap()), [pattern]);
    }
}

#[tokio::test]
async fn events_are_seen_without_the_poll() {
    let directory = Directory::new();
    let path = directory.file("a.yaml");
    fs::write(&path, routes(&["/a"])).unwrap();
    let mut watch = pin!(source(&path).with_poll(Duration::from_secs(3600)).watch());
    next(&mut watch).await.unwrap();
    directory.replace(&path, &routes(&["/b"]));
    assert_eq!(patterns(&next(&mut watch).await.unwrap()), ["/b"]);
    fs::write(&path, routes(&["/c"])).unwrap();
    assert_eq!(patterns(&next(&mut watch).await.unwrap()), ["/c"]);
}

#[cfg(unix)]
#[tokio::test]
async fn swapped_symbolic_links_are_seen() {
    use std::os::unix::fs::symlink;
    // As Kubernetes mounts a volume: a.yaml -> ..data/a.yaml, ..data -> a directory of its own for each version.
    let directory = Directory::new();
    let version = |name: &str, text: &str| {
        fs::create_dir(directory.file(name)).unwrap();
        fs::write(directory.file(name).join("a.yaml"), text).unwrap();
        symlink(name, directory.file("..data_tmp")).unwrap();
        fs::rename(directory.file("..data_tmp"), directory.file("..data")).unwrap();
    };
    version("..1", &routes(&["/one"]));
    let path = directory.file("a.yaml");
    symlink("..data/a.yaml", &path).unwrap();
    let mut watch = pin!(source(&path).watch());
    assert_eq!(patterns(&next(&mut watch).await.unwrap()), ["/one"]);
    version("..2", &routes(&["/two"]));
    assert_eq!(patterns(&next(&mut watch).await.unwrap()), ["/two"]);
    // The target elsewhere, changed in place, makes no event here: the poll finds it.
    fs::write(directory.file("..2").join("a.yaml"), routes(&["/3"])).unwrap();
    assert_eq!(patterns(&next(&mut watch).await.unwrap()), ["/3"]);
}

#[tokio::test]
async fn two_writes_at_the_same_time_of_change_and_length_are_seen() {
    let directory = Directory::new();
    let path = directory.file("a.yaml");
    let stamp = SystemTime::now();
    let write = |text: String| {
        fs::write(&path, text).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(stamp).unwrap();
    };
    write(routes(&["/a"]));
    let mut watch = pin!(source(&path).watch());
    assert_eq!(patterns(&next(&mut watch).await.unwrap()), ["/a"]);
    for pattern in ["/b", "/c", "/d"] {
        write(routes(&[pattern]));
        assert_eq!(patterns(&next(&mut watch).await.unwrap()), [pattern]);
    }
}

#[tokio::test]
async fn a_broken_file_is_told_once_and_its_repair_too() {
    let directory = Directory::new();
    let path = directory.file("a.yaml");
    fs::write(&path, routes(&["/a"])).unwrap();
    let mut watch = pin!(source(&path).watch());
    let first = next(&mut watch).await.unwrap();

    directory.replace(&path, "routes: [\n#END");
    assert!(matches!(next(&mut watch).await, Err(SourceError::Syntax { .. })));
    // Still broken in the same way: nothing new to tell. The next thing told is the repair.
    directory.replace(&path, "routes: [ \n#END");
    fs::remove_file(&path).unwrap();
    assert!(matches!(next(&mut watch).await, Err(SourceError::Read { .. })));
    directory.replace(&path, &routes(&["/a"]));
    let repaired = next(&mut watch).await.unwrap();
    assert_eq!(repaired, first, "the old content is news after a fault");
    assert!(repaired.routes.is_same(&first.routes));
}

#[tokio::test]
async fn a_file_that_comes_later_is_taken() {
    let directory = Directory::new();
    let path = directory.file("later").join("a.yaml");
    let mut watch = pin!(source(&path).watch());
    assert!(matches!(next(&mut watch).await, Err(SourceError::Read { .. })));
    fs::create_dir(directory.file("later")).unwrap();
    fs::write(&path, routes(&["/a"])).unwrap();
    assert_eq!(patterns(&next(&mut watch).await.unwrap()), ["/a"]);
}

#[tokio::test]
async fn what_has_not_changed_stays_the_same() {
    let directory = Directory::new();
    let path = directory.file("a.yaml");
    let with = |routes: String, more: &str| format!("upstreams: [{{id: u, nodes: {{a: 1}}}}]\n{more}{routes}");
    fs::write(&path, with(routes(&["/a", "/b"]), "")).unwrap();
    let mut watch = pin!(source(&path).watch());
    let first = next(&mut watch).await.unwrap();

    // Neither the same text again nor a comment is a change; the route that comes last is.
    directory.replace(&path, &with(routes(&["/a", "/b"]), ""));
    directory.replace(&path, &with(routes(&["/a", "/b"]), "# a comment\n"));
    assert!(watch.next().now_or_never().is_none());
    directory.replace(&path, &with(routes(&["/a", "/c"]), "# a comment\n"));
    let second = next(&mut watch).await.unwrap();
    assert_eq!(patterns(&second), ["/a", "/c"]);
    assert!(Arc::ptr_eq(&first.routes[0], &second.routes[0]));
    assert!(!Arc::ptr_eq(&first.routes[1], &second.routes[1]));
    assert!(first.upstreams.is_same(&second.upstreams));
    assert!(Arc::ptr_eq(&first.settings, &second.settings));
}

#[tokio::test]
async fn an_invalid_item_does_not_hide_the_others() {
    let directory = Directory::new();
    let path = directory.file("a.yaml");
    fs::write(&path, "routes:\n  - {id: a, uri: /a, plugins: {}}\n  - {id: b, uri: 5}\n#END").unwrap();
    let mut watch = pin!(source(&path).watch());
    let snapshot = next(&mut watch).await.unwrap();
    assert_eq!(patterns(&snapshot), ["/a"]);
    assert_eq!(snapshot.rejected[0].id, Some("b".into()));
    assert_eq!(snapshot.rejected[0].findings[0].line, Some(3));
}

#[tokio::test]
async fn a_cut_off_file_never_takes_effect_where_the_marker_is_a_must() {
    let directory = Directory::new();
    let path = directory.file("a.yaml");
    let whole = |pattern: &str| format!("tollgate: {{require_end_marker: true}}\n{}", routes(&[pattern, "/z"]));
    fs::write(&path, whole("/a")).unwrap();
    let mut watch = pin!(source(&path).watch());
    next(&mut watch).await.unwrap();
    // Cut off before the setting, and right before the marker.
    for end in [10, whole("/b").len() - 5] {
        directory.replace(&path, &whole("/b")[..end]);
        assert!(matches!(next(&mut watch).await, Err(SourceError::Incomplete { .. })));
        directory.replace(&path, &whole("/b"));
        assert_eq!(patterns(&next(&mut watch).await.unwrap()), ["/b", "/z"]);
    }
}
