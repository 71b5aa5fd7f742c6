//! One comparison of an expression: a test compiled from operator and constant.
use std::net::IpAddr;

use ipnet::IpNet;
use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value as Json;

use super::Value;
use super::expr::ExprFault;

/// Compiled size that one regular expression may have (security.md PATH-11).
const REGEX_BYTES: usize = 1 << 20;

/// The right-hand side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Null,
    Text(Box<[u8]>),
    Number(f64),
    Bool(bool),
    List(Box<[Constant]>),
}

/// What is asked of a variable.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Equal(Constant),
    NotEqual(Constant),
    Order(Relation, Option<f64>),
    Matches(Regex),
    In(Option<Box<[Constant]>>),
    Has(Constant),
    Within(Box<[IpNet]>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Relation {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Test {
    pub(super) fn compile(operator: &str, constant: &Json) -> Result<Self, ExprFault> {
        let value = || Constant::compile(constant);
        let order = |relation| Ok(Self::Order(relation, value()?.as_number()));
        match operator.to_ascii_lowercase().as_str() {
            "==" => Ok(Self::Equal(value()?)),
            "~=" => Ok(Self::NotEqual(value()?)),
            ">" => order(Relation::Greater),
            ">=" => order(Relation::GreaterOrEqual),
            "<" => order(Relation::Less),
            "<=" => order(Relation::LessOrEqual),
            "~~" => regex(constant, false).map(Self::Matches),
            "~*" => regex(constant, true).map(Self::Matches),
            "in" => Ok(Self::In(match value()? {
                Constant::List(items) => Some(items),
                _ => None,
            })),
            "has" => Ok(Self::Has(value()?)),
            "ipmatch" => networks(constant).map(Self::Within),
            _ => Err(ExprFault::UnknownOperator(operator.to_owned())),
        }
    }

    pub(super) fn holds(&self, value: Option<&Value<'_>>) -> bool {
        match self {
            Self::Equal(constant) => constant.equals(value),
            Self::NotEqual(constant) => !constant.equals(value),
            Self::Order(relation, Some(right)) => {
                value.and_then(Value::as_number).is_some_and(|left| relation.holds(left, *right))
            }
            Self::Order(_, None) | Self::In(None) => false,
            Self::Matches(regex) => match value {
                Some(Value::Text(text)) => regex.is_match(text),
                Some(Value::Number(number)) => regex.is_match(number.to_string().as_bytes()),
                _ => false,
            },
            Self::In(Some(items)) => value.is_some_and(|value| items.iter().any(|item| item.same(value))),
            Self::Has(item) => match value {
                Some(Value::List(values)) => values.iter().any(|value| item.same(value)),
                _ => false,
            },
            Self::Within(networks) => match value {
                Some(Value::Text(text)) => std::str::from_utf8(text)
                    .ok()
                    .and_then(|text| text.parse::<IpAddr>().ok())
                    .is_some_and(|address| networks.iter().any(|network| network.contains(&address))),
                _ => false,
            },
        }
    }
}

impl Relation {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
        }
    }
}

impl Constant {
    fn compile(json: &Json) -> Result<Self, ExprFault> {
        Ok(match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::Number(number.as_f64().ok_or(ExprFault::BadValue)?),
            Json::String(text) => Self::Text(text.as_bytes().into()),
            Json::Array(items) => Self::List(items.iter().map(Self::compile).collect::<Result<_, _>>()?),
            Json::Object(_) => return Err(ExprFault::BadValue),
        })
    }

    fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => parse_number(text),
            Self::Null | Self::Bool(_) | Self::List(_) => None,
        }
    }

    /// `==`: a number is compared with what converts to one, null with what is missing.
    fn equals(&self, value: Option<&Value<'_>>) -> bool {
        match (self, value) {
            (Self::Null, value) => value.is_none(),
            (Self::Number(number), Some(value)) => value.as_number() == Some(*number),
            (_, Some(value)) => self.same(value),
            (_, None) => false,
        }
    }

    /// Same type and equal.
    fn same(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Text(left), Value::Text(right)) => **left == **right,
            (Self::Number(left), Value::Number(right)) => left == right,
            (Self::Bool(left), Value::Bool(right)) => left == right,
            (Self::List(left), Value::List(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.same(right))
            }
            _ => false,
        }
    }
}

fn regex(constant: &Json, ignore_case: bool) -> Result<Regex, ExprFault> {
    let text = constant.as_str().ok_or(ExprFault::BadRegex("it is not a string".to_owned()))?;
    RegexBuilder::new(text).case_insensitive(ignore_case).size_limit(REGEX_BYTES).build().map_err(|error| {
        ExprFault::BadRegex(match error {
            regex::Error::CompiledTooBig(limit) => format!("it compiles to more than {limit} bytes"),
            error => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        })
    })
}

fn networks(constant: &Json) -> Result<Box<[IpNet]>, ExprFault> {
    let items = match constant {
        Json::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    if items.is_empty() {
        return Err(ExprFault::BadAddress(String::new()));
    }
    items
        .iter()
        .map(|item| {
            let text = item.as_str().unwrap_or_default();
            let whole = text.parse::<IpAddr>().map(IpNet::from);
            whole.or_else(|_| text.parse()).map_err(|_| ExprFault::BadAddress(item.to_string()))
        })
        .collect()
}

/// A decimal number: optional sign, digits, optional fraction, optional exponent. Hexadecimal digits, blanks, `inf`
/// and `nan` are none.
pub fn parse_number(text: &[u8]) -> Option<f64> {
    let plain = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    let text = text.iter().all(plain).then(|| std::str::from_utf8(text).ok()).flatten()?;
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for (text, number) in [("18", 18.0), ("-1.5e2", -150.0), ("+.5", 0.5), ("1.", 1.0), ("007", 7.0)] {
            assert_eq!(parse_number(text.as_bytes()), Some(number), "{text}");
        }
        for text in ["", "-", ".", "e", "0x12", " 1", "1 ", "inf", "nan", "1e", "1e999", "1_0", "--1"] {
            assert_eq!(parse_number(text.as_bytes()), None, "{text}");
        }
    }
}
