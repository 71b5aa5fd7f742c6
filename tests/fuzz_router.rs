//! Fuzz targets of the router, on stable Rust by proptest: it agrees with a router that looks at every rule, a change
//! gives what a fresh compile gives, and no text makes a parser panic.
//!
//! `PROPTEST_CASES=1000000 cargo test --release --test fuzz_router` runs them for longer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, unreachable_pub, reason = "helpers of tests")]
use http::Method;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};
use tollgate::router::{
    Canonical, EncodedSlash, Expr, HostName, NoMatch, PathMode, PathOptions, Query, Router, RouterOptions, Rule, Value,
    VarName, Variables, canonicalise,
};

use self::reference::{Plain, Request, Winner};

#[path = "fuzz_router/reference.rs"]
mod reference;

impl Variables for Request {
    fn get<'a>(&'a self, name: &VarName) -> Option<Value<'a>> {
        let VarName::Arg(name) = name else { return None };
        self.args.iter().find(|(known, _)| *known == &**name).map(|(_, value)| (*value).into())
    }
}

/// Few names, so that patterns overlap, shadow one another and tie.
fn pattern() -> impl Strategy<Value = String> {
    let segment = select(vec!["a", "b", "ab", "aa", "c.d", "do:x", ":x", ":y", "*", "*r", "*s"]);
    let end = select(vec!["", "", "/", "/a*", "/ab*", "*"]);
    let joined = (vec(segment, 0..5), end).prop_map(|(segments, end)| {
        let mut text: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        text.push_str(end);
        if text.is_empty() { "*".to_owned() } else { text }
    });
    joined.prop_filter("a sound pattern", |text| {
        let names: Vec<_> = text.split('/').filter(|segment| segment.starts_with([':', '*'])).collect();
        let stars = text.split('/').skip(1).filter(|segment| segment.contains('*') && !segment.starts_with('*'));
        let open = text.split('/').next_back().is_some_and(|segment| segment.ends_with('*'));
        let doubled = names.iter().enumerate().any(|(at, name)| names[..at].contains(name));
        let odd = text.split('/').any(|segment| segment.starts_with([':', '*']) && segment[1..].contains('*'));
        !doubled && !odd && stars.count() <= usize::from(open) && (text.starts_with('/') || text == "*")
    })
}

/// What matchit can say: whole segments, captured or not.
fn simple_pattern() -> impl Strategy<Value = String> {
    let names = vec([select(vec!["a", "b", "ab", "aa"]), select(vec!["a", "b", ":x"])], 1..4);
    let rest = option::weighted(0.2, Just("/*r"));
    (names, rest).prop_map(|(names, rest)| {
        let segment = |(at, [name, other]): (usize, [&str; 2])| match other {
            ":x" => format!("/:x{at}"),
            _ => format!("/{name}"),
        };
        names.into_iter().enumerate().map(segment).collect::<String>() + rest.unwrap_or_default()
    })
}

fn host_pattern() -> impl Strategy<Value = String> {
    let hosts =
        vec!["a.io", "b.a.io", "c.b.a.io", "*.a.io", "*.b.a.io", "*a.io", "*", "*.io", "a.io:81", "*:81", "*.a.io:81"];
    select(hosts).prop_map(str::to_owned)
}

fn comparison() -> impl Strategy<Value = Json> {
    let text = || select(vec!["1", "2", "x", ""]);
    let name = || select(vec!["arg_k", "arg_l", "arg_m"]);
    prop_oneof![
        4 => (name(), text()).prop_map(|(name, text)| json!([name, "==", text])),
        1 => (name(), text()).prop_map(|(name, text)| json!([name, "~=", text])),
        1 => (name(), text()).prop_map(|(name, text)| json!([name, "!", "==", text])),
        1 => (name(), text()).prop_map(|(name, text)| json!([name, "~~", text])),
        1 => (name(), select(vec!["==", "~=", "<", ">="]), 0..3).prop_map(|(name, op, number)| json!([name, op, number])),
        2 => (name(), vec(text(), 0..3)).prop_map(|(name, texts)| json!([name, "in", texts])),
        1 => name().prop_map(|name| json!([name, "==", null])),
    ]
}

fn expression() -> impl Strategy<Value = Json> {
    let logic = select(vec!["AND", "OR", "!AND", "!OR"]);
    prop_oneof![
        3 => vec(comparison(), 0..3).prop_map(Json::from),
        1 => (logic, vec(comparison(), 2..4)).prop_map(|(word, mut items)| {
            items.insert(0, word.into());
            Json::from(items)
        }),
    ]
}

fn rules() -> impl Strategy<Value = Vec<Plain>> {
    let methods = vec(select(vec![Method::GET, Method::PUT, "PURGE".parse().unwrap()]), 0..3);
    let networks = vec(select(vec!["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "2001:db8::/32", "10.1.1.1/32"]), 1..3);
    let networks = prop_oneof![3 => Just(Vec::new()), 1 => networks];
    let hosts = prop_oneof![1 => Just(Vec::new()), 1 => vec(host_pattern(), 1..3)];
    let one =
        (vec(pattern(), 1..3), hosts, methods, networks, option::weighted(0.4, expression()), -1..2_i64, 0..3_u64);
    vec(one, 1..12).prop_map(|rules| {
        let rule = |(number, (uris, hosts, methods, remote_addrs, vars, priority, order))| {
            let number: usize = number;
            Plain { id: format!("r{number}"), order, uris, hosts, methods, remote_addrs, vars, priority }
        };
        rules.into_iter().enumerate().map(rule).collect()
    })
}

fn request() -> impl Strategy<Value = Request> {
    let path = (vec(select(vec!["a", "b", "ab", "aa", "c.d", "do:x", "z"]), 0..6), any::<bool>());
    let path = path.prop_map(|(segments, slash)| {
        let text: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        if text.is_empty() || slash { text + "/" } else { text }
    });
    let hosts =
        vec!["a.io", "A.io", "b.a.io", "c.b.a.io", "x.a.io", "ba.io", "q", "a.io:81", "b.a.io:81", "a.io:82", "a.io."];
    let clients = vec!["10.1.1.1", "10.2.0.1", "192.168.0.1", "2001:db8::1", "::1"];
    let arg = |name| (Just(name), select(vec!["1", "2", "x", "1.0", ""]));
    (
        select(vec![Method::GET, Method::PUT, Method::POST, "PURGE".parse().unwrap()]),
        option::weighted(0.8, select(hosts)),
        path,
        select(clients),
        option::of(arg("k")),
        option::of(arg("l")),
    )
        .prop_map(|(method, host, path, client, k, l)| Request {
            method,
            host: host.map(str::to_owned),
            path,
            client: client.parse().unwrap(),
            args: k.into_iter().chain(l).collect(),
        })
}

fn compiled(rule: &Plain) -> Rule<usize> {
    Rule {
        order: rule.order,
        uris: rule.uris.iter().map(|uri| uri.as_str().into()).collect(),
        hosts: rule.hosts.iter().map(|host| host.as_str().into()).collect(),
        methods: rule.methods.clone(),
        remote_addrs: rule.remote_addrs.iter().map(|network| network.parse().unwrap()).collect(),
        vars: rule.vars.as_ref().map(|vars| Expr::compile(vars).unwrap()),
        priority: rule.priority,
        ..Rule::new(rule.id.as_str(), "", 0)
    }
}

fn compile(options: RouterOptions, rules: &[Plain]) -> Router<usize> {
    let (router, errors) = Router::from_rules(options, rules.iter().map(compiled));
    assert!(errors.is_empty(), "{errors:?}");
    router
}

/// What the router says; its explanation must say the same.
fn ask(router: &Router<usize>, request: &Request) -> Option<Winner> {
    let host = request.host.as_deref().map(|host| HostName::parse(host).unwrap());
    let query = Query {
        method: &request.method,
        host: host.as_ref(),
        path: request.path.as_bytes(),
        client: Some(request.client),
        vars: request,
    };
    let explanation = router.explain(&query);
    let winner = explanation.winner().map(|winner| (winner.id.clone(), winner.pattern.clone(), winner.host.clone()));
    let found = router.find(&query);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match found {
        Ok(found) => {
            assert_eq!(winner, Some((found.id.clone(), found.pattern.clone(), found.host_pattern.cloned())));
            let captures: Vec<_> = found.params.iter().map(|(name, value)| (name.to_owned(), text(&value))).collect();
            let kept = found.params.to_owned();
            assert_eq!(kept.iter().map(|(name, value)| (name.to_owned(), text(&value))).collect::<Vec<_>>(), captures);
            Some((
                found.id.to_string(),
                found.pattern.to_string(),
                found.host_pattern.map(ToString::to_string),
                captures,
            ))
        }
        Err(_) => {
            assert_eq!(winner, None);
            None
        }
    }
}

fn options() -> impl Strategy<Value = RouterOptions> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(host_first, parameters, compatible)| RouterOptions {
        host_first,
        parameters,
        path_mode: if compatible { PathMode::Compatible } else { PathMode::Strict },
        ..RouterOptions::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_look_at_every_rule(options in options(), rules in rules(), requests in vec(request(), 1..12)) {
        let router = compile(options, &rules);
        for request in &requests {
            let expected = reference::find(&rules, request, options.host_first, options.parameters);
            prop_assert_eq!(ask(&router, request), expected, "{:?}", request);
        }
    }

    /// Where matchit takes a set of patterns, both find a route for the same paths.
    #[test]
    fn agrees_with_matchit_where_it_can(patterns in vec(simple_pattern(), 1..12), requests in vec(request(), 1..12)) {
        let mut tree = matchit::Router::new();
        let mut router = Router::new(RouterOptions::default());
        for (number, pattern) in patterns.iter().enumerate() {
            let theirs: Vec<_> = pattern.split('/').map(|segment| match segment.split_at_checked(1) {
                Some((":" | "*", _)) => format!("{{{}}}", segment.trim_start_matches(':')),
                _ => segment.to_owned(),
            }).collect();
            if tree.insert(theirs.join("/"), ()).is_ok() {
                router.insert(Rule::new(format!("r{number}"), pattern.as_str(), 0)).unwrap();
            }
        }
        // matchit's `{*rest}` is never empty.
        for request in requests.iter().filter(|request| !request.path.ends_with('/')) {
            prop_assert_eq!(ask(&router, request).is_some(), tree.at(&request.path).is_ok(), "{:?}", request);
        }
    }

    /// Rules come, go and change; a clone made on the way stays as it was.
    #[test]
    fn changes_give_what_a_fresh_compile_gives(
        options in options(),
        rules in rules(),
        later in rules(),
        steps in vec((any::<bool>(), 0..12_usize), 1..16),
        requests in vec(request(), 1..8),
    ) {
        let mut now = rules.clone();
        let mut router = compile(options, &now);
        let (before, frozen) = (now.clone(), router.clone());
        for (removes, at) in steps {
            if removes {
                let id = format!("r{at}");
                let known = now.iter().any(|rule| rule.id == id);
                prop_assert_eq!(router.remove(&id), known);
                now.retain(|rule| rule.id != id);
            } else {
                let rule = &later[at % later.len()];
                router.insert(compiled(rule)).unwrap();
                now.retain(|known| known.id != rule.id);
                now.push(rule.clone());
            }
        }
        let fresh = compile(options, &now);
        prop_assert_eq!((router.len(), router.is_empty()), (now.len(), now.is_empty()));
        prop_assert_eq!(router.lint(), fresh.lint());
        for request in &requests {
            prop_assert_eq!(ask(&router, request), ask(&fresh, request));
            let expected = reference::find(&before, request, options.host_first, options.parameters);
            prop_assert_eq!(ask(&frozen, request), expected, "the clone has changed");
        }
    }

    /// A rule that the lint calls shadowed never wins, and without it nothing changes.
    #[test]
    fn what_the_lint_calls_shadowed_never_wins(options in options(), rules in rules(), requests in vec(request(), 1..12)) {
        let router = compile(options, &rules);
        let shadowed: Vec<_> = router.lint().into_iter().filter(|lint| lint.to_string().contains("never win")).collect();
        for request in &requests {
            let Some((id, pattern, host, _)) = ask(&router, request) else { continue };
            let won = |lint: &tollgate::router::Lint| {
                *lint.id == *id && *lint.pattern == *pattern && lint.host.as_deref() == host.as_deref()
            };
            // A pair that is written twice is shadowed by itself.
            let twice = rules.iter().any(|rule| {
                let same = |list: &[String], text: &str| list.iter().filter(|known| *known == text).count() > 1;
                rule.id == id && (same(&rule.uris, &pattern) || host.as_ref().is_some_and(|host| same(&rule.hosts, host)))
            });
            prop_assert!(twice || !shadowed.iter().any(won), "{id} {pattern} {host:?} {shadowed:?}");
        }
    }

    /// 405 is said exactly when another method would have won, and `Allow` names those.
    #[test]
    fn allow_names_the_methods_that_would_win(options in options(), rules in rules(), request in request()) {
        let options = RouterOptions { method_not_allowed: true, ..options };
        let router = compile(options, &rules);
        let host = request.host.as_deref().map(|host| HostName::parse(host).unwrap());
        let query = |method| Query {
            method,
            host: host.as_ref(),
            path: request.path.as_bytes(),
            client: Some(request.client),
            vars: &request,
        };
        let methods: [Method; 5] = [Method::GET, Method::POST, "PURGE".parse().unwrap(), Method::PUT, Method::HEAD];
        let others: Vec<_> = methods.iter().filter(|method| router.find(&query(method)).is_ok()).map(Method::as_str).collect();
        match router.find(&query(&request.method)) {
            Ok(_) => {}
            Err(NoMatch::NotFound) => prop_assert!(others.is_empty(), "{others:?}"),
            Err(NoMatch::MethodNotAllowed { allow }) => {
                let mut allowed: Vec<_> = allow.to_str().unwrap().split(", ").collect();
                allowed.sort_unstable();
                let mut others = others;
                others.sort_unstable();
                prop_assert_eq!(allowed, others);
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn any_text_is_a_pattern_or_a_fault(
        parameters: bool,
        uri in awkward(),
        host in "[a*.:\\[\\]0-9é-]{0,12}",
        target in awkward(),
    ) {
        for path_mode in [PathMode::Strict, PathMode::Compatible] {
            let options = RouterOptions { parameters, path_mode, ..RouterOptions::default() };
            let mut router = Router::new(options);
            let mut rule = Rule::new("r", uri.as_str(), 0);
            rule.hosts.push(host.as_str().into());
            let _ = router.insert(rule).map_err(|error| error.to_string());
            let _ = router.insert(Rule::new("s", uri.as_str(), 0));
            let Ok(canonical) = canonicalise(&target, &PathOptions { path_mode, ..PathOptions::default() }) else { continue };
            let host = HostName::parse(&host).ok();
            let query = Query {
                method: &Method::GET,
                host: host.as_ref(),
                path: canonical.matched(),
                client: None,
                vars: &tollgate::router::NoVariables,
            };
            let _ = router.explain(&query).to_string();
            let _ = router.find(&query).map(|found| format!("{found:?} {:?}", found.params.to_owned()));
            let _ = router.lint();
            router.remove("r");
            router.remove("s");
            prop_assert!(router.is_empty() && router.find(&query).is_err());
        }
    }

    #[test]
    fn any_text_is_a_host_or_a_fault(text in "\\PC{0,20}|[a-zA-Z0-9.:\\[\\]%-]{0,20}") {
        if let Ok(host) = HostName::parse(&text) {
            // One trailing dot is dropped, not two.
            prop_assume!(!host.name().ends_with('.'));
            let again = HostName::parse(host.authority());
            prop_assert_eq!(again.as_ref().map(HostName::name), Ok(host.name()), "{}", text);
            prop_assert_eq!(host.name().to_ascii_lowercase(), host.name());
        }
    }

    /// The canonical path is a fixed point, and nothing in it moves a segment for whoever reads it next.
    #[test]
    fn canonical_paths_are_fixed_points(target in awkward(), keep: bool, lenient_target: bool, tail: bool, servlet: bool) {
        let encoded_slash = if keep { EncodedSlash::Keep } else { EncodedSlash::Reject };
        let options = PathOptions { encoded_slash, lenient_target, ..PathOptions::default() };
        if let Ok(canonical) = canonicalise(&target, &options) {
            let path = canonical.forward();
            prop_assert!(path.starts_with('/') && !path.contains("//"), "{path}");
            prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{path}");
            prop_assert!(path.is_ascii() && !path.contains(['?', '#', '\\', ' ']), "{path}");
            let whole = match canonical.query() {
                Some(query) => format!("{path}?{query}"),
                None => path.to_owned(),
            };
            let again = canonicalise(&whole, &options).map(|again| (again.forward().to_owned(), again.is_as_sent()));
            prop_assert_eq!(again, Ok((path.to_owned(), true)));
            prop_assert_eq!(canonical.matched(), path.as_bytes());
        }
        for path_mode in [PathMode::Strict, PathMode::Compatible] {
            let options = PathOptions {
                path_mode,
                delete_uri_tail_slash: tail,
                normalize_uri_like_servlet: servlet,
                match_uri_encoded_slash: keep,
                ..options
            };
            let matched = canonicalise(&target, &options).map(|canonical| canonical.matched().to_vec());
            prop_assert!(matched.is_err() || matched.is_ok_and(|path| path.starts_with(b"/")));
        }
    }

    /// Any JSON is an expression or has faults, each with its place. What compiles compiles again from its own text.
    #[test]
    fn any_json_is_an_expression_or_a_fault(json in any_json(), request in request()) {
        match Expr::compile(&json) {
            Ok(expr) => {
                let again: Json = serde_json::from_str(expr.source()).unwrap();
                let again = Expr::compile(&again).unwrap();
                prop_assert_eq!(expr.holds(&request), again.holds(&request));
                prop_assert_eq!(&expr, &again);
            }
            Err(error) => prop_assert!(!error.0.is_empty() && error.to_string().starts_with("vars")),
        }
    }

    #[test]
    fn expressions_hold_as_their_words_say(expression in expression(), request in request()) {
        let rule = Plain {
            id: "r".to_owned(),
            order: 0,
            uris: vec!["*".to_owned()],
            hosts: Vec::new(),
            methods: Vec::new(),
            remote_addrs: Vec::new(),
            vars: Some(expression.clone()),
            priority: 0,
        };
        let expected = reference::find(&[rule], &request, true, true).is_some();
        prop_assert_eq!(Expr::compile(&expression).unwrap().holds(&request), expected);
    }
}

/// Text of pieces that paths are attacked with.
fn awkward() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "/", "/", "//", ".", "..", "/.", "/..", "/../", "%2e", "%2E", "%2f", "%2F", "%5c", "\\", "%00", "%", "%4",
        "%zz", "%25", "%252f", ";", "%3b", ";x", "?", "#", "a", "b", "é", "%c3%a9", "%C3", " ", "\"", "{", "\t",
        "\u{7f}", "*", ":", ":x", "*r", "~", "%7e", "+",
    ]);
    let mixed = vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    prop_oneof![4 => mixed.prop_map(|text| format!("/{text}")), 1 => "\\PC{0,16}"]
}

/// JSON that begins like an expression and need not end like one.
fn any_json() -> impl Strategy<Value = Json> {
    let words = select(vec![
        "AND",
        "or",
        "!AND",
        "!OR",
        "==",
        "~=",
        "<",
        ">",
        "<=",
        ">=",
        "~~",
        "~*",
        "in",
        "HAS",
        "ipmatch",
        "!",
        "arg_k",
        "uri",
        "",
        "(",
        "a+",
        "(a+)+$",
        "10.0.0.0/8",
        "::1",
        "10.0.0.0/33",
        "x",
    ]);
    let leaf = prop_oneof![
        6 => words.prop_map(Json::from),
        1 => any::<i32>().prop_map(|number| Json::from(f64::from(number) / 8.0)),
        1 => any::<i64>().prop_map(Json::from),
        1 => any::<bool>().prop_map(Json::from),
        1 => Just(Json::Null),
        1 => Just(json!({"a": 1})),
    ];
    leaf.prop_recursive(5, 48, 5, |inner| vec(inner, 0..5).prop_map(Json::from))
}

#[test]
fn canonical_borrows_what_is_canonical_already() {
    let options = PathOptions::default();
    assert!(canonicalise("/a/b?c=d", &options).as_ref().is_ok_and(Canonical::is_as_sent));
}
