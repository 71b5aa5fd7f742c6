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

/// What a template may do before it is stopped: a step is about one operation on one value.
const FUEL: u64 = 1_000_000;

/// A compiled template. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Template(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    environment: Environment<'static>,
    /// Variables of requests in it, with their names behind `_ctx.var.`.
    variables: Vec<(String, VarName)>,
    wants_body: bool,
    wants_data: bool,
}

impl Template {
    /// # Errors
    /// What is wrong with the text, and its line.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_fuel(Some(FUEL));
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|error| error.to_string())?);
        // What is null in a body is written as what is missing: as nothing.
        environment.set_formatter(|out, state, value| {
            escape_formatter(out, state, if value.is_none() { &Value::UNDEFINED } else { value })
        });
        environment.add_filter("_raw", raw);
        environment.add_function("_escape_json", escape_json);
        environment.add_function("_escape_xml", escape_xml);
        environment.add_template_owned(NAME, with_raw_expressions(text)).map_err(|error| told(&error))?;
        let template = environment.get_template(NAME).map_err(|error| told(&error))?;
        let names = template.undeclared_variables(true);
        let has = |wanted: &str| names.iter().any(|name| name.split('.').next() == Some(wanted));
        let variables = names.iter().filter_map(|name| name.strip_prefix("_ctx.var."));
        let variables = variables.map(|name| (name.to_owned(), VarName::parse(name))).collect();
        let (wants_body, wants_data) = (has("_body"), has("_data"));
        Ok(Self(Arc::new(Compiled { environment, variables, wants_body, wants_data })))
    }

    /// The variables of requests in it, with their names.
    pub(super) fn variables(&self) -> &[(String, VarName)] {
        &self.0.variables
    }

    pub(super) fn wants_body(&self) -> bool {
        self.0.wants_body
    }

    pub(super) fn wants_data(&self) -> bool {
        self.0.wants_data
    }

    /// Fills the template in; at most so many bytes come out.
    pub(super) fn render(&self, names: Map<String, serde_json::Value>, most: usize) -> Result<Vec<u8>, Fault> {
        let mut out = Bounded { bytes: Vec::new(), most };
        let rendered = self
            .0
            .environment
            .get_template(NAME)
            .and_then(|template| template.render_captured_to(Value::from(Serde(names)), &mut out).map(drop));
        match rendered {
            Ok(()) => Ok(out.bytes),
            Err(error) => Err(Fault::Render(told(&error))),
        }
    }
}

/// An error in one line, without the template's own text.
fn told(error: &Error) -> String {
    let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    let detail = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => format!("makes more than {FUEL} steps"),
        (ErrorKind::WriteFailure, _) => "makes a body that is too long".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    line + &detail
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
        Template::compile(template).unwrap().render(names, 1000).map(|bytes| String::from_utf8(bytes).unwrap())
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
        assert_eq!(render(endless, json!({})), Err(Fault::Render("line 1: makes more than 1000000 steps".to_owned())));
        let error = render("{% for a in range(900) %}xx{% endfor %}", json!({})).unwrap_err().to_string();
        assert!(error.contains("too long"), "{error}");
    }

    #[test]
    fn faults_are_told_with_their_line() {
        for (template, says) in
            [("a\n{% if %}", "line 2: "), ("{{ a", "line 1: "), ("{% nothing %}", "unknown statement")]
        {
            let error = Template::compile(template).unwrap_err();
            assert!(error.contains(says), "{template}: {error}");
        }
    }

    #[test]
    fn what_is_asked_for_is_known_beforehand() {
        let template = Template::compile("{{ _ctx.var.arg_a }} {* _ctx.var.uri *} {{ _body }}").unwrap();
        let mut names: Vec<_> = template.variables().iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!((names, template.wants_body(), template.wants_data()), (vec!["arg_a", "uri"], true, false));
    }
}
