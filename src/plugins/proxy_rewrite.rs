//! `proxy-rewrite`: what the upstream is sent instead of what the client sent: path, host, method and fields.
//!
//! 1. The path: `uri` if there is one, else the first pair of `regex_uri` whose pattern matches. The client's query is
//!    kept and appended. The result is made canonical at once, so that everything behind judges what is forwarded
//!    (security.md PATH-07, PLG-03); a result that a client could not have sent is answered with 400.
//! 2. The fields: add, then set, then remove. Values are templates; `$1` is a capture of the `regex_uri` that matched.
//!    They show the request as it came here, before its path changed.
//! 3. The host, which wins over the upstream's `pass_host`, and the method.
//!
//! Stage: rewrite, after authentication and before whatever decides. An empty block does nothing. The route has been
//! chosen before; the variable `uri` is the new path from here on, `request_uri` stays the original.
//!
//! Answers: 400 `{"error_msg":"400 Bad Request"}` for a path that climbs or hides something and for a `Host` that is
//! none, 500 `{"error_msg":"failed to substitute the uri"}` for a path that is none at all (too long).
//!
//! What is encoded: the path that patterns see is the canonical one, its escapes in it (with `path_mode: compatible`
//! the decoded one, which is encoded again). What a variable or a capture brings along is encoded where a path could
//! not hold it, so that it opens no query and no second line; escapes of the canonical path stay as they are.
//!
//! `X-Forwarded-Proto`, `-Host` and `-Port` may be set or emptied here and are then sent so. `X-Forwarded-For`,
//! `X-Real-IP` and `Forwarded` are written by the gateway alone, and edits of them have no effect, of which the load
//! warns: `real-ip` says who the client is.
//!
//! ```
//! use http::Request;
//! use tollgate::plugin::Gate as _;
//! use tollgate::plugins::proxy_rewrite::{ProxyRewrite, ProxyRewriteConfig};
//!
//! let mut config = ProxyRewriteConfig::default();
//! config.regex_uri = Some(vec!["^/v1/(.*)".into(), "/$1?v=1".into()]);
//! let rewrite = ProxyRewrite::new(config)?;
//! let mut request = Request::builder().uri("/v1/users?page=2").body(()).unwrap();
//! assert!(rewrite.check(&mut request).is_ok());
//! assert_eq!(request.uri(), "/users?v=1&page=2");
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"proxy-rewrite": {"regex_uri": ["^/v1/(.*)", "/$1"], "host": "users.test", "headers": {"set": {"x-api": "v1"}}}}
//! ```
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode};
use serde::Deserialize;

use super::edit::{
    Captured, EncodedVars, HeaderEdits, RenderedEdits, RequestHeaders, Substitution, push_path, push_query, push_target,
};
use crate::host::is_host as is_valid_host;
use crate::plugin::{BuildContext, Caveat, ConfigError, Gate, GateLayer, Plugin, SchemaOf, Stage};
use crate::request::{RequestVars, SharedFacts, ShownAs, Template, Verbatim, rewrite_target};
use crate::router::{Value, VarName, Variables};
use crate::{Error, IntoResponse, PluginLayer, Response, reject_error_msg};

/// Options of `proxy-rewrite`. All are optional.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProxyRewriteConfig {
    /// The new path, a template of 1–4096 characters that begins with `/`. Everything behind its first `?` begins the
    /// new query. Wins over `regex_uri`. Default: the path stays.
    pub uri: Option<String>,
    /// Pairs of a pattern and a replacement. The first pattern that matches the path replaces its first match there;
    /// `$1` in the replacement is a capture. Patterns are those of the `regex` crate: linear time, without look-around.
    /// Default: the path stays.
    pub regex_uri: Option<Vec<String>>,
    /// The method to send: GET, POST, PUT, HEAD, DELETE, OPTIONS, MKCOL, COPY, MOVE, PROPFIND, LOCK, UNLOCK, PATCH or
    /// TRACE. Default: the client's.
    pub method: Option<String>,
    /// The `Host` to send, with or without a port. Default: as the upstream's `pass_host` says.
    pub host: Option<String>,
    /// Edits of the request's fields: `{"add": {..}, "set": {..}, "remove": [..]}`, or a flat map of what is to be set.
    /// Values are strings (templates, in which `$1` is a capture of `regex_uri`), numbers, or arrays of these for
    /// several lines. Default: none.
    pub headers: Option<RequestHeaders>,
    /// Begin with the path as the client sent it, and send the result as it is, not made canonical. What stands before
    /// this plugin has judged the canonical path, the upstream may read another one: unsafe, and warned of. Default
    /// `false`.
    pub use_real_request_uri_unsafe: bool,
}

const METHODS: [&str; 14] = [
    "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "MKCOL", "COPY", "MOVE", "PROPFIND", "LOCK", "UNLOCK", "PATCH",
    "TRACE",
];

const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// Fields that the gateway alone writes.
const OWN: [&str; 3] = ["x-forwarded-for", "x-real-ip", "forwarded"];

/// Rewrites requests.
#[derive(Debug)]
pub struct ProxyRewrite {
    path: Path,
    method: Option<Method>,
    host: Option<HeaderValue>,
    headers: HeaderEdits,
    /// Whether `Host` is among them.
    edits_host: bool,
    /// Whether one of the forwarding fields is edited.
    shows: bool,
    unsafe_target: bool,
}

#[derive(Debug)]
enum Path {
    Kept,
    Template(Template),
    Substitutions(Vec<Substitution>),
}

/// [`ProxyRewrite`] before a service.
pub type ProxyRewriteLayer = GateLayer<ProxyRewrite>;

impl ProxyRewrite {
    /// Compiles the options.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: ProxyRewriteConfig) -> Result<Self, ConfigError> {
        let fault = |field: &str, reason: String| ConfigError::invalid(ProxyRewritePlugin::NAME, field, reason);
        let pairs =
            config.regex_uri.map(|list| pairs(&list).map_err(|reason| fault("regex_uri", reason))).transpose()?;
        let path = match (config.uri, pairs) {
            (Some(uri), _) => Path::Template(path_template(&uri).map_err(|reason| fault("uri", reason))?),
            (None, Some(pairs)) => Path::Substitutions(pairs),
            (None, None) => Path::Kept,
        };
        let method = match config.method {
            Some(name) if METHODS.contains(&name.as_str()) => Method::from_bytes(name.as_bytes()).ok(),
            Some(name) => {
                return Err(fault("method", format!("{name:?} is none; write one of {}", METHODS.join(", "))));
            }
            None => None,
        };
        let host = config.host.map(|host| {
            let fault = || fault("host", format!("{host:?} is none; write `name` or `name:port`"));
            if is_host(&host) { HeaderValue::from_str(&host).map_err(|_| fault()) } else { Err(fault()) }
        });
        let headers = match config.headers {
            Some(headers) => without_own(headers).compile(ProxyRewritePlugin::NAME, "headers")?,
            None => HeaderEdits::default(),
        };
        if !headers.writes_once(&HOST) {
            return Err(fault("headers", "a request has one `Host`: write `host`, or one value in `set`".to_owned()));
        }
        let edits_host = headers.names().any(|name| *name == HOST);
        let shows = headers.names().any(|name| [PROTO, FORWARDED_HOST, PORT].contains(name));
        let unsafe_target = config.use_real_request_uri_unsafe;
        Ok(Self { path, method, host: host.transpose()?, headers, edits_host, shows, unsafe_target })
    }

    /// What a request becomes: its new target, if it gets one, and its fields.
    fn plan<B>(&self, request: &http::Request<B>) -> Result<(Option<PathAndQuery>, RenderedEdits<'_>), Response> {
        let vars = RequestVars::of(request);
        let mut fields = Captured { variables: &vars, captures: None };
        if matches!(self.path, Path::Kept) && !self.unsafe_target {
            return Ok((None, self.headers.render(&fields)));
        }
        let name = if self.unsafe_target { VarName::RealRequestUri } else { VarName::Uri };
        let start = match vars.get(&name) {
            Some(Value::Text(text)) => text,
            _ => request.uri().path().as_bytes().into(),
        };
        // Of the target as it was sent the path alone counts: a layer may have taken an argument out, such as a key.
        let start = match start.iter().position(|byte| *byte == b'?').filter(|_| self.unsafe_target) {
            Some(end) => start.get(..end).unwrap_or_default(),
            None => &*start,
        };
        let query = request.uri().query().map(str::as_bytes);
        let decoded = !self.unsafe_target && vars.has_decoded_path();
        let new = match &self.path {
            Path::Kept => None,
            Path::Template(template) => Some(template.render(&EncodedVars { variables: &vars, decoded }).text),
            Path::Substitutions(pairs) => pairs.iter().find_map(|pair| {
                let captures = pair.captures(start)?;
                let new = pair.replace(start, &captures, |text, out| push_path(text, decoded, out));
                fields.captures = Some(captures);
                Some(new)
            }),
        };
        let target = match new {
            Some(new) => Some(target(&new, query)?),
            None if self.unsafe_target => Some(target(start, query)?),
            None => None,
        };
        Ok((target, self.headers.render(&fields)))
    }

    fn set_target<B>(&self, request: &mut http::Request<B>, target: PathAndQuery) -> Result<(), Response> {
        if self.unsafe_target {
            request.extensions_mut().insert(Verbatim(target.clone()));
            *request.uri_mut() = target.into();
            return Ok(());
        }
        rewrite_target(request, target).map_err(IntoResponse::into_response)
    }

    /// What is sent in place of what the gateway, or the upstream's settings, would say.
    fn show<B>(&self, request: &mut http::Request<B>) {
        if SharedFacts::of(request).is_none() {
            // Nobody else writes these fields: they are sent as they stand.
            if let Some(host) = &self.host {
                request.headers_mut().insert(HOST, host.clone());
            }
            return;
        }
        let mut shown = request.extensions_mut().remove::<Box<ShownAs>>().unwrap_or_default();
        if self.host.is_some() {
            shown.host.clone_from(&self.host);
        }
        if self.shows {
            let headers = request.headers_mut();
            let edited: Vec<_> = self.headers.names().collect();
            let mut take = |name: HeaderName, field: &mut Option<HeaderValue>| {
                if edited.contains(&&name) {
                    *field = Some(last(headers, &name));
                }
            };
            take(PROTO, &mut shown.proto);
            take(FORWARDED_HOST, &mut shown.forwarded_host);
            take(PORT, &mut shown.port);
        }
        request.extensions_mut().insert(shown);
    }
}

impl Gate for ProxyRewrite {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        let (target, headers) = self.plan(request)?;
        headers.apply(request.headers_mut());
        if self.edits_host && request.headers().get(HOST).is_some_and(|host| !is_valid_host(host.as_bytes())) {
            return Err(Error::BadRequest("rewritten_host").into_response());
        }
        if let Some(target) = target {
            self.set_target(request, target)?;
        }
        if self.shows || self.host.is_some() {
            self.show(request);
        }
        if let Some(method) = &self.method {
            request.method_mut().clone_from(method);
        }
        Ok(())
    }
}

/// Takes a field off; of several lines the last one counts. Empty when there is none.
fn last(headers: &mut HeaderMap, name: &HeaderName) -> HeaderValue {
    let value = headers.get_all(name).iter().next_back().cloned();
    headers.remove(name);
    value.unwrap_or(HeaderValue::from_static(""))
}

/// A target out of new path and client's query.
fn target(new: &[u8], query: Option<&[u8]>) -> Result<PathAndQuery, Response> {
    let mut target = Vec::with_capacity(new.len() + query.map_or(0, <[u8]>::len) + 1);
    let has_query = push_target(new, &mut target);
    if let Some(query) = query {
        target.push(if has_query { b'&' } else { b'?' });
        push_query(query, &mut target);
    }
    if target.first() != Some(&b'/') {
        target.insert(0, b'/');
    }
    PathAndQuery::from_maybe_shared(bytes::Bytes::from(target)).map_err(|_| {
        reject_error_msg(StatusCode::INTERNAL_SERVER_ERROR, ProxyRewritePlugin::NAME, "failed to substitute the uri")
    })
}

/// The edits without those of fields that the gateway writes over anyway.
fn without_own(mut headers: RequestHeaders) -> RequestHeaders {
    headers.add.retain(|(name, _)| !is_own(name));
    headers.set.retain(|(name, _)| !is_own(name));
    headers.remove.retain(|name| !is_own(name));
    headers
}

fn is_own(name: &str) -> bool {
    OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
}

fn path_template(uri: &str) -> Result<Template, String> {
    if !uri.starts_with('/') || uri.chars().count() > 4096 {
        return Err("a path has 1 to 4096 characters and begins with `/`".to_owned());
    }
    let template = Template::parse(uri).map_err(|error| error.to_string())?;
    let path = uri.split('?').next().unwrap_or_default();
    if template.as_literal().is_some() && path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("a path does not lead through `.` or `..`; write the path that is meant".to_owned());
    }
    Ok(template)
}

fn pairs(list: &[String]) -> Result<Vec<Substitution>, String> {
    let (pairs, rest) = list.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return Err("The length of regex_uri should be an even number".to_owned());
    }
    let compile = |[pattern, replacement]: &[String; 2]| {
        Substitution::compile(pattern, replacement)
            .map_err(|reason| format!("invalid regex_uri({pattern}, {replacement}): {reason}"))
    };
    pairs.iter().map(compile).collect()
}

/// `[0-9A-Za-z.-]+(:port)?`.
fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    is_name && port.is_none_or(is_port)
}

/// Registry entry of `proxy-rewrite`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProxyRewritePlugin;

impl Plugin for ProxyRewritePlugin {
    const NAME: &'static str = "proxy-rewrite";
    const STAGE: Stage = Stage::Rewrite;
    const PRIORITY: i32 = 1008;
    type Config = ProxyRewriteConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<ProxyRewriteConfig>()
    }

    fn build(&self, config: ProxyRewriteConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        ProxyRewrite::new(config).map(|rewrite| GateLayer::of(rewrite).into())
    }

    fn caveats(&self, config: &ProxyRewriteConfig) -> Vec<Caveat> {
        let raw = config.use_real_request_uri_unsafe.then(|| {
            let message =
                "sends the upstream a path that was not judged: it may read another one than this gateway did";
            Caveat::new("use_real_request_uri_unsafe", message, "leave it out")
        });
        let edited = config.headers.iter().flat_map(|headers| {
            let written = headers.add.iter().chain(&headers.set).map(|(name, _)| name);
            written.chain(&headers.remove).filter(|name| is_own(name))
        });
        let without_effect = edited.map(|name| {
            let message = format!("`{name}` has no effect: the gateway writes it");
            Caveat::new("headers", message, "remove it; `real-ip` says who the client is")
        });
        raw.into_iter().chain(without_effect).collect()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::plugin::shape;
    use crate::router::{PathOptions, canonicalise};

    fn rewrite(block: Json) -> Result<ProxyRewrite, ConfigError> {
        ProxyRewrite::new(shape(ProxyRewritePlugin::NAME, block.as_object().unwrap())?)
    }

    fn sent(block: Json, target: &str) -> Result<Request<()>, u16> {
        let mut request = Request::builder()
            .uri(target)
            .header("host", "gw.test:8080")
            .header("x-a", "1")
            .header("x-evil", "a?b c")
            .body(())
            .unwrap();
        match rewrite(block).unwrap().check(&mut request) {
            Ok(()) => Ok(request),
            Err(response) => Err(response.status().as_u16()),
        }
    }

    #[test]
    fn paths() {
        let uri = |uri: &str| json!({"uri": uri});
        let regex = |list: &[&str]| json!({"regex_uri": list});
        for (block, target, wanted) in [
            (json!({}), "/a%20b?x=1", "/a%20b?x=1"),
            (uri("/new"), "/old?x=1&y", "/new?x=1&y"),
            (uri("/new?a=1"), "/old?x=1", "/new?a=1&x=1"),
            (uri("/new?a=1"), "/old", "/new?a=1"),
            (uri("/new"), "/old?", "/new?"),
            (uri("/p$uri"), "/a%20b/c%3F?x=1", "/p/a%20b/c%3F?x=1"),
            (uri("/p/$arg_name"), "/o?name=a%3Fb%20c%25", "/p/a%3Fb%20c%25?name=a%3Fb%20c%25"),
            (uri("/p/$http_x_evil"), "/o", "/p/a%3Fb%20c"),
            (uri("/p/${arg_none ?? d}/$arg_none"), "/o", "/p/d/"),
            (uri("/a b"), "/o", "/a%20b"),
            (uri("//a///b"), "/o", "/a/b"),
            (regex(&["^/v1/(.*)", "/$1"]), "/v1/users/7?x=1", "/users/7?x=1"),
            (regex(&["^/v1/(.*)", "/x?q=$1"]), "/v1/u?x=1", "/x?q=u&x=1"),
            (regex(&["^/v1/(.*)", "/$1"]), "/v2/users", "/v2/users"),
            (regex(&["^/a/", "/1/", "^/b/", "/2/", "^/b", "/3"]), "/b/b/", "/2/b/"),
            (regex(&["b", "c"]), "/b/b", "/c/b"),
            (regex(&["^/v1/(.*)", "/$1"]), "/v1/a%2Bb%20", "/a+b%20"),
            (regex(&["^/v1", ""]), "/v1", "/"),
            (regex(&["^/v1/", ""]), "/v1/a", "/a"),
            (json!({"uri": "/u", "regex_uri": [".*", "/r"]}), "/o", "/u"),
        ] {
            let got = sent(block.clone(), target).unwrap().uri().to_string();
            // What is not escaped for a reason is canonical without escape.
            assert_eq!(got, wanted.replace("/a+b", "/a%2Bb"), "{block} {target}");
        }
    }

    #[test]
    fn sec_path_07_no_rewrite_climbs_or_opens_a_query() {
        for (block, target) in [
            (json!({"regex_uri": ["^/api", "/x"]}), "/api/../admin"),
            (json!({"regex_uri": ["^/api", ""]}), "/api/%2e%2e/admin"),
            (json!({"uri": "/p/$arg_p"}), "/o?p=..%2Fadmin"),
            (json!({"uri": "/p/$arg_p"}), "/o?p=..;%2Fadmin"),
            (json!({"uri": "/p/$arg_p"}), "/o?p=%5Cadmin"),
            (json!({"uri": "/p/$arg_p"}), "/o?p=a%0D%0Ax"),
        ] {
            assert_eq!(sent(block.clone(), target).unwrap_err(), 400, "{block} {target}");
        }
        let request = sent(json!({"regex_uri": ["^/api(.*)", "$1"]}), "/api../admin");
        assert_eq!(request.unwrap_err(), 400);
        let long = "/".to_owned() + &*"a".repeat(60_000);
        assert_eq!(sent(json!({"regex_uri": ["a+", "$0$0"]}), &long).unwrap_err(), 500);
    }

    #[test]
    fn the_real_target_is_sent_as_it_is() {
        let block = |more: Json| {
            let mut block = json!({"use_real_request_uri_unsafe": true});
            block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            block
        };
        for (more, target, wanted) in [
            (json!({}), "/a//%61/../b?x=1", "/a//%61/../b?x=1"),
            (json!({"regex_uri": ["^/a", "/z"]}), "/a//%61?x=?", "/z//%61?x=?"),
            (json!({"regex_uri": ["^/y", "/z"]}), "/a//%61?x", "/a//%61?x"),
            (json!({"uri": "/n/%2e"}), "/a//b?x", "/n/%2e?x"),
        ] {
            let request = sent(block(more), target).unwrap();
            assert_eq!(request.uri(), wanted);
            assert_eq!(request.extensions().get::<Verbatim>().unwrap().0, wanted);
        }
    }

    #[test]
    fn host_method_and_fields() {
        let block = json!({
            "regex_uri": ["^/(\\w+)/(\\w+)", "/$2"],
            "host": "new.test:81",
            "method": "POST",
            "headers": {
                "add": {"x-a": ["2", 3]},
                "set": {"x-cap": "$2-$1-$3", "x-uri": "$uri", "x-host": "$host", "x-evil": ""},
                "remove": ["x-none"],
            },
        });
        let request = sent(block, "/one/two").unwrap();
        assert_eq!(request.method(), "POST");
        let field = |name: &str| {
            request.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(",")
        };
        let got = ["host", "x-a", "x-cap", "x-uri", "x-host", "x-evil"].map(field);
        assert_eq!(got, ["new.test:81", "1,2,3", "two-one-", "/one/two", "gw.test", ""]);
        let unmatched = sent(json!({"regex_uri": ["^/x", "/y"], "headers": {"x-a": "$1"}}), "/one").unwrap();
        assert!(!unmatched.headers().contains_key("x-a"));
    }

    #[test]
    fn a_raw_target_is_warned_of() {
        let caveats = |block: Json| {
            let config = shape(ProxyRewritePlugin::NAME, block.as_object().unwrap()).unwrap();
            ProxyRewritePlugin.caveats(&config).len()
        };
        assert_eq!((caveats(json!({"use_real_request_uri_unsafe": true})), caveats(json!({"uri": "/a"}))), (1, 0));
    }

    #[test]
    fn a_host_out_of_the_request_is_one() {
        let block = || json!({"headers": {"set": {"Host": "$arg_h"}}});
        assert_eq!(sent(block(), "/?h=a.test:80").unwrap().headers()["host"], "a.test:80");
        assert_eq!(sent(block(), "/?h=a%20b").unwrap_err(), 400);
        assert!(!sent(block(), "/").unwrap().headers().contains_key("host"));
    }

    #[test]
    fn sec_hop_03_who_the_client_is_stays_the_gateways_to_say() {
        let block = json!({"headers": {
            "add": {"X-Forwarded-For": "6.6.6.6", "x-a": "2"},
            "set": {"X-Real-IP": "$arg_ip"},
            "remove": ["Forwarded"],
        }});
        let config: ProxyRewriteConfig = shape(ProxyRewritePlugin::NAME, block.as_object().unwrap()).unwrap();
        let doubts: Vec<_> = ProxyRewritePlugin.caveats(&config).into_iter().map(|doubt| doubt.message).collect();
        assert!(doubts.len() == 3 && doubts[1].starts_with("`X-Real-IP` has no effect"), "{doubts:?}");
        let request = sent(block, "/?ip=6.6.6.6").unwrap();
        assert!(["x-forwarded-for", "x-real-ip"].iter().all(|name| !request.headers().contains_key(*name)));
        assert_eq!(request.headers().get_all("x-a").iter().count(), 2);
        assert!(ProxyRewritePlugin.caveats(&ProxyRewriteConfig::default()).is_empty());
    }

    #[test]
    fn faults_name_their_field() {
        for (block, field, says) in [
            (json!({"uri": "new"}), "uri", "begins with `/`"),
            (json!({"uri": ""}), "uri", "1 to 4096"),
            (json!({"uri": format!("/{}", "a".repeat(4096))}), "uri", "1 to 4096"),
            (json!({"uri": "/${x"}), "uri", "closing"),
            (json!({"uri": "/a/../b?c"}), "uri", "write the path that is meant"),
            (json!({"regex_uri": []}), "regex_uri", "The length of regex_uri should be an even number"),
            (json!({"regex_uri": ["a"]}), "regex_uri", "The length of regex_uri should be an even number"),
            (json!({"regex_uri": ["(", "/"]}), "regex_uri", "invalid regex_uri((, /): "),
            (json!({"regex_uri": ["a", "/$uri"]}), "regex_uri", "invalid regex_uri(a, /$uri): "),
            (json!({"method": "get"}), "method", "write one of GET"),
            (json!({"method": "CONNECT"}), "method", "write one of GET"),
            (json!({"host": ""}), "host", "write `name`"),
            (json!({"host": "a_b"}), "host", "write `name`"),
            (json!({"host": "a:70000"}), "host", "write `name`"),
            (json!({"host": "a:"}), "host", "write `name`"),
            (json!({"headers": {}}), "headers", "at least one of"),
            (json!({"headers": {"add": {"host": "a.test"}}}), "headers", "one `Host`"),
            (json!({"headers": {"set": {"Host": ["a.test", "b.test"]}}}), "headers", "one `Host`"),
            (json!({"headers": {"set": {"content-length": "1"}}}), "headers.set.content-length", "connection"),
            (json!({"scheme": "https"}), "scheme", "unknown field `scheme`"),
        ] {
            let error = rewrite(block.clone()).unwrap_err();
            assert_eq!(error.field(), field, "{block}");
            assert!(error.to_string().contains(says), "{block}: {error}");
        }
    }

    proptest! {
        #[test]
        fn sec_path_07_whatever_a_request_brings_the_target_is_canonical(
            value in proptest::collection::vec(any::<u8>(), 0..24),
            path in "(/[a-c.;%/ü]{0,6}){1,4}",
        ) {
            let encoded: String = value.iter().map(|byte| format!("%{byte:02x}")).collect();
            let mut text = Vec::new();
            push_path(path.as_bytes(), false, &mut text);
            let target = format!("{}?v={encoded}", String::from_utf8(text).unwrap());
            for block in [
                json!({"uri": "/n/$arg_v/e"}),
                json!({"uri": "/n$uri"}),
                json!({"regex_uri": ["^/.(.*)$", "/n/$1"]}),
                json!({"regex_uri": ["[a-z]+", "$0$0"], "headers": {"x-v": "$arg_v"}}),
            ] {
                let Ok(request) = sent(block, &target) else { continue };
                let now = request.uri().path_and_query().unwrap().as_str();
                let query = format!("?v={encoded}");
                prop_assert!(now.ends_with(&query), "the query is kept");
                // What was not touched is as the client sent it; a gateway has made that canonical before.
                if now != target {
                    prop_assert!(canonicalise(now, &PathOptions::default()).unwrap().is_as_sent(), "{}", now);
                }
                prop_assert_eq!(now.matches('?').count(), 1);
            }
        }
    }
}
