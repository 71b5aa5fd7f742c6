//! Which schema a `discriminator` chooses (OpenAPI 3.1 §4.8.25). Of the keyword nothing is left: plain JSON Schema says the same.
//!
//! Beside `oneOf` or `anyOf` it chooses one of the schemas there. Alone it chooses among the schemas that take its own one in by
//! `allOf`, at first hand or further on. Of such a base there are two: under its name, the one that chooses; under another, itself
//! alone, which is what others take in, or it would choose again and again.
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::reference::{below, pointer, reference, resolve};
use super::work::Work;

type Object = Map<String, Value>;

/// Where schemas have names.
const SCHEMAS: &str = "/components/schemas";

/// Choices that all bases of a document may have together.
const MOST_CHOICES: usize = 100_000;

/// Writes bases anew, and those that take them in.
///
/// # Errors
/// When there are too many choices, or is too much work.
pub(super) fn tell_apart(document: &mut Value, work: &Work) -> Result<(), String> {
    let Some(schemas) = document.pointer(SCHEMAS).and_then(Value::as_object) else { return Ok(()) };
    let kin = Kin::of(document, schemas);
    let mut bases = BTreeMap::new();
    let mut choices = 0;
    for name in schemas.keys() {
        if let Some(base) = kin.base(name, work) {
            work.spend(base.heirs.len() * base.mapping.as_ref().and_then(Value::as_object).map_or(0, Object::len));
            choices += base.heirs.len();
            if choices > MOST_CHOICES {
                return Err(format!("`discriminator`s lead to more than {MOST_CHOICES} choices"));
            }
            bases.insert(name.clone(), base);
        }
        work.judge()?;
    }
    let aliases = kin.aliases;
    let Some(schemas) = document.pointer_mut(SCHEMAS).and_then(Value::as_object_mut) else { return Ok(()) };
    for schema in schemas.values_mut() {
        take_in_itself(schema, &bases, &aliases);
    }
    for (name, base) in &bases {
        let Some(own) = schemas.get_mut(name) else { continue };
        let choosing = base.choosing(name, own, &bases);
        let mut alone = std::mem::replace(own, choosing);
        base.forget_choice(&mut alone);
        schemas.insert(itself(name), alone);
    }
    Ok(())
}

/// Chooses among the schemas beside a `discriminator`, if each is a reference.
pub(super) fn choose(fields: &mut Object, work: &Work) {
    let Some(discriminator) = fields.get("discriminator") else { return };
    let Some(member) = member(discriminator) else { return };
    let Some(keyword) = choosing_keyword(fields) else { return };
    let choices = fields.get(keyword).and_then(Value::as_array).into_iter().flatten();
    let is_null = |choice: &&Value| choice.get("type").and_then(Value::as_str) == Some("null");
    let (nulls, choices): (Vec<_>, Vec<_>) = choices.partition(is_null);
    let mapped = discriminator.get("mapping").and_then(Value::as_object).map_or(0, Object::len);
    if !work.spend(choices.len() * mapped) {
        return;
    }
    let choices = choices.into_iter().map(|choice| {
        let target = choice.get("$ref")?.as_str()?;
        Some((names_of(&pointer(target).ok()?, discriminator.get("mapping")), target.to_owned()))
    });
    let Some(choices) = choices.collect::<Option<Vec<_>>>() else { return };
    let chosen = chosen(member, &choices);
    let null = nulls.first().map(|null| (*null).clone());
    fields.remove(keyword);
    match null {
        None => match fields.get_mut("allOf").and_then(Value::as_array_mut) {
            Some(all) => all.extend(chosen),
            None => drop(fields.insert("allOf".to_owned(), chosen.into())),
        },
        Some(nothing) => drop(fields.insert("anyOf".to_owned(), json!([nothing, {"allOf": chosen}]))),
    }
}

/// The one keyword whose schemas are chosen from.
fn choosing_keyword(fields: &Object) -> Option<&'static str> {
    match (fields.contains_key("oneOf"), fields.contains_key("anyOf")) {
        (true, false) => Some("oneOf"),
        (false, true) => Some("anyOf"),
        _ => None,
    }
}

fn member(discriminator: &Value) -> Option<&str> {
    discriminator.get("propertyName").and_then(Value::as_str)
}

/// What all of has to hold: the member is there and names a choice, whose schema counts.
fn chosen(member: &str, choices: &[(Vec<String>, String)]) -> Vec<Value> {
    let all: BTreeSet<&String> = choices.iter().flat_map(|(names, _)| names).collect();
    let named = json!({"type": "object", "required": [member], "properties": {member: {"enum": all}}});
    let each = choices.iter().map(|(names, target)| {
        json!({"if": {"required": [member], "properties": {member: {"enum": names}}}, "then": {"$ref": target}})
    });
    std::iter::once(named).chain(each).collect()
}

/// What a discriminator calls the schema at a place: its own name, and those that are mapped to it.
fn names_of(place: &str, mapping: Option<&Value>) -> Vec<String> {
    let own = place.rsplit_once('/').map(|(_, name)| unescaped(name));
    let mapped = mapping.and_then(Value::as_object).into_iter().flatten();
    let mapped = mapped.filter(|(_, value)| value.as_str().is_some_and(|value| leads_to(value, place)));
    own.into_iter().chain(mapped.map(|(name, _)| name.clone())).collect()
}

/// Whether a value of `mapping`, the name of a schema or a reference, means that place.
fn leads_to(value: &str, place: &str) -> bool {
    pointer(value).is_ok_and(|meant| meant == place) || below(SCHEMAS, value) == place
}

/// The name of the schema at a place, if that is where schemas have names.
fn name_at(place: &str) -> Option<String> {
    let name = place.strip_prefix(SCHEMAS)?.strip_prefix('/')?;
    (!name.contains('/')).then(|| unescaped(name))
}

fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// The name of a base by itself: no schema of a document may have a blank in its name.
fn itself(name: &str) -> String {
    format!("{name} itself")
}

/// Has a schema take in bases by themselves.
fn take_in_itself(schema: &mut Value, bases: &BTreeMap<String, Base>, aliases: &BTreeMap<String, String>) {
    let parts = schema.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten();
    for part in parts {
        match part.get_mut("$ref") {
            Some(Value::String(text)) => {
                if let Some(name) = aliases.get(text).filter(|name| bases.contains_key(*name)) {
                    *text = reference(&below(SCHEMAS, &itself(name)));
                }
            }
            _ => take_in_itself(part, bases, aliases),
        }
    }
}

/// A schema that chooses among its heirs.
struct Base {
    member: String,
    /// Of the discriminator, which may be that of a schema that the base takes in itself.
    mapping: Option<Value>,
    /// By name; the base is none of them.
    heirs: BTreeSet<String>,
    /// Which of its own keywords chooses already.
    keyword: Option<&'static str>,
}

impl Base {
    /// The schema that chooses.
    fn choosing(&self, name: &str, own: &Value, bases: &BTreeMap<String, Base>) -> Value {
        if self.keyword.is_some() {
            return own.clone();
        }
        let choices = std::iter::once(name).chain(self.heirs.iter().map(String::as_str)).map(|heir| {
            let names = names_of(&below(SCHEMAS, heir), self.mapping.as_ref());
            let alone = if bases.contains_key(heir) { itself(heir) } else { heir.to_owned() };
            (names, reference(&below(SCHEMAS, &alone)))
        });
        let chosen = chosen(&self.member, &choices.collect::<Vec<_>>());
        let says_null = own.get("type").and_then(Value::as_array).is_some_and(|types| types.contains(&json!("null")));
        match (own.get("nullable") == Some(&Value::Bool(true)), says_null) {
            (true, _) => json!({"nullable": true, "allOf": chosen}),
            (_, true) => json!({"anyOf": [{"type": "null"}, {"allOf": chosen}]}),
            _ => json!({"allOf": chosen}),
        }
    }

    /// Leaves of a schema what it says of all its heirs.
    fn forget_choice(&self, own: &mut Value) {
        let Some(fields) = own.as_object_mut() else { return };
        if let Some(keyword) = self.keyword {
            fields.remove(keyword);
        }
        fields.remove("discriminator");
    }
}

/// Which schemas take in which.
struct Kin<'d> {
    schemas: &'d Object,
    /// Names behind the references in `allOf`.
    aliases: BTreeMap<String, String>,
    parents: BTreeMap<&'d str, BTreeSet<String>>,
    children: BTreeMap<String, BTreeSet<&'d str>>,
}

impl<'d> Kin<'d> {
    fn of(document: &'d Value, schemas: &'d Object) -> Self {
        let (aliases, parents, children) = Default::default();
        let mut kin = Self { schemas, aliases, parents, children };
        for (name, schema) in schemas {
            kin.note(document, name, schema);
        }
        kin
    }

    fn note(&mut self, document: &Value, name: &'d str, schema: &Value) {
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            let Some(text) = part.get("$ref").and_then(Value::as_str) else {
                self.note(document, name, part);
                continue;
            };
            let place = pointer(text).and_then(|place| resolve(document, place));
            let Some(parent) = place.ok().and_then(|(_, place)| name_at(&place)) else { continue };
            self.aliases.insert(text.to_owned(), parent.clone());
            self.children.entry(parent.clone()).or_default().insert(name);
            self.parents.entry(name).or_default().insert(parent);
        }
    }

    /// What a schema of that name chooses from, if it does.
    fn base(&self, name: &str, work: &Work) -> Option<Base> {
        let (owner, discriminator) = self.discriminator(name, work)?;
        let mut heirs = BTreeSet::new();
        self.gather_heirs(name, &mut heirs, work);
        let own = self.schemas.get(name).and_then(Value::as_object).filter(|_| owner == name);
        let keyword = own.and_then(choosing_keyword);
        let mapping = discriminator.get("mapping");
        if own.is_some() && keyword.is_none() {
            let mapped =
                mapping.and_then(Value::as_object).into_iter().flatten().filter_map(|(_, value)| value.as_str());
            let names =
                mapped.filter_map(|value| pointer(value).map_or(Some(value.to_owned()), |place| name_at(&place)));
            heirs.extend(names.filter(|heir| self.schemas.contains_key(heir)));
        }
        heirs.remove(name);
        let member = member(discriminator)?.to_owned();
        (!heirs.is_empty()).then(|| Base { member, mapping: mapping.cloned(), heirs, keyword })
    }

    /// The discriminator of a schema, or of the nearest one that it takes in; and whose it is.
    fn discriminator(&self, name: &str, work: &Work) -> Option<(String, &'d Value)> {
        let mut seen = BTreeSet::new();
        let mut generation = vec![name.to_owned()];
        while !generation.is_empty() && work.spend(generation.len()) {
            let found = generation.iter().find_map(|name| {
                let discriminator = self.schemas.get(name)?.get("discriminator")?;
                member(discriminator).map(|_| (name.clone(), discriminator))
            });
            if found.is_some() {
                return found;
            }
            let before = generation.iter().filter_map(|name| self.parents.get(name.as_str())).flatten();
            generation = before.filter(|name| seen.insert((*name).clone())).cloned().collect();
        }
        None
    }

    fn gather_heirs(&self, name: &str, heirs: &mut BTreeSet<String>, work: &Work) {
        let mut next = vec![name];
        while let Some(name) = next.pop().filter(|_| work.spend(1)) {
            let children = self.children.get(name).into_iter().flatten();
            next.extend(children.filter(|child| heirs.insert((**child).to_owned())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemas(schemas: Value) -> Value {
        let mut document = json!({"components": {"schemas": schemas}});
        tell_apart(&mut document, &Work::new()).unwrap();
        document["components"]["schemas"].take()
    }

    /// The names and targets that a schema chooses from.
    fn choices(schema: &Value) -> Vec<(Value, &str)> {
        let choices = schema["allOf"].as_array().unwrap().iter().skip(1);
        let choice = |choice: &'_ Value| choice["if"]["properties"]["kind"]["enum"].clone();
        choices.map(|one| (choice(one), one["then"]["$ref"].as_str().unwrap())).collect()
    }

    #[test]
    fn one_of_the_schemas_beside_it_is_chosen() {
        let schema = json!({
            "oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
            "discriminator": {"propertyName": "kind", "mapping": {"c": "Cat", "d": "#/components/schemas/Dog", "e": "other.json"}},
        });
        let chosen = |schema: &Value| {
            let mut fields = schema.as_object().unwrap().clone();
            choose(&mut fields, &Work::new());
            Value::from(fields)
        };
        let made = chosen(&schema);
        assert_eq!(
            choices(&made),
            [(json!(["Cat", "c"]), "#/components/schemas/Cat"), (json!(["Dog", "d"]), "#/components/schemas/Dog")]
        );
        assert_eq!(made["allOf"][0]["properties"]["kind"]["enum"], json!(["Cat", "Dog", "c", "d"]));
        let inline = json!({"oneOf": [{"type": "object"}], "discriminator": {"propertyName": "kind"}});
        assert_eq!(chosen(&inline), inline);
        let null = json!({"anyOf": [{"$ref": "#/a"}, {"type": "null"}], "discriminator": {"propertyName": "kind"}});
        assert_eq!(chosen(&null)["anyOf"][0], json!({"type": "null"}));
    }

    #[test]
    fn a_base_chooses_among_all_that_take_it_in() {
        let schemas = schemas(json!({
            "Pet": {"discriminator": {"propertyName": "kind", "mapping": {"c": "Cat"}}, "required": ["kind"]},
            "Cat": {"allOf": [{"$ref": "#/components/schemas/Pet"}, {"properties": {"lives": {}}}]},
            "Lion": {"allOf": [{"allOf": [{"$ref": "#/components/schemas/Cat"}]}]},
            "Alias": {"$ref": "#/components/schemas/Pet"},
            "Dog": {"allOf": [{"$ref": "#/components/schemas/Alias"}]},
            "Owner": {"properties": {"pet": {"allOf": [{"$ref": "#/components/schemas/Pet"}]}}},
        }));
        let at = |name: &str| format!("#/components/schemas/{name}");
        let (cat, dog, lion, pet) = (at("Cat%20itself"), at("Dog"), at("Lion"), at("Pet%20itself"));
        let of_cats = [(json!(["Cat", "c"]), &*cat), (json!(["Lion"]), &*lion)];
        assert_eq!(choices(&schemas["Cat"]), of_cats);
        let [cats, lions] = of_cats;
        assert_eq!(choices(&schemas["Pet"]), [(json!(["Pet"]), &*pet), cats, (json!(["Dog"]), &*dog), lions]);
        assert_eq!(schemas["Pet itself"], json!({"required": ["kind"]}));
        assert_eq!(schemas["Cat itself"]["allOf"][0]["$ref"], pet);
        assert_eq!(schemas["Lion"]["allOf"][0]["allOf"][0]["$ref"], cat);
        assert_eq!(schemas["Dog"]["allOf"][0]["$ref"], pet);
        assert_eq!(schemas["Owner"]["properties"]["pet"]["allOf"][0]["$ref"], at("Pet"), "which is for it to choose");
    }

    #[test]
    fn what_stands_alone_stays_as_it_is() {
        for alone in [
            json!({"A": {"discriminator": {"propertyName": "kind"}}}),
            json!({"A": {"allOf": [{"$ref": "#/components/schemas/B"}]}, "B": {"type": "object"}}),
            json!({"A": {"discriminator": {}}, "B": {"allOf": [{"$ref": "#/components/schemas/A"}]}}),
            json!({"A": {"allOf": [{"$ref": "#/components/schemas/A"}]}}),
        ] {
            assert_eq!(schemas(alone.clone()), alone);
        }
        let mapped = schemas(
            json!({"A": {"discriminator": {"propertyName": "kind", "mapping": {"b": "B", "c": "C"}}}, "B": {}}),
        );
        assert_eq!(choices(&mapped["A"]).len(), 2, "itself, and what is mapped and there");
    }

    #[test]
    fn choices_are_bounded() {
        let mut chain = serde_json::Map::new();
        chain.insert("S0".to_owned(), json!({"discriminator": {"propertyName": "kind"}}));
        for at in 1..500 {
            chain.insert(format!("S{at}"), json!({"allOf": [{"$ref": format!("#/components/schemas/S{}", at - 1)}]}));
        }
        let mut document = json!({"components": {"schemas": chain}});
        assert!(tell_apart(&mut document.clone(), &Work::new()).unwrap_err().contains("more than 100000 choices"));
        document["components"]["schemas"]["S0"] = json!({});
        assert_eq!(tell_apart(&mut document.clone(), &Work::new()), Ok(()));
        assert!(tell_apart(&mut document, &Work::of(100_000)).is_err(), "all the way up from each");
    }
}
