//! What a matcher uses, so that what is not there is told when it is loaded, and not by refusing requests.
use regex::Regex;

use super::functions::FUNCTIONS;
use super::pattern::Kind;

/// Most bytes of a matcher.
const LONGEST: usize = 4096;
/// Most brackets and operators: each may nest another one, and Casbin's parser, which goes down as deep as they do, knows no bound.
const MOST: usize = 100;

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
    if matcher.len() > LONGEST {
        return Err(format!("has a matcher of {} bytes: at most {LONGEST} are allowed", matcher.len()));
    }
    let code = scan(r#""(?:[^"\\]|\\.)*""#)?.replace_all(matcher, "\"\"");
    // in these a quote begins no text, and what stands behind it would not be seen
    if let Some(other) = scan(r"'|`|//|/\*")?.find(&code) {
        return Err(format!("has a matcher with {}: write texts in double quotes, and no comments", other.as_str()));
    }
    let operators = scan(r"[(\[{.?!+-]|[<>=*/%^&|~]+|\bin\b")?.find_iter(&code).count();
    if operators > MOST {
        return Err(format!("has a matcher with {operators} brackets and operators: at most {MOST} are allowed"));
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
            "r_sub == \"it's // `so` /*\"",
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
            ("!".repeat(3000).as_str(), "3000 brackets"),
            (["r_sub"; 1000].join(" in ").as_str(), "8996 bytes"),
            (["r_sub"; 500].join("==").as_str(), "499 brackets"),
            (format!("r_sub{}", ".len".repeat(300)).as_str(), "300 brackets"),
            (format!("r_sub{}", " in r_sub".repeat(300)).as_str(), "300 brackets"),
            ("\"".repeat(5001).as_str(), "5001 bytes"),
            (format!("'\"' == {} || '\"' == r_sub", "(".repeat(900)).as_str(), "with ': write"),
            ("r_sub == `${r_act}`", "with `: write"),
            ("r_sub == p_sub // \"", "with //: write"),
            ("r_sub == p_sub /* \" */", "with /*: write"),
        ] {
            let error = judged(matcher).unwrap_err();
            assert!(error.contains(says), "{matcher}: {error}");
        }
    }
}
