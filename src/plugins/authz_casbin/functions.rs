//! The functions of matchers, by Casbin's rules. Casbin's own ones compile a pattern at each call and panic where it is none, or where
//! a path is cut inside a character; these do neither.
use casbin::function_map::OperatorFunction::{self, Arg2, Arg3};
use casbin::rhai::Dynamic;

use super::pattern::{Kind, Pattern};
use super::tables::{has_role, with_pattern};

/// Name, function, and the kind of pattern that its second argument is.
pub(super) const FUNCTIONS: [(&str, OperatorFunction, Option<Kind>); 9] = [
    ("keyMatch", Arg2(key_match), None),
    ("keyGet", Arg2(key_get), None),
    ("keyMatch2", Arg2(key_match_2), Some(Kind::Colons)),
    ("keyGet2", Arg3(key_get_2), Some(Kind::Colons)),
    ("keyMatch3", Arg2(key_match_3), Some(Kind::Braces)),
    ("keyGet3", Arg3(key_get_3), Some(Kind::Braces)),
    ("keyMatch4", Arg2(key_match_4), Some(Kind::Braces)),
    ("keyMatch5", Arg2(key_match_5), Some(Kind::Braces)),
    ("regexMatch", Arg2(regex_match), Some(Kind::Regex)),
];

/// The functions of the first role definition, of the second, and so on: with two values, and with three.
pub(super) const ROLES: [(OperatorFunction, OperatorFunction); 4] = [
    (Arg2(role::<0>), Arg3(role_in::<0>)),
    (Arg2(role::<1>), Arg3(role_in::<1>)),
    (Arg2(role::<2>), Arg3(role_in::<2>)),
    (Arg2(role::<3>), Arg3(role_in::<3>)),
];

fn role<const DEFINITION: usize>(name: Dynamic, role: Dynamic) -> Dynamic {
    role_in::<DEFINITION>(name, role, "".into())
}

fn role_in<const DEFINITION: usize>(name: Dynamic, role: Dynamic, domain: Dynamic) -> Dynamic {
    let Ok(domain) = domain.into_immutable_string() else { return Dynamic::UNIT };
    of_texts(name, role, |name, role| has_role(DEFINITION, name, role, &domain).map_or(Dynamic::UNIT, Into::into))
}

fn key_match(text: Dynamic, key: Dynamic) -> Dynamic {
    of_texts(text, key, |text, key| match key.split_once('*') {
        Some((start, _)) => text.starts_with(start).into(),
        None => (text == key).into(),
    })
}

fn key_get(text: Dynamic, key: Dynamic) -> Dynamic {
    of_texts(text, key, |text, key| {
        let start = key.split_once('*').map(|(start, _)| start);
        start.and_then(|start| text.strip_prefix(start)).unwrap_or_default().into()
    })
}

fn key_match_2(text: Dynamic, key: Dynamic) -> Dynamic {
    of_pattern(Kind::Colons, text, key, |pattern, text| pattern.matches(text).into())
}

fn key_get_2(text: Dynamic, key: Dynamic, name: Dynamic) -> Dynamic {
    named(Kind::Colons, text, key, name)
}

fn key_match_3(text: Dynamic, key: Dynamic) -> Dynamic {
    of_pattern(Kind::Braces, text, key, |pattern, text| pattern.matches(text).into())
}

fn key_get_3(text: Dynamic, key: Dynamic, name: Dynamic) -> Dynamic {
    named(Kind::Braces, text, key, name)
}

fn key_match_4(text: Dynamic, key: Dynamic) -> Dynamic {
    of_pattern(Kind::Braces, text, key, |pattern, text| pattern.matches_alike(text).into())
}

fn key_match_5(text: Dynamic, key: Dynamic) -> Dynamic {
    let path = |text: &str| text.split('?').next().unwrap_or_default().to_owned();
    of_pattern(Kind::Braces, text, key, |pattern, text| pattern.matches(&path(text)).into())
}

fn regex_match(text: Dynamic, regex: Dynamic) -> Dynamic {
    of_pattern(Kind::Regex, text, regex, |pattern, text| pattern.matches(text).into())
}

fn named(kind: Kind, text: Dynamic, key: Dynamic, name: Dynamic) -> Dynamic {
    let Ok(name) = name.into_immutable_string() else { return Dynamic::UNIT };
    of_pattern(kind, text, key, |pattern, text| pattern.value(text, &name).unwrap_or_default().into())
}

/// What is no text, and what is no pattern, gives nothing: an answer that no matcher can use, so that the evaluation fails and nobody
/// passes. `false` would let them pass where policies deny.
fn of_pattern(kind: Kind, text: Dynamic, key: Dynamic, judge: impl FnOnce(&Pattern, &str) -> Dynamic) -> Dynamic {
    of_texts(text, key, |text, key| {
        with_pattern(kind, key, |pattern| pattern.map_or(Dynamic::UNIT, |pattern| judge(pattern, text)))
    })
}

fn of_texts(one: Dynamic, other: Dynamic, judge: impl FnOnce(&str, &str) -> Dynamic) -> Dynamic {
    match (one.into_immutable_string(), other.into_immutable_string()) {
        (Ok(one), Ok(other)) => judge(&one, &other),
        _ => Dynamic::UNIT,
    }
}

#[cfg(test)]
mod tests {
    use casbin::function_map as theirs;
    use proptest::prelude::*;

    use super::*;

    fn call(name: &str, text: &str, key: &str) -> Dynamic {
        let (_, function, _) = FUNCTIONS.into_iter().find(|(known, ..)| *known == name).unwrap();
        match function {
            Arg2(function) => function(text.into(), key.into()),
            _ => panic!("{name} has three arguments"),
        }
    }

    #[test]
    fn keys_match_as_casbin_has_it() {
        for (name, text, key, matches) in [
            ("keyMatch", "/foo/bar", "/foo/*", true),
            ("keyMatch", "/foo", "/foo*", true),
            ("keyMatch", "/fo", "/foo*", false),
            ("keyMatch", "/foo/bar", "/foo", false),
            ("keyMatch", "/é", "/e*", false),
            ("keyMatch", "é", "e*", false),
            ("keyMatch2", "/foo/bar", "/foo/*", true),
            ("keyMatch2", "/resource1", "/:resource", true),
            ("keyMatch2", "/", "/:resource", false),
            ("keyMatch2", "/a/b/c", "/:x/:y", false),
            ("keyMatch2", "/a/b", "/a|/b", false),
            ("keyMatch3", "/proxy/mine/x", "/proxy/{id}/*", true),
            ("keyMatch3", "/proxy/", "/proxy/{id}/*", false),
            ("keyMatch4", "/parent/123/child/123", "/parent/{id}/child/{id}", true),
            ("keyMatch4", "/parent/123/child/456", "/parent/{id}/child/{id}", false),
            ("keyMatch4", "/parent/1/child/2", "/parent/{id}/child/{other}", true),
            ("keyMatch5", "/parent/child1?status=1", "/parent/*", true),
            ("keyMatch5", "/foo/bar?status=1", "/foo/bar", true),
            ("keyMatch5", "/foo/bar", "/foo/{id}", true),
            ("regexMatch", "GET", "(GET)|(HEAD)", true),
            ("regexMatch", "/topic/edit/1", "/topic/edit/[0-9]+", true),
            ("regexMatch", "POST", "^(GET|HEAD)$", false),
        ] {
            assert_eq!(call(name, text, key).as_bool(), Ok(matches), "{name}({text}, {key})");
        }
    }

    #[test]
    fn what_is_no_pattern_is_no_answer() {
        for name in ["keyMatch2", "keyMatch3", "keyMatch4", "keyMatch5", "regexMatch"] {
            assert!(call(name, "x", "(").is_unit(), "{name}");
        }
        assert!(regex_match("x".into(), 7.into()).is_unit());
    }

    #[test]
    fn parts_of_keys_are_found_by_name() {
        let text = |value: Dynamic| value.into_string().unwrap();
        assert_eq!(text(call("keyGet", "/foo/bar/foo", "/foo/*")), "bar/foo");
        assert_eq!(text(call("keyGet", "/other", "/foo/*")), "");
        for (function, key, name, value) in [
            (key_get_2 as fn(_, _, _) -> _, "/:kind/:id", "id", "7"),
            (key_get_2, "/:kind/:id", "no", ""),
            (key_get_2, "/other/:id", "id", ""),
            (key_get_3, "/{kind}/{id}", "kind", "users"),
            (key_get_3, "/us{rest}s/{id}", "rest", "er"),
        ] {
            assert_eq!(text(function("/users/7".into(), key.into(), name.into())), value, "{key} {name}");
        }
    }

    proptest! {
        /// Where Casbin's functions have an answer, it is ours.
        #[test]
        fn answers_are_casbins(
            text in "(/[ab]{0,2}){0,3}",
            colons in "(/(a|b|:x|:y|\\*)?){0,3}",
            braces in "(/(a|b|\\{x\\}|\\{y\\}|a\\{x\\}|\\*)?){0,3}",
        ) {
            let is = |name: &str, key: &str| call(name, &text, key).as_bool().unwrap();
            prop_assert_eq!(is("keyMatch", &colons), theirs::key_match(&text, &colons), "{} {}", text, colons);
            prop_assert_eq!(is("keyMatch2", &colons), theirs::key_match2(&text, &colons), "{} {}", text, colons);
            prop_assert_eq!(is("keyMatch3", &braces), theirs::key_match3(&text, &braces), "{} {}", text, braces);
            prop_assert_eq!(is("keyMatch4", &braces), theirs::key_match4(&text, &braces), "{} {}", text, braces);
            prop_assert_eq!(is("keyMatch5", &braces), theirs::key_match5(&text, &braces), "{} {}", text, braces);
            let part = |function: fn(_, _, _) -> Dynamic, key: &str| {
                function(text.as_str().into(), key.into(), "x".into()).into_string().unwrap()
            };
            prop_assert_eq!(part(key_get_2, &colons), theirs::key_get2(&text, &colons, "x"), "{} {}", text, colons);
            prop_assert_eq!(part(key_get_3, &braces), theirs::key_get3(&text, &braces, "x"), "{} {}", text, braces);
        }
    }
}
