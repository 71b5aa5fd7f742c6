//! What a matcher uses, so that what is not there is told when it is loaded, and not by refusing requests.
use regex::Regex;

use super::functions::FUNCTIONS;
use super::pattern::Kind;

/// Most brackets and signs: they nest, and Casbin's parser knows no bound for that.
const DEEPEST: usize = 100;

/// A value of policies that a function takes as a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Patterned {
    pub(super) function: &'static str,
    pub(super) kind: Kind,
    /// Which value of a policy it is.
    pub(super) at: usize,
}

/// Judges a matcher as Casbin keeps it, `r.sub` as `r_sub`. `request` and `policy` are the names of values in this form, `roles` the
/// functions that role definitions give.
///
/// # Errors
/// What is wrong with it.
pub(super) fn judge(
    matcher: &str,
    request: &[String],
    policy: &[String],
    roles: &[&str],
) -> Result<Vec<Patterned>, String> {
    let code = scan(r#""(?:[^"\\]|\\.)*""#)?.replace_all(matcher, "\"\"");
    let nested = code.chars().filter(|character| "([{!-+".contains(*character)).count();
    if nested > DEEPEST {
        return Err(format!("has a matcher with {nested} brackets and signs: at most {DEEPEST} are allowed"));
    }
    for name in scan(r"\b[rp]\d*_\w+")?.find_iter(&code).map(|found| found.as_str().to_owned()) {
        if !request.contains(&name) && !policy.contains(&name) {
            let name = name.replacen('_', ".", 1);
            return Err(format!("has a matcher with `{name}`, which its definitions do not have"));
        }
    }
    let known = || FUNCTIONS.iter().map(|(name, ..)| *name).chain(roles.iter().copied());
    for call in scan(r"\b([A-Za-z_]\w*)\s*\(")?.captures_iter(&code) {
        let name = call.get(1).map_or("", |name| name.as_str());
        if !known().chain(["in", "contains"]).any(|known| known == name) {
            let known = known().collect::<Vec<_>>().join(", ");
            return Err(format!("has a matcher with the function `{name}`, which is not there: there are {known}"));
        }
    }
    let mut patterned = Vec::new();
    for call in scan(r"\b(\w+)\s*\(\s*[^,()]*,\s*([rp]\d*_\w+)\s*[,)]")?.captures_iter(&code) {
        let part = |number: usize| call.get(number).map_or("", |part| part.as_str());
        let function = FUNCTIONS.iter().find(|(name, ..)| *name == part(1));
        let Some((function, _, Some(kind))) = function else { continue };
        match policy.iter().position(|name| name == part(2)) {
            Some(at) => patterned.push(Patterned { function, kind: *kind, at }),
            None => {
                let name = part(2).replacen('_', ".", 1);
                return Err(format!(
                    "has a matcher in which `{name}` is the pattern of {function}: clients would write it"
                ));
            }
        }
    }
    Ok(patterned)
}

fn scan(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(matcher: &str) -> Result<Vec<Patterned>, String> {
        let names = |kind: &str, names: &[&str]| names.iter().map(|name| format!("{kind}_{name}")).collect::<Vec<_>>();
        judge(matcher, &names("r", &["sub", "obj", "act"]), &names("p", &["sub", "obj", "act", "eft"]), &["g", "g2"])
    }

    #[test]
    fn patterns_are_found_where_policies_have_them() {
        let used = judged("g(r_sub, p_sub) && keyMatch2(r_obj, p_obj) && regexMatch( r_act , p_act )").unwrap();
        let used: Vec<_> = used.into_iter().map(|used| (used.function, used.kind, used.at)).collect();
        assert_eq!(used, [("keyMatch2", Kind::Colons, 1), ("regexMatch", Kind::Regex, 2)]);
        for plain in [
            "r_sub == \"eval(r.x)\" || keyMatch(r_obj, p_obj)",
            "r_act in [\"GET\", \"HEAD\"] && (r_sub == p_sub)",
            "regexMatch(r_act, \"GET|HEAD\") && g2(r_sub, p_sub)",
        ] {
            assert_eq!(judged(plain), Ok(Vec::new()), "{plain}");
        }
    }

    #[test]
    fn what_is_not_there_is_told() {
        for (matcher, says) in [
            ("r_sub == p_user", "`p.user`"),
            ("r_name == p_sub", "`r.name`"),
            ("g3(r_sub, p_sub)", "the function `g3`"),
            ("eval(p_sub)", "the function `eval`"),
            ("p_sub.eval()", "the function `eval`"),
            ("regexMatch(p_obj, r_obj)", "`r.obj` is the pattern"),
            ("(".repeat(101).as_str(), "101 brackets"),
            ("!".repeat(5000).as_str(), "5000 brackets"),
        ] {
            let error = judged(matcher).unwrap_err();
            assert!(error.contains(says), "{matcher}: {error}");
        }
    }
}
