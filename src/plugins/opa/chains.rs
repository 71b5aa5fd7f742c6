//! How deep rules go. The engine looks for recursion among rules that are no functions, and each call takes stack: a function that
//! calls itself would end the process, by what a client sends. Open Policy Agent refuses such a policy as well.
use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use regorus::unstable::{Parser, Rule, RuleHead, Source, Span};

use super::rego::SOURCE;

/// A comment, a name in brackets that is called, a text, or a path of names, with `(` where it is called.
const TOKEN: &str = r#"#.*|\["((?:[^"\\]|\\.)*)"\]\s*\(|"(?:[^"\\]|\\(?s:.))*"|`[^`]*`|([A-Za-z_0-9]+(?:\.[A-Za-z_0-9]+)*|\.[A-Za-z_0-9.]+)(\s*\()?"#;
/// Most rules that use one another, each one the next.
const DEEPEST: usize = 24;

/// Judges a policy that parses. A name that means something else, such as a variable with the name of a rule, is taken for the rule.
///
/// # Errors
/// A function that calls itself, by others or not, and a chain of rules that is too long.
pub(super) fn judge(policy: &str) -> Result<(), String> {
    let rules = rules(policy)?;
    let too_long = |name: &str| format!("has a rule `{name}` at the head of more than {DEEPEST} that need one another");
    let functions = rules.iter().filter(|(_, rule)| rule.is_function);
    let calls: Edges<'_> = functions.map(|(name, rule)| (&**name, &rule.calls)).collect();
    let ended = ended(&calls);
    if let Some(name) = calls.keys().find(|name| !ended.contains(*name)) {
        return Err(match circle(name, &calls, &ended) {
            Some(name) => format!("has a function `{name}` that calls itself, or is called by what it calls"),
            None => too_long(name),
        });
    }
    let uses: Edges<'_> = rules.iter().map(|(name, rule)| (&**name, &rule.uses)).collect();
    let ended = self::ended(&uses);
    // the engine looks for circles of rules by itself, and a circle may be one by a name that means something else
    match uses.keys().find(|name| !ended.contains(*name) && circle(name, &uses, &ended).is_none()) {
        Some(name) => Err(too_long(name)),
        None => Ok(()),
    }
}

/// What each name leads to.
type Edges<'r> = BTreeMap<&'r str, &'r BTreeSet<String>>;

/// All rules of a name.
#[derive(Default)]
struct Named {
    is_function: bool,
    /// What is called, or takes the place of what is called.
    calls: BTreeSet<String>,
    /// That, and what is named.
    uses: BTreeSet<String>,
}

/// The rules: functions by the last part of their names, others by the first one.
fn rules(policy: &str) -> Result<BTreeMap<String, Named>, String> {
    let token = Regex::new(TOKEN).map_err(|error| error.to_string())?;
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let source = Source::from_contents(SOURCE.to_owned(), policy.to_owned()).map_err(|error| told(&error))?;
    let mut parser = Parser::new(&source).map_err(|error| told(&error))?;
    parser.enable_rego_v1().map_err(|error| told(&error))?;
    let module = parser.parse().map_err(|error| told(&error))?;
    // what begins in another way is a built-in function, whatever its last part is
    let mut begins: BTreeSet<&str> = ["data", ""].into();
    for import in &module.imports {
        begins.insert(match &import.r#as {
            Some(name) => name.text(),
            None => last(import.refr.span().text()),
        });
    }
    begins.extend(module.policy.iter().map(|rule| first(name(rule).0.text())));
    let mut rules: BTreeMap<String, Named> = BTreeMap::new();
    let offset = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
    // to the next one: a span ends before the quote of a text that is the last in it
    let ends = module.policy.iter().skip(1).map(|rule| offset(rule.span().start)).chain([source.contents().len()]);
    for (rule, end) in module.policy.iter().zip(ends) {
        let (path, is_function) = name(rule);
        let name = if is_function { last(path.text()) } else { first(path.text()) };
        let named = rules.entry(name.to_owned()).or_default();
        named.is_function |= is_function;
        // a rule that could not be found could not be judged
        let text = source.contents().get(offset(path.end)..end).ok_or("has a rule without a place")?;
        named.take(&token, text, &begins);
    }
    Ok(rules)
}

/// What a rule is called, and whether it is a function.
fn name(rule: &Rule) -> (&Span, bool) {
    match rule {
        Rule::Spec { head: RuleHead::Func { refr, .. }, .. } => (refr.span(), true),
        Rule::Spec { head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. }, .. } => (refr.span(), false),
        Rule::Default { refr, args, .. } => (refr.span(), !args.is_empty()),
    }
}

/// The first part of a path.
fn first(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or_default()
}

/// The last part of a path, also where it stands in brackets.
fn last(path: &str) -> &str {
    path.trim_end_matches(['"', ']']).rsplit(['.', '"']).next().unwrap_or_default()
}

impl Named {
    /// Takes the text of a rule behind its name.
    fn take(&mut self, token: &Regex, text: &str, begins: &BTreeSet<&str>) {
        let mut stands_in = false;
        for found in token.captures_iter(text) {
            let part = |number: usize| found.get(number).map(|part| part.as_str());
            let (path, is_called) = match (part(1), part(2)) {
                (Some(name), _) => (name, true),
                (None, Some(path)) => {
                    (path, part(3).is_some() && (!path.contains('.') || begins.contains(first(path))))
                }
                _ => continue,
            };
            // `with f as g`: `g` is called wherever `f` is
            if is_called || stands_in {
                self.calls.insert(last(path).to_owned());
                self.uses.insert(last(path).to_owned());
            }
            stands_in = path == "as";
            // of a path the rule is what it begins with, and of `data` any part may be one
            let most = if first(path) == "data" { usize::MAX } else { 1 };
            self.uses.extend(path.split('.').take(most).map(str::to_owned));
        }
    }
}

/// Those from which no more than [`DEEPEST`] stand in a row.
fn ended<'r>(edges: &Edges<'r>) -> BTreeSet<&'r str> {
    let mut ended: BTreeSet<&str> = BTreeSet::new();
    for _ in 0..DEEPEST {
        let is_over = |next: &String| !edges.contains_key(&**next) || ended.contains(&**next);
        let more = edges.iter().filter(|(name, next)| !ended.contains(*name) && next.iter().all(is_over));
        let more: Vec<_> = more.map(|(name, _)| *name).collect();
        ended.extend(more);
    }
    ended
}

/// One that comes back to itself, on the first way from a name through those that do not end; `None`: that way ends.
fn circle<'r>(from: &'r str, edges: &Edges<'r>, ended: &BTreeSet<&str>) -> Option<&'r str> {
    let mut met = BTreeSet::new();
    let mut at = from;
    while met.insert(at) {
        at =
            edges.get(at)?.iter().map(|next| &**next).find(|next| edges.contains_key(next) && !ended.contains(next))?;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(rules: &str) -> Result<(), String> {
        judge(&format!("package a.b\nimport data.a.b as me\n{rules}"))
    }

    #[test]
    fn a_function_that_calls_itself_is_refused_however_it_does() {
        for (rules, name) in [
            ("f(x) := f(x)", "f"),
            (
                "strip(s) := strip(substring(s, 1, -1)) if startswith(s, \"/\")\nstrip(s) := s if not startswith(s, \"/\")",
                "strip",
            ),
            ("allow if f(1)\nf(x) := g(x)\ng(x) :=\n  h (x)\nh(x) := y if { y := [g(z) | some z in x] }", "g"),
            ("f(x) := data.a.b.f(x)", "f"),
            ("f(x) := me.f(x)", "f"),
            ("f(x) := data.a[\"b\"].f(x)", "f"),
            ("f(x) := data.a.b[\"f\"](x)", "f"),
            ("k.f(x) := k.g(x) if x\nk.g(x) := 1 if {\n  k.f(x)\n}", "f"),
            ("f(x) := 1 if g(x) with g as f\ng(x) := x", "f"),
            ("f(x) := 1 if { false } else := f(x)", "f"),
            ("f(x) := \"# f(\" if f(x) # no", "f"),
        ] {
            let error = judged(rules).unwrap_err();
            assert!(error.contains(&format!("function `{name}` that calls itself")), "{rules}: {error}");
        }
    }

    #[test]
    fn what_ends_is_taken() {
        for rules in [
            "f(x) := g(x) + g(g(x))\ng(x) := count(x) # f(x)",
            "f(x) := \"f(x)\"\ng(x) := `g(x)`",
            "f(x) := x.f\nallow if { f := 1; f == 1 }",
            "allow if { input.allow }\nreason := \"no\" if not allow",
            "match(x) := regex.match(\"^a\", x)\nk.count(x) := strings.count(x, \"a\")",
            "default a(_) := 3\na(x) := 1 if x == 2\ndefault allow := false\nallow if a(1) == 3",
            "p[x] := y if { some x, y in input.p }\nq.r := p.x if p[input.q]",
        ] {
            assert_eq!(judged(rules), Ok(()), "{rules}");
        }
    }

    #[test]
    fn a_chain_has_an_end() {
        let chain = |length: usize, call: &str| {
            (1..length).fold("r0(x) := x\nq0 := 1\n".to_owned(), |all, at| {
                all + &*format!("{}\n", call.replace('@', &at.to_string()).replace('%', &(at - 1).to_string()))
            })
        };
        for call in ["r@(x) := r%(x)", "q@ := q%", "q@ if data.a.b.q%.more"] {
            assert_eq!(judged(&chain(DEEPEST, call)), Ok(()), "{call}");
            assert!(judged(&chain(DEEPEST + 1, call)).unwrap_err().contains("more than 24"), "{call}");
            assert!(judged(&chain(2000, call)).is_err(), "{call}");
        }
    }
}
