//! In which line of its file a value stands, looked up only when there is something to say about it.
use crate::model::{Finding, Kind};

/// A value of a document: its 1-based line, and what is in it.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) line: u32,
    pub(crate) node: Node,
}

#[derive(Debug)]
pub(crate) enum Node {
    Leaf,
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    pub(crate) fn entry(&self, key: &str) -> Option<&Self> {
        match &self.node {
            Node::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    pub(crate) fn element(&self, index: usize) -> Option<&Self> {
        match &self.node {
            Node::List(elements) => elements.get(index),
            _ => None,
        }
    }

    /// The line of the field that `finding` names in the item at `index` of its list, or of the nearest value around it that is there.
    pub(crate) fn line_of(&self, finding: &Finding, index: Option<usize>) -> Option<u32> {
        let list = match finding.kind {
            Kind::Document => Some(self),
            kind => self.entry(kind.root_key()),
        };
        let mut place = match index {
            Some(index) => list?.element(index)?,
            None => list?,
        };
        for step in steps(&finding.path) {
            let inner = match &step {
                Step::Key(key) => place.entry(key),
                Step::Index(index) => place.element(*index),
            };
            let Some(inner) = inner else { break };
            place = inner;
        }
        Some(place.line).filter(|line| *line > 0)
    }
}

enum Step {
    Key(String),
    Index(usize),
}

/// Takes a path such as `nodes["a:80"].x[0]` apart.
fn steps(path: &str) -> impl Iterator<Item = Step> + '_ {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if let Some(quoted) = rest.strip_prefix('[').filter(|inner| inner.starts_with('"')) {
            let end = closing_quote(quoted)?;
            let (key, after) = quoted.split_at_checked(end)?;
            rest = after.strip_prefix(']').unwrap_or(after);
            return serde_json::from_str(key).ok().map(Step::Key);
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let (index, after) = inner.split_once(']')?;
            rest = after;
            return index.parse().ok().map(Step::Index);
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (key, after) = rest.split_at_checked(end)?;
        rest = after;
        (!key.is_empty()).then(|| Step::Key(key.to_owned()))
    })
}

/// The length of the quoted string that `text` begins with.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().skip(1).find_map(|(at, letter)| {
        let ends = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends.then_some(at + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_apart() {
        let shown = |path: &str| -> Vec<String> {
            steps(path)
                .map(|step| match step {
                    Step::Key(key) => key,
                    Step::Index(index) => index.to_string(),
                })
                .collect()
        };
        assert_eq!(shown("upstream.nodes[0].weight"), ["upstream", "nodes", "0", "weight"]);
        assert_eq!(shown(r#"nodes["a.b:80"]"#), ["nodes", "a.b:80"]);
        assert_eq!(shown(r#"x["a\"]"].y"#), ["x", "a\"]", "y"]);
        assert_eq!(shown(""), [""; 0]);
        assert_eq!(shown(r#"["open"#), [""; 0]);
    }
}
