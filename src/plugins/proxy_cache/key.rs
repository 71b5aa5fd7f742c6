//! Under which key an answer is kept (security.md CACHE-01, CACHE-02).
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST};
use http::{HeaderName, Method};

use super::ProxyCachePlugin;
use crate::cache::{CacheKey, KeyBuilder};
use crate::plugin::{ConfigError, Plugin as _};
use crate::request::{
    CallerFields, CallerIdentity, Consumer, ExternalUser, RequestVars, SharedFacts, ShownAs, Template,
};
use crate::router::{VarName, Variables};
use crate::{Request, request};

/// The compiled `cache_key`.
#[derive(Clone, Debug)]
pub(in super::super) struct Keys {
    parts: Vec<Template>,
    /// Each caller has answers of its own.
    isolates: bool,
    holds_consumer: bool,
    holds_authorization: bool,
}

/// The key of a request.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Keyed {
    pub(in super::super) key: CacheKey,
    /// Everybody's of the same URL: by it all that is kept of it is taken out.
    pub(in super::super) url: CacheKey,
    /// It brought credentials, or is a known caller's, and the key does not say whose.
    pub(in super::super) authorized: bool,
}

impl Keys {
    /// # Errors
    /// No part, one that does not read, and `$request_method`.
    pub(in super::super) fn new(parts: &[String], isolation: bool) -> Result<Self, ConfigError> {
        let invalid = |index: usize, reason: String| {
            ConfigError::invalid(ProxyCachePlugin::NAME, format!("cache_key.{index}"), reason)
        };
        if parts.is_empty() {
            let reason = "is empty; name at least one part, such as $request_uri";
            return Err(ConfigError::invalid(ProxyCachePlugin::NAME, "cache_key", reason));
        }
        let mut compiled = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let template = Template::parse(part).map_err(|error| invalid(index, error.to_string()))?;
            if template.variables().any(|name| *name == VarName::Method) {
                return Err(invalid(index, "cache_key variable $request_method unsupported".to_owned()));
            }
            compiled.push(template);
        }
        let holds = |wanted: &dyn Fn(&VarName) -> bool| compiled.iter().flat_map(Template::variables).any(wanted);
        let holds_consumer = holds(&|name| *name == VarName::ConsumerName);
        let holds_authorization = holds(&|name| *name == VarName::Header(AUTHORIZATION));
        let isolates = isolation && !holds(&|name| *name == VarName::ConsumerGroupId);
        Ok(Self { parts: compiled, isolates, holds_consumer, holds_authorization })
    }

    /// The request fields that are part of the key.
    pub(super) fn fields(&self) -> Vec<HeaderName> {
        let names = self.parts.iter().flat_map(Template::variables);
        names.filter_map(|name| if let VarName::Header(name) = name { Some(name.clone()) } else { None }).collect()
    }

    /// Whether the key tells paths apart.
    pub(super) fn tells_paths_apart(&self) -> bool {
        let mut names = self.parts.iter().flat_map(Template::variables);
        names.any(|name| matches!(name, VarName::Uri | VarName::RequestUri | VarName::RealRequestUri))
    }

    /// The key of a request of that method with that body.
    pub(in super::super) fn of(&self, request: &Request, method: &Method, body: &[u8]) -> Keyed {
        let vars = RequestVars::of(request);
        let mut key = KeyBuilder::default();
        key.part(method.as_str().as_bytes()).part(body);
        key.part(if request::is_secure(request) { b"https" } else { b"http" });
        key.part(&host(request));
        // A body is what its media type makes of it: the same bytes may be a question here and a fault there.
        if !body.is_empty() {
            part_of_field(&mut key, request, &CONTENT_TYPE);
            part_of_field(&mut key, request, &CONTENT_ENCODING);
        }
        if let Some(facts) = SharedFacts::of(request) {
            // What a trusted proxy reported of the client's way goes on to the upstream, so answers may depend on it.
            if let Some(reported) = &facts.arrival.reported {
                key.part(b"reported");
                for value in [&reported.host, &reported.port] {
                    key.part(value.as_ref().map_or(&b""[..], |value| value.as_bytes()));
                }
            }
            // What a route answers is behind its guards, and by its upstream.
            key.part(facts.route.as_ref().map_or(&b""[..], |route| route.id.as_bytes()));
            // A path or a query that a plugin made out of something else.
            let sent = request.uri().path_and_query().map_or("/", |target| target.as_str());
            if sent != vars.original_target() {
                key.part(b"target").part(sent.as_bytes());
            }
        }
        // Hosts that a plugin made are what the upstream answers by.
        if let Some(shown) = request.extensions().get::<Box<ShownAs>>() {
            key.part(b"shown");
            for value in [&shown.host, &shown.forwarded_host, &shown.proto, &shown.port] {
                key.part(value.as_ref().map_or(&b""[..], |value| value.as_bytes()));
            }
        }
        let mut text = Vec::with_capacity(128);
        for part in &self.parts {
            text.clear();
            part.render_into(&vars, &mut text);
            key.part(&text);
        }
        let (consumer, user) = (Consumer::of(request), ExternalUser::of(request));
        let credentials = request.headers().get(AUTHORIZATION);
        let told = request.extensions().get::<CallerFields>();
        let is_known = consumer.is_some() || user.is_some() || told.is_some();
        let url = key.finish();
        if self.isolates && is_known {
            let mut caller = KeyBuilder::default();
            caller.part(consumer.map_or(&b""[..], |consumer| consumer.name().as_bytes()));
            // One consumer may speak for many users. What was verified says who it is, and the text of credentials perhaps
            // that it is another request.
            let verified = request.extensions().get::<CallerIdentity>();
            let told_by = credentials.filter(|_| !verified.is_some_and(|verified| verified.is_authorization));
            caller.part(told_by.map_or(&b""[..], |credentials| credentials.as_bytes()));
            if let Some(verified) = verified {
                verified.parts(|part| {
                    caller.part(part);
                });
            }
            caller.part(user.map(identity).unwrap_or_default().as_bytes());
            for name in told.iter().flat_map(|told| told.0.iter()) {
                part_of_field(&mut caller, request, name);
            }
            return Keyed { key: url.of_caller(&caller), url, authorized: false };
        }
        // Each way in which the caller may be known is in the key.
        let is_held = (consumer.is_none() || self.holds_consumer)
            && (credentials.is_none() || self.holds_authorization)
            && user.is_none()
            && told.is_none();
        Keyed { key: url, url, authorized: (is_known || credentials.is_some()) && !is_held }
    }
}

/// Who a user is: what OpenID Connect calls him by, else all that is said of him.
fn identity(user: &ExternalUser) -> String {
    let told = user.description();
    match (told.get("iss"), told.get("sub")) {
        (issuer, Some(subject)) => format!("{}\n{subject}", issuer.map(ToString::to_string).unwrap_or_default()),
        _ => told.to_string(),
    }
}

/// Host and port in one form: lower case, without the dot of a whole name and without the scheme's own port.
fn host(request: &Request) -> Vec<u8> {
    let told = request.headers().get(HOST).map(|host| host.as_bytes());
    let told = told.or_else(|| request.uri().authority().map(|authority| authority.as_str().as_bytes()));
    let mut host = told.unwrap_or_default().to_ascii_lowercase();
    let own_port: &[u8] = if request::is_secure(request) { b":443" } else { b":80" };
    if host.ends_with(own_port) {
        host.truncate(host.len() - own_port.len());
    }
    if let Some(dot) = host.iter().rposition(|byte| *byte == b'.')
        && matches!(host.get(dot + 1), None | Some(b':'))
    {
        host.remove(dot);
    }
    host
}

/// Adds a field with all its values.
fn part_of_field(key: &mut KeyBuilder, request: &Request, name: &HeaderName) {
    let values = request.headers().get_all(name);
    key.part(name.as_str().as_bytes()).part(&(values.iter().count() as u64).to_le_bytes());
    for value in values {
        key.part(value.as_bytes());
    }
}

/// Whether one of these texts is neither empty nor `0`.
pub(super) fn any_holds(conditions: &[Template], vars: &dyn Variables) -> bool {
    let mut text = Vec::new();
    conditions.iter().any(|condition| {
        text.clear();
        condition.render_into(vars, &mut text);
        !text.is_empty() && text != b"0"
    })
}

/// Reads texts that may have variables in them.
///
/// # Errors
/// The first that does not read.
pub(super) fn conditions(field: &str, texts: &[String]) -> Result<Vec<Template>, ConfigError> {
    let read = |(index, text): (usize, &String)| {
        Template::parse(text).map_err(|error| {
            ConfigError::invalid(ProxyCachePlugin::NAME, format!("{field}.{index}"), error.to_string())
        })
    };
    texts.iter().enumerate().map(read).collect()
}
