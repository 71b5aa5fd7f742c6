//! The Protobuf definitions of a configuration, compiled.
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::difference::{Tables, changed};
use crate::model::{Finding, Id, Kind, ProtoSpec};
use crate::proto::{Definitions, Proto};

/// Those in force.
#[derive(Default)]
pub(super) struct Protos(HashMap<Id, Proto>);

/// What differs from before.
#[derive(Default)]
pub(super) struct Changes(Tables<Proto>);

impl Changes {
    /// Compiles what differs, and what imports that; with `everything`, all.
    pub(super) fn compile(
        before: &Protos,
        (old, new): (&[Arc<ProtoSpec>], &[Arc<ProtoSpec>]),
        everything: bool,
        findings: &mut Vec<Finding>,
    ) -> Self {
        let mut changes = Tables::default();
        let (gone, differing) = changed(everything, old, new);
        if gone.is_empty() && differing.is_empty() {
            return Self(changes);
        }
        let ids: HashSet<&Id> = gone.iter().chain(differing.iter().map(|spec| &spec.id)).collect();
        let was = old.iter().filter(|spec| ids.contains(&spec.id));
        let touched: HashSet<String> = was.chain(differing.iter().copied()).map(|spec| file_name(spec)).collect();
        let mut definitions = Definitions::default();
        for spec in new {
            definitions.add(file_name(spec), Arc::clone(&spec.content));
        }
        let imports = |id: &Id| before.0.get(id).is_some_and(|proto| touched.iter().any(|file| proto.has_file(file)));
        for spec in new.iter().filter(|spec| ids.contains(&spec.id) || imports(&spec.id)) {
            match definitions.compile(&file_name(spec)) {
                Ok(proto) => _ = changes.changes.insert(spec.id.clone(), Some(proto)),
                Err(fault) => {
                    let finding = Finding::error(Kind::Proto, Some(spec.id.clone()), "content", fault.to_string());
                    findings.push(finding.with_mend(fault.mend));
                }
            }
        }
        changes.changes.extend(gone.into_iter().map(|id| (id, None)));
        Self(changes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn touches(&self, id: &Id) -> bool {
        self.0.touches(Some(id))
    }

    pub(super) fn get(&self, before: &Protos, id: &Id) -> Option<Proto> {
        self.0.get(&before.0, id)
    }

    pub(super) fn commit(self, protos: &mut Protos) {
        self.0.commit(&mut protos.0);
    }
}

/// What others import it by: its name if that is one of a file, else its id.
fn file_name(spec: &ProtoSpec) -> String {
    let is_file = |name: &&str| name.ends_with(".proto");
    match spec.name.as_deref().filter(is_file).or(Some(spec.id.as_str()).filter(is_file)) {
        Some(name) => name.to_owned(),
        None => format!("{}.proto", spec.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(id: &str, name: Option<&str>, content: &str) -> Arc<ProtoSpec> {
        let content = format!("syntax = \"proto3\";\n{content}").into();
        Arc::new(ProtoSpec { id: id.into(), name: name.map(str::to_owned), content, ..ProtoSpec::default() })
    }

    #[test]
    fn what_differs_and_what_imports_it_is_compiled() {
        let a = spec("a", None, "import \"b.proto\"; message A { B b = 1; }");
        let b = spec("b", None, "import \"x/c.proto\"; message B { C c = 1; }");
        let c = spec("9", Some("x/c.proto"), "message C {}");
        let d = spec("d.proto", Some("another one"), "message D {}");
        let first = [a, b, c, d];
        let (mut protos, mut findings) = (Protos::default(), Vec::new());
        Changes::compile(&protos, (&[], &first), true, &mut findings).commit(&mut protos);
        assert_eq!((protos.0.len(), findings.len()), (4, 0));

        let same = Changes::compile(&protos, (&first, &first), false, &mut findings);
        assert!(same.is_empty());
        let mut second = first.clone();
        second[2] = spec("9", Some("x/c.proto"), "message C { int32 d = 1; }");
        let changes = Changes::compile(&protos, (&first, &second), false, &mut findings);
        let touched = ["a", "b", "9", "d.proto"].map(|id| changes.touches(&id.into()));
        assert_eq!((touched, findings.len()), ([true, true, true, false], 0));
        assert!(changes.get(&protos, &"a".into()).is_some() && changes.get(&protos, &"d.proto".into()).is_some());
    }

    #[test]
    fn who_imports_what_is_gone_or_broken_is_named() {
        let first = [spec("a", None, "import \"b.proto\";\nmessage A { B b = 1; }"), spec("b", None, "message B {}")];
        let (mut protos, mut findings) = (Protos::default(), Vec::new());
        Changes::compile(&protos, (&[], &first), true, &mut findings).commit(&mut protos);
        for (second, says) in [
            (vec![first[0].clone()], &["proto `a`, field content: line 2, column 1: import 'b.proto' not found"][..]),
            (
                vec![first[0].clone(), spec("b", None, "message {}")],
                &[
                    "proto `a`, field content: in `b.proto`, line 2, column 9: ",
                    "proto `b`, field content: line 2, column 9: ",
                ],
            ),
        ] {
            let mut findings = Vec::new();
            Changes::compile(&protos, (&first, &second), false, &mut findings);
            let found: Vec<_> = findings.iter().map(ToString::to_string).collect();
            assert_eq!(found.len(), says.len(), "{found:#?}");
            assert!(found.iter().zip(says).all(|(found, says)| found.contains(says)), "{found:#?}");
        }
    }
}
