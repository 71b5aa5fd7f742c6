//! Schemas that a discriminator chooses.
use serde_json::{Value, json};

use super::support::{post, said, with_content};

#[tokio::test]
async fn a_discriminator_chooses_the_schema_that_counts() {
    let mut document = with_content(
        "3.0.3",
        json!({"application/json": {"schema": {
            "oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
            "discriminator": {"propertyName": "kind", "mapping": {"c": "#/components/schemas/Cat"}},
        }}}),
    );
    document["components"] = json!({"schemas": {
        "Cat": {"type": "object", "properties": {"lives": {"type": "integer"}}},
        "Dog": {"type": "object", "properties": {"lives": {"type": "string"}}},
    }});
    for (body, passes) in [
        (r#"{"kind": "c", "lives": 9}"#, true),
        (r#"{"kind": "Dog", "lives": "9"}"#, true),
        (r#"{"kind": "Dog"}"#, true),
        (r#"{"kind": "c", "lives": "9"}"#, false),
        (r#"{"kind": "bird"}"#, false),
        (r#"{"lives": 9}"#, false),
    ] {
        assert_eq!(said(&document, post("/", "application/json", body)).await.is_empty(), passes, "{body}");
    }
}

/// Pets by `allOf`, which one by a member of their base; a cat may be a lion.
fn pets(version: &str, pet: Value, cat: Value) -> Value {
    let body =
        json!({"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}}}});
    let mut document = with_content(version, body);
    let of = |base: &str, own: Value| json!({"allOf": [{"$ref": format!("#/components/schemas/{base}")}, own]});
    document["components"] = json!({"schemas": {
        "Pet": pet, "Cat": of("Pet", cat),
        "Dog": of("Pet", json!({"type": "object", "required": ["bark"], "properties": {"bark": {"type": "string"}}})),
        "Lion": of("Cat", json!({"required": ["mane"], "properties": {"mane": {"type": "boolean"}}})),
    }});
    document
}

#[tokio::test]
async fn a_discriminator_chooses_among_the_heirs_of_its_schema() {
    let kind = json!({"propertyName": "kind", "mapping": {"c": "Cat"}});
    let pet = json!({"type": "object", "required": ["kind", "name"], "discriminator": kind,
        "properties": {"kind": {"type": "string"}, "name": {"type": "string"}}});
    let cat = json!({"properties": {"lives": {"type": "integer"}}});
    let mut listed = pet.clone();
    listed["oneOf"] = ["Cat", "Dog", "Lion"].map(|heir| json!({"$ref": format!("#/components/schemas/{heir}")})).into();
    for version in ["3.0.3", "3.1.0"] {
        for pet in [&pet, &listed] {
            let document = pets(version, pet.clone(), cat.clone());
            for (body, says) in [
                (r#"[{"kind": "Cat", "name": "a", "lives": 9}, {"kind": "Dog", "name": "b", "bark": "c"}]"#, ""),
                (
                    r#"[{"kind": "c", "name": "a", "lives": 9}, {"kind": "Lion", "name": "b", "lives": 1, "mane": true}]"#,
                    "",
                ),
                (r#"[{"kind": "Cat", "name": "a", "lives": "9"}]"#, "body: /0/lives: value is not of type \"integer\""),
                (r#"[{"kind": "Lion", "name": "a", "lives": 1}]"#, "body: /0: \"mane\" is a required property"),
                (r#"[{"kind": "Dog", "name": "a"}]"#, "body: /0: \"bark\" is a required property"),
                (r#"[{"kind": "Dog", "bark": "a"}]"#, "body: /0: \"name\" is a required property"),
                (r#"[{"name": "a"}]"#, "body: /0: \"kind\" is a required property"),
            ] {
                assert_eq!(said(&document, post("/", "application/json", body)).await, says, "{version} {body}");
            }
            let other = said(&document, post("/", "application/json", r#"[{"kind": "Fish", "name": "a"}]"#)).await;
            assert!(other.starts_with("body: /0/kind: "), "{other}");
        }
    }
}

#[tokio::test]
async fn a_base_may_be_null_where_it_says_so() {
    for (version, type_of, null) in [("3.0.3", json!("object"), true), ("3.1.0", json!(["object", "null"]), false)] {
        let mut pet = json!({"type": type_of, "discriminator": {"propertyName": "kind"}});
        if null {
            pet["nullable"] = true.into();
        }
        let document = pets(version, pet, json!({}));
        for (body, passes) in [("[null]", true), (r#"[{"kind": "Cat"}]"#, true), ("[1]", false), ("[{}]", false)] {
            let says = said(&document, post("/", "application/json", body)).await;
            assert_eq!(says.is_empty(), passes, "{version} {body}: {says}");
        }
    }
}

#[tokio::test]
async fn a_form_is_read_by_the_schemas_that_may_be_chosen() {
    let pet = json!({"type": "object", "discriminator": {"propertyName": "kind"}});
    let mut document = pets("3.1.0", pet, json!({"properties": {"lives": {"type": "integer"}}}));
    document["paths"]["/"]["post"]["requestBody"]["content"] =
        json!({"application/x-www-form-urlencoded": {"schema": {"$ref": "#/components/schemas/Pet"}}});
    let form = "application/x-www-form-urlencoded";
    assert_eq!(said(&document, post("/", form, "kind=Cat&lives=9")).await, "");
    let says = said(&document, post("/", form, "kind=Cat&lives=many")).await;
    assert_eq!(says, "body: /lives: value is not of type \"integer\"");
}
