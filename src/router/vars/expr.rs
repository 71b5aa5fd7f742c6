//! The grammar of expressions (router.md §6), compiled at load.
use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

use super::compare::{Constant, Test};
use super::{Value, VarName, Variables};

/// Arrays that may stand inside one another.
const DEPTH: usize = 64;

/// A compiled expression. A clone is one reference count.
///
/// ```
/// use tollgate::router::{Expr, NoVariables};
///
/// let expr = Expr::compile(&serde_json::json!([["arg_v", "!", "==", "1"]]))?;
/// assert!(expr.holds(&NoVariables));
/// # Ok::<(), tollgate::router::ExprError>(())
/// ```
#[derive(Clone)]
pub struct Expr(Arc<Compiled>);

struct Compiled {
    node: Node,
    /// As written, without blanks: for people, and to know equal expressions.
    source: String,
}

#[derive(Debug)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    NotAll(Vec<Node>),
    NotAny(Vec<Node>),
    Compare { name: VarName, negated: bool, test: Test },
}

/// Why an expression was refused: every fault in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|(at, fault)| format!("vars{at}: {fault}")).collect::<Vec<_>>().join("; "))]
pub struct ExprError(
    /// Where (`[1][0]`: the first item of the second), and what.
    pub Vec<(String, ExprFault)>,
);

/// One fault of an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExprFault {
    /// The whole is not an array.
    #[error("an expression is an array")]
    NotAnArray,
    /// A single comparison stands where a list of them is due.
    #[error("rule should be wrapped inside brackets")]
    NotWrapped,
    /// Something else stands where an expression is due.
    #[error("an expression is due here, not {0}")]
    NotAnExpression(String),
    /// `AND` and its like with fewer than two operands.
    #[error("{0} takes at least two expressions")]
    TooFewOperands(String),
    /// A comparison of the wrong length.
    #[error("a comparison is [variable, operator, value] or [variable, \"!\", operator, value]")]
    BadComparison,
    /// The variable is not a name.
    #[error("a variable is a non-empty string")]
    BadVariable,
    /// An operator that does not exist.
    #[error("invalid operator '{0}': use one of == ~= > >= < <= ~~ ~* in has ipmatch")]
    UnknownOperator(String),
    /// A value that is an object or no finite number.
    #[error("a value is a string, a finite number, a boolean, an array of these or null")]
    BadValue,
    /// A regular expression that does not compile.
    #[error("the regular expression is refused: {0}")]
    BadRegex(String),
    /// Not an address or network, or none at all.
    #[error("ipmatch takes addresses or networks such as \"10.0.0.0/8\", not {0:?}")]
    BadAddress(String),
    /// Too many arrays inside one another.
    #[error("expressions may stand {DEPTH} deep inside one another")]
    TooDeep,
}

impl Expr {
    /// Compiles an expression out of its JSON form.
    ///
    /// # Errors
    /// [`ExprError`] with every fault and its place.
    pub fn compile(json: &Json) -> Result<Self, ExprError> {
        let mut faults = Vec::new();
        let node = Compiler { faults: &mut faults }.outermost(json);
        match node {
            Some(node) if faults.is_empty() => Ok(Self(Arc::new(Compiled { node, source: json.to_string() }))),
            _ => Err(ExprError(faults)),
        }
    }

    /// Whether the expression holds for a request.
    pub fn holds(&self, vars: &dyn Variables) -> bool {
        self.0.node.holds(vars)
    }

    /// Whether the expression holds for every request: `[]`.
    pub fn is_always(&self) -> bool {
        matches!(&self.0.node, Node::All(nodes) if nodes.is_empty())
    }

    /// The variables that are asked for, in order.
    pub fn variables(&self) -> Vec<&VarName> {
        let mut names = Vec::new();
        self.0.node.variables(&mut names);
        names
    }

    /// The expression as compact JSON.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Variables that must equal a string for the whole to hold: what a table of candidates may be keyed by.
    pub(in crate::router) fn equalities(&self) -> impl Iterator<Item = (&VarName, &[u8])> {
        let nodes = match &self.0.node {
            Node::All(nodes) => nodes.as_slice(),
            _ => &[],
        };
        nodes.iter().filter_map(|node| match node {
            Node::Compare { name, negated: false, test: Test::Equal(Constant::Text(text)) } => Some((name, &**text)),
            _ => None,
        })
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.source == other.0.source
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr({})", self.0.source)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.source)
    }
}

impl Node {
    fn variables<'a>(&'a self, names: &mut Vec<&'a VarName>) {
        match self {
            Self::All(nodes) | Self::Any(nodes) | Self::NotAll(nodes) | Self::NotAny(nodes) => {
                nodes.iter().for_each(|node| node.variables(names));
            }
            Self::Compare { name, .. } => names.push(name),
        }
    }

    fn holds(&self, vars: &dyn Variables) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.holds(vars)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(vars)),
            Self::NotAll(nodes) => !nodes.iter().all(|node| node.holds(vars)),
            Self::NotAny(nodes) => !nodes.iter().any(|node| node.holds(vars)),
            Self::Compare { name, negated, test } => {
                let value: Option<Value<'_>> = vars.get(name);
                test.holds(value.as_ref()) != *negated
            }
        }
    }
}

/// Walks the JSON form and keeps all faults.
struct Compiler<'f> {
    faults: &'f mut Vec<(String, ExprFault)>,
}

impl Compiler<'_> {
    fn fault(&mut self, at: &str, fault: ExprFault) -> Option<Node> {
        self.faults.push((at.to_owned(), fault));
        None
    }

    fn outermost(&mut self, json: &Json) -> Option<Node> {
        let Json::Array(items) = json else { return self.fault("", ExprFault::NotAnArray) };
        match items.first() {
            Some(Json::String(word)) if logic(word).is_none() => self.fault("", ExprFault::NotWrapped),
            _ => self.expression(items, "", 0),
        }
    }

    fn expression(&mut self, items: &[Json], at: &str, depth: usize) -> Option<Node> {
        if depth >= DEPTH {
            return self.fault(at, ExprFault::TooDeep);
        }
        let (make, operands, skipped): (fn(Vec<Node>) -> Node, _, _) = match items.split_first() {
            Some((Json::String(word), operands)) => match logic(word) {
                None => return self.comparison(word, operands, at),
                Some(_) if operands.len() < 2 => return self.fault(at, ExprFault::TooFewOperands(word.clone())),
                Some(make) => (make, operands, 1),
            },
            _ => (Node::All, items, 0),
        };
        let nodes: Vec<_> = operands
            .iter()
            .zip(skipped..)
            .map(|(operand, place)| {
                let at = format!("{at}[{place}]");
                match operand {
                    Json::Array(items) => self.expression(items, &at, depth + 1),
                    Json::Object(_) => self.fault(&at, ExprFault::NotAnExpression("an object".to_owned())),
                    other => self.fault(&at, ExprFault::NotAnExpression(other.to_string())),
                }
            })
            .collect();
        nodes.into_iter().collect::<Option<_>>().map(make)
    }

    fn comparison(&mut self, name: &str, rest: &[Json], at: &str) -> Option<Node> {
        if name.is_empty() {
            return self.fault(at, ExprFault::BadVariable);
        }
        let (negated, operator, value) = match rest {
            [value] => (false, "==", value),
            [Json::String(operator), value] => (false, operator.as_str(), value),
            [Json::String(not), Json::String(operator), value] if not == "!" => (true, operator.as_str(), value),
            _ => return self.fault(at, ExprFault::BadComparison),
        };
        match Test::compile(operator, value) {
            Ok(test) => Some(Node::Compare { name: VarName::parse(name), negated, test }),
            Err(fault) => self.fault(at, fault),
        }
    }
}

/// How operands are joined by a word, if it is a word of logic.
fn logic(word: &str) -> Option<fn(Vec<Node>) -> Node> {
    match word.to_ascii_uppercase().as_str() {
        "AND" => Some(Node::All),
        "OR" => Some(Node::Any),
        "!AND" => Some(Node::NotAll),
        "!OR" => Some(Node::NotAny),
        _ => None,
    }
}
