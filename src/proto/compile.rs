//! From texts and descriptor sets to descriptors.
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message as _;
use prost_reflect::DescriptorPool;
use protox::Compiler;
use protox::file::{File, FileResolver, GoogleFileResolver};

use super::imports::Imports;
use super::{ProtoFault, google};

/// Protobuf definitions by file name. A clone shares them.
#[derive(Clone, Debug, Default)]
pub struct Definitions(Arc<HashMap<String, Arc<str>>>);

impl Definitions {
    /// Adds the text of a file, or a descriptor set in base64, or replaces what has that name.
    pub fn add(&mut self, file: impl Into<String>, content: Arc<str>) {
        Arc::make_mut(&mut self.0).insert(file.into(), content);
    }

    /// Compiles a file with all that it imports. Of a descriptor set, all its files are.
    ///
    /// # Errors
    /// The first fault, with its place where that is known.
    pub fn compile(&self, file: &str) -> Result<Proto, ProtoFault> {
        let Some(content) = self.0.get(file) else {
            return Err(ProtoFault::new(format!("there is no file `{file}`"), "add it"));
        };
        let (set, roots) = match descriptor_set(content) {
            None => (HashMap::new(), vec![file.to_owned()]),
            Some(read) => read.map_err(|reason| {
                let mend = "write the text of a .proto file, or what `protoc --include_imports --descriptor_set_out` \
                            writes, in base64";
                ProtoFault::new(format!("is no descriptor set in base64: {reason}"), mend)
            })?,
        };
        let mut files = Files {
            root: file.to_owned(),
            own: Arc::clone(&self.0),
            set,
            google: GoogleFileResolver::new(),
            read: HashMap::new(),
        };
        let mut imports = Imports::default();
        for name in &roots {
            imports.add(name, |name| files.open_file(name).ok())?;
        }
        files.read = imports.files;
        let mut compiler = Compiler::with_file_resolver(files);
        for name in imports.order.iter().chain(&roots) {
            compiler.open_file(name).map_err(|error| ProtoFault::of(&error, file))?;
        }
        let read = compiler.files().map(|file| file.name().to_owned()).collect();
        Ok(Proto { pool: compiler.descriptor_pool(), files: read })
    }
}

/// A descriptor set whose files are encoded still: options such as `google.api.http` stay only this way.
#[derive(Clone, PartialEq, prost::Message)]
struct EncodedSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

/// The files of a descriptor set by name, and their names in its order.
type Set = (HashMap<String, File>, Vec<String>);

/// Takes a content as a descriptor set, if it is base64 and no text.
fn descriptor_set(content: &str) -> Option<Result<Set, String>> {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(&byte);
    if !content.trim().bytes().all(is_base64) {
        return None;
    }
    let text: String = content.split_whitespace().collect();
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string());
    Some(bytes.and_then(|bytes| {
        let set = EncodedSet::decode(Bytes::from(bytes)).map_err(|error| error.to_string())?;
        if set.file.is_empty() {
            return Err("it has no file".to_owned());
        }
        let files = set.file.into_iter().map(File::decode_file_descriptor_proto);
        let files = files.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let names = files.iter().map(|file| file.name().to_owned()).collect();
        Ok((files.into_iter().rev().map(|file| (file.name().to_owned(), file)).collect(), names))
    }))
}

/// Where imports are found: in the set itself, among what is built in, among the others of the configuration.
struct Files {
    /// What is compiled, which counts even where something built in has its name.
    root: String,
    own: Arc<HashMap<String, Arc<str>>>,
    set: HashMap<String, File>,
    google: GoogleFileResolver,
    /// What was read already.
    read: HashMap<String, File>,
}

impl FileResolver for Files {
    /// Names are no paths.
    fn resolve_path(&self, path: &Path) -> Option<String> {
        path.to_str().map(str::to_owned)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if let Some(file) = self.read.get(name).or_else(|| self.set.get(name)) {
            return Ok(file.clone());
        }
        let own = || self.own.get(name).map(|text| &**text);
        if let Some(text) = own().filter(|_| name == self.root) {
            return File::from_source(name, text);
        }
        if let Ok(file) = self.google.open_file(name) {
            return Ok(file);
        }
        let text = google::text(name).or_else(own).ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, text)
    }
}

/// One definition, compiled with all that it imports. A clone shares it.
#[derive(Clone)]
pub struct Proto {
    pool: DescriptorPool,
    /// The names of the files that it was made of.
    files: Arc<[String]>,
}

impl Proto {
    /// The methods of its services and of those that it imports, as `package.Service/Method`.
    pub fn methods(&self) -> impl Iterator<Item = String> {
        let services: Vec<_> = self.pool.services().collect();
        services.into_iter().flat_map(|service| {
            let methods: Vec<_> = service.methods().collect();
            methods.into_iter().map(move |method| format!("{}/{}", service.full_name(), method.name()))
        })
    }

    /// Whether a file is a part of it.
    pub(crate) fn has_file(&self, name: &str) -> bool {
        self.files.iter().any(|file| file == name)
    }

    pub(crate) fn pool(&self) -> &DescriptorPool {
        &self.pool
    }
}

impl fmt::Debug for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proto").field("files", &self.files).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet};

    use super::*;

    fn definitions(files: &[(&str, &str)]) -> Definitions {
        let mut definitions = Definitions::default();
        files.iter().for_each(|(name, content)| definitions.add(*name, (*content).into()));
        definitions
    }

    const A: &str = "syntax = \"proto3\";\npackage a;\nimport \"b.proto\";\nservice S { rpc M (b.B) returns (b.B); }";
    const B: &str = "syntax = \"proto3\";\npackage b;\nmessage B { string c = 1; }";

    #[test]
    fn texts_import_one_another_and_what_is_built_in() {
        let google =
            "syntax = \"proto3\";\nimport \"google/api/annotations.proto\";\nimport \"google/protobuf/empty.proto\";
            service S { rpc M (google.protobuf.Empty) returns (google.protobuf.Empty) {
                option (google.api.http) = {get: \"/a/{b}\"};
            } }";
        let all = definitions(&[("a.proto", A), ("b.proto", B), ("c/google.proto", google)]);
        let proto = all.compile("a.proto").unwrap();
        assert_eq!(proto.methods().collect::<Vec<_>>(), ["a.S/M"]);
        assert!(proto.has_file("b.proto") && !proto.has_file("c/google.proto"));
        assert_eq!(all.compile("c/google.proto").unwrap().methods().collect::<Vec<_>>(), ["S/M"]);
    }

    #[test]
    fn descriptor_sets_may_lack_what_is_there_anyway() {
        let proto = definitions(&[("a.proto", A), ("b.proto", B)]).compile("a.proto").unwrap();
        let whole = STANDARD.encode(proto.pool().encode_to_vec());
        let mut set = FileDescriptorSet { file: proto.pool().file_descriptor_protos().cloned().collect() };
        set.file.retain(|file| file.name() == "a.proto");
        let alone = STANDARD.encode(set.encode_to_vec());
        let (first, second) = alone.split_at(20);
        let wrapped = format!("{first}\n{second}\n");
        for content in [&whole, &alone, &wrapped] {
            let all = definitions(&[("set.proto", content), ("b.proto", B)]);
            assert_eq!(all.compile("set.proto").unwrap().methods().collect::<Vec<_>>(), ["a.S/M"]);
        }
        assert!(definitions(&[("set.proto", &whole)]).compile("set.proto").is_ok());
        let fault = definitions(&[("set.proto", &alone)]).compile("set.proto").unwrap_err();
        assert!(fault.reason.contains("'b.proto' not found"), "{fault}");
    }

    #[test]
    fn faults_tell_their_place_and_a_way_out() {
        let deep = format!("syntax = \"proto3\"; message M {{ {} }}", "message M { ".repeat(3000));
        let deep_with_comments = deep.replace("M {", "M { // }\n");
        for (content, other, says, mend) in [
            ("syntax = \"proto3\";\nmessage {", "", "line 2, column 9: ", "Protobuf language"),
            ("syntax = \"proto3\";\nmessage M { N n = 1; }", "", "line 2, column 13: ", "Protobuf language"),
            (
                "syntax = \"proto3\";\nimport \"x.proto\";",
                "",
                "line 2, column 1: import 'x.proto' not found",
                "its `name`",
            ),
            (
                "syntax = \"proto3\";\n\nimport \"o.proto\";",
                "message {",
                "in `o.proto`, line 1, column 9: ",
                "Protobuf",
            ),
            ("syntax = \"proto3\";import \"o.proto\";", "import \"m.proto\";", "import cycle", "import nothing"),
            (&deep, "", "maximum recursion limit", "Protobuf"),
            (&deep_with_comments, "", "maximum recursion limit", "Protobuf"),
            ("", "", "is no descriptor set in base64: it has no file", "--include_imports"),
            ("AAAA", "", "is no descriptor set in base64: ", "--include_imports"),
            ("AAA", "", "is no descriptor set in base64: ", "--include_imports"),
        ] {
            let fault = definitions(&[("m.proto", content), ("o.proto", other)]).compile("m.proto").unwrap_err();
            assert!(fault.to_string().contains(says), "{content}: {fault}");
            assert!(fault.mend.contains(mend), "{content}: {}", fault.mend);
        }
    }

    #[test]
    fn comments_may_have_brackets() {
        let text = format!("syntax = \"proto3\"; message M {{ {} }}", "// is to be < 64\n".repeat(1000));
        assert!(definitions(&[("a.proto", &text)]).compile("a.proto").is_ok());
    }

    #[test]
    fn sets_of_files_in_a_row_do_not_end_the_process() {
        let file = |at: usize, is_last: bool| FileDescriptorProto {
            name: Some(format!("f{at}")),
            dependency: if is_last { vec![] } else { vec![format!("f{}", at + 1)] },
            ..FileDescriptorProto::default()
        };
        for (count, is_taken) in [(100, true), (50_000, false)] {
            let mut set = FileDescriptorSet { file: (0..count).map(|at| file(at, at + 1 == count)).collect() };
            for order in ["head first", "leaves first"] {
                let all = definitions(&[("set.proto", &STANDARD.encode(set.encode_to_vec()))]);
                assert_eq!(all.compile("set.proto").is_ok(), is_taken, "{count}, {order}");
                set.file.reverse();
            }
        }
    }

    #[test]
    fn what_is_compiled_counts_where_something_built_in_has_its_name() {
        let own = "syntax = \"proto3\"; message Own {} service S { rpc M (Own) returns (Own); }";
        let all = definitions(&[("google/api/http.proto", own), ("google/protobuf/empty.proto", own)]);
        for name in ["google/api/http.proto", "google/protobuf/empty.proto"] {
            assert_eq!(all.compile(name).unwrap().methods().collect::<Vec<_>>(), ["S/M"], "{name}");
        }
    }
}
