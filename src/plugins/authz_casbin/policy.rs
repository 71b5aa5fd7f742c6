//! A model with its policies, compiled.
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use casbin::{CoreApi as _, DefaultModel, Enforcer, Model, NullAdapter};

use super::functions::FUNCTIONS;
use super::lines;
use super::matcher::{self, Patterned};
use super::pattern::Pattern;

/// The effects that there are; at any other one Casbin would panic where it is asked.
const EFFECTS: [&str; 4] = [
    "some(where (p_eft == allow))",
    "!some(where (p_eft == deny))",
    "some(where (p_eft == allow)) && !some(where (p_eft == deny))",
    "priority(p_eft) || deny",
];
/// Most policies: each one costs a request its time, and a worker serves nobody else meanwhile.
const MOST: usize = 10_000;

pub(super) struct Policy {
    enforcer: Enforcer,
    /// Policies that are asked one by one.
    len: usize,
}

/// What is wrong: with the model or with the policies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) is_of_model: bool,
    pub(super) reason: String,
}

impl Policy {
    /// # Errors
    /// What does not parse, and what could not be asked later.
    pub(super) fn compile(model: &str, policies: &str) -> Result<Self, Fault> {
        let model = at_once(DefaultModel::from_str(model)).map_err(of_casbin)?;
        let patterned = judge(&model)?;
        let mut enforcer = at_once(Enforcer::new_raw(model, NullAdapter)).map_err(of_casbin)?;
        for (name, function, _) in FUNCTIONS {
            enforcer.add_function(name, function);
        }
        let mut count = 0;
        for (at, line) in policies.lines().enumerate() {
            count +=
                usize::from(add(enforcer.get_mut_model(), line, &patterned).map_err(|reason| of_line(at, &reason))?);
            if count > MOST {
                return Err(of_line(at, &format!("is one policy too many: at most {MOST} are asked")));
            }
        }
        enforcer.build_role_links().map_err(of_casbin)?;
        let policy = Self { enforcer, len: count };
        // what only asking shows, such as two texts that are added
        policy.allows("anonymous", "/", "GET").map_err(of_casbin)?;
        Ok(policy)
    }

    /// # Errors
    /// When the matcher cannot be worked out; nobody is allowed by that.
    pub(super) fn allows(&self, subject: &str, path: &str, method: &str) -> Result<bool, casbin::Error> {
        self.enforcer.enforce(vec![subject, path, method])
    }

    /// How many policies are asked one by one.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policy")
    }
}

/// Judges a model, and tells which values of policies are patterns.
fn judge(model: &DefaultModel) -> Result<Vec<Patterned>, Fault> {
    let section = |kind: &str| model.get_model().get(kind);
    let definition = |kind: &str, section_name: &str| {
        let found = section(kind).and_then(|all| all.get(kind));
        found.ok_or_else(|| of_model(format!("has no `[{section_name}]` with `{kind}`")))
    };
    let request = definition("r", "request_definition")?;
    if request.tokens.len() != 3 {
        let count = request.tokens.len();
        return Err(of_model(format!("has a request of {count} values: write `r = sub, obj, act`")));
    }
    let policy = definition("p", "policy_definition")?;
    let matcher = definition("m", "matchers")?;
    let effect = &definition("e", "policy_effect")?.value;
    if !EFFECTS.contains(&&**effect) {
        let known = EFFECTS.map(|effect| format!("`{}`", effect.replace('_', "."))).join(", ");
        return Err(of_model(format!("has no `[policy_effect]` that is known: write one of {known}")));
    }
    let roles: Vec<_> = section("g").into_iter().flat_map(|all| all.keys()).map(String::as_str).collect();
    matcher::judge(&matcher.value, &request.tokens, &policy.tokens, &roles).map_err(of_model)
}

/// Adds the policy of a line; whether there is one that is asked one by one.
///
/// # Errors
/// What is wrong with the line.
fn add(model: &mut dyn Model, line: &str, patterned: &[Patterned]) -> Result<bool, String> {
    let Some(mut values) = lines::values(line)? else { return Ok(false) };
    let kind = values.remove(0);
    let is_policy = kind == "p";
    let section = if is_policy { "p" } else { "g" };
    let defined = model.get_model().get(section).and_then(|all| all.get(&kind));
    let Some(definition) = defined else {
        return Err(format!("begins with `{kind}`: only `p` and the roles that the model defines are asked"));
    };
    // roles are defined by as many underscores
    let due = if is_policy { definition.tokens.len() } else { definition.value.matches('_').count() };
    if values.len() != due {
        return Err(format!("has {} values, and the model defines {due}", values.len()));
    }
    for Patterned { function, kind, at } in patterned.iter().filter(|_| is_policy) {
        let text = values.get(*at).map_or("", String::as_str);
        Pattern::compile(*kind, text)
            .map_err(|error| format!("has `{text}`, which is no pattern of {function}: {error}"))?;
    }
    model.add_policy(section, &kind, values);
    Ok(is_policy)
}

fn of_casbin(error: casbin::Error) -> Fault {
    of_model(error.to_string())
}

fn of_model(reason: impl Into<String>) -> Fault {
    Fault { is_of_model: true, reason: reason.into() }
}

fn of_line(at: usize, reason: &str) -> Fault {
    Fault { is_of_model: false, reason: format!("line {}: {reason}", at + 1) }
}

/// The outcome of a future that waits for nothing: texts are parsed behind an asynchronous interface that is meant for files.
fn at_once<T>(future: impl Future<Output = Result<T, casbin::Error>>) -> Result<T, casbin::Error> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(std::io::Error::from(std::io::ErrorKind::WouldBlock).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RBAC: &str = "
        [request_definition]
        r = sub, obj, act
        [policy_definition]
        p = sub, obj, act
        [role_definition]
        g = _, _
        [policy_effect]
        e = some(where (p.eft == allow))
        [matchers]
        m = g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && regexMatch(r.act, p.act)";

    /// The model with one of its lines in another form.
    fn model(from: &str, to: &str) -> String {
        assert!(RBAC.contains(from), "{from}");
        RBAC.replace(from, to)
    }

    #[test]
    fn roles_paths_and_methods_are_matched() {
        let policies = "# who may what\n\np, reader, /orders/*, (GET)|(HEAD)\np, \"admin\", *, .*\n\
                        g, alice, reader\ng, bob, admin";
        let policy = Policy::compile(RBAC, policies).unwrap();
        for (subject, path, method, allowed) in [
            ("alice", "/orders/1", "GET", true),
            ("alice", "/orders/1", "POST", false),
            ("alice", "/other", "GET", false),
            ("alice", "/é", "GET", false),
            ("bob", "/other", "DELETE", true),
            ("anonymous", "/orders/1", "GET", false),
            ("reader", "/orders/1", "HEAD", true),
            ("", "/", "GET", false),
        ] {
            assert_eq!(policy.allows(subject, path, method).unwrap(), allowed, "{subject} {method} {path}");
        }
    }

    #[test]
    fn what_cannot_work_is_told_at_load() {
        for (model, policy, is_of_model, says) in [
            (String::new(), "", true, "[request_definition]"),
            ("nonsense".to_owned(), "", true, ""),
            (model("r = sub, obj, act", "r = sub, act"), "", true, "2 values"),
            (model("e = some(where (p.eft == allow))", "e = any"), "", true, "policy_effect"),
            (model("[matchers]", "[matcher]"), "", true, "[matchers]"),
            (model("g = _, _", "g = _"), "", true, ""),
            (model("keyMatch(", "keyMatchx("), "p, a, b, c", true, "keyMatchx"),
            (model("p.act)", "p.action)"), "p, a, b, c", true, "`p.action`"),
            (model("&& regexMatch", "&& && regexMatch"), "", true, ""),
            (model("g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && regexMatch(r.act, p.act)", "r.sub"), "", true, ""),
            (RBAC.to_owned(), "\np, a, b", false, "line 2: has 2 values, and the model defines 3"),
            (RBAC.to_owned(), "p, a, b, (GET", false, "line 1: has `(GET`, which is no pattern of regexMatch"),
            (RBAC.to_owned(), "p, a, \"b, c", false, "line 1: has a quote"),
            (RBAC.to_owned(), "P, a, b, c", false, "line 1: begins with `P`"),
            (RBAC.to_owned(), "g2, a, b", false, "line 1: begins with `g2`"),
            (model("[role", "p2 = sub, obj\n[role"), "p2, a, b", false, "line 1: begins with `p2`"),
            (RBAC.to_owned(), "m, a", false, "line 1: begins with `m`"),
            (RBAC.to_owned(), "p, a, b, c\n".repeat(MOST + 1).as_str(), false, "line 10001: is one policy too many"),
        ] {
            let Err(fault) = Policy::compile(&model, policy) else { panic!("{model}\n{policy}") };
            assert_eq!(fault.is_of_model, is_of_model, "{fault:?}\n{model}\n{policy}");
            assert!(fault.reason.contains(says), "{fault:?}\n{model}");
        }
    }

    #[test]
    fn a_policy_that_denies_wins_where_the_model_says_so() {
        let both = "some(where (p.eft == allow)) && !some(where (p.eft == deny))";
        let model = model("some(where (p.eft == allow))", both).replace("p = sub, obj, act", "p = sub, obj, act, eft");
        let policy = Policy::compile(&model, "p, a, /*, GET, allow\np, a, /secret, GET, deny").unwrap();
        assert!(policy.allows("a", "/x", "GET").unwrap());
        assert!(!policy.allows("a", "/secret", "GET").unwrap());
    }

    /// A pattern that only shows itself while a request is judged fails the judging: it must not pass for one that does not match.
    #[test]
    fn a_pattern_that_is_none_lets_nobody_pass() {
        let matcher = "!regexMatch(r.act, \"(\" + p.act) && r.sub != \"anonymous\"";
        let model = model("g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && regexMatch(r.act, p.act)", matcher);
        assert!(Policy::compile(&model, "p, a, b, GET").is_err());
        let later = model.replace("!regexMatch", "r.sub != \"anonymous\" && !regexMatch");
        let policy = Policy::compile(&later, "p, a, b, GET").unwrap();
        assert!(policy.allows("a", "b", "GET").is_err());
    }
}
