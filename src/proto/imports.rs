//! Files and all that they import, each behind what it imports itself.
//!
//! The compiler goes from a file to what it imports by recursion, and from there along public imports once more. In this order
//! it finds everything read already, and what would lead it too far is refused before it begins.
use std::collections::HashMap;

use prost_reflect::prost_types::FileDescriptorProto;
use protox::file::File;

use super::ProtoFault;

/// Files that may import one another in a row.
const LONGEST: u32 = 100;

/// Ways that may lead on from one file along public imports: the compiler goes each of them.
const MOST_WAYS: u32 = 1000;

/// Files that were read.
#[derive(Default)]
pub(super) struct Imports {
    pub(super) files: HashMap<String, File>,
    /// Their names, those that import nothing first.
    pub(super) order: Vec<String>,
    /// `None` for those that are being read.
    reach: HashMap<String, Option<Reach>>,
}

/// How far a file's imports lead.
#[derive(Clone, Copy, Default)]
struct Reach {
    length: u32,
    ways: u32,
}

/// A file whose imports are being read.
struct Open {
    file: File,
    next: usize,
    reach: Reach,
}

impl Imports {
    /// Adds a file with all that it imports. What cannot be read is left out: the compiler tells why.
    ///
    /// # Errors
    /// A file imports itself, or the imports lead too far.
    pub(super) fn add(&mut self, root: &str, read: impl Fn(&str) -> Option<File>) -> Result<(), ProtoFault> {
        let mut open: Vec<Open> = Vec::new();
        let mut found = Some(root.to_owned());
        loop {
            if let Some(name) = found.take() {
                match self.reach.get(&name) {
                    Some(Some(_)) => {}
                    Some(None) => return Err(cycle(open.last(), &name)),
                    None => match read(&name) {
                        Some(file) => {
                            self.reach.insert(name, None);
                            open.push(Open { file, next: 0, reach: Reach { length: 1, ways: 1 } });
                        }
                        None => _ = self.reach.insert(name, Some(Reach::default())),
                    },
                }
            }
            let Some(last) = open.last_mut() else { return Ok(()) };
            if let Some(name) = last.file.file_descriptor_proto().dependency.get(last.next) {
                // It is read first, and then looked at again.
                match self.reach.get(name) {
                    Some(Some(reach)) => {
                        last.reach.add(*reach, is_public(last.file.file_descriptor_proto(), last.next));
                        last.next += 1;
                    }
                    _ => found = Some(name.clone()),
                }
                continue;
            }
            let Some(done) = open.pop() else { return Ok(()) };
            done.reach.check(done.file.name())?;
            let name = done.file.name().to_owned();
            self.reach.insert(name.clone(), Some(done.reach));
            self.order.push(name.clone());
            self.files.insert(name, done.file);
        }
    }
}

impl Reach {
    fn add(&mut self, import: Self, is_public: bool) {
        self.length = self.length.max(import.length.saturating_add(1));
        if is_public {
            self.ways = self.ways.saturating_add(import.ways);
        }
    }

    fn check(self, name: &str) -> Result<(), ProtoFault> {
        let says = if self.length > LONGEST {
            format!("`{name}` imports more than {LONGEST} files in a row")
        } else if self.ways > MOST_WAYS {
            format!("`{name}` has its public imports by more than {MOST_WAYS} ways")
        } else {
            return Ok(());
        };
        Err(ProtoFault::new(says, "import what is needed directly"))
    }
}

fn is_public(file: &FileDescriptorProto, import: usize) -> bool {
    file.public_dependency.iter().any(|public| usize::try_from(*public) == Ok(import))
}

fn cycle(from: Option<&Open>, to: &str) -> ProtoFault {
    let from = from.map_or(to, |open| open.file.name());
    let reason = format!("import cycle: `{from}` imports `{to}`, which leads to it again");
    ProtoFault::new(reason, "let one of them import nothing of the others")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads files that are there by their imports; a `+` before one makes it public.
    fn read(files: Vec<(String, Vec<String>)>) -> impl Fn(&str) -> Option<File> {
        let files: HashMap<_, _> = files.into_iter().collect();
        move |name| {
            let imports = files.get(name)?;
            let public = (0..).zip(imports).filter(|(_, import)| import.starts_with('+')).map(|(at, _)| at);
            Some(File::from_file_descriptor_proto(FileDescriptorProto {
                name: Some(name.to_owned()),
                dependency: imports.iter().map(|import| import.trim_start_matches('+').to_owned()).collect(),
                public_dependency: public.collect(),
                ..FileDescriptorProto::default()
            }))
        }
    }

    /// Each file imports the next one, so many in a row.
    fn chain(length: usize) -> Vec<(String, Vec<String>)> {
        let next = |at: usize| if at + 1 == length { vec![] } else { vec![(at + 1).to_string()] };
        (0..length).map(|at| (at.to_string(), next(at))).collect()
    }

    #[test]
    fn files_come_behind_what_they_import() {
        let files = [("a", vec!["b", "c", "none"]), ("b", vec!["d"]), ("c", vec!["b", "d"]), ("d", vec![])];
        let files = files.map(|(name, imports)| (name.to_owned(), imports.into_iter().map(str::to_owned).collect()));
        let mut imports = Imports::default();
        imports.add("a", read(files.to_vec())).unwrap();
        assert_eq!(imports.order, ["d", "b", "c", "a"]);
    }

    #[test]
    fn rows_are_as_long_as_they_may_be() {
        for (length, is_taken) in [(100, true), (101, false), (100_000, false)] {
            let read = read(chain(length));
            assert_eq!(Imports::default().add("0", &read).is_ok(), is_taken, "{length}");
            let mut leaves_first = Imports::default();
            let told = (0..length).rev().try_for_each(|at| leaves_first.add(&at.to_string(), &read));
            assert_eq!(told.is_ok(), is_taken, "{length}");
        }
    }

    #[test]
    fn public_imports_do_not_multiply() {
        // Both files of a layer import both of the next one.
        let lattice = |layers: usize, mark: &str| {
            let layer = |at: usize| [format!("{mark}a{at}"), format!("{mark}b{at}")];
            let imports = |at: usize| if at + 1 == layers { vec![] } else { layer(at + 1).to_vec() };
            let name = |at: usize, side: &str| format!("{side}{at}");
            (0..layers).flat_map(|at| ["a", "b"].map(|side| (name(at, side), imports(at)))).collect::<Vec<_>>()
        };
        assert!(Imports::default().add("a0", read(lattice(9, "+"))).is_ok());
        let fault = Imports::default().add("a0", read(lattice(40, "+"))).unwrap_err();
        assert!(fault.reason.contains("public imports by more than 1000 ways"), "{fault}");
        assert!(Imports::default().add("a0", read(lattice(40, ""))).is_ok());
    }

    #[test]
    fn circles_are_told() {
        let mut files = chain(50);
        files[49].1.push("7".to_owned());
        let fault = Imports::default().add("0", read(files)).unwrap_err();
        assert_eq!(fault.reason, "import cycle: `49` imports `7`, which leads to it again");
    }
}
