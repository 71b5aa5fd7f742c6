//! Policies with what they know, compiled.
use std::collections::BTreeSet;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    AuthorizationError, Authorizer, Decision, Effect, Entities, PolicyId, PolicySet, Request, Schema, ValidationMode,
    Validator,
};
use serde_json::Value;

use super::{CedarConfig, depth};

/// Most bytes of policies, and of a schema.
const LONGEST: usize = 1 << 20;
/// Most policies: each request is held against all of them, and a worker serves nobody else meanwhile.
const MOST: usize = 1000;

/// What is wrong, and with which field.
pub(super) type Fault = (&'static str, String);

#[derive(Debug)]
pub(super) struct Policies {
    set: PolicySet,
    entities: Entities,
    authorizer: Authorizer,
}

/// What the policies say of a request.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) allows: bool,
    /// The policies that decided, by name; none where nothing permits.
    pub(super) by: Vec<String>,
    /// Policies that could not be worked out, and why.
    pub(super) broken: Vec<AuthorizationError>,
}

impl Policies {
    /// # Errors
    /// What does not parse or does not fit the schema, with its place.
    pub(super) fn compile(config: &CedarConfig) -> Result<Self, Fault> {
        for (field, text) in [("policies", Some(&config.policies)), ("schema", config.schema.as_ref())] {
            let length = text.map_or(0, String::len);
            if length > LONGEST {
                return Err((field, format!("has {length} bytes: at most {LONGEST} are allowed")));
            }
        }
        let text = &*config.policies;
        depth::of_policies(text).map_err(|reason| ("policies", reason))?;
        let set: PolicySet = text.parse().map_err(|error| ("policies", located(text, &DetailedError::from(&error))))?;
        check(&set).map_err(|reason| ("policies", reason))?;
        let schema = config.schema.as_deref().map(schema).transpose().map_err(|reason| ("schema", reason))?;
        if let Some(schema) = &schema {
            let judged = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
            if let Some(error) = judged.validation_errors().next() {
                return Err(("policies", located(text, &DetailedError::from(error))));
            }
        }
        let entities = Entities::from_json_value(Value::Array(config.entities.clone()), schema.as_ref());
        let entities = entities.map_err(|error| ("entities", DetailedError::from(&error).message))?;
        Ok(Self { set, entities, authorizer: Authorizer::new() })
    }

    /// Judges a request. A policy that permits and cannot be worked out permits nothing; where one that forbids cannot, nobody passes:
    /// it is not known whom it forbids.
    pub(super) fn judge(&self, request: &Request) -> Verdict {
        let response = self.authorizer.is_authorized(request, &self.set, &self.entities);
        let told = response.diagnostics();
        let broken: Vec<_> = told.errors().cloned().collect();
        let forbids = |AuthorizationError::PolicyEvaluationError(error): &AuthorizationError| {
            self.set.policy(error.policy_id()).is_none_or(|policy| policy.effect() == Effect::Forbid)
        };
        let allows = response.decision() == Decision::Allow && !broken.iter().any(forbids);
        let mut by: Vec<_> = told.reason().map(|id| self.name(id)).collect();
        by.sort_unstable();
        Verdict { allows, by, broken }
    }

    /// What a policy is called in logs: as its annotation `@id` says, else `policy` and its number, counted from 0.
    fn name(&self, id: &PolicyId) -> String {
        self.set.annotation(id, "id").map_or_else(|| id.to_string(), str::to_owned)
    }
}

/// # Errors
/// What no set of policies here may be.
fn check(set: &PolicySet) -> Result<(), String> {
    let count = set.num_of_policies();
    if count > MOST {
        return Err(format!("has {count} policies: at most {MOST} are allowed"));
    }
    if let Some(template) = set.templates().next() {
        return Err(format!("has a template (`{}`), which nothing fills in: write policies", template.id()));
    }
    if count == 0 {
        return Err("has no policy, so that nobody could pass: write at least one that permits".to_owned());
    }
    let mut names = BTreeSet::new();
    match set.policies().filter_map(|policy| policy.annotation("id")).find(|name| !names.insert(*name)) {
        Some(name) => Err(format!("has two policies with `@id(\"{name}\")`")),
        None => Ok(()),
    }
}

fn schema(text: &str) -> Result<Schema, String> {
    if text.trim_start().starts_with('{') {
        return Schema::from_json_str(text).map_err(|error| located(text, &DetailedError::from(&error)));
    }
    depth::of_schema(text)?;
    let read = Schema::from_cedarschema_str(text);
    read.map(|(schema, _)| schema).map_err(|error| located(text, &DetailedError::from(&error)))
}

/// A fault with its place in the text, and what helps.
fn located(text: &str, fault: &DetailedError) -> String {
    let mut reason = fault.message.clone();
    if let Some(at) = fault.source_locations.first() {
        let before = text.get(..at.loc.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        reason = format!("line {line}, column {column}: {reason}");
        if let Some(label) = at.label.as_ref().filter(|label| !reason.contains(&***label)) {
            reason = format!("{reason}; {label}");
        }
    }
    match &fault.help {
        Some(help) => format!("{reason}; {help}"),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugins::testing::configured;

    fn fault(block: Value) -> (&'static str, String) {
        Policies::compile(&configured(block)).unwrap_err()
    }

    const SCHEMA: &str = "entity Consumer, Anonymous; entity Route { owner: String };\n\
                          action GET appliesTo { principal: [Consumer], resource: [Route], context: { path: String } };";

    fn when(condition: &str) -> String {
        format!("permit(principal, action, resource) when {{ {condition} }};")
    }

    /// Tests have threads of 2 MiB, as workers do.
    #[test]
    fn the_deepest_policy_that_is_taken_fits_a_thread() {
        for condition in [
            format!("{}true{}", "(".repeat(23), ")".repeat(23)),
            format!("{}true", "!".repeat(4)),
            "if false then false else ".repeat(23) + "true",
            "true && ".repeat(250) + "true",
            format!("1{} == 251", " + 1".repeat(250)),
            format!("{}1{} == 1", "[".repeat(23), "]".repeat(23)),
            format!("{}1{} == 1", "{a: ".repeat(23), "}".repeat(23)),
            format!("context{} == 1", ".a".repeat(250)),
        ] {
            let policies = Policies::compile(&configured(json!({"policies": when(&condition)})));
            let entity = || "A::\"a\"".parse().unwrap();
            let request = Request::new(entity(), entity(), entity(), cedar_policy::Context::empty(), None).unwrap();
            // Cedar's evaluation looks after its stack by itself: it may say that it goes no further
            let _ = policies.unwrap_or_else(|fault| panic!("{condition}: {fault:?}")).judge(&request);
        }
        let types =
            |open: &str, close: &str, count| format!("type A = {}Long{};", open.repeat(count), close.repeat(count));
        for schema in [
            types("Set<", ">", 24),
            types("{a: ", "}", 24),
            // of JSON the reader has a bound of its own
            format!(
                "{{\"\": {{\"entityTypes\": {{}}, \"actions\": {{}}, \"commonTypes\": {{\"A\": {}{{\"type\": \"Long\"}}{}}}}}}}",
                "{\"type\": \"Set\", \"element\": ".repeat(120),
                "}".repeat(120)
            ),
        ] {
            let _ = super::schema(&schema).unwrap_or_else(|fault| panic!("{schema}: {fault}"));
        }
    }

    #[test]
    fn what_cannot_work_is_told_with_its_place() {
        for (policies, says) in [
            ("permit(principal, action, resource);\npermit(principal, action resource);", "line 2, column 26: "),
            ("permit(principal, action, resource) when { nope(1) };", "line 1, column 44: "),
            ("", "has no policy"),
            ("permit(principal == ?principal, action, resource);", "has a template"),
            ("@id(\"a\") permit(principal, action, resource);".repeat(2).as_str(), "two policies with `@id(\"a\")`"),
            ("permit(principal, action, resource);".repeat(1001).as_str(), "1001 policies"),
            ("x".repeat(LONGEST + 1).as_str(), "at most 1048576"),
            (when(&format!("{}1", "(".repeat(100_000))).as_str(), "line 1: goes deeper"),
            (when(&format!("{}a", "!".repeat(100_000))).as_str(), "line 1: goes deeper"),
            (when(&"a && ".repeat(100_000)).as_str(), "line 1: a policy has more than"),
        ] {
            let (field, reason) = fault(json!({"policies": policies}));
            assert!(field == "policies" && reason.contains(says), "{field}: {reason}");
        }
    }

    #[test]
    fn policies_and_entities_are_held_against_the_schema() {
        let all = "permit(principal, action, resource);";
        let typo = "permit(principal, action == Action::\"GET\", resource) when {\n  resource.ovner == \"a\" };";
        let owner =
            |owner: Value| json!([{"uid": {"type": "Route", "id": "r"}, "attrs": {"owner": owner}, "parents": []}]);
        for (block, wanted, says) in [
            (json!({"policies": typo, "schema": SCHEMA}), "policies", "line 2, column 3: "),
            (json!({"policies": all, "schema": "entity A\nentity"}), "schema", "line "),
            (json!({"policies": all, "schema": "{\"\": {"}), "schema", ""),
            (
                json!({"policies": all, "schema": format!("type A = {}Long", "Set<".repeat(100_000))}),
                "schema",
                "line 1: ",
            ),
            (json!({"policies": all, "schema": SCHEMA, "entities": owner(json!(7))}), "entities", "Route::\"r\""),
            (json!({"policies": all, "entities": [{"uid": 7}]}), "entities", ""),
        ] {
            let (field, reason) = fault(block.clone());
            assert!(field == wanted && reason.contains(says), "{block}\n{field}: {reason}");
        }
        let good = json!({"policies": typo.replace("ovner", "owner"), "schema": SCHEMA, "entities": owner(json!("a"))});
        Policies::compile(&configured(good)).unwrap();
    }
}
