//! What policies are asked: principal, action, resource and context of a request.
use std::collections::BTreeMap;

use cedar_policy::{Context, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression};
use serde_json::Value;

use super::CedarConfig;
use crate::plugin::ConfigError;
use crate::request::{Consumer, ExternalUser, RequestVars, RouteMatch, SharedFacts, Template, client_addr, decoded};
use crate::router::{self, VarName, Variables as _};

/// How questions are put.
#[derive(Debug)]
pub(super) struct Asker {
    consumer: EntityTypeName,
    user: EntityTypeName,
    anonymous: EntityTypeName,
    action: (EntityTypeName, Template),
    resource: (EntityTypeName, Template),
    user_claim: String,
}

/// Why a question cannot be put.
pub(super) type Unasked = Box<dyn std::error::Error + Send + Sync>;

impl Asker {
    /// # Errors
    /// [`ConfigError`] that names the field.
    pub(super) fn new(plugin: &'static str, config: &CedarConfig) -> Result<Self, ConfigError> {
        let namespace = config.namespace.as_ref().map(|name| format!("{name}::")).unwrap_or_default();
        let named = |field: &str, name: &str| {
            let read: Result<EntityTypeName, _> = format!("{namespace}{name}").parse();
            read.map_err(|_| {
                let reason =
                    format!("`{namespace}{name}` is no type of entities: write a name such as `Shop` or `Shop::Api`");
                ConfigError::invalid(plugin, field, reason)
            })
        };
        let template = |field: &str, text: &str| match Template::parse(text) {
            Ok(_) if text.is_empty() => {
                Err(ConfigError::invalid(plugin, field, "is empty: write a text with variables"))
            }
            read => read.map_err(|error| ConfigError::invalid(plugin, field, error.to_string())),
        };
        Ok(Self {
            consumer: named("namespace", "Consumer")?,
            user: named("namespace", "User")?,
            anonymous: named("namespace", "Anonymous")?,
            action: (named("namespace", "Action")?, template("action", &config.action)?),
            resource: (named("resource_type", &config.resource_type)?, template("resource", &config.resource)?),
            user_claim: config.user_claim.clone(),
        })
    }

    /// The question about a request.
    ///
    /// # Errors
    /// What Cedar has no value for.
    pub(super) fn question<B>(&self, request: &http::Request<B>) -> Result<Request, Unasked> {
        let variables = RequestVars::of(request);
        let named = |(kind, id): &(EntityTypeName, Template)| {
            let id = id.render(&variables).text;
            entity(kind, &String::from_utf8_lossy(&id))
        };
        let context = Context::from_pairs(context(request, &variables)?)?;
        Ok(Request::new(self.principal(request), named(&self.action), named(&self.resource), context, None)?)
    }

    /// Who calls: a consumer, a user whom a provider knows, or nobody in particular.
    fn principal<B>(&self, request: &http::Request<B>) -> EntityUid {
        if let Some(consumer) = Consumer::of(request) {
            return entity(&self.consumer, consumer.name());
        }
        let claim = ExternalUser::of(request).and_then(|user| user.description().get(&self.user_claim));
        match claim.and_then(Value::as_str).filter(|name| !name.is_empty()) {
            Some(name) => entity(&self.user, name),
            None => entity(&self.anonymous, "anonymous"),
        }
    }
}

fn entity(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

type Pairs = Vec<(String, RestrictedExpression)>;

fn context<B>(request: &http::Request<B>, variables: &RequestVars<'_>) -> Result<Pairs, Unasked> {
    let mut pairs = Pairs::new();
    let mut put = |name: &str, value: RestrictedExpression| pairs.push((name.to_owned(), value));
    put("method", text(request.method().as_str()));
    for (name, variable) in [("scheme", VarName::Scheme), ("host", VarName::Host), ("path", VarName::Uri)] {
        if let Some(router::Value::Text(value)) = variables.get(&variable) {
            put(name, text(String::from_utf8_lossy(&value)));
        }
    }
    put("query", query(request.uri().query().unwrap_or_default())?);
    put("headers", headers(request.headers())?);
    if let Some(address) = client_addr(request) {
        put("address", RestrictedExpression::new_ip(address.to_string()));
    }
    if let Some(route) = route(request) {
        put("route", route?);
    }
    if let Some(consumer) = Consumer::of(request) {
        put("consumer", told(consumer)?);
    }
    if let Some(claims) = ExternalUser::of(request).and_then(|user| value(user.description())) {
        put("claims", claims);
    }
    Ok(pairs)
}

fn text(text: impl Into<String>) -> RestrictedExpression {
    RestrictedExpression::new_string(text.into())
}

fn record(pairs: impl IntoIterator<Item = (String, RestrictedExpression)>) -> Result<RestrictedExpression, Unasked> {
    Ok(RestrictedExpression::new_record(pairs)?)
}

/// Arguments by name, each with all of its values: the origin may take the first one, or the last.
fn query(query: &str) -> Result<RestrictedExpression, Unasked> {
    let mut all: BTreeMap<String, Vec<RestrictedExpression>> = BTreeMap::new();
    let readable = |part: &str| String::from_utf8_lossy(&decoded(part)).into_owned();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        all.entry(readable(name)).or_default().push(text(readable(value)));
    }
    record(all.into_iter().map(|(name, values)| (name, RestrictedExpression::new_set(values))))
}

/// Fields by name, in lower case; the lines of a field in one, with commas between them (RFC 9110 §5.3).
fn headers(headers: &http::HeaderMap) -> Result<RestrictedExpression, Unasked> {
    record(headers.keys().map(|name| {
        let lines = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
        (name.as_str().to_owned(), text(lines.collect::<Vec<_>>().join(", ")))
    }))
}

fn route<B>(request: &http::Request<B>) -> Option<Result<RestrictedExpression, Unasked>> {
    let matched = RouteMatch::of(request)?;
    let mut pairs = vec![("id".to_owned(), text(&*matched.route)), ("uri".to_owned(), text(&*matched.pattern))];
    if let Some(info) = SharedFacts::of(request).and_then(|facts| facts.route.as_deref()) {
        pairs.extend(info.name.as_ref().map(|name| ("name".to_owned(), text(&**name))));
        pairs.extend(info.service.as_ref().map(|(id, _)| ("service".to_owned(), text(&**id))));
    }
    Some(record(pairs))
}

fn told(consumer: &Consumer) -> Result<RestrictedExpression, Unasked> {
    let labels = record(consumer.labels().iter().map(|(name, value)| (name.clone(), text(value.clone()))))?;
    let mut pairs = vec![("name".to_owned(), text(&**consumer.name())), ("labels".to_owned(), labels)];
    pairs.extend(consumer.group().map(|group| ("group".to_owned(), text(&**group))));
    record(pairs)
}

/// A claim; `None` for what Cedar has no values of: null, and numbers that are no integers of 64 bits.
fn value(json: &Value) -> Option<RestrictedExpression> {
    match json {
        Value::Null => None,
        Value::Bool(value) => Some(RestrictedExpression::new_bool(*value)),
        Value::Number(value) => value.as_i64().map(RestrictedExpression::new_long),
        Value::String(value) => Some(text(value.clone())),
        Value::Array(values) => Some(RestrictedExpression::new_set(values.iter().filter_map(value))),
        Value::Object(members) => {
            let members = members.iter().filter_map(|(name, member)| Some((name.clone(), value(member)?)));
            RestrictedExpression::new_record(members).ok()
        }
    }
}
