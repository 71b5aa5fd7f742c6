//! [`LocalCopy`]: the last good content of a store in a file, for a start without the store.
//!
//! | bytes | |
//! |---|---|
//! | 16 | `tollgate-copy`, filled with zeros |
//! | 1 | format, 1 |
//! | 1 | 1 if the rest is encrypted with the keyring |
//! | 8 | length of the rest |
//! | 32 | BLAKE3 of all other bytes |
//! | … | content as `record.rs` writes it, encrypted by AES-GCM with the first 26 bytes as associated data |
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::record::{Reader, Writer};
use super::{Change, Keyring, Loaded};

const MAGIC: [u8; 16] = *b"tollgate-copy\0\0\0";
const FORMAT: u8 = 1;
/// What stands before the checksum.
const HEAD: usize = 26;
const CHECKSUM: usize = 32;

/// A file that has the last good content of a store.
#[derive(Clone, Debug)]
pub struct LocalCopy {
    path: PathBuf,
    keyring: Option<Keyring>,
}

/// What a local copy has.
#[derive(Clone, Debug)]
pub struct Copied {
    /// The store that it is of, as [`Store::place`](super::Store::place) says it.
    pub of: Arc<str>,
    /// When it was made.
    pub at: SystemTime,
    /// What the store had.
    pub loaded: Loaded,
    /// The last changes that led there, the oldest first.
    pub changes: Vec<Arc<Change>>,
}

/// Why a local copy was not written or read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct CopyError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: CopyFault,
}

/// What is wrong with a local copy.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyFault {
    /// The system says so.
    #[error("the local copy cannot be {verb}: {source}")]
    System {
        /// `read` or `written`.
        verb: &'static str,
        /// What it says.
        source: Arc<io::Error>,
    },
    /// It is none.
    #[error("is no local copy of a store: give the copy another path, or move the file away")]
    Foreign,
    /// It is one of another version.
    #[error(
        "the local copy has format {0}, and this version knows {FORMAT}: it is written anew when the store is there"
    )]
    Format(u8),
    /// It was cut, or changed.
    #[error("the local copy is damaged ({0}): it is written anew when the store is there")]
    Damaged(&'static str),
    /// It is encrypted, and there are no keys.
    #[error(
        "the local copy is encrypted, and there is no keyring: set `tollgate.keyring` to the keys it was written with"
    )]
    NoKeyring,
    /// It is encrypted with a key that is not there.
    #[error("the local copy was encrypted with a key that `tollgate.keyring` does not have: add it")]
    NotOpened,
    /// The cipher failed.
    #[error("the local copy cannot be encrypted")]
    NotSealed,
}

impl LocalCopy {
    /// At this path; encrypted, if there is a keyring.
    pub fn new(path: impl Into<PathBuf>, keyring: Option<Keyring>) -> Self {
        Self { path: path.into(), keyring }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What whoever runs this should know: without a keyring, secrets stand in the file in clear.
    pub fn warning(&self) -> Option<String> {
        let path = self.path.display();
        self.keyring.is_none().then(|| {
            format!("{path}: the local copy of the store is not encrypted, and only its mode (0600) protects the secrets in \
                     it: set `tollgate.keyring`")
        })
    }

    /// Replaces the copy: the file has the old content or the new one, whenever this process or the machine ends. It is
    /// readable for its owner alone. Blocks.
    ///
    /// # Errors
    /// When it cannot be written; the copy from before is still there.
    pub fn save(&self, content: &Copied) -> Result<(), CopyError> {
        let text = self.encode(content).map_err(|fault| self.fault(fault))?;
        let write = || -> io::Result<()> {
            let (mut file, temporary) = create_beside(&self.path)?;
            let written = file.write_all(&text).and_then(|()| file.sync_all());
            let renamed = written.and_then(|()| fs::rename(&temporary, &self.path));
            if let Err(error) = renamed {
                // the next copy takes the same name, so that no more than one is left over
                _ = fs::remove_file(&temporary);
                return Err(error);
            }
            File::open(folder(&self.path))?.sync_all()
        };
        write().map_err(|error| self.fault(CopyFault::System { verb: "written", source: Arc::new(error) }))
    }

    /// Reads the copy; `None` when there is none. Blocks.
    ///
    /// # Errors
    /// When there is one that cannot be used.
    pub fn load(&self) -> Result<Option<Copied>, CopyError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.fault(CopyFault::System { verb: "read", source: Arc::new(error) })),
        };
        self.decode(&text).map(Some).map_err(|fault| self.fault(fault))
    }

    fn fault(&self, fault: CopyFault) -> CopyError {
        CopyError { path: self.path.clone(), fault }
    }

    fn encode(&self, content: &Copied) -> Result<Vec<u8>, CopyFault> {
        let mut writer = Writer::default();
        writer.bytes(content.of.as_bytes());
        writer.time(content.at);
        writer.number(content.loaded.revision);
        writer.number(content.loaded.entries.len() as u64);
        for (key, entry) in &content.loaded.entries {
            writer.bytes(key.as_str().as_bytes());
            writer.entry(entry);
        }
        writer.number(content.changes.len() as u64);
        content.changes.iter().for_each(|change| writer.change(change));
        let plain = writer.0;
        // what the cipher adds is known before: it is authenticated with the length
        let length = plain.len() + self.keyring.as_ref().map_or(0, |_| OVERHEAD);
        let mut text = Vec::with_capacity(HEAD + CHECKSUM + length);
        text.extend_from_slice(&MAGIC);
        text.push(FORMAT);
        text.push(u8::from(self.keyring.is_some()));
        text.extend_from_slice(&(length as u64).to_le_bytes());
        let rest = match &self.keyring {
            Some(keyring) => keyring.seal(&text, &plain).map_err(|_| CopyFault::NotSealed)?,
            None => plain,
        };
        let checksum = checksum(&text, &rest);
        text.extend_from_slice(&checksum);
        text.extend_from_slice(&rest);
        Ok(text)
    }

    fn decode(&self, text: &[u8]) -> Result<Copied, CopyFault> {
        const TOO_SHORT: CopyFault = CopyFault::Damaged("it ends too early");
        let known = text.len().min(MAGIC.len());
        if text.get(..known) != MAGIC.get(..known) {
            return Err(CopyFault::Foreign);
        }
        let (head, rest) = text.split_first_chunk::<HEAD>().ok_or(TOO_SHORT)?;
        let (expected, rest) = rest.split_first_chunk::<CHECKSUM>().ok_or(TOO_SHORT)?;
        let [.., format, sealed, _, _, _, _, _, _, _, _] = *head;
        if format != FORMAT {
            return Err(CopyFault::Format(format));
        }
        let length = head.last_chunk().map_or(0, |length| u64::from_le_bytes(*length));
        match length.cmp(&(rest.len() as u64)) {
            std::cmp::Ordering::Greater => return Err(TOO_SHORT),
            std::cmp::Ordering::Less => return Err(CopyFault::Damaged("it is longer than it says")),
            std::cmp::Ordering::Equal => {}
        }
        if checksum(head, rest) != *expected {
            return Err(CopyFault::Damaged("its checksum is another"));
        }
        let opened;
        let plain = match (sealed, &self.keyring) {
            (0, _) => rest,
            (_, None) => return Err(CopyFault::NoKeyring),
            (_, Some(keyring)) => {
                opened = keyring.open(head, rest).map_err(|_| CopyFault::NotOpened)?;
                &opened
            }
        };
        read(&mut Reader(plain)).ok_or(CopyFault::Damaged("its content cannot be read"))
    }
}

/// Nonce and tag of AES-GCM.
const OVERHEAD: usize = 12 + 16;

fn read(reader: &mut Reader<'_>) -> Option<Copied> {
    let (of, at, revision) = (reader.text()?.into(), reader.time()?, reader.number()?);
    let entries = reader.list(|reader| Some((reader.key()?, reader.entry()?)))?;
    let changes = reader.list(|reader| reader.change().map(Arc::new))?;
    reader.is_at_end().then_some(Copied { of, at, loaded: Loaded { revision, entries }, changes })
}

fn checksum(head: &[u8], rest: &[u8]) -> [u8; CHECKSUM] {
    *blake3::Hasher::new().update(head).update(rest).finalize().as_bytes()
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// An empty file in the same folder that only its owner may read.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    // one that was left over may have another mode, or be a link
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok((options.open(&temporary)?, temporary))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::{Edited, Entry, Key};
    use super::*;

    fn content() -> Copied {
        let entry = Entry { value: r#"{"key":"canary"}"#.into(), created: 3, modified: 7 };
        let key = Key::parse("ssls/1").unwrap();
        let edit = Edited { key: key.clone(), before: None, after: Some(Arc::new(entry.clone())) };
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let change = Change { revision: 7, at, by: Some("somebody".into()), edits: vec![edit] };
        let loaded = Loaded { revision: 9, entries: vec![(key, entry)] };
        Copied { of: "etcd 10.0.0.1:2379".into(), at, loaded, changes: vec![Arc::new(change)] }
    }

    fn keyrings() -> Vec<Option<Keyring>> {
        let keyring = Keyring::new(["0123456789abcdef"]);
        if cfg!(feature = "keyring") { vec![None, Some(keyring.unwrap())] } else { vec![None] }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        for (index, keyring) in keyrings().into_iter().enumerate() {
            let copy = LocalCopy::new(folder.path().join(index.to_string()), keyring);
            assert!(copy.load().unwrap().is_none());
            for _ in 0..2 {
                copy.save(&content()).unwrap();
                let loaded = copy.load().unwrap().unwrap();
                assert_eq!(format!("{loaded:?}"), format!("{:?}", content()));
            }
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                assert_eq!(fs::metadata(copy.path()).unwrap().permissions().mode() & 0o777, 0o600);
            }
            let clear = String::from_utf8_lossy(&fs::read(copy.path()).unwrap()).contains("canary");
            assert_eq!(clear, copy.keyring.is_none());
            assert_eq!(copy.warning().is_some(), copy.keyring.is_none());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), keyrings().len(), "nothing else is left");
    }

    #[test]
    fn no_byte_can_be_changed_or_missing() {
        let folder = tempfile::tempdir().unwrap();
        let copy = LocalCopy::new(folder.path().join("copy"), keyrings().pop().unwrap());
        copy.save(&content()).unwrap();
        let text = fs::read(copy.path()).unwrap();
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            let fault = copy.decode(&changed).unwrap_err();
            let expected = match at {
                0..16 => matches!(fault, CopyFault::Foreign),
                16 => matches!(fault, CopyFault::Format(0)),
                _ => matches!(fault, CopyFault::Damaged(_)),
            };
            assert!(expected, "byte {at}: {fault}");
            assert!(matches!(copy.decode(&text[..at]), Err(CopyFault::Damaged(_))), "{at} bytes");
        }
        assert!(matches!(copy.decode(&[&text[..], b"x"].concat()), Err(CopyFault::Damaged(_))));
        assert!(matches!(copy.decode(b"routes:\n"), Err(CopyFault::Foreign)));
    }

    #[cfg(feature = "keyring")]
    #[test]
    fn faults_name_the_file_and_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        let with = |key: Option<&str>| LocalCopy::new(&path, key.map(|key| Keyring::new([key]).unwrap()));
        with(Some("0123456789abcdef")).save(&content()).unwrap();
        let missing = with(None).load().unwrap_err();
        assert!(matches!(missing.fault, CopyFault::NoKeyring));
        assert!(missing.to_string().starts_with(path.to_str().unwrap()), "{missing}");
        assert!(matches!(with(Some("another key 16 b")).load().unwrap_err().fault, CopyFault::NotOpened));
        with(None).save(&content()).unwrap();
        with(Some("0123456789abcdef")).load().unwrap().unwrap();
        let nowhere = LocalCopy::new(folder.path().join("missing/copy"), None);
        assert!(matches!(nowhere.save(&content()).unwrap_err().fault, CopyFault::System { verb: "written", .. }));
        let a_folder = LocalCopy::new(folder.path(), None);
        assert!(matches!(a_folder.load().unwrap_err().fault, CopyFault::System { verb: "read", .. }));
    }
}
