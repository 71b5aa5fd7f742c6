//! Under which key an answer is kept (security.md CACHE-01, CACHE-02).
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST};
use http::{HeaderName, Method};

use super::ProxyCachePlugin;
use crate::cache::{CacheKey, KeyBuilder};
use crate::plugin::{ConfigError, Plugin as _, UpstreamChoice};
use crate::plugins::caching::OF_THE_GATEWAY;
use crate::request::{
    CallerFields, CallerIdentity, Consumer, ExternalUser, RequestVars, SharedFacts, ShownAs, Template,
};
use crate::router::{VarName, Variables};
use crate::{Request, request};

/// The compiled `cache_key`.
#[derive(Clone, Debug)]
pub(in super::super) struct Keys {
    /// Its parts that follow from the URL.
    url: Vec<Template>,
    /// The others.
    rest: Vec<Template>,
    /// A removal takes out single answers, of all callers, and not all that there are of a URL.
    one_by_one: bool,
    /// Each caller has answers of its own.
    isolates: bool,
    holds_consumer: bool,
    holds_authorization: bool,
}

/// The key of a request.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Keyed {
    pub(in super::super) key: CacheKey,
    /// The key of the same for those of whom nothing is known.
    pub(in super::super) everybodys: CacheKey,
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
        let (url, rest) = compiled.into_iter().partition(|part: &Template| part.variables().all(is_of_url));
        Ok(Self { url, rest, one_by_one: false, isolates, holds_consumer, holds_authorization })
    }

    /// The same, for answers that are taken out one by one by the key that was told of them.
    #[must_use]
    pub(in super::super) fn one_by_one(self) -> Self {
        Self { one_by_one: true, ..self }
    }

    fn variables(&self) -> impl Iterator<Item = &VarName> {
        self.url.iter().chain(&self.rest).flat_map(Template::variables)
    }

    /// The request fields that are part of the key.
    pub(super) fn fields(&self) -> Vec<HeaderName> {
        let name = |name: &VarName| if let VarName::Header(name) = name { Some(name.clone()) } else { None };
        self.variables().filter_map(name).collect()
    }

    /// Whether the key tells paths apart.
    pub(super) fn tells_paths_apart(&self) -> bool {
        self.variables().any(|name| matches!(name, VarName::Uri | VarName::RequestUri | VarName::RealRequestUri))
    }

    /// What all keys of a request's URL have in common, to take out what is kept of it.
    pub(in super::super) fn url(&self, request: &Request) -> CacheKey {
        let mut key = KeyBuilder::roomy();
        self.add_url(&mut key, request, &RequestVars::of(request));
        key.finish()
    }

    /// The key of a request of that method with that body.
    pub(in super::super) fn of(&self, request: &Request, method: &Method, body: &[u8]) -> Keyed {
        let vars = RequestVars::of(request);
        let mut key = KeyBuilder::roomy();
        self.add_url(&mut key, request, &vars);
        if !self.one_by_one {
            key.end_url();
        }
        key.part(method.as_str().as_bytes());
        if body.is_empty() {
            key.part(b"");
        } else {
            key.long_part(body);
            // A body is what its media type makes of it: the same bytes may be a question here and a fault there.
            part_of_field(&mut key, request, &CONTENT_TYPE);
            part_of_field(&mut key, request, &CONTENT_ENCODING);
        }
        let there = add_way(&mut key, request, &vars);
        for part in &self.rest {
            add_text(&mut key, part, &vars);
        }
        // Which parts these were: of what clients may write none is to pass for another.
        let count = |parts: &[Template]| u8::try_from(parts.len()).unwrap_or(u8::MAX);
        key.part(&[there, count(&self.url), count(&self.rest)]);
        if self.one_by_one {
            key.end_url();
        }
        let everybodys = key.finish();
        let (consumer, user) = (Consumer::of(request), ExternalUser::of(request));
        let credentials = request.headers().get(AUTHORIZATION);
        let told = request.extensions().get::<CallerFields>();
        let is_known = consumer.is_some() || user.is_some() || told.is_some();
        if self.isolates && is_known {
            key.part(consumer.map_or(&b""[..], |consumer| consumer.name().as_bytes()));
            // One consumer may speak for many users. What was verified says who it is, and the text of credentials perhaps
            // that it is another request.
            let verified = request.extensions().get::<CallerIdentity>();
            let told_by = credentials.filter(|_| !verified.is_some_and(|verified| verified.is_authorization));
            key.part(told_by.map_or(&b""[..], |credentials| credentials.as_bytes()));
            key.part(user.map(identity).unwrap_or_default().as_bytes());
            let mut parts = 0_u64;
            if let Some(verified) = verified {
                verified.parts(|part| {
                    key.part(part);
                    parts += 1;
                });
            }
            key.part(&parts.to_le_bytes());
            for name in told.into_iter().flat_map(CallerFields::names) {
                part_of_field(&mut key, request, name);
            }
            return Keyed { key: key.finish(), everybodys, authorized: false };
        }
        // Each way in which the caller may be known is in the key.
        let is_held = (consumer.is_none() || self.holds_consumer)
            && (credentials.is_none() || self.holds_authorization)
            && user.is_none()
            && told.is_none();
        Keyed { key: everybodys, everybodys, authorized: (is_known || credentials.is_some()) && !is_held }
    }

    fn add_url(&self, key: &mut KeyBuilder, request: &Request, vars: &RequestVars<'_>) {
        key.part_by(|out| host(request, out));
        for part in &self.url {
            add_text(key, part, vars);
        }
    }
}

/// Whether a variable follows from the URL that a client asks for.
fn is_of_url(name: &VarName) -> bool {
    matches!(
        name,
        VarName::Uri
            | VarName::RequestUri
            | VarName::RealRequestUri
            | VarName::Args
            | VarName::IsArgs
            | VarName::Arg(_)
            | VarName::UriParam(_)
            | VarName::Host
            | VarName::HttpHost
            | VarName::ServerName
    )
}

/// The parts that are not in every key.
const FACTS: u8 = 1;
const REPORTED: u8 = 2;
const TARGET: u8 = 4;
const PATH: u8 = 8;
const SHOWN: u8 = 16;
const CHOSEN: u8 = 32;
/// The first of the fields that only the gateway writes; the others stand above it.
const WRITTEN: u8 = 64;

/// Adds on which way a request is answered, and gives which of the parts of that there were.
fn add_way(key: &mut KeyBuilder, request: &Request, vars: &RequestVars<'_>) -> u8 {
    let mut there = 0;
    key.part(if request::is_secure(request) { b"https" } else { b"http" });
    if let Some(facts) = SharedFacts::of(request) {
        there |= FACTS;
        // What a trusted proxy reported of the client's way goes on to the upstream, so answers may depend on it.
        if let Some(reported) = &facts.arrival.reported {
            there |= REPORTED;
            for value in [&reported.host, &reported.port] {
                key.part(value.as_ref().map_or(&b""[..], |value| value.as_bytes()));
            }
        }
        // What a route answers is behind its guards, and by its upstream.
        key.part(facts.route.as_ref().map_or(&b""[..], |route| route.id.as_bytes()));
        // What variables tell of the target is what was asked for. The upstream may be sent something else: what a plugin made out
        // of it, or the path as it was written where variables have it decoded or without a part.
        let sent = request.uri().path_and_query().map_or("/", |target| target.as_str());
        if sent != vars.original_target() {
            there |= TARGET;
            key.part(sent.as_bytes());
        } else if facts.path.is_some() {
            there |= PATH;
            key.part(request.uri().path().as_bytes());
        }
        for (at, name) in OF_THE_GATEWAY.iter().enumerate().filter(|(_, name)| request.headers().contains_key(*name)) {
            there |= WRITTEN << at;
            part_of_field(key, request, name);
        }
    }
    // Hosts that a plugin made are what the upstream answers by.
    if let Some(shown) = request.extensions().get::<Box<ShownAs>>() {
        there |= SHOWN;
        for value in [&shown.host, &shown.forwarded_host, &shown.proto, &shown.port] {
            key.part(value.as_ref().map_or(&b""[..], |value| value.as_bytes()));
        }
    }
    // Another upstream than the route's is somebody else, who may have something else to say.
    if let Some(UpstreamChoice(upstream)) = request.extensions().get() {
        there |= CHOSEN;
        key.part(upstream.config().key.as_str().as_bytes());
    }
    there
}

/// Adds a template with its variables filled in.
fn add_text(key: &mut KeyBuilder, part: &Template, vars: &RequestVars<'_>) {
    key.part_by(|out| {
        part.render_into(vars, out);
    });
}

/// Who a user is: what OpenID Connect calls him by, else all that is said of him.
fn identity(user: &ExternalUser) -> String {
    let told = user.description();
    match (told.get("iss"), told.get("sub")) {
        (issuer, Some(subject)) => format!("{}\n{subject}", issuer.map(ToString::to_string).unwrap_or_default()),
        _ => told.to_string(),
    }
}

/// Writes host and port in one form: lower case, without the dot of a whole name and without the scheme's own port.
fn host(request: &Request, out: &mut Vec<u8>) {
    let told = request.headers().get(HOST).map(|host| host.as_bytes());
    let told = told.or_else(|| request.uri().authority().map(|authority| authority.as_str().as_bytes()));
    let told = told.unwrap_or_default();
    let own_port: &[u8] = if request::is_secure(request) { b":443" } else { b":80" };
    let host = told.strip_suffix(own_port).unwrap_or(told);
    let dot = host.iter().rposition(|byte| *byte == b'.').filter(|dot| matches!(host.get(dot + 1), None | Some(b':')));
    let (name, port) = host.split_at(dot.unwrap_or(host.len()));
    out.extend(
        name.iter().chain(port.get(usize::from(dot.is_some())..).unwrap_or_default()).map(u8::to_ascii_lowercase),
    );
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
