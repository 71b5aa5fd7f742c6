//! From a document to [`Api`].
use std::collections::HashMap;
use std::sync::Arc;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, Method};
use jsonschema::{Registry, Validator};
use serde_json::{Map, Value};

use super::api::{Api, Operation};
use super::body::{BodyRule, Encoding, Media, is_json};
use super::dialect::Dialect;
use super::parameter::{Parameter, Place, Written};
use super::paths::Paths;
use super::reference::{below, pointer, reference, resolve};
use super::shape::Shape;
use super::style::Style;
use crate::plugins::json_schema;

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
    let mut document: Value = serde_json::from_slice(text).map_err(|error| format!("is no JSON: {error}"))?;
    let dialect = Dialect::of(&document).ok_or("`openapi` is neither 3.0 nor 3.1")?;
    dialect.translate(&mut document);
    let registry = Registry::new().draft(dialect.draft()).add(HERE, dialect.draft().create_resource_ref(&document));
    let registry = registry.and_then(|registry| registry.prepare()).map_err(|error| error.to_string())?;
    Compiler { document: &document, registry: &registry, dialect, made: HashMap::new() }.api()
}

struct Compiler<'d> {
    document: &'d Value,
    registry: &'d Registry<'d>,
    dialect: Dialect,
    /// Validators by the place of their schema: operations that name the same one share it.
    made: HashMap<String, Arc<Validator>>,
}

type Object = Map<String, Value>;

impl<'d> Compiler<'d> {
    fn api(mut self) -> Result<Api, String> {
        let paths = self.document.get("paths").and_then(Value::as_object);
        let paths = paths.ok_or("`paths` is missing: there is nothing to judge by")?;
        let mut api = Api { paths: Paths::new(), items: Vec::with_capacity(paths.len()) };
        let bases = bases(self.document);
        let templates = paths.keys().filter(|template| template.starts_with('/'));
        for (index, template) in templates.enumerate() {
            let wrong = |reason: &str| format!("`paths.{template}` {reason}");
            api.paths.insert(template, index).map_err(wrong)?;
            api.items.push(self.item(below("/paths", template)).map_err(|reason| wrong(&reason))?);
        }
        // after all bare ones: a path that is meant so goes before one that comes about by a server
        for (index, template) in paths.keys().filter(|template| template.starts_with('/')).enumerate() {
            for base in &bases {
                let _ = api.paths.insert(&format!("{base}{template}"), index);
            }
        }
        Ok(api)
    }

    fn item(&mut self, at: String) -> Result<Vec<(Method, Operation)>, String> {
        let (item, at) = self.object(at)?;
        let common = self.parameters(item, &at)?;
        let mut operations = Vec::new();
        for (name, method) in METHODS {
            if item.contains_key(name) {
                let operation =
                    self.operation(below(&at, name), &common).map_err(|reason| format!("{name}: {reason}"))?;
                operations.push((method, operation));
            }
        }
        Ok(operations)
    }

    fn operation(&mut self, at: String, common: &[(Place, String, String)]) -> Result<Operation, String> {
        let (operation, at) = self.object(at)?;
        let mut places = self.parameters(operation, &at)?;
        // an operation's own parameter replaces the path's of the same name and place
        let own = places.len();
        for (place, name, at) in common {
            if !places.iter().take(own).any(|(own_place, own_name, _)| own_place == place && own_name == name) {
                places.push((place.clone(), name.clone(), at.clone()));
            }
        }
        let parameters = places.into_iter().map(|(place, name, at)| {
            let label = format!("parameter `{name}`");
            self.parameter(place, name, at).map_err(|reason| format!("{label}: {reason}"))
        });
        let parameters = parameters.collect::<Result<_, _>>()?;
        let body = operation.contains_key("requestBody").then(|| self.body(below(&at, "requestBody")));
        let body = body.transpose().map_err(|reason| format!("requestBody: {reason}"))?;
        Ok(Operation { parameters, body })
    }

    /// The parameters under `parameters`: where they are to be found in requests, their names, and where they are described.
    fn parameters(&self, item: &'d Object, at: &str) -> Result<Vec<(Place, String, String)>, String> {
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
        let (written, validator) = match parameter.get("content").and_then(Value::as_object) {
            Some(content) => {
                let media_type = content.keys().next().ok_or("`content` is empty")?;
                let media = below(&below(&at, "content"), media_type);
                let written = if is_json(&media_type.to_ascii_lowercase()) { Written::Json } else { Written::Text };
                (written, self.schema_below(&media)?.map(|(validator, _)| validator))
            }
            None => {
                let (style, explode) = style(parameter, &place)?;
                let (validator, shape) = self.schema_below(&at)?.unzip();
                (Written::Styled { style, explode, shape: shape.unwrap_or_default() }, validator)
            }
        };
        let required = is("required") || place == Place::Path;
        Ok(Parameter { name, place, required, allow_empty: is("allowEmptyValue"), written, validator })
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
            let (validator, shape) = self.schema_below(&at)?.unzip();
            let encoding = media.get("encoding").and_then(Value::as_object).into_iter().flatten();
            let encoding = encoding.map(|(name, encoding)| (name.clone(), encoding_of(encoding))).collect();
            let range = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            content.push((range, Media { validator, shape: shape.unwrap_or_default(), encoding }));
        }
        content.sort_by_key(|(range, _)| (range.ends_with('*'), range == "*/*"));
        Ok(BodyRule { required, content })
    }

    /// The validator and shape of what stands under `schema` at a place.
    fn schema_below(&mut self, at: &str) -> Result<Option<(Arc<Validator>, Shape)>, String> {
        let place = below(at, "schema");
        let Some(schema) = self.document.pointer(&place) else { return Ok(None) };
        let shape = Shape::of(self.document, schema);
        // a schema that only names another one shares its validator
        let named =
            schema.as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.get("$ref")?.as_str());
        let place = match named {
            Some(named) => pointer(named)?,
            None => place,
        };
        if let Some(made) = self.made.get(&place) {
            return Ok(Some((Arc::clone(made), shape)));
        }
        let options = jsonschema::options()
            .with_draft(self.dialect.draft())
            .with_registry(self.registry)
            .should_validate_formats(true);
        let there = serde_json::json!({"$ref": format!("{HERE}{}", reference(&place))});
        let made = Arc::new(json_schema::build(&options, &there).map_err(|reason| format!("schema: {reason}"))?);
        self.made.insert(place, Arc::clone(&made));
        Ok(Some((made, shape)))
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
    Encoding {
        json: text("contentType").is_some_and(|kind| is_json(&kind.to_ascii_lowercase())),
        joined: (!explode).then_some(style),
    }
}

/// The paths of the document's servers, with the default values of their variables; none that is empty.
fn bases(document: &Value) -> Vec<String> {
    let servers = document.get("servers").and_then(Value::as_array).into_iter().flatten();
    let mut bases: Vec<String> = servers.filter_map(base).filter(|base| !base.is_empty()).collect();
    bases.dedup();
    bases
}

fn base(server: &Value) -> Option<String> {
    let mut url = server.get("url")?.as_str()?.to_owned();
    for (name, variable) in server.get("variables").and_then(Value::as_object).into_iter().flatten() {
        let default = variable.get("default").and_then(Value::as_str).unwrap_or_default();
        url = url.replace(&format!("{{{name}}}"), default);
    }
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => url.strip_prefix('/').unwrap_or(&url),
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    Some(if path.is_empty() { String::new() } else { format!("/{path}") })
}
