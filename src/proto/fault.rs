//! What is wrong with a definition.

/// Why a Protobuf definition was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{}{reason}", Place(.file.as_deref(), *.place))]
pub struct ProtoFault {
    /// The file that is wrong, if it is another one than that which was to be compiled.
    pub file: Option<String>,
    /// Line and column in it, from 1, if that is known.
    pub place: Option<(u32, u32)>,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub mend: String,
}

struct Place<'a>(Option<&'a str>, Option<(u32, u32)>);

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self(None, None) => Ok(()),
            Self(Some(file), None) => write!(f, "in `{file}`: "),
            Self(None, Some((line, column))) => write!(f, "line {line}, column {column}: "),
            Self(Some(file), Some((line, column))) => write!(f, "in `{file}`, line {line}, column {column}: "),
        }
    }
}

impl ProtoFault {
    pub(super) fn new(reason: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { file: None, place: None, reason: reason.into(), mend: mend.into() }
    }

    /// What the compiler says of `file`.
    pub(super) fn of(error: &protox::Error, file: &str) -> Self {
        let reason = error.to_string();
        let mend = match &*reason {
            _ if error.is_file_not_found() => {
                "add it to `protos`: a proto is imported by its `name`, or by its id with `.proto` behind it"
            }
            reason if reason.starts_with("import cycle") => "let one of them import nothing of the others",
            _ => "write what the Protobuf language has there, such as `syntax = \"proto3\";` at the beginning",
        };
        let other = error.file().filter(|other| *other != file).map(str::to_owned);
        Self { file: other, place: place(error), mend: mend.to_owned(), reason }
    }
}

/// Line and column, which the compiler tells in its long form alone: `file:line:column: reason`.
fn place(error: &protox::Error) -> Option<(u32, u32)> {
    let long = format!("{error:?}");
    let rest = long.strip_prefix(error.file()?)?.strip_prefix(':')?;
    let (line, rest) = rest.split_once(':')?;
    let (column, _) = rest.split_once(':')?;
    Some((line.parse().ok()?, column.parse().ok()?))
}
