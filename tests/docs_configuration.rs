//! `docs/configuration.md` is true: its examples are taken as they stand, and it names every field that there is.
#![cfg(test)]
#![cfg(all(feature = "config-file", feature = "yaml", feature = "schema"))]
use std::collections::BTreeSet;
use std::convert::Infallible;

use http::{Request, Response};
use serde::Deserialize;
use serde_json::Value;
use tollgate::config::FileSource;
use tollgate::gateway::Gateway;
use tollgate::model::{Kind, Settings, schema};
use tollgate::plugin::{BuildContext, ConfigError, Plugin, Stage};
use tollgate::{Body, PluginLayer};
use tower::layer::util::Identity;

const TEXT: &str = include_str!("../docs/configuration.md");
const UPSTREAMS: &str = include_str!("../docs/upstreams.md");

/// The blocks of a language, each with the line that it begins in.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<(usize, &'t str)> {
    let fence = format!("```{language}\n");
    let begins = text.match_indices(&fence).map(|(at, _)| at + fence.len());
    begins
        .map(|at| (text[..at].matches('\n').count() + 1, text[at..].split("\n```").next().unwrap_or_default()))
        .collect()
}

/// The plugin that the examples name.
struct Stamp;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StampConfig {
    #[serde(rename = "value")]
    _value: String,
}

impl Plugin for Stamp {
    const NAME: &'static str = "stamp";
    const STAGE: Stage = Stage::Respond;
    const PRIORITY: i32 = 50;
    type Config = StampConfig;
    fn build(&self, _: StampConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(PluginLayer::new(Identity::new()))
    }
}

fn gateway() -> Gateway {
    let hello = tower::service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
    Gateway::builder().plugin(Stamp).endpoint("hello", hello).build().unwrap()
}

/// A folder with the certificate that an example refers to.
fn secrets() -> tempfile::TempDir {
    let made = rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gateway.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("gateway.key"), made.signing_key.serialize_pem()).unwrap();
    folder
}

#[test]
fn every_example_is_taken_without_a_word() {
    let secrets = secrets();
    let of_upstreams = blocks(UPSTREAMS, "yaml");
    let blocks = blocks(TEXT, "yaml");
    assert!(blocks.len() > 10 && !of_upstreams.is_empty(), "only {} examples found", blocks.len());
    for (line, block) in blocks.into_iter().chain(of_upstreams) {
        let source = FileSource::new("example.yaml").with_environment(|_| None);
        let block = block.replace("/run/secrets/tls", &secrets.path().display().to_string());
        let read = source.read(block.as_bytes()).unwrap_or_else(|error| panic!("line {line}: {error}"));
        let gateway = gateway();
        assert_eq!(gateway.check(&read.snapshot), [], "the example at line {line}");
        gateway.apply(read.snapshot).unwrap();
        assert_eq!(gateway.lint(), [], "the example at line {line}");
    }
}

#[test]
fn the_settings_shown_are_the_defaults() {
    let shown = blocks(TEXT, "yaml").into_iter().find(|(_, block)| block.starts_with("tollgate:")).unwrap().1;
    let read = FileSource::new("example.yaml").read(shown.as_bytes()).unwrap();
    assert_eq!(*read.snapshot.settings, Settings::default());
}

/// Names of all fields of `schema`, at every depth.
fn fields(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                found.extend(properties.keys().cloned());
                properties.values().for_each(|field| fields(field, found));
            }
            for key in ["items", "anyOf", "additionalProperties"] {
                object.get(key).iter().for_each(|inner| fields(inner, found));
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| fields(inner, found)),
        _ => {}
    }
}

/// Names in code spans and blocks.
fn names(text: &str) -> BTreeSet<String> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let spans = text.split('`').skip(1).step_by(2);
    spans.flat_map(|span| span.split(|letter| !is_name(letter))).map(str::to_owned).collect()
}

#[test]
fn every_field_is_named() {
    let mut fields_of_all = BTreeSet::new();
    fields(&schema(Kind::Document), &mut fields_of_all);
    assert!(fields_of_all.len() > 150, "only {} fields found", fields_of_all.len());
    let text = TEXT.replace("```", "");
    let named = names(&text);
    let missing: Vec<_> = fields_of_all.iter().filter(|field| !named.contains(*field)).collect();
    assert!(missing.is_empty(), "not in docs/configuration.md: {missing:?}");
}

#[test]
fn every_setting_stands_in_a_table_with_its_default() {
    let settings = schema(Kind::Settings);
    let row = |name: &str| {
        let begin = format!("| `{name}`");
        TEXT.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("no row for {name}"))
    };
    for (name, limit) in settings["properties"]["limits"]["properties"].as_object().unwrap() {
        let shown = row(name);
        let default = shown.split(" | ").nth(2).and_then(|cell| cell.split(' ').next());
        assert_eq!(default, Some(&*limit["default"].to_string()), "{shown}");
    }
    for (name, switch) in settings["properties"]["router"]["properties"].as_object().unwrap() {
        let default = switch["default"].to_string().replace('"', "");
        let shown = row(&format!("router.{name}"));
        assert_eq!(shown.split(" | ").nth(2), Some(&*format!("`{default}`")), "{shown}");
    }
    for name in settings["properties"].as_object().unwrap().keys().filter(|name| *name != "router") {
        row(name);
    }
}

/// Differences that nothing in a file gives away.
const WITHOUT_NOTE: [&str; 4] = ["process settings", "`#END`", "references that lead nowhere", "reload"];

#[test]
fn each_difference_from_the_reference_has_its_note_or_is_excused() {
    let words = include_str!("../src/model/compat/words.rs");
    let codes: BTreeSet<_> =
        words.split("Words(\n    \"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect();
    assert!(codes.len() > 30, "{codes:?}");
    let table = TEXT.split("\n## Coming from APISIX\n").nth(1).unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 20, "{rows:?}");
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let (about, notes) = (cells[0], cells[3]);
        if WITHOUT_NOTE.contains(&about) {
            assert_eq!(notes, "–", "{row}");
            continue;
        }
        for note in notes.split(", ") {
            assert!(codes.contains(note.trim_matches('`')), "{row}: no note {note}");
        }
    }
}
