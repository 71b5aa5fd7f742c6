//! The language in which each resource says what its wire form may be: [`Shape`]. The tables stand beside the types;
//! `walk.rs` judges values by them, `schema.rs` writes them as JSON Schema.
use serde_json::{Map, Value};

use super::walk::Walk;

/// What a value may be.
pub(crate) enum Shape {
    /// Anything.
    Any,
    /// `true` or `false`.
    Bool,
    /// An integer between two bounds, both included.
    Int(i64, i64),
    /// A number of at least this.
    From(f64),
    /// A number above this.
    Above(f64),
    /// A string.
    Text(Text),
    /// One of these strings. No secret reference: nothing would resolve it.
    Word(&'static [&'static str]),
    /// An [`Id`](crate::model::Id).
    Id,
    /// An [`IpOrCidr`](crate::model::IpOrCidr).
    Address,
    /// An array.
    List(&'static List),
    /// An object of known fields.
    Struct(&'static Struct),
    /// An object of free keys.
    Dict(&'static Dict),
    /// Several forms, told apart and judged by a function.
    Either(&'static Either),
}

/// A string between two lengths in characters. A secret reference (model.md §9) passes without further checks.
pub(crate) struct Text {
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) rule: Option<&'static Rule>,
}

/// What a string must look like.
pub(crate) struct Rule {
    pub(crate) holds: fn(&str) -> bool,
    /// Completes "write …".
    pub(crate) expects: &'static str,
}

pub(crate) struct List {
    pub(crate) of: Shape,
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) unique: bool,
}

pub(crate) struct Dict {
    pub(crate) key: Text,
    pub(crate) value: Shape,
}

pub(crate) struct Either {
    pub(crate) forms: &'static [Shape],
    pub(crate) judge: for<'v> fn(&'v Value, &mut Walk<'_, 'v>),
}

/// Judges fields that are tied together.
pub(crate) type StructRule = for<'v> fn(&'v Map<String, Value>, &mut Walk<'_, 'v>);

pub(crate) struct Struct {
    pub(crate) fields: &'static [Field],
    /// Fields of the reference that we refuse, and what to do instead.
    pub(crate) refused: &'static [(&'static str, &'static str)],
    /// Where the reference takes unknown fields, they are a warning whatever the settings say.
    pub(crate) tolerant: bool,
    /// Other fields are part of it.
    pub(crate) open: bool,
    /// Further fields, by what the id begins with.
    pub(crate) variants: &'static [(&'static str, &'static Self)],
    /// What ties several fields together.
    pub(crate) rule: Option<StructRule>,
}

impl Struct {
    pub(crate) const fn new(fields: &'static [Field]) -> Self {
        Self { fields, refused: &[], tolerant: false, open: false, variants: &[], rule: None }
    }

    pub(crate) const fn tolerant(mut self) -> Self {
        self.tolerant = true;
        self
    }

    pub(crate) const fn open(mut self) -> Self {
        self.open = true;
        self
    }

    pub(crate) const fn one_of(mut self, variants: &'static [(&'static str, &'static Self)]) -> Self {
        self.variants = variants;
        self
    }

    pub(crate) const fn with_rule(mut self, rule: StructRule) -> Self {
        self.rule = Some(rule);
        self
    }

    pub(crate) const fn refusing(mut self, refused: &'static [(&'static str, &'static str)]) -> Self {
        self.refused = refused;
        self
    }
}

pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    /// Ours, not the reference's (model.md §10a).
    pub(crate) extension: bool,
}

impl Field {
    pub(crate) const fn new(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, required: false, extension: false }
    }

    pub(crate) const fn required(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, required: true, extension: false }
    }

    pub(crate) const fn extension(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, required: false, extension: true }
    }
}

/// A string of 1–`max` characters.
pub(crate) const fn text(max: usize) -> Shape {
    Shape::Text(Text { min: 1, max, rule: None })
}

/// Any integer from `min` up.
pub(crate) const fn at_least(min: i64) -> Shape {
    Shape::Int(min, i64::MAX)
}

pub(crate) const PORT: Shape = Shape::Int(1, 65_535);
pub(crate) const HOST: Shape = Shape::Text(Text { min: 1, max: 255, rule: Some(&Rule::HOST) });
pub(crate) const HOSTS: Shape = Shape::List(&List { of: HOST, min: 1, max: usize::MAX, unique: true });
pub(crate) const ADDRESSES: Shape = Shape::List(&List { of: Shape::Address, min: 1, max: usize::MAX, unique: true });
pub(crate) const VARS: Shape = Shape::List(&List { of: Shape::Any, min: 0, max: usize::MAX, unique: false });

// The fields that (almost) every resource has.
pub(crate) const ID: Field = Field::new("id", Shape::Id);
pub(crate) const NAME: Field = Field::new("name", text(256));
pub(crate) const DESC: Field = Field::new("desc", Shape::Text(Text { min: 0, max: 256, rule: None }));
pub(crate) const LABELS: Field = Field::new(
    "labels",
    Shape::Dict(&Dict {
        key: Text { min: 1, max: 256, rule: None },
        value: Shape::Text(Text { min: 1, max: 256, rule: Some(&Rule::UNBROKEN) }),
    }),
);
pub(crate) const CREATED: Field = Field::new("create_time", at_least(0));
pub(crate) const UPDATED: Field = Field::new("update_time", at_least(0));

impl Rule {
    pub(crate) const HOST: Self = Self {
        holds: |text| {
            let rest = text.strip_prefix('*').unwrap_or(text);
            (rest.is_empty() && text == "*")
                || (!rest.is_empty()
                    && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte)))
        },
        expects: "`*`, or a host name of letters, digits and `-._[]:`, which may begin with one `*`",
    };
    pub(crate) const UNBROKEN: Self =
        Self { holds: |text| !text.contains(char::is_whitespace), expects: "a string without blanks" };
    pub(crate) const USERNAME: Self = Self {
        holds: |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)),
        expects: "a name of letters, digits, `_` and `-`",
    };
    pub(crate) const PEM: Self = Self {
        holds: |text| text.trim_start().starts_with("-----BEGIN "),
        expects: "a PEM block, `-----BEGIN …`, or a secret reference",
    };
}

/// Whether `text` may stand in [`Shape::Id`].
pub(crate) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Whether `text` names a secret instead of being one (model.md §9): `$secret://…`, or `$env://…` in any case.
pub(crate) fn is_reference(text: &str) -> bool {
    text.starts_with("$secret://") || text.get(..7).is_some_and(|prefix| prefix.eq_ignore_ascii_case("$env://"))
}
