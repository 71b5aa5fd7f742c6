//! Numbers of a limiter: fixed, or taken from the request.
use std::fmt;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

use crate::plugin::ConfigError;
use crate::request::Template;
use crate::router::Variables;

/// 2^53 - 1: beyond it, JSON numbers are not exact.
const MOST: u64 = (1 << 53) - 1;

/// A whole number up to 2^53 - 1, or a template that gives one, such as `${http_x_quota ?? 10}`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Amount {
    /// The number.
    Number(u64),
    /// The template.
    Template(String),
}

impl From<u64> for Amount {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl Visitor<'_> for Read {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or a template")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Amount, E> {
                Ok(Amount::Number(number))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Amount, E> {
                u64::try_from(number).map(Amount::Number).map_err(|_| E::custom("is below 0"))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Amount, E> {
                whole(number).map(Amount::Number).ok_or_else(|| E::custom("is not a whole number"))
            }

            fn visit_str<E>(self, text: &str) -> Result<Amount, E> {
                Ok(Amount::Template(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Read).map_err(D::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Amount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["integer", "string"], "minimum": 0 })
    }
}

/// A number without a fraction, as such.
pub(crate) fn whole(number: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared with what was cast")]
    let cast = number as u64;
    #[expect(clippy::cast_precision_loss, reason = "up to 2^53 there is none")]
    let same = cast <= MOST && cast as f64 == number;
    same.then_some(cast)
}

/// An [`Amount`] that was judged at load.
#[derive(Clone, Debug)]
pub(crate) enum Number {
    Fixed(u64),
    Varying { template: Template, least: u64 },
}

impl Number {
    /// Judges the amount of a block at `field`; it has to be `least` or more.
    pub(crate) fn parse(plugin: &'static str, field: &str, amount: &Amount, least: u64) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::invalid(plugin, field, format!("needs a whole number from {least} to {MOST}"));
        let template = match amount {
            Amount::Number(number) => return check(*number, least).map(Self::Fixed).ok_or_else(wrong),
            Amount::Template(text) => Template::parse(text),
        };
        let template = template.map_err(|error| ConfigError::invalid(plugin, field, error.to_string()))?;
        match template.as_literal() {
            Some(text) => read(text, least).map(Self::Fixed).ok_or_else(wrong),
            None => Ok(Self::Varying { template, least }),
        }
    }

    /// The number for a request; `None` when the request gives none that counts. Only digits are a number: who chooses the
    /// text must not choose how it is read.
    pub(crate) fn resolve(&self, variables: &dyn Variables) -> Option<u64> {
        match self {
            Self::Fixed(number) => Some(*number),
            Self::Varying { template, least } => read(&template.render(variables).text, *least),
        }
    }

    /// The number, when it is the same for every request.
    pub(crate) fn fixed(&self) -> Option<u64> {
        match self {
            Self::Fixed(number) => Some(*number),
            Self::Varying { .. } => None,
        }
    }
}

fn read(text: &[u8], least: u64) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    check(text.parse().ok()?, least)
}

fn check(number: u64, least: u64) -> Option<u64> {
    (least..=MOST).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::router::{Value, VarName};

    struct Quota(&'static str);

    impl Variables for Quota {
        fn get<'a>(&'a self, name: &VarName) -> Option<Value<'a>> {
            (name.to_string() == "http_x_quota" && self.0 != "-").then(|| Value::from(self.0))
        }
    }

    fn parse(amount: serde_json::Value) -> Result<Number, String> {
        let amount: Amount = serde_json::from_value(amount).map_err(|error| error.to_string())?;
        Number::parse("limit-count", "count", &amount, 1).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_are_judged_at_load() {
        for good in [json!(1), json!(5.0), json!("7"), json!(9_007_199_254_740_991_u64)] {
            assert!(parse(good.clone()).unwrap().fixed().is_some(), "{good}");
        }
        for (bad, says) in [
            (json!(0), "count: needs a whole number from 1"),
            (json!("0"), "from 1"),
            (json!(-1), "below 0"),
            (json!(1.5), "not a whole number"),
            (json!("ten"), "from 1"),
            (json!(9_007_199_254_740_992_u64), "to 9007199254740991"),
            (json!(true), "a whole number or a template"),
            (json!("${x"), "needs a name and a closing"),
        ] {
            let error = parse(bad.clone()).unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    #[test]
    fn a_request_gives_digits_or_no_number() {
        let number = parse(json!("${http_x_quota ?? 10}")).unwrap();
        for (given, read) in [("5", Some(5)), ("-", Some(10)), ("007", Some(7)), ("9007199254740991", Some(MOST))] {
            assert_eq!(number.resolve(&Quota(given)), read, "{given}");
        }
        for bad in ["", "0", "-5", "+5", "5.0", " 5", "1e3", "0x10", "9007199254740992", "99999999999999999999", "inf"]
        {
            assert_eq!(number.resolve(&Quota(bad)), None, "{bad}");
        }
    }
}
