//! A model, judged.
use casbin::{DefaultModel, Model as _};

use super::functions::ROLES;
use super::matcher::{self, Patterned};

/// The effects that there are; at any other one Casbin would panic where it is asked.
const EFFECTS: [&str; 4] = [
    "some(where (p_eft == allow))",
    ALL_BUT_DENIED,
    "some(where (p_eft == allow)) && !some(where (p_eft == deny))",
    "priority(p_eft) || deny",
];
/// Everybody passes whom no policy denies.
const ALL_BUT_DENIED: &str = "!some(where (p_eft == deny))";

/// What is to be known of a model beside what Casbin knows.
#[derive(Debug)]
pub(super) struct Definitions {
    /// How many values a policy has.
    pub(super) values: usize,
    /// Which of them says whether it allows or denies.
    pub(super) effect: Option<usize>,
    /// Which of them are patterns.
    pub(super) patterned: Vec<Patterned>,
    /// Names of role definitions, and how many values their lines have.
    pub(super) roles: Vec<(String, usize)>,
}

/// Judges a model, and takes the role definitions out of it, for which there are functions of ours.
///
/// # Errors
/// What is wrong with it.
pub(super) fn judge(model: &mut DefaultModel) -> Result<Definitions, String> {
    let roles = model.get_mut_model().remove("g").into_iter().flatten();
    // defined by as many underscores
    let roles: Vec<_> = roles.map(|(name, role)| (name, role.value.matches('_').count())).collect();
    if let Some((name, _)) = roles.iter().find(|(_, values)| !(2..=3).contains(values)) {
        return Err(format!("has a role definition `{name}` of a form that is not there: write `_, _` or `_, _, _`"));
    }
    if roles.len() > ROLES.len() {
        return Err(format!("has {} role definitions: at most {} are allowed", roles.len(), ROLES.len()));
    }
    let section = |kind: &str| model.get_model().get(kind);
    let definition = |kind: &str, section_name: &str| {
        let found = section(kind).and_then(|all| all.get(kind));
        found.ok_or_else(|| format!("has no `[{section_name}]` with `{kind}`"))
    };
    let request = definition("r", "request_definition")?;
    if request.tokens.len() != 3 {
        return Err(format!("has a request of {} values: write `r = sub, obj, act`", request.tokens.len()));
    }
    let policy = definition("p", "policy_definition")?;
    let matcher = definition("m", "matchers")?;
    // Casbin compiles all of them, whatever is written there
    if let Some(other) = section("m").into_iter().flat_map(|all| all.keys()).find(|name| *name != "m") {
        return Err(format!("has a matcher `{other}`, which is never asked: only `m` is"));
    }
    let effect = &*definition("e", "policy_effect")?.value;
    if !EFFECTS.contains(&effect) {
        let known = EFFECTS.map(|effect| format!("`{}`", effect.replace('_', "."))).join(", ");
        return Err(format!("has no `[policy_effect]` that is known: write one of {known}"));
    }
    let of_effect = policy.tokens.iter().position(|name| name == "p_eft");
    if effect == ALL_BUT_DENIED && of_effect.is_none() {
        return Err(
            "lets everybody pass, as no policy can deny: write `eft` into `[policy_definition]`, or the effect \
                    `some(where (p.eft == allow))`"
                .to_owned(),
        );
    }
    let names: Vec<_> = roles.iter().map(|(name, _)| name.as_str()).collect();
    let patterned = matcher::judge(&matcher.value, &request.tokens, &policy.tokens, &names)?;
    Ok(Definitions { values: policy.tokens.len(), effect: of_effect, patterned, roles })
}
