//! Where schemas stand in a document. Names that a document chooses itself, such as those of components, are never taken for
//! keywords.
use serde_json::Value;

/// A kind of object, by the fields in which others stand.
#[derive(Clone, Copy)]
enum Kind {
    Document,
    Components,
    Path,
    Operation,
    Callback,
    Parameter,
    Body,
    Media,
    Encoding,
    Schema,
}

/// Whether a field holds one, or many in a list or by name.
#[derive(Clone, Copy)]
enum Holds {
    One,
    Many,
}

type Fields = &'static [(&'static str, Holds, Kind)];

impl Kind {
    /// OpenAPI 3.1 §4.8. What fields and bodies of answers are made of is the same as in requests.
    fn fields(self) -> Fields {
        use Holds::{Many, One};
        use Kind::{Body, Callback, Components, Encoding, Media, Operation, Parameter, Path, Schema};
        match self {
            Self::Document => &[("paths", Many, Path), ("webhooks", Many, Path), ("components", One, Components)],
            Self::Components => &[
                ("schemas", Many, Schema),
                ("parameters", Many, Parameter),
                ("headers", Many, Parameter),
                ("requestBodies", Many, Body),
                ("responses", Many, Body),
                ("pathItems", Many, Path),
                ("callbacks", Many, Callback),
            ],
            Self::Path => &[
                ("parameters", Many, Parameter),
                ("get", One, Operation),
                ("put", One, Operation),
                ("post", One, Operation),
                ("delete", One, Operation),
                ("options", One, Operation),
                ("head", One, Operation),
                ("patch", One, Operation),
                ("trace", One, Operation),
            ],
            Self::Operation => &[
                ("parameters", Many, Parameter),
                ("requestBody", One, Body),
                ("responses", Many, Body),
                ("callbacks", Many, Callback),
            ],
            Self::Parameter => &[("schema", One, Schema), ("content", Many, Media)],
            Self::Body => &[("content", Many, Media), ("headers", Many, Parameter)],
            Self::Media => &[("schema", One, Schema), ("encoding", Many, Encoding)],
            Self::Encoding => &[("headers", Many, Parameter)],
            Self::Callback | Self::Schema => &[],
        }
    }

    fn walk(self, place: &mut Value, visit: &mut impl FnMut(&mut Value)) {
        match self {
            Self::Schema => visit(place),
            Self::Callback => walk_all(Self::Path, place, visit),
            _ => {
                for (name, holds, kind) in self.fields() {
                    match (place.get_mut(name), holds) {
                        (None, _) => {}
                        (Some(one), Holds::One) => kind.walk(one, visit),
                        (Some(many), Holds::Many) => walk_all(*kind, many, visit),
                    }
                }
            }
        }
    }
}

fn walk_all(kind: Kind, many: &mut Value, visit: &mut impl FnMut(&mut Value)) {
    match many {
        Value::Array(items) => items.iter_mut().for_each(|item| kind.walk(item, visit)),
        Value::Object(fields) => fields.values_mut().for_each(|field| kind.walk(field, visit)),
        _ => {}
    }
}

/// Visits the schemas of a document, each once, but not those inside of others.
pub(super) fn each_schema(document: &mut Value, mut visit: impl FnMut(&mut Value)) {
    Kind::Document.walk(document, &mut visit);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_are_found_whatever_things_are_called() {
        let mut document = json!({
            "paths": {"/a": {
                "parameters": [{"schema": 1, "example": {"schema": 0}}],
                "get": {"parameters": [{"content": {"a/b": {"schema": 2, "examples": {"schema": {"schema": 0}}}}}]},
                "post": {
                    "requestBody": {"content": {"a/b": {"schema": 3, "encoding": {"x": {"headers": {"schema": {"schema": 4}}}}}}},
                    "callbacks": {"value": {"{$request.body#/url}": {"put": {"requestBody": {"content": {"default": {"schema": 5}}}}}}},
                },
            }},
            "components": {
                "schemas": {"example": 6, "x-page": 7},
                "parameters": {"x-page": {"schema": 8}, "default": {"schema": 9}, "enum": {"x-own": {"schema": 0}}},
                "x-own": {"schema": 0},
            },
        });
        let mut seen = Vec::new();
        each_schema(&mut document, |schema| seen.extend(schema.as_u64()));
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}
