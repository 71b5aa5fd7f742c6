//! From a document to [`Api`].
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, Method};
use jsonschema::{PatternCache, Registry};
use serde_json::{Map, Value};

use super::api::{Api, Operation};
use super::body::{BodyRule, Encoding, Media, essence, is_json};
use super::dialect::Dialect;
use super::parameter::{Parameter, Place, Written};
use super::paths::Paths;
use super::reference::{below, pointer, reference, resolve};
use super::servers::bases;
use super::shape::Shape;
use super::style::Style;
use super::text;
use super::work::Work;
use crate::plugins::json_schema::{Schema, Width};

/// What schemas call the document.
const HERE: &str = "openapi:///document";

const METHODS: [(&str, Method); 8] = [
    ("get", Method::GET),
    ("put", Method::PUT),
    ("post", Method::POST),
    ("delete", Method::DELETE),
    ("options", Method::OPTIONS),
    ("head", Method::HEAD),
    ("patch", Method::PATCH),
    ("trace", Method::TRACE),
];

/// Compiles a document out of its text.
///
/// # Errors
/// What is wrong with it, and where.
pub(super) fn compile(text: &[u8]) -> Result<Api, String> {
    let mut document = text::read(text)?;
    let dialect = Dialect::of(&document).ok_or("`openapi` is neither 3.0 nor 3.1")?;
    let work = Work::new();
    dialect.translate(&mut document, &work)?;
    let registry = Registry::new().draft(dialect.draft()).add(HERE, dialect.draft().create_resource_ref(&document));
    let registry = registry.and_then(|registry| registry.prepare()).map_err(|error| error.to_string())?;
    let patterns = PatternCache::new();
    let (registry, width) = (&registry, Width::of(&document));
    Compiler { document: &document, registry, dialect, patterns, width, work, made: HashMap::new() }.api()
}

struct Compiler<'d> {
    document: &'d Value,
    registry: &'d Registry<'d>,
    dialect: Dialect,
    /// The same ones stand at many places.
    patterns: PatternCache,
    width: Width,
    work: Work,
    /// By place: operations that name the same one share it.
    made: HashMap<String, Arc<Schema>>,
}

type Object = Map<String, Value>;

/// A parameter: where it is to be found in requests, its name, and where it is described.
type Described = (Place, String, String);

/// Whether one of that name and place is there.
fn is_among(there: &[Described], (place, name, _): &Described) -> bool {
    there.iter().any(|(own_place, own_name, _)| own_place == place && own_name == name)
}

/// An operation, and where it is served.
struct Served {
    method: Method,
    operation: Arc<Operation>,
    /// `None` where neither it nor its path names servers.
    bases: Option<BTreeSet<String>>,
}

impl Served {
    /// A parameter of the path that its template does not have would be missing for ever.
    fn names_captures(&self, template: &str) -> Result<(), String> {
        let parameters = self.operation.parameters.iter().filter(|parameter| parameter.place == Place::Path);
        match parameters.into_iter().find(|one| !template.contains(&format!("{{{}}}", one.name))) {
            Some(Parameter { name, .. }) => {
                let method = self.method.as_str().to_ascii_lowercase();
                Err(format!("{method}: parameter `{name}` is in the path, which has no `{{{name}}}`: write one name"))
            }
            None => Ok(()),
        }
    }
}

impl<'d> Compiler<'d> {
    fn api(mut self) -> Result<Api, String> {
        let paths = self.document.get("paths").and_then(Value::as_object);
        let paths = paths.ok_or("`paths` is missing: there is nothing to judge by")?;
        let common = self.document.as_object().map(bases).transpose()?.flatten().unwrap_or_default();
        let mut api = Api { paths: Paths::new(), items: Vec::with_capacity(paths.len()) };
        let mut beyond = Vec::new();
        for template in paths.keys().filter(|template| template.starts_with('/')) {
            let wrong = |reason: &str| format!("`paths.{template}` {reason}");
            let item = self.item(below("/paths", template)).map_err(|reason| wrong(&reason))?;
            item.iter().try_for_each(|one| one.names_captures(template)).map_err(|reason| wrong(&reason))?;
            api.add(template, item.iter().map(|one| (one.method.clone(), Arc::clone(&one.operation))))
                .map_err(wrong)?;
            let own: BTreeSet<&String> = item.iter().flat_map(|one| one.bases.as_ref().unwrap_or(&common)).collect();
            for base in own.into_iter().filter(|base| !base.is_empty()) {
                let there = item.iter().filter(|one| one.bases.as_ref().unwrap_or(&common).contains(base));
                let operations: Vec<_> = there.map(|one| (one.method.clone(), Arc::clone(&one.operation))).collect();
                beyond.push((format!("{base}{template}"), operations));
            }
        }
        // after all bare ones: a path that is meant so goes before one that comes about by a server
        for (template, operations) in beyond {
            let _ = api.add(&template, operations);
        }
        Ok(api)
    }

    /// The operations of a path. What stands beside its `$ref` goes before what that leads to.
    fn item(&mut self, at: String) -> Result<Vec<Served>, String> {
        let beside = self.document.pointer(&at).and_then(Value::as_object).filter(|item| item.contains_key("$ref"));
        let beside = beside.map(|item| (item, at.clone()));
        let (item, at) = self.object(at)?;
        let parts: Vec<_> = beside.into_iter().chain([(item, at)]).collect();
        let mut common = Vec::new();
        let mut of_all = None;
        for (item, at) in &parts {
            for one in self.parameters(item, at)? {
                if !is_among(&common, &one) {
                    common.push(one);
                }
            }
            of_all = of_all.or(bases(item)?);
        }
        let mut operations = Vec::new();
        for (name, method) in METHODS {
            if let Some((_, at)) = parts.iter().find(|(item, _)| item.contains_key(name)) {
                let told = |reason: String| format!("{name}: {reason}");
                let at = below(at, name);
                let bases = bases(self.object(at.clone()).map_err(told)?.0).map_err(told)?.or_else(|| of_all.clone());
                let operation = Arc::new(self.operation(at, &common).map_err(told)?);
                operations.push(Served { method, operation, bases });
            }
        }
        Ok(operations)
    }

    fn operation(&mut self, at: String, common: &[Described]) -> Result<Operation, String> {
        let (operation, at) = self.object(at)?;
        let mut places = self.parameters(operation, &at)?;
        // an operation's own parameter replaces the path's of the same name and place
        let inherited: Vec<_> = common.iter().filter(|one| !is_among(&places, one)).cloned().collect();
        places.extend(inherited);
        let parameters = places.into_iter().map(|(place, name, at)| {
            let label = format!("parameter `{name}`");
            self.parameter(place, name, at).map_err(|reason| format!("{label}: {reason}"))
        });
        let parameters = parameters.collect::<Result<_, _>>()?;
        let body = operation.contains_key("requestBody").then(|| self.body(below(&at, "requestBody")));
        let body = body.transpose().map_err(|reason| format!("requestBody: {reason}"))?;
        Ok(Operation { parameters, body })
    }

    /// The parameters under `parameters`.
    fn parameters(&self, item: &'d Object, at: &str) -> Result<Vec<Described>, String> {
        let count = item.get("parameters").and_then(Value::as_array).map_or(0, Vec::len);
        let at = below(at, "parameters");
        let mut places = Vec::with_capacity(count);
        for index in 0..count {
            let (parameter, at) = self.object(below(&at, &index.to_string()))?;
            let text = |field: &str| {
                let found = parameter.get(field).and_then(Value::as_str);
                found.ok_or_else(|| format!("parameters.{index}: `{field}` is missing"))
            };
            let name = text("name")?;
            let place = match text("in")? {
                "path" => Place::Path,
                "query" => Place::Query,
                "cookie" => Place::Cookie,
                "header" => {
                    let field = HeaderName::from_bytes(name.as_bytes());
                    let field = field.map_err(|_| format!("parameters.{index}: `{name}` is no name of a field"))?;
                    // OpenAPI 3.1 §4.8.12.2.1: those have descriptions of their own
                    if [ACCEPT, CONTENT_TYPE, AUTHORIZATION].contains(&field) {
                        continue;
                    }
                    Place::Header(field)
                }
                other => return Err(format!("parameters.{index}: `in: {other}` is not known")),
            };
            places.push((place, name.to_owned(), at));
        }
        Ok(places)
    }

    fn parameter(&mut self, place: Place, name: String, at: String) -> Result<Parameter, String> {
        let (parameter, at) = self.object(at)?;
        let is = |field: &str| parameter.get(field) == Some(&Value::Bool(true));
        let (written, schema) = match parameter.get("content").and_then(Value::as_object) {
            Some(content) => {
                let media_type = content.keys().next().ok_or("`content` is empty")?;
                let media = below(&below(&at, "content"), media_type);
                let written = if is_json(&media_type.to_ascii_lowercase()) { Written::Json } else { Written::Text };
                (written, self.schema_below(&media)?)
            }
            None => {
                let (style, explode) = style(parameter, &place)?;
                let shape = self.shape_below(&at)?;
                (Written::Styled { style, explode, shape }, self.schema_below(&at)?)
            }
        };
        let required = is("required") || place == Place::Path;
        Ok(Parameter { name, place, required, allow_empty: is("allowEmptyValue"), written, schema })
    }

    fn body(&mut self, at: String) -> Result<BodyRule, String> {
        let (body, at) = self.object(at)?;
        let required = body.get("required") == Some(&Value::Bool(true));
        let at = below(&at, "content");
        let types = body.get("content").and_then(Value::as_object).ok_or("`content` is missing")?;
        let mut content = Vec::with_capacity(types.len());
        for media_type in types.keys() {
            let at = below(&at, media_type);
            let (media, _) = self.object(at.clone())?;
            // JSON says itself what its values are
            let shape =
                if is_json(&media_type.to_ascii_lowercase()) { Shape::default() } else { self.shape_below(&at)? };
            let encoding = media.get("encoding").and_then(Value::as_object).into_iter().flatten();
            let encoding = encoding.map(|(name, encoding)| (name.clone(), encoding_of(encoding))).collect();
            content.push((media_type.clone(), Media { schema: self.schema_below(&at)?, shape, encoding }));
        }
        Ok(BodyRule::new(required, content))
    }

    /// What texts can become by what stands under `schema` at a place.
    fn shape_below(&self, at: &str) -> Result<Shape, String> {
        let schema = self.document.pointer(&below(at, "schema"));
        let shape = schema.map(|schema| Shape::of(self.document, schema, &self.work)).unwrap_or_default();
        self.work.judge().map(|()| shape)
    }

    /// What stands under `schema` at a place.
    fn schema_below(&mut self, at: &str) -> Result<Option<Arc<Schema>>, String> {
        let place = below(at, "schema");
        let Some(schema) = self.document.pointer(&place) else { return Ok(None) };
        // one that only names another one is that
        let named =
            schema.as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.get("$ref")?.as_str());
        // one that no place is known of is for the schema's own rules to find
        let place = named.and_then(|named| pointer(named).ok()).unwrap_or(place);
        if let Some(made) = self.made.get(&place) {
            return Ok(Some(Arc::clone(made)));
        }
        self.work.spend_on(self.document, &place);
        self.work.judge()?;
        let options = jsonschema::options()
            .with_draft(self.dialect.draft())
            .with_registry(self.registry)
            .with_pattern_cache(self.patterns.clone())
            .should_validate_formats(true);
        let there = serde_json::json!({"$ref": format!("{HERE}{}", reference(&place))});
        let made = Arc::new(Schema::build(&options, &there, self.width).map_err(|reason| format!("schema: {reason}"))?);
        self.made.insert(place, Arc::clone(&made));
        Ok(Some(made))
    }

    /// The object at a place, or behind the references there.
    fn object(&self, at: String) -> Result<(&'d Object, String), String> {
        let (value, at) = resolve(self.document, at)?;
        let object = value.as_object().ok_or_else(|| format!("`#{at}` is no object"))?;
        Ok((object, at))
    }
}

/// How a parameter is written (OpenAPI 3.1 §4.8.12.2).
fn style(parameter: &Object, place: &Place) -> Result<(Style, bool), String> {
    let default = match place {
        Place::Path | Place::Header(_) => Style::Simple,
        Place::Query | Place::Cookie => Style::Form,
    };
    let style = match parameter.get("style").and_then(Value::as_str) {
        None => default,
        Some(name) => Style::parse(name).ok_or_else(|| format!("`style: {name}` is not known"))?,
    };
    let allowed: &[Style] = match place {
        Place::Path => &[Style::Simple, Style::Label, Style::Matrix],
        Place::Query => &[Style::Form, Style::SpaceDelimited, Style::PipeDelimited, Style::DeepObject],
        Place::Header(_) => &[Style::Simple],
        Place::Cookie => &[Style::Form],
    };
    if !allowed.contains(&style) {
        return Err(format!("`style: {style:?}` cannot stand there"));
    }
    let explode = parameter.get("explode").and_then(Value::as_bool).unwrap_or(style == Style::Form);
    Ok((style, explode))
}

fn encoding_of(encoding: &Value) -> Encoding {
    let text = |field: &str| encoding.get(field).and_then(Value::as_str);
    let style = text("style").and_then(Style::parse).unwrap_or(Style::Form);
    let explode = encoding.get("explode").and_then(Value::as_bool).unwrap_or(style == Style::Form);
    let types: Box<[String]> =
        text("contentType").into_iter().flat_map(|types| types.split(',')).map(essence).collect();
    let json = !types.is_empty() && types.iter().all(|kind| is_json(kind));
    Encoding { json, types, joined: (!explode).then_some(style) }
}
