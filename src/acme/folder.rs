//! What is kept on disk: the account, certificates with their keys, answers to challenges, claims.
//!
//! One folder for each authority, so that a change of authority orders anew and a change back orders nothing:
//!
//! ```text
//! FOLDER/acme.example-1a2b3c4d/account.json
//!                              certificates/ID.pem    key and chain in one file, so that they always belong together
//!                              answers/TOKEN          what http-01 is answered with
//!                              proofs/NAME            what tls-alpn-01 is answered with
//!                              claims/ID.json         who orders, or when the next try is due
//! ```
//!
//! Every file is written beside and renamed, so that whoever reads sees a whole one, whenever a writer dies. Everything
//! blocks.
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Most bytes of a file that is read.
const MOST: u64 = 1024 * 1024;

/// What dead processes left is removed when it is this old.
const LEFT_OVER: Duration = Duration::from_secs(60 * 60);

/// One authority's part of the folder.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

/// Which state of a file was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: SystemTime,
    length: u64,
    number: u64,
}

impl Stamp {
    /// When the file was written.
    pub(super) fn modified(self) -> SystemTime {
        self.modified
    }
}

/// The parts with a file for each of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shelf {
    Certificates,
    Answers,
    Proofs,
    Claims,
}

impl Shelf {
    const ALL: [Self; 4] = [Self::Certificates, Self::Answers, Self::Proofs, Self::Claims];

    const fn name(self) -> &'static str {
        match self {
            Self::Certificates => "certificates",
            Self::Answers => "answers",
            Self::Proofs => "proofs",
            Self::Claims => "claims",
        }
    }

    const fn ending(self) -> &'static str {
        match self {
            Self::Certificates => ".pem",
            Self::Claims => ".json",
            Self::Answers | Self::Proofs => "",
        }
    }
}

impl Folder {
    /// Makes what is missing, for the owner alone, and removes what dead processes left.
    pub(super) fn open(folder: &Path, directory: &str) -> io::Result<Self> {
        let host = directory.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
        let hash = blake3::hash(directory.as_bytes()).to_hex();
        let root = folder.join(format!("{}-{}", safe(host), hash.get(..8).unwrap_or_default()));
        for shelf in Shelf::ALL {
            DirBuilder::new().recursive(true).mode(0o700).create(root.join(shelf.name()))?;
        }
        let folder = Self { root };
        folder.sweep();
        Ok(folder)
    }

    pub(super) fn get(&self, shelf: Shelf, name: &str) -> io::Result<Option<String>> {
        Ok(self.get_stamped(shelf, name)?.map(|(text, _)| text))
    }

    pub(super) fn get_stamped(&self, shelf: Shelf, name: &str) -> io::Result<Option<(String, Stamp)>> {
        read(&self.path(shelf, name))
    }

    /// The state of a file, without reading it.
    pub(super) fn stamp(&self, shelf: Shelf, name: &str) -> Option<Stamp> {
        fs::metadata(self.path(shelf, name)).ok().as_ref().and_then(stamp)
    }

    /// Writes or replaces.
    pub(super) fn put(&self, shelf: Shelf, name: &str, text: &str) -> io::Result<()> {
        let path = self.path(shelf, name);
        let beside = write_beside(&path, text)?;
        let renamed = fs::rename(&beside, &path);
        if renamed.is_err() {
            _ = fs::remove_file(&beside);
        }
        renamed?;
        sync_folder(&path)
    }

    /// Writes, unless there is one already; `false` then.
    pub(super) fn put_first(&self, shelf: Shelf, name: &str, text: &str) -> io::Result<bool> {
        first(&self.path(shelf, name), text)
    }

    pub(super) fn remove(&self, shelf: Shelf, name: &str) {
        _ = fs::remove_file(self.path(shelf, name));
    }

    /// The names of what is on a shelf that needs no encoding of names.
    pub(super) fn names(&self, shelf: Shelf) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(self.root.join(shelf.name()))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| !name.starts_with('.')).collect())
    }

    pub(super) fn account(&self) -> io::Result<Option<String>> {
        // An empty one is about to be written.
        Ok(read(&self.account_path())?.map(|(text, _)| text).filter(|text| !text.is_empty()))
    }

    /// Keeps an account, unless another process was first. What is kept then is the answer.
    pub(super) fn keep_account(&self, text: &str) -> io::Result<String> {
        first(&self.account_path(), text)?;
        self.account()?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Removes an account that the authority does not know, unless another one stands there by now.
    pub(super) fn forget_account(&self, text: &str) -> io::Result<()> {
        if self.account()?.as_deref() == Some(text) {
            fs::remove_file(self.account_path())?;
        }
        Ok(())
    }

    /// Where something is, for messages.
    pub(super) fn path(&self, shelf: Shelf, name: &str) -> PathBuf {
        self.root.join(shelf.name()).join(format!("{}{}", safe(name), shelf.ending()))
    }

    fn account_path(&self) -> PathBuf {
        self.root.join("account.json")
    }

    /// Removes what orders left that were killed: certificates stay.
    fn sweep(&self) {
        let old = |path: &Path| {
            let age = fs::metadata(path).and_then(|file| file.modified()).ok().map(|modified| modified.elapsed());
            matches!(age, Some(Ok(age)) if age > LEFT_OVER)
        };
        for shelf in Shelf::ALL {
            let Ok(entries) = fs::read_dir(self.root.join(shelf.name())) else { continue };
            for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                let temporary = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                if (temporary || matches!(shelf, Shelf::Answers | Shelf::Proofs)) && old(&path) {
                    _ = fs::remove_file(path);
                }
            }
        }
    }
}

/// A name of any letters as one of a file. Ids of configurations and host names stay as they are.
fn safe(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => text.push(char::from(byte)),
            // A name that begins with one would be hidden, `..` another folder.
            b'.' if !text.is_empty() => text.push('.'),
            _ => text.push_str(&format!("%{byte:02x}")),
        }
    }
    if text.len() > 200 { format!("%{}", blake3::hash(name.as_bytes()).to_hex()) } else { text }
}

fn read(path: &Path) -> io::Result<Option<(String, Stamp)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(stamp) = stamp(&file.metadata()?) else { return Ok(None) };
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text)?;
    Ok(Some((text, stamp)))
}

fn stamp(file: &fs::Metadata) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    Some(Stamp { modified: file.modified().ok()?, length: file.len(), number: file.ino() })
}

/// A name that nobody else takes.
pub(super) fn random_name() -> io::Result<String> {
    let number = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(format!("{number:016x}"))
}

/// Writes a file that is renamed or linked afterwards, in the same folder, for the owner alone.
fn write_beside(path: &Path, text: &str) -> io::Result<PathBuf> {
    let beside = path.with_file_name(format!(".{}", random_name()?));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        _ = fs::remove_file(&beside);
    }
    written.map(|()| beside)
}

/// Writes a file that is not there yet: of several writers one is first, and whoever reads sees a whole file.
fn first(path: &Path, text: &str) -> io::Result<bool> {
    let beside = write_beside(path, text)?;
    let is_first = match fs::hard_link(&beside, path) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(false),
            io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied => first_without_links(&beside, path),
            _ => Err(error),
        },
    };
    // It is another name of the file by now, or was renamed, or is of no use.
    _ = fs::remove_file(&beside);
    if is_first? { sync_folder(path).map(|()| true) } else { Ok(false) }
}

/// The same where a file has one name alone, as on SMB or exFAT: whoever makes the empty file is first, and fills it. One that
/// stays empty is of somebody who died meanwhile; two that fill it at once write whole files, of which the later stays.
fn first_without_links(beside: &Path, path: &Path) -> io::Result<bool> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::metadata(path)?.len() > 0 {
                return Ok(false);
            }
        }
        Err(error) => return Err(error),
    }
    fs::rename(beside, path).map(|()| true)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(&place.path().join("a/b"), "https://acme.test:14000/dir").unwrap();
        (place, folder)
    }

    #[test]
    fn any_name_is_a_file_of_its_own_inside() {
        let (place, folder) = folder();
        let names = ["a", "A", "a.b", "..", ".", "", "a/b", "../../a", "*.a.test", "%2e", "ä", &"x".repeat(300)];
        for name in names {
            assert!(folder.put_first(Shelf::Certificates, name, name).unwrap(), "{name}");
        }
        for name in names {
            assert_eq!(folder.get(Shelf::Certificates, name).unwrap().as_deref(), Some(name));
            assert!(folder.path(Shelf::Certificates, name).starts_with(place.path()));
        }
        assert_eq!(fs::read_dir(folder.root.join("certificates")).unwrap().count(), names.len());
    }

    #[test]
    fn the_first_is_the_first_where_files_have_one_name_alone() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        let first = |text| first_without_links(&write_beside(&path, text).unwrap(), &path).unwrap();
        assert!(first("one"));
        assert!(!first("two"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        fs::write(&path, "").unwrap();
        assert!(first("three"), "who began it died");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        let (_place, folder) = folder();
        fs::write(folder.account_path(), "").unwrap();
        assert_eq!(folder.account().unwrap(), None);
    }

    #[test]
    fn files_are_for_the_owner_alone_and_nothing_is_left_beside_them() {
        let (_place, folder) = folder();
        folder.put(Shelf::Certificates, "a", "1").unwrap();
        let before = folder.stamp(Shelf::Certificates, "a").unwrap();
        folder.put(Shelf::Certificates, "a", "2").unwrap();
        assert_ne!(folder.stamp(Shelf::Certificates, "a").unwrap(), before, "a replaced file is another one");
        assert_eq!(folder.keep_account("first").unwrap(), "first");
        assert_eq!(folder.keep_account("second").unwrap(), "first");
        folder.forget_account("second").unwrap();
        assert_eq!(folder.account().unwrap().as_deref(), Some("first"));
        folder.forget_account("first").unwrap();
        assert_eq!(folder.account().unwrap(), None);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.path(Shelf::Certificates, "a")), 0o600);
        assert_eq!(mode(&folder.root), 0o700);
        assert_eq!(fs::read_dir(folder.root.join("certificates")).unwrap().count(), 1);
    }

    #[test]
    fn authorities_have_folders_of_their_own() {
        let (place, one) = folder();
        let other = Folder::open(&place.path().join("a/b"), "https://acme.test:14000/other").unwrap();
        one.put(Shelf::Certificates, "a", "1").unwrap();
        assert_eq!(other.get(Shelf::Certificates, "a").unwrap(), None);
        assert!(one.root.file_name().unwrap().to_str().unwrap().starts_with("acme.test-"));
    }

    #[test]
    fn what_dead_processes_left_is_removed_and_certificates_are_not() {
        let (place, folder) = folder();
        folder.put(Shelf::Answers, "old", "1").unwrap();
        folder.put(Shelf::Certificates, "a", "1").unwrap();
        fs::write(folder.root.join("certificates/.0123"), "half").unwrap();
        let long_ago = SystemTime::now() - 2 * LEFT_OVER;
        for name in ["answers/old", "certificates/.0123", "certificates/a.pem"] {
            File::options().write(true).open(folder.root.join(name)).unwrap().set_modified(long_ago).unwrap();
        }
        folder.put(Shelf::Answers, "new", "1").unwrap();
        Folder::open(&place.path().join("a/b"), "https://acme.test:14000/dir").unwrap();
        assert_eq!(folder.names(Shelf::Answers).unwrap(), ["new"]);
        assert_eq!(folder.names(Shelf::Certificates).unwrap(), ["a.pem"]);
    }
}
