//! Templates and their engine.
use std::io;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value, escape_formatter};
use serde_json::Map;

use super::fault::Fault;
use crate::router::VarName;

/// The only template of an environment.
const NAME: &str = "template";

/// What a template may do before it is stopped: a step is about one operation on one value, or 64 bytes that are moved.
const STEPS: u64 = 1_000_000;

/// What it may do on the thread that serves other requests, too: a few milliseconds.
const AT_ONCE: u64 = 20_000;

/// How often each byte of a body may be moved on top of that: into an expression, through filters, and out.
const MOVES: u64 = 8;

/// A compiled template. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Template(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    environment: Environment<'static>,
    /// Variables of requests in it, with their names behind `_ctx.var.`.
    variables: Vec<(String, VarName)>,
    /// Functions of the engine that it calls.
    functions: Vec<String>,
    wants_body: bool,
    wants_data: bool,
}

/// What a template can name.
#[derive(Debug)]
pub(super) struct Names(Value);

impl Names {
    pub(super) fn of(names: Map<String, serde_json::Value>) -> Self {
        Self(Value::from(Serde(names)))
    }
}

impl Template {
    /// # Errors
    /// What is wrong with the text, and its line.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_fuel(Some(AT_ONCE));
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|error| error.to_string())?);
        // What is null in a body is written as what is missing: as nothing.
        environment.set_formatter(|out, state, value| {
            escape_formatter(out, state, if value.is_none() { &Value::UNDEFINED } else { value })
        });
        environment.add_filter("_raw", raw);
        environment.add_function("_escape_json", escape_json);
        environment.add_function("_escape_xml", escape_xml);
        environment.add_template_owned(NAME, with_raw_expressions(text)).map_err(|error| told(&error, AT_ONCE))?;
        let template = environment.get_template(NAME).map_err(|error| told(&error, AT_ONCE))?;
        let names = template.undeclared_variables(true);
        let has = |wanted: &str| names.iter().any(|name| name.split('.').next() == Some(wanted));
        let mut variables = Vec::new();
        for name in names.iter().filter(|name| name.split('.').next() == Some("_ctx")) {
            // Which variables it wants must be known before it is filled in.
            let name = name.strip_prefix("_ctx.var.").ok_or_else(|| {
                format!("`{name}` does not say which variable is meant: write `_ctx.var.NAME`, such as `_ctx.var.uri`")
            })?;
            variables.push((name.to_owned(), VarName::parse(name)));
        }
        let (wants_body, wants_data) = (has("_body"), has("_data"));
        let functions = environment.globals().map(|(name, _)| name.to_owned());
        let functions = functions.filter(|name| calls(text, name)).collect();
        Ok(Self(Arc::new(Compiled { environment, variables, functions, wants_body, wants_data })))
    }

    /// The variables of requests in it, with their names.
    pub(super) fn variables(&self) -> &[(String, VarName)] {
        &self.0.variables
    }

    /// The functions of the engine that it calls: nothing in a body stands for them.
    pub(super) fn functions(&self) -> impl Iterator<Item = &str> {
        self.0.functions.iter().map(String::as_str)
    }

    pub(super) fn wants_body(&self) -> bool {
        self.0.wants_body
    }

    pub(super) fn wants_data(&self) -> bool {
        self.0.wants_data
    }

    /// Fills the template in, if that takes a few steps only; at most so many bytes come out.
    ///
    /// # Errors
    /// [`Fault::Steps`] when it takes more, [`Fault::Render`].
    pub(super) fn render_at_once(&self, names: &Names, most: usize) -> Result<Vec<u8>, Fault> {
        render(&self.0.environment, AT_ONCE, names, most)
    }

    /// Fills the template in for a body of `length` bytes; at most so many bytes come out.
    ///
    /// # Errors
    /// As [`Template::render_at_once`].
    pub(super) fn render(&self, names: &Names, length: usize, most: usize) -> Result<Vec<u8>, Fault> {
        let steps = STEPS.saturating_add((length as u64 / 64).saturating_mul(MOVES));
        // A clone shares all but this number.
        let mut environment = self.0.environment.clone();
        environment.set_fuel(Some(steps));
        render(&environment, steps, names, most)
    }
}

fn render(environment: &Environment<'_>, steps: u64, names: &Names, most: usize) -> Result<Vec<u8>, Fault> {
    let mut out = Bounded { bytes: Vec::new(), most };
    let template = environment.get_template(NAME);
    let rendered = template.and_then(|template| template.render_captured_to(names.0.clone(), &mut out).map(drop));
    match rendered {
        Ok(()) => Ok(out.bytes),
        Err(error) if error.kind() == ErrorKind::OutOfFuel => Err(Fault::Steps(told(&error, steps))),
        Err(error) => Err(Fault::Render(told(&error, steps))),
    }
}

/// Whether a text calls a function of that name.
fn calls(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, found)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let behind = text.get(at + found.len()..).unwrap_or_default().trim_start();
        let goes_on = before.is_some_and(|before| before.is_alphanumeric() || matches!(before, '_' | '.'));
        behind.starts_with('(') && !goes_on
    })
}

/// An error in one line, without the template's own text.
fn told(error: &Error, steps: u64) -> String {
    let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    let detail = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => format!("makes more than {steps} steps"),
        (ErrorKind::WriteFailure, _) => "makes a body that is too long".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    line + &*detail
}

/// `{* expr *}` writes a value as it is, which the engine says otherwise.
fn with_raw_expressions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("{*") {
        let Some((expression, after)) = behind.split_once("*}") else { break };
        out.push_str(before);
        out.push_str("{{ (");
        out.push_str(expression);
        out.push_str(")|_raw }}");
        rest = after;
    }
    out + rest
}

fn raw(value: Value) -> Value {
    Value::from_safe_string(text(&value))
}

fn text(value: &Value) -> String {
    if value.is_undefined() || value.is_none() { String::new() } else { value.to_string() }
}

fn escape_json(value: Value) -> Result<Value, Error> {
    let text = serde_json::to_string(&Serialized(&value));
    let text = text.map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    Ok(Value::from_safe_string(text))
}

/// What is missing is `null`, as everywhere in JSON.
struct Serialized<'a>(&'a Value);

impl serde::Serialize for Serialized<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.is_undefined() {
            true => serializer.serialize_unit(),
            false => self.0.serialize(serializer),
        }
    }
}

fn escape_xml(value: Value) -> Value {
    let text = text(&value);
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            other => out.push(other),
        }
    }
    Value::from_safe_string(out)
}

/// Takes at most so many bytes.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.len() > self.most - self.bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod unit {
    use serde_json::json;

    use super::*;

    fn render(template: &str, names: serde_json::Value) -> Result<String, Fault> {
        let serde_json::Value::Object(names) = names else { panic!() };
        let made = Template::compile(template).unwrap().render(&Names::of(names), 0, 1000);
        made.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn expressions_are_escaped_or_raw() {
        let names = || json!({"a": "<\"&'/>", "n": 7, "list": [1, "b"], "object": {"c": null}});
        for (template, wanted) in [
            ("{{ a }}", "&lt;&quot;&amp;&#x27;&#x2f;&gt;"),
            ("{*a*}|{* a *}", "<\"&'/>|<\"&'/>"),
            ("{{ nothing }}{*nothing*}{{ object.c }}{* object.c *}", ""),
            ("{{ n + 1 }} {{ list[1] }}\n", "8 b\n"),
            ("{% for x in list %}<x>{{ x }}</x>{% endfor %}", "<x>1</x><x>b</x>"),
            ("{* _escape_json(a) *}", r#""<\"&'/>""#),
            ("{{ _escape_json(object) }} {{ _escape_json(nothing) }}", r#"{"c":null} null"#),
            ("{{ _escape_xml(a) }}", "&lt;&quot;&amp;&apos;/&gt;"),
            (r#"{"a":{"b":"{{n}}"}}"#, r#"{"a":{"b":"7"}}"#),
            ("{* unclosed", "{* unclosed"),
        ] {
            assert_eq!(render(template, names()).unwrap(), wanted, "{template}");
        }
    }

    #[test]
    fn a_template_is_bounded_in_steps_and_bytes() {
        let endless = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}";
        assert_eq!(render(endless, json!({})), Err(Fault::Steps("line 1: makes more than 1000000 steps".to_owned())));
        let at_once = Template::compile(endless).unwrap().render_at_once(&Names::of(Map::new()), 1000);
        assert_eq!(at_once, Err(Fault::Steps("line 1: makes more than 20000 steps".to_owned())));
        let error = render("{% for a in range(900) %}xx{% endfor %}", json!({})).unwrap_err().to_string();
        assert!(error.contains("too long"), "{error}");
    }

    #[test]
    fn faults_are_told_with_their_line() {
        for (template, says) in [
            ("a\n{% if %}", "line 2: "),
            ("{{ a", "line 1: "),
            ("{% nothing %}", "unknown statement"),
            ("{{ _ctx.var['http_x'] }}", "write `_ctx.var.NAME`"),
            ("{% set v = _ctx.var %}{{ v.uri }}", "write `_ctx.var.NAME`"),
            ("{{ _ctx['var'].uri }}", "write `_ctx.var.NAME`"),
        ] {
            let error = Template::compile(template).unwrap_err();
            assert!(error.contains(says), "{template}: {error}");
        }
    }

    #[test]
    fn each_byte_of_a_body_may_be_moved_some_times() {
        // In, through a function, and out again: more than the steps of a small body.
        let length = 40 << 20;
        let names = json!({"_body": "\"".repeat(length)});
        let serde_json::Value::Object(names) = names else { panic!() };
        let (template, names) = (Template::compile("{* _body *}").unwrap(), Names::of(names));
        assert_eq!(template.render(&names, length, usize::MAX).map(|made| made.len()), Ok(length));
        assert!(matches!(template.render(&names, 0, usize::MAX), Err(Fault::Steps(_))));
    }

    #[test]
    fn functions_that_are_called_are_known() {
        let template = Template::compile("{% for i in range (3) %}{{ debug }}{{ x.dict(1) }}{% endfor %}").unwrap();
        assert_eq!(template.functions().collect::<Vec<_>>(), ["range"]);
    }

    #[test]
    fn what_is_asked_for_is_known_beforehand() {
        let template = Template::compile("{{ _ctx.var.arg_a }} {* _ctx.var.uri *} {{ _body }}").unwrap();
        let mut names: Vec<_> = template.variables().iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!((names, template.wants_body(), template.wants_data()), (vec!["arg_a", "uri"], true, false));
    }
}
