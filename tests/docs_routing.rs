//! `docs/routing.md` is true: every request that stands under an example goes where it says.
#![cfg(all(feature = "config-file", feature = "yaml"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
use tollgate::config::FileSource;
use tollgate::gateway::{Explained, Gateway};

const TEXT: &str = include_str!("../docs/routing.md");

/// A gateway with the routes of an example, which leave out where they lead.
fn gateway(example: &str) -> Gateway {
    let routes = example.replace("- {id:", "- {upstream_id: u, id:").replace("- id:", "- upstream_id: u\n    id:");
    let document = format!("{routes}upstreams:\n  - {{id: u, nodes: {{\"127.0.0.1:1\": 1}}}}\n");
    let snapshot = FileSource::new("example.yaml").read(document.as_bytes()).unwrap().snapshot;
    let gateway = Gateway::builder().build().unwrap();
    assert_eq!(gateway.check(&snapshot), [], "{example}");
    gateway.apply(snapshot).unwrap();
    assert_eq!(gateway.lint(), [], "{example}");
    gateway
}

/// The id of the route, `-` for none, or the status of a request that is refused.
fn ask(gateway: &Gateway, words: &[&str]) -> String {
    let mut request = http::Request::builder().method(words[0]).uri(words[1]);
    let mut client = "192.0.2.7".parse().unwrap();
    for word in &words[2..] {
        match word.strip_prefix('@') {
            Some(address) => client = address.parse().unwrap(),
            None => {
                let (name, value) = word.split_once(':').unwrap();
                request = request.header(name, value);
            }
        }
    }
    match gateway.explain(&request.body(()).unwrap(), Some(client)) {
        Explained::Routed(explanation) => {
            explanation.winner().map_or_else(|| "-".to_owned(), |winner| winner.id.to_string())
        }
        Explained::Refused(error) => error.status().as_str().to_owned(),
        other => panic!("{other}"),
    }
}

#[test]
fn every_request_goes_where_it_says() {
    let mut asked = 0;
    for example in TEXT.split("```yaml\n").skip(1) {
        let (routes, rest) = example.split_once("```\n```text\n").unwrap();
        let gateway = gateway(routes);
        for line in rest.split("```").next().unwrap().lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let (expected, request) = words.split_last().unwrap();
            assert_eq!(ask(&gateway, request), *expected, "{line}");
            asked += 1;
        }
    }
    assert!(asked > 25, "only {asked} requests found");
}
