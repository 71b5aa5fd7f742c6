//! The labels of a series: how they are looked up without being copied, kept, and written.
use std::fmt::Write as _; // writing to a string cannot fail
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use papaya::Equivalent;

/// A metric of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Status,
    Latency,
    Bandwidth,
}

pub(super) const FAMILIES: [Family; 3] = [Family::Status, Family::Latency, Family::Bandwidth];

/// Labels by number, in the order in which they are written.
pub(super) const LABELS: [&str; 10] = [
    "route",
    "matched_uri",
    "matched_host",
    "service",
    "consumer",
    "node",
    "request_type",
    "request_llm_model",
    "llm_model",
    "response_source",
];

const REQUEST_TYPE: usize = 6;
/// Set in the masks of metrics that do not have the label.
const URI_AND_HOST: u16 = 0b110;
pub(super) const RESPONSE_SOURCE: usize = 9;

impl Family {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Status => "http_status",
            Self::Latency => "http_latency",
            Self::Bandwidth => "bandwidth",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        FAMILIES.into_iter().find(|family| family.name() == name)
    }

    /// Whether the metric has the label of that number.
    fn has(self, label: usize) -> bool {
        self == Self::Status || (URI_AND_HOST >> label & 1 == 0 && label != RESPONSE_SOURCE)
    }

    /// The labels that it has beside `code` or `type`.
    pub(super) fn labels(self) -> impl Iterator<Item = &'static str> {
        LABELS.into_iter().enumerate().filter(move |(label, _)| self.has(*label)).map(|(_, name)| name)
    }
}

/// Which labels are left empty, a bit for each, by metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Masks {
    status: u16,
    latency: u16,
    bandwidth: u16,
}

impl Masks {
    pub(super) fn of(self, family: Family) -> u16 {
        match family {
            Family::Status => self.status,
            Family::Latency => self.latency,
            Family::Bandwidth => self.bandwidth,
        }
    }

    /// Leaves a label empty; false when the metric does not have it.
    pub(super) fn disable(&mut self, family: Family, name: &str) -> bool {
        let mask = match family {
            Family::Status => &mut self.status,
            Family::Latency => &mut self.latency,
            Family::Bandwidth => &mut self.bandwidth,
        };
        let label = LABELS.iter().position(|label| *label == name).filter(|label| family.has(*label));
        label.is_some_and(|label| {
            *mask |= 1 << label;
            true
        })
    }

    /// Whether no metric wants the label.
    fn nobody_wants(self, label: usize) -> bool {
        FAMILIES.into_iter().all(|family| !family.has(label) || self.of(family) >> label & 1 == 1)
    }
}

/// The endpoint of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node<'a> {
    None,
    Address(IpAddr),
    /// A service of this process, an endpoint whose address is not known, or `*`.
    Named(&'a str),
}

/// Labels as a request has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sought<'a> {
    pub(super) route: &'a str,
    pub(super) uri: &'a str,
    pub(super) host: &'a str,
    pub(super) service: &'a str,
    pub(super) consumer: &'a str,
    pub(super) node: Node<'a>,
    /// The values of the extra labels, in the order of the plan.
    pub(super) extra: &'a [Box<str>],
    pub(super) masks: Masks,
}

/// What stands for all values that have no place.
const OTHERS: &str = "*";

impl<'a> Sought<'a> {
    /// Without the labels that no metric wants.
    pub(super) fn wanted(mut self) -> Self {
        if self.masks == Masks::default() {
            return self;
        }
        let texts = [&mut self.route, &mut self.uri, &mut self.host, &mut self.service, &mut self.consumer];
        for (label, text) in texts.into_iter().enumerate() {
            if self.masks.nobody_wants(label) {
                *text = "";
            }
        }
        if self.masks.nobody_wants(5) {
            self.node = Node::None;
        }
        self
    }

    /// With `*` for what a configuration does not bound: consumer, endpoint, extra labels.
    pub(super) fn coarse(self, others: &'a [Box<str>]) -> Self {
        Self { consumer: OTHERS, node: Node::Named(OTHERS), extra: others, ..self }
    }

    /// With `*` for everything.
    pub(super) fn coarsest(self, others: &'a [Box<str>]) -> Self {
        Self { route: OTHERS, uri: OTHERS, host: OTHERS, service: OTHERS, ..self.coarse(others) }
    }

    pub(super) fn to_labels(self) -> Labels {
        Labels {
            texts: [self.route, self.uri, self.host, self.service, self.consumer].map(Into::into),
            node: match self.node {
                Node::None => OwnedNode::None,
                Node::Address(address) => OwnedNode::Address(address),
                Node::Named(name) => OwnedNode::Named(name.into()),
            },
            extra: self.extra.into(),
            masks: self.masks,
        }
    }
}

impl Equivalent<Labels> for Sought<'_> {
    fn equivalent(&self, labels: &Labels) -> bool {
        *self == labels.sought()
    }
}

/// The value of each of so many extra labels when there is no place.
pub(super) fn others(count: usize) -> Box<[Box<str>]> {
    std::iter::repeat_n(OTHERS.into(), count).collect()
}

/// Labels, kept.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    /// Route, pattern, host, service, consumer.
    texts: [Box<str>; 5],
    node: OwnedNode,
    extra: Box<[Box<str>]>,
    masks: Masks,
}

#[derive(Clone, Debug)]
enum OwnedNode {
    None,
    Address(IpAddr),
    Named(Box<str>),
}

impl Labels {
    pub(super) fn sought(&self) -> Sought<'_> {
        let [route, uri, host, service, consumer] = &self.texts;
        let node = match &self.node {
            OwnedNode::None => Node::None,
            OwnedNode::Address(address) => Node::Address(*address),
            OwnedNode::Named(name) => Node::Named(name),
        };
        Sought { route, uri, host, service, consumer, node, extra: &self.extra, masks: self.masks }
    }

    /// Whether a metric's label of that number is to be empty.
    pub(super) fn is_masked(&self, family: Family, label: usize) -> bool {
        self.masks.of(family) >> label & 1 == 1
    }

    /// The labels of a metric but for `code`, `type` and `response_source`, as text: `route="1",service=""`.
    pub(super) fn write(&self, family: Family) -> String {
        let mut out = String::with_capacity(160);
        let sought = self.sought();
        for (label, name) in LABELS.into_iter().enumerate() {
            if !family.has(label) || label == RESPONSE_SOURCE {
                continue;
            }
            if !out.is_empty() {
                out.push(',');
            }
            let _ = write!(out, "{name}=\"");
            let texts = [sought.route, sought.uri, sought.host, sought.service, sought.consumer];
            if !self.is_masked(family, label) {
                match (texts.get(label), sought.node) {
                    (Some(text), _) => escape(&mut out, text),
                    (None, Node::Address(address)) if label == texts.len() => {
                        let _ = write!(out, "{address}");
                    }
                    (None, Node::Named(name)) if label == texts.len() => escape(&mut out, name),
                    _ if label == REQUEST_TYPE => out.push_str("traditional_http"),
                    _ => {}
                }
            }
            out.push('"');
        }
        out
    }

    /// The extra labels as text, each behind a comma. `names` are in the order of the values, `None` for those of other
    /// metrics.
    pub(super) fn write_extra<'n>(&self, names: impl Iterator<Item = Option<&'n str>>) -> String {
        let mut out = String::new();
        for (name, value) in names.zip(&*self.extra) {
            if let Some(name) = name {
                let _ = write!(out, ",{name}=\"");
                escape(&mut out, value);
                out.push('"');
            }
        }
        out
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.sought() == other.sought()
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sought().hash(state);
    }
}

/// Writes a label's value (Prometheus text format 0.0.4).
pub(super) fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            character => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sought() -> Sought<'static> {
        Sought {
            route: "r1",
            uri: "/a/*",
            host: "",
            service: "s\"\\\n",
            consumer: "jack",
            node: Node::Address([10, 0, 0, 1].into()),
            extra: &[],
            masks: Masks::default(),
        }
    }

    #[test]
    fn labels_are_written_in_the_catalogues_order() {
        let labels = sought().to_labels();
        assert_eq!(
            labels.write(Family::Status),
            "route=\"r1\",matched_uri=\"/a/*\",matched_host=\"\",service=\"s\\\"\\\\\\n\",consumer=\"jack\",\
             node=\"10.0.0.1\",request_type=\"traditional_http\",request_llm_model=\"\",llm_model=\"\""
        );
        assert_eq!(
            labels.write(Family::Bandwidth),
            "route=\"r1\",service=\"s\\\"\\\\\\n\",consumer=\"jack\",node=\"10.0.0.1\",\
             request_type=\"traditional_http\",request_llm_model=\"\",llm_model=\"\""
        );
    }

    #[test]
    fn what_is_looked_up_is_what_was_kept() {
        let labels = sought().to_labels();
        assert!(sought().equivalent(&labels));
        let hash = |value: &dyn Fn(&mut std::hash::DefaultHasher)| {
            let mut hasher = std::hash::DefaultHasher::new();
            value(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash(&|hasher| sought().hash(hasher)), hash(&|hasher| labels.hash(hasher)));
        assert!(!Sought { consumer: "", ..sought() }.equivalent(&labels));
    }

    #[test]
    fn a_label_that_no_metric_wants_keeps_nothing_apart() {
        let mut masks = Masks::default();
        for family in FAMILIES {
            assert!(masks.disable(family, "consumer"));
        }
        assert!(masks.disable(Family::Latency, "node"));
        let one = Sought { masks, ..sought() }.wanted();
        assert_eq!((one.consumer, one.node), ("", sought().node));
        let labels = one.to_labels();
        assert!(labels.write(Family::Latency).contains("node=\"\""));
        assert!(labels.write(Family::Status).contains("node=\"10.0.0.1\""));
    }
}
