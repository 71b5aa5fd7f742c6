//! Where the files of a zone lie.
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::super::CacheKey;
use super::lock::Lock;
use super::private;

/// The folder of a zone.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The same without links, once it is there: a link may be changed later.
    real: OnceLock<PathBuf>,
    /// How many digits name a folder, level by level.
    levels: Vec<usize>,
}

/// The folder of files that are not whole yet.
const UNFINISHED: &str = "unfinished";

impl Folder {
    pub(super) fn new(path: PathBuf, levels: Vec<usize>) -> Self {
        Self { path, real: OnceLock::new(), levels }
    }

    pub(super) fn path(&self) -> &Path {
        self.real.get().unwrap_or(&self.path)
    }

    /// The folder of an answer, and its file there. Levels are named by the last digits of what all keys of a URL have in
    /// common, so that their files lie together.
    pub(super) fn place(&self, key: CacheKey, id: u64) -> (PathBuf, String) {
        let digits = key.to_string();
        let (mut folder, mut end) = (self.path().to_owned(), digits.len() / 2);
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

    /// Every file of a key's URL: key and number.
    pub(super) fn of_url(&self, key: CacheKey) -> io::Result<Vec<(CacheKey, u64)>> {
        let (folder, _) = self.place(key, 0);
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let files = entries.map(|entry| Ok(entry?.file_name().to_str().and_then(Self::parse)));
        let is_of_it = |(other, _): &(CacheKey, u64)| other.url() == key.url();
        files.filter_map(|file| file.map(|file| file.filter(is_of_it)).transpose()).collect()
    }

    /// Whether a folder is one of a level of folders, of whatever levels there may have been.
    pub(super) fn is_level(name: &str) -> bool {
        matches!(name.len(), 1 | 2) && name.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// Key and number of a file, by its name.
    pub(super) fn parse(name: &str) -> Option<(CacheKey, u64)> {
        let (key, id) = name.split_once('-')?;
        Some((CacheKey::parse(key)?, u64::from_str_radix(id, 16).ok().filter(|_| id.len() == 16)?))
    }

    pub(super) fn unfinished(&self, id: u64) -> PathBuf {
        self.path().join(UNFINISHED).join(format!("{id:016x}"))
    }

    /// Makes the folder, for its owner alone, takes it, and takes away what an earlier run did not finish.
    ///
    /// # Errors
    /// What the system says; that the folder or one above it is somebody else's, or that others may write there; and
    /// [`io::ErrorKind::WouldBlock`] while another gateway has it.
    pub(super) fn make(&self) -> io::Result<Lock> {
        // Before anything there is touched.
        let real = private::make_checked(&std::path::absolute(&self.path)?)?;
        let lock = Lock::take(&real)?;
        let unfinished = real.join(UNFINISHED);
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        private::make(&unfinished)?;
        let _ = self.real.set(real);
        Ok(lock)
    }

    /// Makes the folder of an answer.
    pub(super) fn make_level(folder: &Path) -> io::Result<()> {
        private::make(folder)
    }

    /// A new file that is not whole yet.
    pub(super) fn begin(&self, id: u64) -> io::Result<(File, PathBuf)> {
        let path = self.unfinished(id);
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = match options.open(&path) {
            // Those who clean temporary folders up take empty ones away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                private::make(&self.path().join(UNFINISHED))?;
                options.open(&path)?
            }
            opened => opened?,
        };
        Ok((file, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_by_the_last_digits_of_their_url() {
        let key = CacheKey::parse("00112233445566778899aabbccddeeff").unwrap();
        let file = |levels: &[usize]| Folder::new("/z".into(), levels.to_vec()).file(key, 255);
        let name = "00112233445566778899aabbccddeeff-00000000000000ff";
        assert_eq!(file(&[1, 2]), Path::new("/z/7/67").join(name));
        assert_eq!(file(&[]), Path::new("/z").join(name));
        assert_eq!(file(&[2, 1, 2]), Path::new("/z/77/6/56").join(name));
        assert_eq!(Folder::parse(name), Some((key, 255)));
        for name in ["", "x", "00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff-ff"] {
            assert_eq!(Folder::parse(name), None, "{name}");
        }
        for (name, is_level) in [("7", true), ("af", true), ("", false), ("g", false), ("777", false), ("AF", false)] {
            assert_eq!(Folder::is_level(name), is_level, "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_may_write_to_is_refused_untouched() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let folder = Folder::new(path.clone(), vec![1]);
        drop(folder.make().unwrap());
        folder.begin(7).unwrap();
        fs::set_permissions(parent.path().join("a"), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(folder.make().unwrap_err().to_string().contains("alone"));
        assert!(folder.unfinished(7).exists());
        fs::set_permissions(parent.path().join("a"), fs::Permissions::from_mode(0o700)).unwrap();
        drop(folder.make().unwrap());
        assert!(!folder.unfinished(7).exists());
        fs::remove_dir(path.join(UNFINISHED)).unwrap();
        folder.begin(8).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_is_changed_later_leads_nowhere_else() {
        let parent = tempfile::tempdir().unwrap();
        let (here, there, link) = (parent.path().join("here"), parent.path().join("there"), parent.path().join("link"));
        [&here, &there].into_iter().for_each(|folder| private::make(folder).unwrap());
        std::os::unix::fs::symlink(&here, &link).unwrap();
        let folder = Folder::new(link.clone(), vec![1]);
        let _lock = folder.make().unwrap();
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&there, &link).unwrap();
        folder.begin(7).unwrap();
        assert_eq!(fs::read_dir(&there).unwrap().count(), 0);
    }
}
