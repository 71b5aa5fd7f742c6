//! Text with variables in it.
use std::borrow::Cow;
use std::fmt;

use crate::router::{Value, VarName, Variables};

/// Text in which `$name`, `${name}` and `${name ?? default}` stand for variables (model.md §8.1). `\$` is a dollar sign;
/// so is one that no name follows. A number ends with its digits: `$1st` is `$1`, then `st`.
///
/// ```
/// use tollgate::request::Template;
/// use tollgate::router::NoVariables;
///
/// let template = Template::parse(r"\$5 for ${http_x_name ?? nobody} at $host.")?;
/// let rendered = template.render(&NoVariables);
/// assert_eq!((&rendered.text[..], rendered.resolved), (&b"$5 for nobody at ."[..], 0));
/// # Ok::<(), tollgate::request::TemplateError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(Vec<u8>),
    Variable { name: VarName, default: Option<Vec<u8>> },
}

/// A template with its variables filled in.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rendered {
    /// The text. Values of headers and decoded paths need not be UTF-8.
    pub text: Vec<u8>,
    /// How many of the variables were there. An empty value is there; a default is not.
    pub resolved: usize,
}

/// A `${` that is not closed, or has no name in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`${{` at byte {0} needs a name and a closing `}}`")]
pub struct TemplateError(usize);

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] for a `${` without its end.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        let mut variable = |literal: &mut Vec<u8>, name: &str, default: Option<&str>| {
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(literal)));
            }
            parts.push(Part::Variable { name: VarName::parse(name), default: default.map(Into::into) });
        };
        while let Some(at) = rest.find(['$', '\\']) {
            let (before, from) = rest.split_at(at);
            literal.extend_from_slice(before.as_bytes());
            if let Some(behind) = from.strip_prefix("\\$") {
                literal.push(b'$');
                rest = behind;
            } else if let Some(behind) = from.strip_prefix("${") {
                let fault = TemplateError(text.len() - from.len());
                let (inside, behind) = behind.split_once('}').ok_or(fault)?;
                let (name, default) = match inside.split_once("??") {
                    Some((name, default)) => (name.trim(), Some(default.trim())),
                    None => (inside.trim(), None),
                };
                if name.is_empty() {
                    return Err(fault);
                }
                variable(&mut literal, name, default);
                rest = behind;
            } else {
                let (sign, behind) = from.split_at(1);
                let length = match behind.bytes().take_while(u8::is_ascii_digit).count() {
                    0 => behind.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count(),
                    digits => digits,
                };
                let (name, behind) = behind.split_at(length);
                if sign == "$" && !name.is_empty() {
                    variable(&mut literal, name, None);
                    rest = behind;
                } else {
                    literal.extend_from_slice(sign.as_bytes());
                    rest = from.get(1..).unwrap_or_default();
                }
            }
        }
        literal.extend_from_slice(rest.as_bytes());
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }

    /// The text of a template without variables.
    pub fn as_literal(&self) -> Option<&[u8]> {
        match &*self.0 {
            [] => Some(&[]),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The variables in it, in order.
    pub fn variables(&self) -> impl Iterator<Item = &VarName> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Variable { name, .. } => Some(name),
        })
    }

    /// Fills the variables in; a missing one is its default, else nothing.
    pub fn render(&self, variables: &dyn Variables) -> Rendered {
        let mut rendered = Rendered::default();
        rendered.resolved = self.render_into(variables, &mut rendered.text);
        rendered
    }

    /// As [`Template::render`], behind what `out` holds; gives the number of variables that were there.
    pub fn render_into(&self, variables: &dyn Variables, out: &mut Vec<u8>) -> usize {
        let mut resolved = 0;
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Variable { name, default } => match variables.get(name) {
                    Some(value) => {
                        resolved += 1;
                        write_value(&value, out);
                    }
                    None => out.extend_from_slice(default.as_deref().unwrap_or_default()),
                },
            }
        }
        resolved
    }
}

/// Writes a value as templates show it: whole numbers without a fraction, lists with commas.
pub(crate) fn write_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => out.extend_from_slice(text),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::List(values) => {
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(value, out);
            }
        }
    }
}

impl Rendered {
    /// The text as UTF-8; what is not is replaced.
    pub fn to_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(text) => f.write_str(&String::from_utf8_lossy(text).replace('$', "\\$"))?,
                Part::Variable { name, default: None } => write!(f, "${{{name}}}")?,
                Part::Variable { name, default: Some(default) } => {
                    write!(f, "${{{name} ?? {}}}", String::from_utf8_lossy(default))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Vars;

    impl Variables for Vars {
        fn get<'a>(&'a self, name: &VarName) -> Option<Value<'a>> {
            match name.to_string().as_str() {
                "arg_a" => Some(Value::from("A")),
                "arg_empty" => Some(Value::from("")),
                "server_port" => Some(Value::Number(80.0)),
                _ => None,
            }
        }
    }

    #[test]
    fn variables_are_filled_in() {
        for (text, wanted, resolved) in [
            ("", "", 0),
            ("plain", "plain", 0),
            ("$arg_a", "A", 1),
            ("<$arg_a-${arg_a}>", "<A-A>", 2),
            ("$arg_b x $arg_a", " x A", 1),
            ("${arg_b ?? none}", "none", 0),
            ("${ arg_empty ?? none }|", "|", 1),
            ("\\$arg_a $ $$arg_a $", "$arg_a $ $A $", 1),
            ("a\\b", "a\\b", 0),
            ("$server_port", "80", 1),
            ("ü$arg_aü", "üAü", 1),
        ] {
            let rendered = Template::parse(text).unwrap().render(&Vars);
            assert_eq!((&*rendered.to_str(), rendered.resolved), (wanted, resolved), "{text}");
        }
    }

    #[test]
    fn a_number_ends_with_its_digits() {
        let template = Template::parse("$1st$22_$arg_1st").unwrap();
        let names: Vec<_> = template.variables().map(ToString::to_string).collect();
        assert_eq!(names, ["1", "22", "arg_1st"]);
        assert_eq!(template.render(&Vars).text, b"st_");
    }

    #[test]
    fn a_brace_needs_its_end_and_a_name() {
        for text in ["x${arg_a", "x${}", "x${ ?? d}"] {
            assert_eq!(Template::parse(text), Err(TemplateError(1)), "{text}");
        }
    }
}
