//! References to `$anchor` (JSON Schema 2020-12 §8.2.2), written as references to places: all else goes by places.
use std::collections::BTreeMap;

use serde_json::Value;

use super::reference::{below, reference};

/// Keywords whose values are data, whatever they look like.
const DATA: [&str; 5] = ["const", "default", "enum", "example", "examples"];

/// Writes each reference to an anchor of the document anew. One to an anchor that is not there stays as it is.
pub(super) fn replace(document: &mut Value) {
    let mut anchors = BTreeMap::new();
    gather(document, "", &mut anchors);
    if !anchors.is_empty() {
        lead(document, &anchors);
    }
}

fn gather(value: &Value, at: &str, anchors: &mut BTreeMap<String, String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| gather(item, &below(at, &index.to_string()), anchors));
        }
        Value::Object(fields) => {
            if let Some(Value::String(name)) = fields.get("$anchor") {
                anchors.entry(format!("#{name}")).or_insert_with(|| reference(at));
            }
            let inner = fields.iter().filter(|(name, _)| !DATA.contains(&name.as_str()));
            inner.for_each(|(name, field)| gather(field, &below(at, name), anchors));
        }
        _ => {}
    }
}

fn lead(value: &mut Value, anchors: &BTreeMap<String, String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| lead(item, anchors)),
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut().filter(|(name, _)| !DATA.contains(&name.as_str())) {
                match field {
                    Value::String(text) if name == "$ref" => {
                        if let Some(place) = anchors.get(text) {
                            text.clone_from(place);
                        }
                    }
                    other => lead(other, anchors),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_to_anchors_lead_to_their_places() {
        let mut document = json!({
            "components": {"schemas": {"Id/x": {"$anchor": "id", "type": "integer", "example": {"$anchor": "other"}}}},
            "paths": [{"$ref": "#id"}, {"$ref": "#gone"}, {"$ref": "#other"}, {"enum": [{"$ref": "#id"}]}, {"$ref": {"$ref": "#id"}}],
        });
        replace(&mut document);
        let place = "#/components/schemas/Id~1x";
        let expected = json!([{"$ref": place}, {"$ref": "#gone"}, {"$ref": "#other"}, {"enum": [{"$ref": "#id"}]}, {"$ref": {"$ref": place}}]);
        assert_eq!(document["paths"], expected);
    }
}
