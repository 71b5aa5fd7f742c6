//! A router that is plainly right: it looks at every rule, sorts what matches and takes the first.
//!
//! Nothing here is shared with the router but its public types. Patterns, hosts and expressions are read anew, by
//! backtracking where that is the shortest way to say it.
use std::cmp::Reverse;
use std::net::IpAddr;

use http::Method;
use serde_json::Value as Json;

/// A rule as text.
#[derive(Clone, Debug)]
pub struct Plain {
    pub id: String,
    pub order: u64,
    pub uris: Vec<String>,
    pub hosts: Vec<String>,
    pub methods: Vec<Method>,
    pub remote_addrs: Vec<&'static str>,
    pub vars: Option<Json>,
    pub priority: i64,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub host: Option<String>,
    pub path: String,
    pub client: IpAddr,
    /// Query arguments.
    pub args: Vec<(&'static str, &'static str)>,
}

/// The winner: id, pattern, host pattern, captures.
pub type Winner = (String, String, Option<String>, Vec<(String, String)>);

struct Candidate<'r> {
    rule: &'r Plain,
    uri: &'r str,
    host: Option<&'r str>,
    captures: Vec<(String, String)>,
}

/// Finds the winner. `rules` are sound.
pub fn find(rules: &[Plain], request: &Request, host_first: bool, parameters: bool) -> Option<Winner> {
    let mut candidates = Vec::new();
    for rule in rules {
        let hosts: Vec<_> =
            if rule.hosts.is_empty() { vec![None] } else { rule.hosts.iter().map(|host| Some(&**host)).collect() };
        for uri in &rule.uris {
            for host in &hosts {
                let Some(captures) = captures(uri, parameters, &request.path) else { continue };
                let takes = (rule.methods.is_empty() || rule.methods.contains(&request.method))
                    && (rule.remote_addrs.is_empty()
                        || rule.remote_addrs.iter().any(|network| contains(network, request.client)))
                    && host.is_none_or(|host| takes_host(host, request.host.as_deref()))
                    && rule.vars.as_ref().is_none_or(|vars| holds(vars, &request.args));
                if takes {
                    candidates.push(Candidate { rule, uri, host: *host, captures });
                }
            }
        }
    }
    // The sort is stable: pairs of one rule that are alike stay in the order in which they are written.
    candidates.sort_by_key(|candidate| {
        let key = literal_key(candidate.uri, parameters);
        let bucket = if host_first { bucket(candidate.host) } else { (0, Reverse(0)) };
        let (is_open, length) = key.map_or((true, 0), |(key, is_whole)| (!is_whole, key.len()));
        let rank = (Reverse(candidate.rule.priority), Reverse(candidate.uri.len()), candidate.rule.order);
        (bucket, is_open, Reverse(length), rank, candidate.rule.id.clone())
    });
    candidates
        .into_iter()
        .next()
        .map(|winner| (winner.rule.id.clone(), winner.uri.to_owned(), winner.host.map(str::to_owned), winner.captures))
}

/// Exact hosts, wildcards from the longest suffix, none; of each kind those with a port first.
fn bucket(host: Option<&str>) -> (u8, Reverse<usize>) {
    match host {
        None => (4, Reverse(0)),
        Some(host) => {
            let has_port = host.contains(':');
            match host.strip_prefix('*') {
                None => (if has_port { 0 } else { 1 }, Reverse(0)),
                Some(suffix) => (if has_port { 2 } else { 3 }, Reverse(suffix.len())),
            }
        }
    }
}

fn takes_host(pattern: &str, host: Option<&str>) -> bool {
    let Some(host) = host else { return false };
    let host = host.to_ascii_lowercase();
    let name = host.split(':').next().unwrap_or_default().trim_end_matches('.');
    let compared = if pattern.contains(':') { host.as_str() } else { name };
    !name.is_empty()
        && match pattern.strip_prefix('*') {
            Some(suffix) => compared.ends_with(suffix),
            None => compared == pattern,
        }
}

fn contains(network: &str, client: IpAddr) -> bool {
    let (address, length) = network.split_once('/').unwrap();
    match (address.parse().unwrap(), client) {
        (IpAddr::V4(network), IpAddr::V4(client)) => {
            let shift = 32 - length.parse::<u32>().unwrap();
            u64::from(u32::from(network)) >> shift == u64::from(u32::from(client)) >> shift
        }
        (IpAddr::V6(network), IpAddr::V6(client)) => {
            let shift = 128 - length.parse::<u32>().unwrap();
            u128::from(network) >> shift == u128::from(client) >> shift
        }
        _ => false,
    }
}

enum Piece<'p> {
    Literal(&'p str),
    Segment(&'p str),
    Run(&'p str),
    Anything,
}

/// Splits a pattern: literals with their slashes, captures with their names.
fn pieces(pattern: &str, parameters: bool) -> Vec<Piece<'_>> {
    if pattern == "*" {
        return vec![Piece::Run(":ext")];
    }
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while !rest.is_empty() {
        let at_segment = match rest.strip_prefix('/') {
            Some(tail) => {
                pieces.push(Piece::Literal("/"));
                tail
            }
            None => rest,
        };
        let end = at_segment.find('/').unwrap_or(at_segment.len());
        let (segment, tail) = at_segment.split_at(end);
        if let Some(name) = segment.strip_prefix('*') {
            pieces.push(Piece::Run(if name.is_empty() { ":ext" } else { name }));
        } else if parameters && segment.starts_with(':') {
            pieces.push(Piece::Segment(&segment[1..]));
        } else if let Some(literal) = segment.strip_suffix('*') {
            pieces.push(Piece::Literal(literal));
            pieces.push(Piece::Anything);
        } else {
            pieces.push(Piece::Literal(segment));
        }
        rest = tail;
    }
    pieces
}

/// The literal beginning, and whether it is the whole pattern.
fn literal_key(pattern: &str, parameters: bool) -> Option<(String, bool)> {
    let mut key = String::new();
    for piece in pieces(pattern, parameters) {
        match piece {
            Piece::Literal(literal) => key.push_str(literal),
            _ => return Some((key, false)),
        }
    }
    Some((key, true))
}

fn captures(pattern: &str, parameters: bool, path: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    walk(&pieces(pattern, parameters), path, &mut found).then_some(found)
}

/// Tries what a capture may take from the most to the least.
fn walk(pieces: &[Piece<'_>], path: &str, found: &mut Vec<(String, String)>) -> bool {
    let Some((piece, rest)) = pieces.split_first() else { return path.is_empty() };
    match piece {
        Piece::Literal(literal) => path.strip_prefix(literal).is_some_and(|path| walk(rest, path, found)),
        Piece::Anything => true,
        Piece::Segment(name) => {
            let end = path.find('/').unwrap_or(path.len());
            end > 0 && take(name, end, rest, path, found)
        }
        Piece::Run(name) => (0..=path.len()).rev().any(|end| take(name, end, rest, path, found)),
    }
}

fn take(name: &str, end: usize, rest: &[Piece<'_>], path: &str, found: &mut Vec<(String, String)>) -> bool {
    let mark = found.len();
    found.push((name.to_owned(), path[..end].to_owned()));
    let fits = walk(rest, &path[end..], found);
    if !fits {
        found.truncate(mark);
    }
    fits
}

/// Expressions over arguments: the operators that the generator makes.
fn holds(expression: &Json, args: &[(&str, &str)]) -> bool {
    let items = expression.as_array().unwrap();
    let all = |items: &[Json]| items.iter().all(|item| holds(item, args));
    let any = |items: &[Json]| items.iter().any(|item| holds(item, args));
    match items.first().and_then(Json::as_str) {
        None => all(items),
        Some("AND") => all(&items[1..]),
        Some("OR") => any(&items[1..]),
        Some("!AND") => !all(&items[1..]),
        Some("!OR") => !any(&items[1..]),
        Some(name) => {
            let value =
                args.iter().find(|(known, _)| Some(*known) == name.strip_prefix("arg_")).map(|(_, value)| *value);
            let number = value.and_then(|value| value.parse::<f64>().ok());
            match (&items[1..items.len() - 1], items.last().unwrap()) {
                ([operator], constant) => compare(operator.as_str().unwrap(), value, number, constant),
                ([_, operator], constant) => !compare(operator.as_str().unwrap(), value, number, constant),
                _ => panic!("{expression}"),
            }
        }
    }
}

fn compare(operator: &str, value: Option<&str>, number: Option<f64>, constant: &Json) -> bool {
    let equals = match constant {
        Json::Null => value.is_none(),
        Json::Number(constant) => number.is_some() && number == constant.as_f64(),
        Json::String(constant) => value == Some(constant),
        _ => false,
    };
    match operator {
        "==" => equals,
        "~=" => !equals,
        "<" => number.is_some_and(|number| Some(number) < constant.as_f64()),
        ">=" => number.is_some_and(|number| Some(number) >= constant.as_f64()),
        "in" => constant.as_array().unwrap().iter().any(|item| value.is_some() && item.as_str() == value),
        "~~" => value.is_some_and(|value| value.contains(constant.as_str().unwrap())),
        other => panic!("{other}"),
    }
}
