//! Every row of the router's specification, as data, in both path modes.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of a test say what is wrong by panicking")]
use std::net::IpAddr;

use http::Method;
use serde_json::json;
use tollgate::router::{
    Expr, ExprFault, HostName, NoMatch, PathFault, PathMode, PathOptions, Query, Router, RouterOptions, Rule, SniTable,
    Value, VarName, Variables, canonicalise,
};

const ROWS: &str = include_str!("data/router.txt");

/// A request of a row, as the variables that rows ask for.
struct Sent {
    method: Method,
    host: Option<String>,
    target: String,
    headers: Vec<(String, String)>,
    client: IpAddr,
}

impl Variables for Sent {
    fn get<'a>(&'a self, name: &VarName) -> Option<Value<'a>> {
        match name {
            VarName::Header(name) => {
                let mut values = self.headers.iter().filter(|(known, _)| name == known.to_ascii_lowercase().as_str());
                values.next().map(|(_, value)| value.as_str().into())
            }
            VarName::Arg(name) => {
                let (_, query) = self.target.split_once('?')?;
                let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
                pairs.find(|(known, _)| *known == &**name).map(|(_, value)| value.into())
            }
            VarName::RemoteAddr => Some(self.client.to_string().into()),
            _ => None,
        }
    }
}

impl Sent {
    fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let mut next = || words.next().unwrap().to_owned();
        let (method, host, target) = (next().parse().unwrap(), next(), next());
        let (mut headers, mut client) = (Vec::new(), IpAddr::from([127, 0, 0, 1]));
        for word in words {
            match word.strip_prefix('@') {
                Some(address) => client = address.parse().unwrap(),
                None => headers.push(word.split_once(':').map(|(name, value)| (name.into(), value.into())).unwrap()),
            }
        }
        Self { method, host: (host != "-").then_some(host), target, headers, client }
    }

    /// The answer in the notation of the rows; `400` when there is no canonical path.
    fn ask(&self, router: &Router<()>, options: &PathOptions) -> String {
        let Ok(canonical) = canonicalise(&self.target, options) else { return "400".to_owned() };
        let host = self.host.as_deref().map(|host| HostName::parse(host).unwrap());
        let query = Query {
            method: &self.method,
            host: host.as_ref(),
            path: canonical.matched(),
            client: Some(self.client),
            vars: self,
        };
        let explanation = router.explain(&query);
        match router.find(&query) {
            Ok(found) => {
                assert_eq!(explanation.winner().map(|winner| &*winner.id), Some(&**found.id));
                let params = found.params.iter();
                let params = params.map(|(name, value)| format!(" {name}={}", String::from_utf8_lossy(&value)));
                format!("{}{}", found.id, params.collect::<String>())
            }
            Err(_) => {
                assert!(explanation.winner().is_none());
                "404".to_owned()
            }
        }
    }
}

fn list<T: for<'a> From<&'a str>>(text: &str) -> Vec<T> {
    text.split(',').map(T::from).collect()
}

fn rule(text: &str, order: u64) -> Option<Rule<()>> {
    let mut words = text.split_whitespace();
    let (id, uris) = words.next().unwrap().split_once(':').unwrap();
    let mut rule = Rule { order, uris: list(uris), ..Rule::new(id, "", ()) };
    for word in words {
        if word == "off" {
            return None;
        }
        let (key, value) = word.split_once('=').unwrap();
        match key {
            "h" => rule.hosts = list(value),
            "svc" if rule.hosts.is_empty() => rule.hosts = list(value),
            "svc" => {}
            "m" => rule.methods = value.split(',').map(|method| method.parse().unwrap()).collect(),
            "p" => rule.priority = value.parse().unwrap(),
            "ip" => {
                let network = |text: &str| text.parse().or_else(|_| text.parse::<IpAddr>().map(Into::into)).unwrap();
                rule.remote_addrs = value.split(',').map(network).collect();
            }
            "v" => rule.vars = Some(Expr::compile(&serde_json::from_str(value).unwrap()).unwrap()),
            other => panic!("unknown option {other}"),
        }
    }
    Some(rule)
}

fn router(mode: &str, path_mode: PathMode, rules: &str) -> Router<()> {
    let options =
        RouterOptions { host_first: mode == "HU", parameters: mode == "UP", path_mode, ..RouterOptions::default() };
    let rules = rules.split(" ; ").zip(0..).filter_map(|(text, order)| rule(text, order));
    let (router, errors) = Router::from_rules(options, rules);
    assert!(errors.is_empty(), "{errors:?}");
    router
}

#[test]
fn no_row_is_missing() {
    let rows = ROWS.lines().filter(|line| line.starts_with('C'));
    let numbers: Vec<_> = rows.filter_map(|line| line.split_once(" | ")).map(|(number, _)| number).collect();
    let expected: Vec<_> = (1..=95).map(|number| format!("C{number}")).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn all_rows_hold() {
    let mut rows = 0;
    for path_mode in [PathMode::Compatible, PathMode::Strict] {
        let options = PathOptions { path_mode, ..PathOptions::default() };
        for line in ROWS.lines().filter(|line| line.starts_with('C')) {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let [number, mode, rules, request, expected] = cells[..] else { panic!("{line}") };
            // The one row that strict paths answer otherwise: an encoded slash is refused.
            let expected = if number == "C94" && path_mode == PathMode::Strict { "400" } else { expected };
            let answer = Sent::parse(request).ask(&router(mode, path_mode, rules), &options);
            assert_eq!(answer, expected, "{path_mode:?} {line}");
            rows += 1;
        }
    }
    assert_eq!(rows, 2 * 95);
}

#[test]
fn faults_of_normalisation() {
    let ask = |rules, target: &str, options: &PathOptions| {
        Sent::parse(&format!("GET - {target}")).ask(&router("UP", options.path_mode, rules), options)
    };
    let compatible = PathOptions { path_mode: PathMode::Compatible, ..PathOptions::default() };
    assert_eq!(ask("a:/*", "/..", &compatible), "400");
    assert_eq!(ask("a:/*", "/..", &PathOptions::default()), "a :ext=");
    for path_mode in [PathMode::Compatible, PathMode::Strict] {
        let options = PathOptions { path_mode, ..PathOptions::default() };
        assert_eq!(ask("a:/*", "/a%00b", &options), "400");
        let servlet = PathOptions { normalize_uri_like_servlet: true, ..options };
        assert_eq!(ask("a:/hello", "/hello;w", &servlet), "a");
        for target in ["/;/a", "/.;", "/..;", "/%2e;", "/%2E%2E;", "/b/;/c"] {
            assert_eq!(ask("a:/*", target, &servlet), "400", "{target}");
        }
    }
    let encoded = PathOptions { match_uri_encoded_slash: true, ..compatible };
    assert_eq!(ask("a:/v1/:id/list", "/v1/x%2fy/list", &encoded), "a id=x%2Fy");
    assert_eq!(ask("a:/v1/:id/list", "/v1/x%2Fy/../z", &encoded), "404");
    assert_eq!(ask("a:/x", "/x?n=%2Fy", &encoded), "a");
    // Strict: the slash stays encoded while matching, and a capture is decoded when it is read.
    let strict = PathOptions { match_uri_encoded_slash: true, ..PathOptions::default() };
    assert_eq!(ask("a:/v1/:id/list", "/v1/x%2fy/list", &strict), "a id=x/y");
}

#[test]
fn strict_patterns_are_brought_to_the_form_of_paths() {
    let options = PathOptions::default();
    for rules in ["a:/café", "a:/caf%c3%a9", "a:/x/../caf%C3%A9"] {
        let router = router("U", PathMode::Strict, rules);
        assert_eq!(Sent::parse("GET - /caf%c3%a9").ask(&router, &options), "a", "{rules}");
    }
    let compatible = PathOptions { path_mode: PathMode::Compatible, ..options };
    for (rules, expected) in [("a:/café", "a"), ("a:/caf%C3%A9", "404")] {
        let router = router("U", PathMode::Compatible, rules);
        assert_eq!(Sent::parse("GET - /caf%c3%a9").ask(&router, &compatible), expected, "{rules}");
    }
}

#[test]
fn sec_path_08_matching_is_case_sensitive_and_prefixes_are_prefixes() {
    let options = PathOptions::default();
    let router = router("U", PathMode::Strict, "a:/admin*");
    assert_eq!(Sent::parse("GET - /administrator").ask(&router, &options), "a");
    assert_eq!(Sent::parse("GET - /Admin").ask(&router, &options), "404");
    assert_eq!(router.lint().len(), 1);
}

#[test]
fn expressions_with_faults_are_refused() {
    let faults = |json| Expr::compile(&json).unwrap_err().0.into_iter().map(|(_, fault)| fault).collect::<Vec<_>>();
    assert_eq!(faults(json!(["arg_k", "~~", "x"])), [ExprFault::NotWrapped]);
    assert_eq!(faults(json!([["arg_k", "invalid", 10]])), [ExprFault::UnknownOperator("invalid".into())]);
    assert_eq!(faults(json!(["OR", ["a", "==", "1"]])), [ExprFault::TooFewOperands("OR".into())]);
    assert_eq!(faults(json!([["remote_addr", "ipmatch", ""]])), [ExprFault::BadAddress("\"\"".into())]);
    assert_eq!(faults(json!([["remote_addr", "ipmatch", []]])), [ExprFault::BadAddress(String::new())]);
    assert_eq!(
        faults(json!([["remote_addr", "ipmatch", "10.0.0.0/33"]])),
        [ExprFault::BadAddress("\"10.0.0.0/33\"".into())]
    );
    assert_eq!(
        faults(json!([["arg_a", "==", "1"], "AND", ["arg_b", "==", "1"]])),
        [ExprFault::NotAnExpression("\"AND\"".into())]
    );
    assert!(matches!(faults(json!([["a", "~~", "("]]))[..], [ExprFault::BadRegex(_)]));
    let error = Expr::compile(&json!([["a", "==", "1"], ["!or", ["b", "<>", 1], ["c"]]])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vars[1][1]: invalid operator '<>': use one of == ~= > >= < <= ~~ ~* in has ipmatch; \
         vars[1][2]: a comparison is [variable, operator, value] or [variable, \"!\", operator, value]"
    );
}

#[test]
fn sni_rows_hold() {
    type Objects = &'static [(&'static str, &'static str)];
    // Objects in load order, then the name asked for and the object that answers.
    let rows: [(&str, Objects, &str, Option<&str>); 10] = [
        ("S1", &[("a", "www.t.io")], "www.t.io", Some("a")),
        ("S2", &[("a", "www.t.io")], "t.io", None),
        ("S3", &[("a", "*.t.io")], "www.t.io", Some("a")),
        ("S4", &[("a", "*.t.io")], "x.y.t.io", None),
        ("S5", &[("a", "t.io,*.t.io")], "t.io", Some("a")),
        ("S6", &[("a", "*.t.io"), ("b", "www.t.io")], "www.t.io", Some("b")),
        ("S7", &[("a", "www.t.io.")], "WWW.t.io.", Some("a")),
        // The object of status 0 is never put into the table.
        ("S8", &[("b", "*")], "www.t.io", Some("b")),
        ("S9", &[("a", "*.t.io"), ("b", "*")], "x.y.t.io", Some("b")),
        ("S10", &[("a", "*.t.io,long-name.example.org")], "x.y.t.io", None),
    ];
    for (number, objects, name, expected) in rows {
        let mut table = SniTable::default();
        for (object, names) in objects {
            table.insert(names.split(','), object).unwrap();
        }
        assert_eq!(table.find(name).copied(), expected, "{number}");
    }
    let mut table = SniTable::default();
    table.insert(["a.io", "*"], &1).unwrap();
    table.insert(["a.io"], &2).unwrap();
    assert_eq!((table.find("a.io"), table.find("x.y.z"), table.find("")), (Some(&1), Some(&1), None));
    for name in ["", "*x.io", "a*", "*.*.io"] {
        assert!(table.insert([name], &3).is_err(), "{name}");
    }
}

#[test]
fn hosts_with_ports_count_in_every_mode() {
    let options = PathOptions::default();
    for mode in ["U", "HU"] {
        let router = router(mode, PathMode::Strict, "a:/x h=x.io:8443 ; b:/x h=x.io ; c:/x h=[::1] ; d:/y h=*:81");
        for (request, expected) in [
            ("GET x.io:8443 /x", "a"),
            ("GET X.IO:8443 /x", "a"),
            ("GET x.io:80 /x", "b"),
            ("GET x.io /x", "b"),
            ("GET [::1]:80 /x", "c"),
            ("GET z.io:81 /y", "d"),
            ("GET z.io /y", "404"),
        ] {
            assert_eq!(Sent::parse(request).ask(&router, &options), expected, "{mode} {request}");
        }
    }
}

#[test]
fn a_wrong_method_is_told_apart_on_request() {
    let options = RouterOptions { method_not_allowed: true, host_first: false, ..RouterOptions::default() };
    let mut router = Router::new(options);
    for text in ["a:/x m=GET,PURGE", "b:/x m=POST", "c:/x m=PUT h=other.io", "d:/x/*rest m=DELETE"] {
        router.insert(rule(text, 0).unwrap()).unwrap();
    }
    let sent = Sent::parse("HEAD t.io /x");
    let host = HostName::parse("t.io").unwrap();
    let query = |path| Query { method: &sent.method, host: Some(&host), path, client: None, vars: &sent };
    let Err(NoMatch::MethodNotAllowed { allow }) = router.find(&query(b"/x")) else { panic!("405 is due") };
    assert_eq!(allow, "GET, POST, PURGE");
    assert_eq!(router.find(&query(b"/y")).unwrap_err(), NoMatch::NotFound);
}

#[test]
fn faults_are_told_together_and_change_nothing() {
    let mut router = Router::new(RouterOptions::default());
    router.insert(rule("a:/x", 0).unwrap()).unwrap();
    let mut bad = rule("a:/a*b,/ok,x h=a*b", 0).unwrap();
    let error = router.insert(bad.clone()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "route a: uris: \"/a*b\": * stands only at the start of a segment or at the end of the pattern; \
         uris: \"x\": a pattern begins with / or is *; \
         hosts: \"a*b\": a host is letters, digits, - . _ and :port, or an ipv6 address in brackets; * only in front"
    );
    assert_eq!((router.len(), router.contains("a")), (1, true));
    bad.uris.clear();
    bad.hosts.clear();
    assert_eq!(router.insert(bad).unwrap_err().to_string(), "route a: uris: at least one pattern is due");
    assert_eq!(canonicalise("x", &PathOptions::default()), Err(PathFault::NotAbsolute));
}
