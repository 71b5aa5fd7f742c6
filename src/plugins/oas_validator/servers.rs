//! Where a document says that its paths begin: the paths of `servers` (OpenAPI 3.1 §4.8.5).
use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Paths that the servers of one place may have.
const MOST: usize = 1000;

/// The paths of the servers that an operation, a path or a document names; `None` if it names none. A path has no `/` at its end,
/// and is empty for the root. Variables have each value of their `enum`, or their default.
///
/// # Errors
/// When there are too many.
pub(super) fn bases(holder: &Map<String, Value>) -> Result<Option<BTreeSet<String>>, String> {
    let Some(servers) = holder.get("servers").and_then(Value::as_array).filter(|servers| !servers.is_empty()) else {
        return Ok(None);
    };
    let mut bases = BTreeSet::new();
    for (index, server) in servers.iter().enumerate() {
        let Some(url) = server.get("url").and_then(Value::as_str) else { continue };
        for url in urls(url, server).map_err(|reason| format!("servers.{index} {reason}"))? {
            bases.insert(path(&url));
        }
    }
    Ok(Some(bases))
}

/// An address with the values of its variables in their places.
fn urls(url: &str, server: &Value) -> Result<BTreeSet<String>, String> {
    let mut urls = BTreeSet::from([url.to_owned()]);
    for (name, variable) in server.get("variables").and_then(Value::as_object).into_iter().flatten() {
        let place = format!("{{{name}}}");
        if !url.contains(&place) {
            continue;
        }
        let listed = variable.get("enum").and_then(Value::as_array).into_iter().flatten();
        let values: BTreeSet<&str> = listed.chain(variable.get("default")).filter_map(Value::as_str).collect();
        if urls.len().saturating_mul(values.len()) > MOST {
            return Err(format!("has variables with more than {MOST} values together"));
        }
        urls = urls.iter().flat_map(|url| values.iter().map(|value| url.replace(&place, value))).collect();
    }
    Ok(urls)
}

fn path(url: &str) -> String {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => url,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    if path.is_empty() { String::new() } else { format!("/{path}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(servers: Value) -> Result<Option<BTreeSet<String>>, String> {
        bases(json!({"servers": servers}).as_object().unwrap())
    }

    #[test]
    fn paths_of_servers() {
        for (servers, paths) in [
            (json!([{"url": "https://a.test"}]), &[""][..]),
            (
                json!([{"url": "/"}, {"url": "/v1/"}, {"url": "v2"}, {"url": "http://a.test:80/v1?x#y"}]),
                &["", "/v1", "/v2"],
            ),
            (
                json!([{"url": "https://{region}.test/{v}", "variables": {
                    "region": {"enum": ["a", "b"], "default": "a"}, "v": {"enum": ["1", "2"], "default": "2"}, "other": {"default": "x"},
                }}]),
                &["/1", "/2"],
            ),
            (json!([{"url": "{all}/x", "variables": {"all": {"default": "http://a.test/y"}}}]), &["/y/x"]),
            (json!([{"description": "none"}]), &[]),
        ] {
            let expected: BTreeSet<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            assert_eq!(of(servers.clone()), Ok(Some(expected)), "{servers}");
        }
        assert_eq!((of(json!([])), of(json!("x"))), (Ok(None), Ok(None)));
    }

    #[test]
    fn variables_are_bounded() {
        let values: Vec<String> = (0..40).map(|value| value.to_string()).collect();
        let variable = json!({"enum": values, "default": "0"});
        let error = of(json!([{"url": "/{a}/{b}", "variables": {"a": variable, "b": variable}}])).unwrap_err();
        assert!(error.starts_with("servers.0 has variables with more than 1000"), "{error}");
    }
}
