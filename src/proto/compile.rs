//! From texts and descriptor sets to descriptors.
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_reflect::prost_types::FileDescriptorSet;
use protox::Compiler;
use protox::file::{DescriptorSetFileResolver, File, FileResolver, GoogleFileResolver};

use super::{ProtoFault, google};

/// Brackets that may stand inside one another in a text: more than anybody writes, and few enough for the parser's stack.
const DEPTH: usize = 200;

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
        let (set, files) = match descriptor_set(content) {
            None => (None, vec![file.to_owned()]),
            Some(read) => {
                let (set, names) = read.map_err(|reason| {
                    let mend = "write the text of a .proto file, or what `protoc --include_imports --descriptor_set_out` \
                                writes, in base64";
                    ProtoFault::new(format!("is no descriptor set in base64: {reason}"), mend)
                })?;
                (Some(set), names)
            }
        };
        let mut compiler =
            Compiler::with_file_resolver(Files { own: self.0.clone(), set, google: GoogleFileResolver::new() });
        for name in &files {
            compiler.open_file(name).map_err(|error| ProtoFault::of(&error, file))?;
        }
        let read = compiler.files().map(|file| file.name().to_owned()).collect();
        Ok(Proto { pool: compiler.descriptor_pool(), files: read })
    }
}

/// Takes a content as a descriptor set, if it is base64 and no text.
fn descriptor_set(content: &str) -> Option<Result<(DescriptorSetFileResolver, Vec<String>), String>> {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(&byte);
    if !content.trim().bytes().all(is_base64) {
        return None;
    }
    let text: String = content.split_whitespace().collect();
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string());
    Some(bytes.and_then(|bytes| {
        let set = FileDescriptorSet::decode(&*bytes).map_err(|error| error.to_string())?;
        if set.file.is_empty() {
            return Err("it has no file".to_owned());
        }
        let names = set.file.iter().map(|file| file.name().to_owned()).collect();
        // Options such as `google.api.http` stay only this way.
        let set = DescriptorSetFileResolver::decode(&*bytes).map_err(|error| error.to_string())?;
        Ok((set, names))
    }))
}

/// Where imports are found: in the set itself, among what is built in, among the others of the configuration.
struct Files {
    own: Arc<HashMap<String, Arc<str>>>,
    set: Option<DescriptorSetFileResolver>,
    google: GoogleFileResolver,
}

impl FileResolver for Files {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if let Some(Ok(file)) = self.set.as_ref().map(|set| set.open_file(name)) {
            return Ok(file);
        }
        if let Ok(file) = self.google.open_file(name) {
            return Ok(file);
        }
        let own = || self.own.get(name).map(|text| &**text);
        let text = google::text(name).or_else(own).ok_or_else(|| protox::Error::file_not_found(name))?;
        if is_too_deep(text) {
            return Err(protox::Error::new(format!("more than {DEPTH} brackets stand inside one another")));
        }
        File::from_source(name, text)
    }
}

fn is_too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'{' | b'[' | b'(' | b'<' => depth += 1,
            b'}' | b']' | b')' | b'>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEPTH
    })
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
        let deep = format!("syntax = \"proto3\"; message M {{ {} }}", "message M { ".repeat(300));
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
            (&deep, "", "more than 200 brackets", "Protobuf"),
            ("", "", "is no descriptor set in base64: it has no file", "--include_imports"),
            ("AAAA", "", "is no descriptor set in base64: ", "--include_imports"),
            ("AAA", "", "is no descriptor set in base64: ", "--include_imports"),
        ] {
            let fault = definitions(&[("m.proto", content), ("o.proto", other)]).compile("m.proto").unwrap_err();
            assert!(fault.to_string().contains(says), "{content}: {fault}");
            assert!(fault.mend.contains(mend), "{content}: {}", fault.mend);
        }
    }
}
