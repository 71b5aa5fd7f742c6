//! The table of what there is to ask for: paths × methods → [`Operation`]. The OpenAPI document is made of the same table.
use http::{Method, StatusCode};

use super::answer::Answer;
use crate::model::Kind;
use crate::router::percent_decode;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Whether the Admin API is there.
    Alive,
    List(Kind),
    Read(Kind),
    Put(Kind),
    Create(Kind),
    Patch(Kind),
    /// Replaces one member of an item.
    PatchAt(Kind),
    Delete(Kind),
    /// An id is missing in the path.
    WithoutId(Kind),
    /// An id too many stands in the path.
    WithId(Kind),
    PluginNames,
    Plugins,
    Plugin,
    ReloadPlugins,
    Schema,
    PluginSchema,
    ValidateItem,
    ValidateDocument,
    ReadConfigs,
    ReplaceConfigs,
    History,
    HistoryAt,
    HistoryDiff,
    Restore,
    OpenApi,
}

impl Operation {
    /// The kind of resource that it is about.
    pub(super) const fn kind(self) -> Option<Kind> {
        match self {
            Self::List(kind)
            | Self::Read(kind)
            | Self::Put(kind)
            | Self::Create(kind)
            | Self::Patch(kind)
            | Self::PatchAt(kind)
            | Self::Delete(kind)
            | Self::WithoutId(kind)
            | Self::WithId(kind) => Some(kind),
            _ => None,
        }
    }

    /// Whether it changes anything: what a viewer may not do, and what is audited.
    pub(super) const fn writes(self) -> bool {
        matches!(
            self,
            Self::Put(_)
                | Self::Create(_)
                | Self::Patch(_)
                | Self::PatchAt(_)
                | Self::Delete(_)
                | Self::WithoutId(_)
                | Self::WithId(_)
                | Self::ReloadPlugins
                | Self::ReplaceConfigs
                | Self::Restore
        )
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) method: Method,
    /// Behind the prefix. `{name}` is one segment, `{name*}` all that follow.
    pub(super) path: String,
    pub(super) operation: Operation,
    /// For the OpenAPI document; those without one are there only to be refused in words.
    pub(super) summary: Option<String>,
}

/// The segments of a path that stand where the table has a name, decoded.
pub(super) type Segments = Vec<String>;

/// What a method of a kind of resource is good for.
#[derive(Clone, Copy)]
struct Resource {
    kind: Kind,
    /// The path of all.
    all: &'static str,
    /// What follows of one.
    one: &'static str,
    post: bool,
    patch: bool,
}

const fn resource(kind: Kind, all: &'static str, post: bool, patch: bool) -> Resource {
    Resource { kind, all, one: "/{id}", post, patch }
}

const RESOURCES: [Resource; 13] = [
    resource(Kind::Route, "/routes", true, true),
    resource(Kind::Service, "/services", true, true),
    resource(Kind::Upstream, "/upstreams", true, true),
    resource(Kind::Ssl, "/ssls", true, true),
    Resource { kind: Kind::Consumer, all: "/consumers", one: "/{username}", post: false, patch: false },
    resource(Kind::Credential, "/consumers/{username}/credentials", false, false),
    resource(Kind::ConsumerGroup, "/consumer_groups", false, true),
    resource(Kind::PluginConfig, "/plugin_configs", false, true),
    resource(Kind::GlobalRule, "/global_rules", false, true),
    Resource { kind: Kind::PluginMetadata, all: "/plugin_metadata", one: "/{plugin}", post: false, patch: false },
    Resource { kind: Kind::Secret, all: "/secrets", one: "/{manager}/{id}", post: false, patch: true },
    resource(Kind::Proto, "/protos", true, false),
    resource(Kind::StreamRoute, "/stream_routes", true, false),
];

/// What is no resource.
const OTHERS: [(Method, &str, Operation, &str); 16] = [
    (Method::GET, "", Operation::Alive, "Whether the Admin API is there; needs no key"),
    (Method::GET, "/plugins/list", Operation::PluginNames, "The names of all plugins that are enabled, by priority"),
    (Method::PUT, "/plugins/reload", Operation::ReloadPlugins, "Reads the list of enabled plugins anew"),
    (Method::GET, "/plugins", Operation::Plugins, "All plugins with their properties (`?all=true`)"),
    (Method::GET, "/plugins/{name}", Operation::Plugin, "The JSON Schema of a plugin"),
    (Method::GET, "/schema/plugins/{name}", Operation::PluginSchema, "The JSON Schema of a plugin"),
    (
        Method::POST,
        "/schema/validate/{kind}",
        Operation::ValidateItem,
        "Judges one item by its schema, and stores nothing",
    ),
    (Method::GET, "/schema/{kind}", Operation::Schema, "The JSON Schema of a kind of resource"),
    (
        Method::POST,
        "/configs/validate",
        Operation::ValidateDocument,
        "Judges a whole configuration, and stores nothing",
    ),
    (Method::GET, "/configs", Operation::ReadConfigs, "The whole configuration, as it was put"),
    (Method::PUT, "/configs", Operation::ReplaceConfigs, "Replaces the whole configuration"),
    (Method::GET, "/history", Operation::History, "The last changes, the newest first"),
    (Method::GET, "/history/{revision}", Operation::HistoryAt, "One change, with what stood there before and after"),
    (Method::GET, "/history/{from}/diff/{to}", Operation::HistoryDiff, "What differs between two revisions"),
    (
        Method::POST,
        "/history/{revision}/restore",
        Operation::Restore,
        "Makes the configuration what it was at a revision",
    ),
    (Method::GET, "/openapi.json", Operation::OpenApi, "This document"),
];

/// The whole table, in the order in which it is looked through.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints: Vec<_> = OTHERS
        .into_iter()
        .map(|(method, path, operation, summary)| endpoint(method, path.to_owned(), operation, summary))
        .collect();
    for Resource { kind, all, one, post, patch } in RESOURCES {
        let (name, one) = (kind.as_str(), format!("{all}{one}"));
        let mut add = |method, path: &str, operation, summary: String| {
            endpoints.push(endpoint(method, path.to_owned(), operation, &summary));
        };
        add(Method::GET, all, Operation::List(kind), format!("All items of the kind {name}, by page and filter"));
        add(Method::GET, &one, Operation::Read(kind), format!("One {name}"));
        add(Method::PUT, &one, Operation::Put(kind), format!("Creates or replaces a {name}"));
        add(Method::DELETE, &one, Operation::Delete(kind), format!("Removes a {name}"));
        add(Method::DELETE, all, Operation::WithoutId(kind), String::new());
        add(Method::PUT, all, Operation::Put(kind), format!("Creates or replaces the {name} that the body names"));
        if post {
            add(Method::POST, all, Operation::Create(kind), format!("Creates a {name} under a new id"));
            add(Method::POST, &one, Operation::WithId(kind), String::new());
        }
        if patch {
            add(Method::PATCH, &one, Operation::Patch(kind), format!("Changes parts of a {name}"));
            let path = format!("{one}/{{path*}}");
            add(Method::PATCH, &path, Operation::PatchAt(kind), format!("Replaces one member of a {name}"));
            add(Method::PATCH, all, Operation::WithoutId(kind), String::new());
        }
    }
    endpoints
}

fn endpoint(method: Method, path: String, operation: Operation, summary: &str) -> Endpoint {
    Endpoint { method, path, operation, summary: (!summary.is_empty()).then(|| summary.to_owned()) }
}

/// What a request to `path` (behind the prefix) asks for, and the parts of the path. `HEAD` asks what `GET` does.
///
/// # Errors
/// 404 for a path that is none, 405 for a method that it does not have.
pub(super) fn resolve<'e>(
    endpoints: &'e [Endpoint],
    method: &Method,
    path: &str,
) -> Result<(&'e Endpoint, Segments), Answer> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let segments: Option<Vec<String>> = path.split('/').skip(1).map(decoded).collect();
    let Some(mut segments) = segments else { return Err(Answer::bad("the path is no text")) };
    if segments.last().is_some_and(String::is_empty) {
        segments.pop();
    }
    let mut allowed = Vec::new();
    let mut kind = None;
    for endpoint in endpoints {
        // A member of an item is no path of its own for other methods.
        let Some(named) = matched(&endpoint.path, &segments) else { continue };
        if endpoint.method == *method {
            return Ok((endpoint, named));
        }
        if !allowed.contains(&endpoint.method) {
            allowed.push(endpoint.method.clone());
        }
        kind = kind.or(endpoint.operation.kind());
    }
    if allowed.is_empty() {
        let first = segments.first().map_or("", String::as_str);
        return Err(Answer::error(StatusCode::NOT_FOUND, format!("Unsupported resource type: {first}")));
    }
    let message = match kind {
        Some(kind) => format!("not supported `{method}` method for {kind}"),
        None => format!("not supported `{method}` method"),
    };
    let mut allow: Vec<_> = allowed.iter().map(Method::as_str).collect();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    let answer = Answer::error(StatusCode::METHOD_NOT_ALLOWED, message);
    Err(match http::HeaderValue::try_from(allow.join(", ")) {
        Ok(allow) => answer.with(http::header::ALLOW, allow),
        Err(_) => answer,
    })
}

/// The segments that stand where `pattern` has names, if it fits.
fn matched(pattern: &str, segments: &[String]) -> Option<Segments> {
    let mut named = Vec::new();
    let mut rest = segments.iter();
    for step in pattern.split('/').skip(1) {
        if step.ends_with("*}") {
            let following: Vec<_> = rest.by_ref().cloned().collect();
            if following.is_empty() || following.iter().any(String::is_empty) {
                return None;
            }
            named.extend(following);
            return Some(named);
        }
        let segment = rest.next()?;
        match step.starts_with('{') {
            true if segment.is_empty() => return None,
            true => named.push(segment.clone()),
            false if segment != step => return None,
            false => {}
        }
    }
    rest.next().is_none().then_some(named)
}

/// A segment without percent-encoding. `None` if it is no UTF-8 then.
fn decoded(segment: &str) -> Option<String> {
    String::from_utf8(percent_decode(segment.as_bytes()).into_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, path: &str) -> Result<(Operation, Segments), (u16, String)> {
        let table = endpoints();
        resolve(&table, &method, path).map(|(endpoint, segments)| (endpoint.operation, segments)).map_err(|answer| {
            let text = match &answer.body {
                super::super::answer::Content::Json(body) => body["error_msg"].as_str().unwrap_or_default().to_owned(),
                _ => String::new(),
            };
            (answer.status.as_u16(), text)
        })
    }

    #[test]
    fn paths_and_methods() {
        let ok = |operation, segments: &[&str]| Ok((operation, segments.iter().map(|s| (*s).to_owned()).collect()));
        for (method, path, expected) in [
            (Method::HEAD, "", ok(Operation::Alive, &[])),
            (Method::HEAD, "/", ok(Operation::Alive, &[])),
            (Method::GET, "/routes", ok(Operation::List(Kind::Route), &[])),
            (Method::GET, "/routes/", ok(Operation::List(Kind::Route), &[])),
            (Method::GET, "/routes/7", ok(Operation::Read(Kind::Route), &["7"])),
            (Method::HEAD, "/routes/7", ok(Operation::Read(Kind::Route), &["7"])),
            (Method::PUT, "/routes/a%2Eb", ok(Operation::Put(Kind::Route), &["a.b"])),
            (Method::PUT, "/routes", ok(Operation::Put(Kind::Route), &[])),
            (Method::POST, "/routes", ok(Operation::Create(Kind::Route), &[])),
            (Method::POST, "/routes/7", ok(Operation::WithId(Kind::Route), &["7"])),
            (Method::PATCH, "/routes/7", ok(Operation::Patch(Kind::Route), &["7"])),
            (Method::PATCH, "/routes/7/plugins/cors", ok(Operation::PatchAt(Kind::Route), &["7", "plugins", "cors"])),
            (Method::DELETE, "/routes", ok(Operation::WithoutId(Kind::Route), &[])),
            (Method::GET, "/consumers/jack/credentials", ok(Operation::List(Kind::Credential), &["jack"])),
            (Method::PUT, "/consumers/jack/credentials/1", ok(Operation::Put(Kind::Credential), &["jack", "1"])),
            (Method::PATCH, "/secrets/vault/1", ok(Operation::Patch(Kind::Secret), &["vault", "1"])),
            (Method::PATCH, "/secrets/vault/1/uri", ok(Operation::PatchAt(Kind::Secret), &["vault", "1", "uri"])),
            (Method::GET, "/plugins/list", ok(Operation::PluginNames, &[])),
            (Method::GET, "/plugins/cors", ok(Operation::Plugin, &["cors"])),
            (Method::GET, "/schema/route", ok(Operation::Schema, &["route"])),
            (Method::GET, "/schema/plugins/cors", ok(Operation::PluginSchema, &["cors"])),
            (Method::GET, "/history/1/diff/2", ok(Operation::HistoryDiff, &["1", "2"])),
            (Method::GET, "/nothing", Err((404, "Unsupported resource type: nothing".to_owned()))),
            (Method::GET, "/routes/7/plugins", Err((405, "not supported `GET` method for route".to_owned()))),
            (Method::POST, "/consumers", Err((405, "not supported `POST` method for consumer".to_owned()))),
            (Method::PATCH, "/consumers/jack", Err((405, "not supported `PATCH` method for consumer".to_owned()))),
            (
                Method::POST,
                "/consumers/jack/credentials",
                Err((405, "not supported `POST` method for credential".to_owned())),
            ),
            (Method::PATCH, "/protos/1", Err((405, "not supported `PATCH` method for proto".to_owned()))),
            (Method::POST, "/plugins/reload", Err((405, "not supported `POST` method".to_owned()))),
            (Method::PUT, "/routes/%zz", ok(Operation::Put(Kind::Route), &["%zz"])),
            (Method::PUT, "/routes/%ff", Err((400, "the path is no text".to_owned()))),
        ] {
            assert_eq!(asked(method.clone(), path), expected, "{method} {path}");
        }
    }

    #[test]
    fn no_line_of_the_table_hides_another() {
        let table = endpoints();
        for endpoint in &table {
            let path = endpoint.path.replace(['{', '}', '*'], "");
            let (found, _) = resolve(&table, &endpoint.method, &path).unwrap();
            assert_eq!((found.operation, &found.path), (endpoint.operation, &endpoint.path), "{path}");
        }
    }
}
