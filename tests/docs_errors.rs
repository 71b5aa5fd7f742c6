//! `docs/errors.md` names every answer that the gateway makes itself, and no other.
#![cfg(test)]
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use http::{HeaderValue, StatusCode};
use tollgate::{Error, IntoResponse as _};

/// The rows of all tables with five columns: status, code, text.
fn documented() -> Vec<(u16, String, String)> {
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows = read("docs/errors.md").lines().map(cells).filter(|cells| cells.len() == 5).collect::<Vec<_>>();
    let rows = rows.into_iter().filter_map(|cells| {
        let status = cells[0].parse().ok()?;
        assert!(cells.iter().all(|cell| !cell.is_empty()), "an empty cell: {cells:?}");
        Some((status, cells[1].trim_matches('`').to_owned(), cells[2].clone()))
    });
    rows.collect()
}

/// The reasons that stand in the log only.
fn log_only() -> BTreeSet<String> {
    let text = read("docs/errors.md");
    let (_, section) = text.split_once("## Only in the log").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// All sources, without their tests.
fn sources(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            into.push(text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned());
        }
    }
}

/// The string behind each `marker`, wherever it is a code: lower-case words with `_` between them.
fn codes_behind(text: &str, marker: &str) -> Vec<String> {
    let is_code = |code: &&str| code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    let found = text.split(marker).skip(1).filter_map(|rest| rest.split('"').next()).filter(is_code);
    found.map(str::to_owned).collect()
}

/// Every code that the sources can answer with.
fn written() -> BTreeSet<String> {
    let mut texts = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    let mut codes = BTreeSet::new();
    for text in &texts {
        if text.contains("Error::Upstream {") || text.contains("retry_after: Option<u32>") {
            codes.extend(codes_behind(text, "reason: \""));
        }
        // `unavailable(503, "…")` and the like.
        for call in text.split("unavailable(").skip(1) {
            codes.extend(codes_behind(call.lines().next().unwrap(), ", \""));
        }
    }
    // `Error::code`, and `upstream::Error::reason`.
    for (path, function) in [
        ("src/error.rs", "pub fn code("),
        ("src/upstream/error.rs", "pub fn reason("),
        ("src/upstream/tls/fault.rs", "fn of_socket("),
        ("src/upstream/tls/fault.rs", "fn of_tls("),
    ] {
        let text = read(path);
        let body = text.split(function).nth(1).unwrap().split("\n    }\n").next().unwrap();
        codes.extend(codes_behind(body, "=> \""));
    }
    codes
}

#[test]
fn every_code_has_a_row_and_every_row_a_code() {
    let mut in_docs: BTreeSet<String> = documented().into_iter().map(|(_, code, _)| code).collect();
    let rows = documented().len();
    assert_eq!(in_docs.len(), rows, "a code stands twice");
    in_docs.extend(log_only());
    let written = written();
    assert!(written.len() > 30, "{written:?}");
    assert_eq!(in_docs.difference(&written).collect::<Vec<_>>(), [""; 0], "in docs/errors.md only");
    assert_eq!(written.difference(&in_docs).collect::<Vec<_>>(), [""; 0], "not in docs/errors.md");
}

#[test]
fn statuses_and_texts_are_those_of_the_answers() {
    let status = |status| StatusCode::from_u16(status).unwrap();
    for (number, code, text) in documented() {
        let leaked: &'static str = code.clone().leak();
        let error = match leaked {
            "bad_request" => Error::BadRequest("x"),
            "no_route" => Error::NoRoute,
            "method_not_allowed" => Error::MethodNotAllowed { allow: HeaderValue::from_static("GET") },
            "method_refused" => Error::MethodRefused(status(number)),
            "request_timeout" => Error::RequestTimeout,
            "body_too_large" => Error::BodyTooLarge,
            "expectation_failed" => Error::ExpectationFailed,
            "head_refused" => Error::HeadRefused(status(number)),
            "misdirected" => Error::Misdirected,
            "loop_detected" => Error::LoopDetected,
            "internal" => Error::Internal("x"),
            reason => Error::Configuration { status: status(number), reason },
        };
        assert_eq!((error.status().as_u16(), error.code(), error.to_string()), (number, leaked, text.clone()));
        let response = error.into_response();
        assert_eq!(response.status().as_u16(), number);
        let body = String::from_utf8(response.body().as_bytes().unwrap().to_vec()).unwrap();
        assert_eq!(body, format!("{{\"error_msg\":\"{text}\"}}\n"), "{code}");
    }
}

#[test]
fn statuses_of_the_configurations_mistakes_are_those_of_the_compiler() {
    let compiler = read("src/gateway/compile.rs") + &*read("src/gateway/route_table.rs");
    let mut found = 0;
    for call in compiler.split("unavailable(").skip(1) {
        let Some((number, rest)) = call.split_once(", \"") else { continue };
        let Ok(number) = number.parse::<u16>() else { continue };
        let code = rest.split('"').next().unwrap();
        assert!(documented().iter().any(|(status, known, _)| (*status, &**known) == (number, code)), "{number} {code}");
        found += 1;
    }
    assert!(found >= 6, "{found}");
}
