//! Why a request went where it went: the candidates in sequence, each with the first condition that failed.
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::query::Query;
use super::rule::{Condition, Entry};
use super::table::{Index, Router};

/// How a router decides about one request.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Every path and host pattern whose literal part fits the request, in the sequence in which they are asked.
    pub candidates: Vec<Candidate>,
}

/// One path of a rule that was considered.
#[derive(Clone, Debug, Serialize)]
pub struct Candidate {
    /// The rule.
    pub id: Arc<str>,
    /// The path pattern, as written.
    pub pattern: Arc<str>,
    /// The host pattern, as written; none for any host.
    pub host: Option<Arc<str>>,
    /// The rule's priority.
    pub priority: i64,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// It is the one.
    Wins,
    /// All its conditions hold, but another came first.
    ComesLater,
    /// A condition fails.
    Fails {
        /// The first that fails.
        condition: Condition,
        /// What it asks for.
        wants: String,
    },
}

impl Explanation {
    /// The candidate that won.
    pub fn winner(&self) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| candidate.verdict == Verdict::Wins)
    }
}

impl<T> Router<T> {
    /// Lists the candidates for a request in sequence, with the first failing condition of each.
    ///
    /// For people: it looks at every rule of each literal beginning that fits, and at every condition. In a host-first
    /// router only hosts that match are looked at.
    pub fn explain(&self, query: &Query<'_>) -> Explanation {
        let mut entries = Vec::new();
        match &self.index {
            Index::HostFirst(hosts) => {
                hosts.visit(query.host, |paths| {
                    entries.extend(paths.candidates(query.path));
                    None::<()>
                });
            }
            Index::PathFirst(paths) => entries = paths.candidates(query.path),
        }
        let mut is_won = false;
        let candidates = entries
            .into_iter()
            .map(|entry| {
                let verdict = match entry.first_failing(query, &self.options) {
                    Some(condition) => Verdict::Fails { condition, wants: entry.wants(condition) },
                    None if std::mem::replace(&mut is_won, true) => Verdict::ComesLater,
                    None => Verdict::Wins,
                };
                Candidate {
                    id: Arc::clone(&entry.id),
                    pattern: Arc::clone(&entry.pattern.source),
                    host: entry.host.clone(),
                    priority: entry.priority,
                    verdict,
                }
            })
            .collect();
        Explanation { candidates }
    }
}

impl<T> Entry<T> {
    /// What a condition asks for, in words of the configuration.
    fn wants(&self, condition: Condition) -> String {
        let conditions = self.conditions.as_ref();
        let list = |items: Vec<String>| items.join(", ");
        match condition {
            Condition::Method => list(self.methods.iter().map(|method| method.to_string()).collect()),
            Condition::Address => {
                list(conditions.iter().flat_map(|conditions| &conditions.addresses).map(ToString::to_string).collect())
            }
            Condition::Host => self.host.iter().map(ToString::to_string).collect(),
            Condition::Vars => self.vars().map(ToString::to_string).unwrap_or_default(),
            Condition::Predicate => conditions
                .and_then(|conditions| conditions.predicate.as_ref())
                .map(|predicate| predicate.name().to_owned())
                .unwrap_or_default(),
            Condition::Captures => self.pattern.source.to_string(),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.candidates.is_empty() {
            return f.write_str("no route has a path that fits\n");
        }
        for (number, candidate) in (1..).zip(&self.candidates) {
            writeln!(f, "{number}. {candidate}")?;
        }
        match self.winner() {
            Some(winner) => writeln!(f, "route {} wins", winner.id),
            None => f.write_str("no route wins\n"),
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {} path {}", self.id, self.pattern)?;
        if let Some(host) = &self.host {
            write!(f, " host {host}")?;
        }
        if self.priority != 0 {
            write!(f, " priority {}", self.priority)?;
        }
        match &self.verdict {
            Verdict::Wins => f.write_str(": wins"),
            Verdict::ComesLater => f.write_str(": would match, but comes later"),
            Verdict::Fails { condition, wants } => write!(f, ": fails on {condition}, which asks for {wants}"),
        }
    }
}
