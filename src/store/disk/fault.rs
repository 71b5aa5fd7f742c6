//! What is wrong with a database, and the way out.
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::store::StoreError;

/// Where a database is, for messages: `disk /var/lib/tollgate.redb`.
pub(super) fn place(path: &Path) -> Arc<str> {
    format!("disk {}", path.display()).into()
}

pub(super) fn refused(place: &Arc<str>, message: impl Into<String>) -> StoreError {
    StoreError::Refused { place: place.clone(), message: message.into() }
}

pub(super) fn unavailable(place: &Arc<str>, message: impl Into<String>) -> StoreError {
    StoreError::Unavailable { place: place.clone(), message: message.into() }
}

pub(super) fn corrupt(place: &Arc<str>, what: impl std::fmt::Display) -> StoreError {
    let message = format!("is damaged ({what}): put a backup in its place, or move it away to begin with an empty one");
    StoreError::Corrupt { place: place.clone(), message }
}

/// A file that something else wrote.
pub(super) fn foreign(place: &Arc<str>) -> StoreError {
    let message = "is no store of tollgate, and was left as it is: give the store another path, or move the file away";
    StoreError::Corrupt { place: place.clone(), message: message.to_owned() }
}

/// What the database says, in our words.
pub(super) fn told(place: &Arc<str>, error: redb::Error) -> StoreError {
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => refused(
            place,
            "is in use by another process: stop that one, or give each a file of its own (many processes share an etcd)",
        ),
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => foreign(place),
        redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => corrupt(place, "it ends too early"),
        redb::Error::Io(error) => system(place, &error),
        redb::Error::UpgradeRequired(version) => {
            corrupt(place, format_args!("format {version} of its database is too old"))
        }
        redb::Error::Corrupted(what) => corrupt(place, what),
        redb::Error::TableTypeMismatch { .. } | redb::Error::TableIsMultimap(_) => foreign(place),
        error => unavailable(place, error.to_string()),
    }
}

/// What the system says, in our words.
pub(super) fn system(place: &Arc<str>, error: &io::Error) -> StoreError {
    let message = match error.kind() {
        io::ErrorKind::NotFound => "its folder does not exist: make it, or give another path".to_owned(),
        io::ErrorKind::IsADirectory => "is a folder: give the path of a file".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "this process may not read and write it: change its owner or mode (and its folder's), or give another path"
                .to_owned()
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "its file system is read-only: mount it writable, or give another path".into()
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            format!("there is no space left for it ({error}): make room, then write again")
        }
        _ => return unavailable(place, error.to_string()),
    };
    refused(place, message)
}
