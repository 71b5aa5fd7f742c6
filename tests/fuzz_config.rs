//! Fuzz targets of configurations: bytes of a file, and documents. On stable Rust, by proptest;
//! `PROPTEST_CASES=100000 cargo test --release --all-features --test fuzz_config` runs them for longer.
#![cfg(test)]
#![cfg(all(feature = "config-file", feature = "yaml"))]
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use tollgate::config::FileSource;
use tollgate::gateway::{Gateway, SourceError};
use tollgate::model::{Finding, Read, ReadOptions, Snapshot, check, read};

const SAMPLE: &str = include_str!("data/apisix.yaml");

fn source(name: &str) -> FileSource {
    FileSource::new(name).with_environment(|name| match name {
        "A" => Some("/a".to_owned()),
        "ODD" => Some("]: {\n- &a *a".to_owned()),
        _ => None,
    })
}

/// Reads `bytes` in both languages. What is refused must say where.
fn read_bytes(bytes: &[u8]) -> Result<(), TestCaseError> {
    for name in ["a.yaml", "a.json"] {
        match source(name).read(bytes) {
            Ok(read) => judge(&read)?,
            Err(SourceError::Syntax { line, message, .. }) => {
                prop_assert!(!message.contains('\n'), "one line: {message}");
                let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
                // A variable may bring lines of its own.
                let most = if bytes.windows(3).any(|three| three == b"${{") { usize::MAX } else { lines + 1 };
                // Keys that a variable made the same have no place of their own.
                let placeless = name == "a.json" && message.ends_with("stands twice in one object");
                prop_assert!(
                    placeless || line.is_some_and(|line| (1..=most).contains(&(line as usize))),
                    "{name} {line:?}: {message}"
                );
            }
            Err(SourceError::Variable { line, .. }) => prop_assert!(line.is_some()),
            Err(SourceError::Document { findings, .. }) => prop_assert!(findings.iter().all(Finding::is_error)),
            Err(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
    }
    Ok(())
}

/// What was taken is faultless, reads the same when it is written and read once more, and can be put in force.
fn judge(read: &Read) -> Result<(), TestCaseError> {
    let snapshot = &read.snapshot;
    let errors: Vec<Finding> = check(snapshot).into_iter().filter(Finding::is_error).collect();
    prop_assert_eq!(errors, []);
    for item in &snapshot.rejected {
        prop_assert!(item.findings.iter().any(Finding::is_error), "rejected for nothing: {item:?}");
    }

    let document = snapshot.to_document().map_err(|error| TestCaseError::fail(error.to_string()))?;
    let again = self::read(&document, &ReadOptions::default());
    prop_assert_eq!(again.errors().collect::<Vec<_>>(), Vec::<&Finding>::new());
    let taken = Snapshot { rejected: Vec::new(), warnings: Vec::new(), ..snapshot.clone() };
    prop_assert_eq!(Snapshot { warnings: Vec::new(), ..again.snapshot }, taken);

    let gateway = Gateway::builder().build().unwrap();
    if let Err(error) = gateway.adopt(snapshot.clone()) {
        return Err(TestCaseError::fail(error.to_string()));
    }
    Ok(())
}

/// Pieces that documents are made of.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = vec![
        "routes:",
        "upstreams:",
        "tollgate:",
        "services:",
        "- ",
        "\n",
        "\n  ",
        "\n    - ",
        "  ",
        ": ",
        ",",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "&a ",
        "*a",
        "<<: *a",
        "!!int ",
        "!tag ",
        "? ",
        "| \n",
        "> \n",
        "---\n",
        "...\n",
        "#END",
        "# ",
        "\t",
        "\r\n",
        "\u{feff}",
        "\0",
        "id: a",
        "uri: /a",
        "plugins: {}",
        "nodes: {\"a:80\": 1}",
        "upstream_id: a",
        "null",
        "~",
        "true",
        "1e999",
        "-0",
        "0x10",
        "99999999999999999999",
        ".nan",
        "\\u0000",
        "\\ud800",
        "${{A}}",
        "${{ODD}}",
        "${{",
        "${{NONE}}",
        "${{NONE:=x}}",
        "}}",
        "{\"routes\": [",
        "{\"id\": 1, \"uri\": \"/\", \"plugins\": {}}",
        "\"a\": ",
    ];
    prop_oneof![
        12 => select(known).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..6),
        1 => vec(32u8..127, 0..20),
    ]
}

/// Values that belong nowhere, or nearly.
fn oddity() -> impl Strategy<Value = Value> {
    let known = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(65536),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.5),
        json!(1e300),
        json!(""),
        json!("/"),
        json!("/*"),
        json!("/a/:b/*c"),
        json!("*"),
        json!("*.a.test"),
        json!("10.0.0.0/8"),
        json!("::1"),
        json!("GET"),
        json!("orders"),
        json!("roundrobin"),
        json!("rewrite"),
        json!("$env://X"),
        json!("jack/credentials/x"),
        json!("é\u{0}\n"),
        json!("x".repeat(5000)),
        json!([]),
        json!([[]]),
        json!({}),
        json!(["OR", ["arg_a", "==", "1"]]),
        json!([["arg_a", "~~", "(((("]]),
        json!({"a:80": 1, "[::1]": 0}),
        json!([{"service": "x", "weight": 1}]),
        json!({"connect": 1, "send": 1e300, "read": 1e-300}),
        json!({"unknown_plugin": "ignore", "unknown_fields": "warn"}),
    ];
    select(known)
}

/// A change of a document, at a place that the numbers name.
#[derive(Clone, Debug)]
enum Change {
    Replace(Value),
    Remove,
    Rename(Index),
    Repeat,
}

fn change() -> impl Strategy<Value = (Index, Change)> {
    let change = prop_oneof![
        4 => oddity().prop_map(Change::Replace),
        2 => Just(Change::Remove),
        2 => any::<Index>().prop_map(Change::Rename),
        1 => Just(Change::Repeat),
    ];
    (any::<Index>(), change)
}

fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(object) => object.iter().for_each(|(key, inner)| {
            pointers(inner, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
        }),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, inner)| pointers(inner, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

fn apply(document: &mut Value, place: Index, change: Change) {
    let mut places = Vec::new();
    pointers(document, "", &mut places);
    let pointer = place.get(&places).clone();
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    let key = key.replace("~1", "/").replace("~0", "~");
    match (document.pointer_mut(parent), change) {
        (_, Change::Replace(value)) => *document.pointer_mut(&pointer).unwrap() = value,
        (Some(Value::Object(object)), Change::Remove) => drop(object.remove(&key)),
        (Some(Value::Object(object)), Change::Rename(to)) => {
            let names = ["uri", "uris", "id", "plugins", "nodes", "upstream", "upstream_id", "vars", "hosts", "x"];
            let value = object.remove(&key).unwrap();
            object.insert((*to.get(&names)).to_owned(), value);
        }
        (Some(Value::Array(list)), Change::Remove) => drop(list.remove(key.parse().unwrap())),
        (Some(Value::Array(list)), Change::Repeat) => list.push(list[key.parse::<usize>().unwrap()].clone()),
        _ => {}
    }
}

fn sample() -> Value {
    source("a.yaml").read(SAMPLE.as_bytes()).unwrap().snapshot.to_document().unwrap()
}

/// A case here is a whole configuration: half of the usual number is plenty.
fn half(config: ProptestConfig) -> ProptestConfig {
    ProptestConfig { cases: config.cases.div_ceil(2), ..config }
}

proptest! {
    #![proptest_config(half(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }))]

    #[test]
    fn pieces_of_documents(pieces in vec(piece(), 0..24)) {
        read_bytes(&pieces.concat())?;
    }

    #[test]
    fn bytes(bytes in vec(any::<u8>(), 0..200)) {
        read_bytes(&bytes)?;
    }

    #[test]
    fn a_file_with_wounds(wounds in vec((any::<Index>(), 0usize..40, piece()), 1..4), cut in any::<Option<Index>>()) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        for (place, length, piece) in wounds {
            let begin = place.index(bytes.len());
            let end = (begin + length).min(bytes.len());
            bytes.splice(begin..end, piece);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        read_bytes(&bytes)?;
    }

    #[test]
    fn a_document_with_changes(changes in vec(change(), 1..12), warn in any::<bool>()) {
        let mut document = sample();
        for (place, change) in changes {
            apply(&mut document, place, change);
        }
        if warn && let Some(root) = document.as_object_mut() {
            root.insert("tollgate".to_owned(), json!({"unknown_fields": "warn", "unknown_plugin": "ignore"}));
        }
        judge(&read(&document, &ReadOptions::default()))?;
        judge(&read(&document, &ReadOptions::default().naming_extensions()))?;
    }
}

/// Time and memory are bounded by the document, whatever is in it (CFG-07).
#[test]
fn sec_cfg_07_hostile_documents_are_refused_quickly() {
    let many = 200_000;
    let laughs = |levels: usize, width: usize| {
        let mut text = "a0: &a0 [l, l]\n".to_owned();
        for level in 1..levels {
            let again = vec![format!("*a{}", level - 1); width].join(", ");
            text += &format!("a{level}: &a{level} [{again}]\n");
        }
        text
    };
    let merges: String =
        (1..400).map(|level| format!("m{level}: &m{level} {{<<: *m{}, k{level}: 1}}\n", level - 1)).collect();
    let indented: String = (0..5000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    for (name, hostile) in [
        ("laughs", laughs(30, 10)),
        ("wide laughs", laughs(4, 2000)),
        ("merge keys", format!("m0: &m0 {{k0: 1}}\n{merges}")),
        ("flow", format!("x: {}", "[".repeat(many))),
        ("flow maps", "{a: ".repeat(many)),
        ("block lists", "- ".repeat(many)),
        ("block maps", indented),
        ("open string", format!("a: \"{}", "x".repeat(many))),
        ("keys", "? ".repeat(many)),
        ("anchors", (0..many).map(|n| format!("&a{n} ")).collect()),
        ("tags", "!a ".repeat(many)),
        ("same key", "a: 1\n".repeat(many)),
        ("same id", format!("routes:\n{}", "  - {id: a, uri: /, plugins: {}}\n".repeat(2000))),
        ("references", "${{A".repeat(many)),
        ("empty references", "${{}}".repeat(many)),
        ("used references", format!("a: \"{}\"", "${{A}}".repeat(many))),
        ("brackets", "[{\"a\":".repeat(many)),
        ("documents", "---\n".repeat(many)),
    ] {
        for file in ["a.yaml", "a.json"] {
            let began = Instant::now();
            let outcome = source(file).read(hostile.as_bytes());
            let took = began.elapsed();
            assert!(took < Duration::from_secs(10), "{name} in {file} took {took:?}: {:?}", outcome.err());
        }
    }
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
        let peak: u64 = peak.parse().unwrap();
        assert!(peak < 1 << 20, "{peak} KiB of memory at the peak");
    }
    // What was read never is more than the bounds let through.
    assert!(matches!(source("a.yaml").read(laughs(30, 10).as_bytes()), Err(SourceError::Syntax { .. })));
}
