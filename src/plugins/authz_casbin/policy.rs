//! A model with its policies, compiled.
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use casbin::{CoreApi as _, DefaultModel, Enforcer, Model, NullAdapter};

use super::functions::{FUNCTIONS, ROLES};
use super::lines;
use super::matcher::Patterned;
use super::model::{self, Definitions};
use super::pattern::Patterns;
use super::roles::Links;
use super::tables::Tables;

/// Most policies: each one costs a request its time, and a worker serves nobody else meanwhile.
const MOST: usize = 10_000;
/// Most lines of roles; they cost memory alone.
const MOST_ROLES: usize = 100_000;

pub(super) struct Policy {
    enforcer: Enforcer,
    tables: Arc<Tables>,
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
    /// What does not parse, what could not be asked later, and what would let everybody pass.
    pub(super) fn compile(model: &str, policies: &str) -> Result<Self, Fault> {
        let mut model = at_once(DefaultModel::from_str(model)).map_err(of_casbin)?;
        let definitions = model::judge(&mut model).map_err(of_model)?;
        let mut enforcer = at_once(Enforcer::new_raw(model, NullAdapter)).map_err(of_casbin)?;
        for (name, function, _) in FUNCTIONS {
            enforcer.add_function(name, function);
        }
        for ((name, values), (of_two, of_three)) in definitions.roles.iter().zip(ROLES) {
            enforcer.add_function(name, if *values == 2 { of_two } else { of_three });
        }
        let mut read = Read::of(&definitions);
        for (at, line) in policies.lines().enumerate() {
            read.add(enforcer.get_mut_model(), line).map_err(|reason| of_line(at, &reason))?;
        }
        if read.policies == 0 {
            // Casbin would ask the matcher about one that is empty, which may let everybody pass.
            return Err(of_policies("has no policy: write a line that begins with `p`"));
        }
        let roles = read.links.into_iter().map(Links::follow).collect::<Result<_, _>>().map_err(of_policies)?;
        let tables = Arc::new(Tables { patterns: read.patterns, roles });
        let policy = Self { enforcer, tables, len: read.policies };
        // what only asking shows, such as two texts that are added
        policy.allows("anonymous", "/", "GET").map_err(of_casbin)?;
        Ok(policy)
    }

    /// # Errors
    /// When the matcher cannot be worked out; nobody is allowed by that.
    pub(super) fn allows(&self, subject: &str, path: &str, method: &str) -> Result<bool, casbin::Error> {
        self.tables.asked(|| self.enforcer.enforce(vec![subject, path, method]))
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

/// What the lines have that were read.
struct Read<'d> {
    definitions: &'d Definitions,
    policies: usize,
    roles: usize,
    patterns: Patterns,
    /// One for each role definition.
    links: Vec<Links>,
}

impl<'d> Read<'d> {
    fn of(definitions: &'d Definitions) -> Self {
        let links = definitions.roles.iter().map(|_| Links::default()).collect();
        Self { definitions, policies: 0, roles: 0, patterns: Patterns::default(), links }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it.
    fn add(&mut self, model: &mut dyn Model, line: &str) -> Result<(), String> {
        let Some(mut values) = lines::values(line)? else { return Ok(()) };
        let kind = values.remove(0);
        let role = self.definitions.roles.iter().zip(&mut self.links).find(|((name, _), _)| *name == kind);
        let due = match &role {
            _ if kind == "p" => self.definitions.values,
            Some(((_, values), _)) => *values,
            None => {
                return Err(format!("begins with `{kind}`: only `p` and the roles that the model defines are asked"));
            }
        };
        if values.len() != due {
            return Err(format!("has {} values, and the model defines {due}", values.len()));
        }
        if let Some((_, links)) = role {
            self.roles += 1;
            if self.roles > MOST_ROLES {
                return Err(format!("is one role too many: at most {MOST_ROLES} lines of them are allowed"));
            }
            let value = |at: usize| values.get(at).map_or("", String::as_str);
            links.add(value(0), value(1), value(2));
            return Ok(());
        }
        self.policies += 1;
        if self.policies > MOST {
            return Err(format!("is one policy too many: at most {MOST} are asked"));
        }
        let effect = self.definitions.effect.and_then(|at| values.get(at));
        if let Some(effect) = effect.filter(|effect| !["allow", "deny"].contains(&effect.as_str())) {
            return Err(format!("has the effect `{effect}`, which is none: write `allow` or `deny`"));
        }
        for Patterned { function, kind, at } in &self.definitions.patterned {
            let text = values.get(*at).map_or("", String::as_str);
            self.patterns
                .add(*kind, text)
                .map_err(|error| format!("has `{text}`, which is no pattern of {function}: {error}"))?;
        }
        model.add_policy("p", "p", values);
        Ok(())
    }
}

fn of_casbin(error: casbin::Error) -> Fault {
    of_model(error.to_string())
}

fn of_model(reason: impl Into<String>) -> Fault {
    Fault { is_of_model: true, reason: reason.into() }
}

fn of_policies(reason: impl Into<String>) -> Fault {
    Fault { is_of_model: false, reason: reason.into() }
}

fn of_line(at: usize, reason: &str) -> Fault {
    of_policies(format!("line {}: {reason}", at + 1))
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
            (model("g = _, _", "g = _"), "", true, "role definition `g`"),
            (model("g = _, _", "g = _, _, _, _"), "", true, "role definition `g`"),
            (model("g = _, _", "g = _, _\ng2 = _, _\ng3 = _, _\ng4 = _, _\ng5 = _, _"), "", true, "5 role definitions"),
            (format!("{RBAC}\nm2 = {}", "(".repeat(30_000)), "", true, "`m2`"),
            (
                model("some(where (p.eft == allow))", "!some(where (p.eft == deny))"),
                "p, a, b, c",
                true,
                "everybody pass",
            ),
            (RBAC.to_owned(), "", false, "has no policy"),
            (RBAC.to_owned(), "# nothing\ng, a, b", false, "has no policy"),
            (
                model("p = sub, obj, act", "p = sub, obj, act, eft"),
                "p, a, b, c, Deny",
                false,
                "line 1: has the effect `Deny`",
            ),
            (RBAC.to_owned(), "g, a, b\n".repeat(MOST_ROLES + 1).as_str(), false, "line 100001: is one role too many"),
            (model("keyMatch(", "keyMatchx("), "p, a, b, c", true, "keyMatchx"),
            (model("p.act)", "p.action)"), "p, a, b, c", true, "`p.action`"),
            (model("&& regexMatch", "&& && regexMatch"), "p, a, b, c", true, ""),
            (
                model("g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && regexMatch(r.act, p.act)", "r.sub"),
                "p, a, b, c",
                true,
                "",
            ),
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

    /// What names a user and a thing gives a right only where a line says so.
    #[test]
    fn roles_of_two_definitions_are_kept_apart() {
        let model = model("g = _, _", "g = _, _\ng2 = _, _").replace("keyMatch(r.obj, p.obj)", "g2(r.obj, p.obj)");
        let policy =
            Policy::compile(&model, "p, ops, secrets, GET\ng, alice, /ops\ng2, /ops, secrets\ng, bob, ops").unwrap();
        assert!(policy.allows("bob", "/ops", "GET").unwrap());
        assert!(!policy.allows("alice", "/ops", "GET").unwrap());
        let policy = Policy::compile(RBAC, "p, secrets, /a, GET\ng, alice, ops").unwrap();
        assert!(!policy.allows("alice", "/a", "GET").unwrap());
        let two = "p, secrets, *, GET\ng, alice, ops\ng2, ops, secrets";
        let policy = Policy::compile(&self::model("g = _, _", "g = _, _\ng2 = _, _"), two).unwrap();
        assert!(!policy.allows("alice", "/a", "GET").unwrap(), "by a role of another definition");
    }

    #[test]
    fn roles_may_be_those_of_a_domain() {
        let model = model("g = _, _", "g = _, _, _").replace("g(r.sub, p.sub)", "g(r.sub, p.sub, r.act)");
        let policy = Policy::compile(&model, "p, admin, *, .*\ng, alice, admin, GET").unwrap();
        assert!(policy.allows("alice", "/", "GET").unwrap());
        assert!(!policy.allows("alice", "/", "POST").unwrap());
    }

    /// With the time it took to look through all names for one that is not there this would take minutes.
    #[test]
    fn a_stranger_costs_as_little_as_who_has_a_role() {
        let policies = (0..500).map(|at| format!("p, role-{at}, /x, GET\n"));
        let roles = (0..50_000).map(|at| format!("g, user-{at}, role-{}\n", at % 500));
        let policy = Policy::compile(RBAC, &policies.chain(roles).collect::<String>()).unwrap();
        for _ in 0..100 {
            assert!(!policy.allows("anonymous", "/x", "GET").unwrap());
        }
        assert!(policy.allows("user-7", "/x", "GET").unwrap());
    }

    /// Tests have threads of 2 MiB, as workers do.
    #[test]
    fn the_deepest_matcher_that_is_taken_fits_a_thread() {
        const ALL: &str = "g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && regexMatch(r.act, p.act)";
        let deep = |matcher: &str| Policy::compile(&model(ALL, matcher), "p, a, b, c");
        for matcher in [
            format!("{}true{}", "(".repeat(100), ")".repeat(100)),
            format!("{}true", "!".repeat(100)),
            "true == ".repeat(100) + "true",
            "true && ".repeat(100) + "true",
            "r.sub + ".repeat(99) + "r.sub == p.sub",
        ] {
            assert!(deep(&matcher).is_ok(), "{matcher}");
            let fault = deep(&format!("!({matcher})")).unwrap_err();
            assert!(fault.is_of_model && fault.reason.contains("operators"), "{fault:?}");
        }
        for mark in ["r.sub == ", "(", "!", "- ", "r.sub in ", "r.sub[", "r.sub?"] {
            assert!(deep(&mark.repeat(100_000)).is_err(), "{mark}");
        }
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
