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
        let (were, are) = (FileNames::of(old), FileNames::of(new));
        // A name may go from one to another with neither of them changed.
        let touched: HashSet<&str> = ids.iter().flat_map(|id| [were.get(id), are.get(id)]).flatten().collect();
        let mut definitions = Definitions::default();
        for spec in new {
            definitions.add(are.get(&spec.id).unwrap_or_default(), Arc::clone(&spec.content));
        }
        let imports = |id: &Id| before.0.get(id).is_some_and(|proto| touched.iter().any(|file| proto.has_file(file)));
        for spec in new.iter().filter(|spec| ids.contains(&spec.id) || imports(&spec.id)) {
            match definitions.compile(are.get(&spec.id).unwrap_or_default()) {
                Ok(proto) => _ = changes.changes.insert(spec.id.clone(), Some(proto)),
                Err(fault) => {
                    let finding = Finding::error(Kind::Proto, Some(spec.id.clone()), "content", fault.to_string());
                    findings.push(finding.with_mend(fault.mend));
                }
            }
        }
        findings.extend(are.doubled(new));
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

/// What others import each of them by: its name if that is one of a file, else its id. Of several with one name it is the
/// first one's; the others are compiled as well, but nothing imports them.
struct FileNames<'a> {
    of: HashMap<&'a Id, String>,
    owners: HashMap<String, &'a Id>,
}

impl<'a> FileNames<'a> {
    fn of(specs: &'a [Arc<ProtoSpec>]) -> Self {
        let mut names = Self { of: HashMap::new(), owners: HashMap::new() };
        for spec in specs {
            let wanted = file_name(spec);
            let owner = *names.owners.entry(wanted.clone()).or_insert(&spec.id);
            // No name of a file ends like that.
            let name = if *owner == spec.id { wanted } else { format!("proto `{}`", spec.id) };
            names.of.insert(&spec.id, name);
        }
        names
    }

    fn get(&self, id: &Id) -> Option<&str> {
        self.of.get(id).map(String::as_str)
    }

    /// Warnings of those whose name is taken.
    fn doubled(&self, specs: &[Arc<ProtoSpec>]) -> Vec<Finding> {
        let taken = |spec: &Arc<ProtoSpec>| {
            let wanted = file_name(spec);
            let owner = self.owners.get(&wanted).filter(|owner| ***owner != spec.id)?;
            let field = if spec.name.as_ref() == Some(&wanted) { "name" } else { "id" };
            let says = format!("the proto `{owner}` is `{wanted}` already: that one is imported by this name");
            Some(Finding::warning(Kind::Proto, Some(spec.id.clone()), field, says).with_mend("give it another name"))
        };
        specs.iter().filter_map(taken).collect()
    }
}

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

    #[test]
    fn of_two_with_one_name_each_is_compiled_as_itself() {
        let one = |package: &str| format!("package {package}; message M {{}} service S {{ rpc R (M) returns (M); }}");
        let (first, second) = (spec("1", Some("h.proto"), &one("a")), spec("2", Some("h.proto"), &one("b")));
        let importer = spec("i", None, "import \"h.proto\"; message I { a.M m = 1; }");
        let all = [first, Arc::clone(&second), importer, spec("x", None, ""), spec("x.proto", None, &one("c"))];
        let (mut protos, mut findings) = (Protos::default(), Vec::new());
        Changes::compile(&protos, (&[], &all), true, &mut findings).commit(&mut protos);
        for (id, method) in [("1", "a.S/R"), ("2", "b.S/R"), ("x.proto", "c.S/R")] {
            assert_eq!(protos.0[&Id::from(id)].methods().collect::<Vec<_>>(), [method], "{id}");
        }
        let found: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found[0].starts_with("proto `2`, field name: the proto `1` is `h.proto` already"), "{found:#?}");
        assert!(found[1].starts_with("proto `x.proto`, field id: the proto `x` is `x.proto` already"), "{found:#?}");

        // The name is the second one's when the first one goes, and what imports it is compiled with that.
        let mut findings = Vec::new();
        let rest = [second, spec("i", None, "import \"h.proto\"; message I { b.M m = 1; }")];
        Changes::compile(&protos, (&all, &rest), false, &mut findings).commit(&mut protos);
        assert_eq!((protos.0.len(), findings.len()), (2, 0), "{findings:#?}");
    }
}
