//! Where the files of a zone lie.
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::super::CacheKey;

/// The folder of a zone.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// How many digits name a folder, level by level.
    levels: Vec<usize>,
}

/// The folder of files that are not whole yet.
const UNFINISHED: &str = "unfinished";

impl Folder {
    pub(super) fn new(path: PathBuf, levels: Vec<usize>) -> Self {
        Self { path, levels }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of an answer, and its file there. Levels are named by the last digits of the key.
    pub(super) fn place(&self, key: CacheKey, id: u64) -> (PathBuf, String) {
        let digits = key.to_string();
        let (mut folder, mut end) = (self.path.clone(), digits.len());
        for level in &self.levels {
            let begin = end.saturating_sub(*level);
            folder.push(digits.get(begin..end).unwrap_or("0"));
            end = begin;
        }
        (folder, format!("{digits}-{id:016x}"))
    }

    pub(super) fn file(&self, key: CacheKey, id: u64) -> PathBuf {
        let (folder, name) = self.place(key, id);
        folder.join(name)
    }

    /// Removes every file of a key.
    pub(super) fn clear(&self, key: CacheKey) -> io::Result<usize> {
        let (folder, _) = self.place(key, 0);
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let mut removed = 0;
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_str().and_then(Self::parse).is_some_and(|(other, _)| other == key) {
                match fs::remove_file(entry.path()) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    gone => removed += usize::from(gone.is_ok()),
                }
            }
        }
        Ok(removed)
    }

    /// Key and number of a file, by its name.
    pub(super) fn parse(name: &str) -> Option<(CacheKey, u64)> {
        let (key, id) = name.split_once('-')?;
        Some((CacheKey::parse(key)?, u64::from_str_radix(id, 16).ok().filter(|_| id.len() == 16)?))
    }

    pub(super) fn unfinished(&self, id: u64) -> PathBuf {
        self.path.join(UNFINISHED).join(format!("{id:016x}"))
    }

    /// Makes the folder, for its owner alone, and takes away what an earlier run did not finish.
    ///
    /// # Errors
    /// What the system says, and that the folder is somebody else's or that others may write to it: what lies there is handed
    /// to clients, so it must be what this gateway wrote.
    pub(super) fn make(&self) -> io::Result<()> {
        let unfinished = self.path.join(UNFINISHED);
        make_private(&self.path)?;
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        make_private(&unfinished)?;
        is_ours(&self.path, &unfinished)
    }

    /// Makes the folder of an answer.
    pub(super) fn make_level(folder: &Path) -> io::Result<()> {
        make_private(folder)
    }

    /// A new file that is not whole yet.
    pub(super) fn begin(&self, id: u64) -> io::Result<(File, PathBuf)> {
        let path = self.unfinished(id);
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok((options.open(&path)?, path))
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// `made` has just been made by us in `folder`.
#[cfg(unix)]
fn is_ours(folder: &Path, made: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let (metadata, own) = (fs::metadata(folder)?, fs::metadata(made)?);
    if metadata.uid() != own.uid() || metadata.mode() & 0o022 != 0 {
        let text = format!("{} is not this gateway's alone: own it, and let nobody else write there", folder.display());
        return Err(io::Error::other(text));
    }
    Ok(())
}

#[cfg(not(unix))]
fn is_ours(_: &Path, _: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_by_the_last_digits_of_their_key() {
        let key = CacheKey::parse("00112233445566778899aabbccddeeff").unwrap();
        let file = |levels: &[usize]| Folder::new("/z".into(), levels.to_vec()).file(key, 255);
        let name = "00112233445566778899aabbccddeeff-00000000000000ff";
        assert_eq!(file(&[1, 2]), Path::new("/z/f/ef").join(name));
        assert_eq!(file(&[]), Path::new("/z").join(name));
        assert_eq!(file(&[2, 1, 2]), Path::new("/z/ff/e/de").join(name));
        assert_eq!(Folder::parse(name), Some((key, 255)));
        for name in ["", "x", "00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff-ff"] {
            assert_eq!(Folder::parse(name), None, "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let folder = Folder::new(path.clone(), vec![1]);
        folder.make().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        folder.begin(7).unwrap();
        folder.make().unwrap();
        assert!(!folder.unfinished(7).exists());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(folder.make().unwrap_err().to_string().contains("alone"));
    }
}
