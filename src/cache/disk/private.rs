//! Whether a folder is the gateway's alone: what lies there is handed to clients, so nobody else may put anything there.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Makes a folder, and those above it that are missing, for their owner alone.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes a folder, and those above it that are missing, where that is nobody else's place; gives it without links.
///
/// # Errors
/// What the system says, and as [`check`]: then nothing has been made in somebody else's folder.
pub(super) fn make_checked(folder: &Path) -> io::Result<PathBuf> {
    let is_missing =
        |one: &&Path| fs::symlink_metadata(one).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let mut missing: Vec<_> = folder.ancestors().take_while(is_missing).collect();
    if let Some(there) = folder.ancestors().nth(missing.len()) {
        check_both(there)?;
    }
    // Level by level: somebody may make the next one meanwhile.
    while let Some(next) = missing.pop() {
        make(next)?;
        check_both(next)?;
    }
    check_both(folder)
}

/// Checks a folder by its name, and the one that links lead to; gives that.
fn check_both(folder: &Path) -> io::Result<PathBuf> {
    check(folder)?;
    let real = folder.canonicalize()?;
    check(&real)?;
    Ok(real)
}

/// Checks a folder and all above it: whoever may rename one of them puts another in its place.
///
/// # Errors
/// What the system says, and which folder is somebody else's or open to others.
#[cfg(unix)]
pub(super) fn check(folder: &Path) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    folder.ancestors().enumerate().try_for_each(|(above, one)| {
        let metadata = fs::symlink_metadata(one)?;
        judge(&metadata, own, above > 0).map_err(|mend| io::Error::other(format!("{}: {mend}", one.display())))
    })
}

#[cfg(not(unix))]
pub(super) fn check(_: &Path) -> io::Result<()> {
    Ok(())
}

/// What to mend of a folder. In one `above` that is sticky, such as `/tmp`, others cannot touch what is not theirs.
#[cfg(unix)]
fn judge(metadata: &fs::Metadata, own: u32, above: bool) -> Result<(), &'static str> {
    use std::os::unix::fs::MetadataExt as _;
    const WRITABLE: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let (owner, mode) = (metadata.uid(), metadata.mode());
    if owner != own && !(above && owner == 0) {
        return Err("is not this gateway's alone: it belongs to somebody else; give it to the gateway's user");
    }
    // what the mode of a link says counts for nothing
    if !metadata.is_symlink() && mode & WRITABLE != 0 && !(above && mode & STICKY != 0) {
        return Err("is not this gateway's alone: others may write there; take that from them (chmod go-w)");
    }
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// `a/b` in a new folder, and the mode of `a`.
    fn folders(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().canonicalize().unwrap().join("a/b");
        make(&folder).unwrap();
        fs::set_permissions(folder.parent().unwrap(), fs::Permissions::from_mode(mode)).unwrap();
        (parent, folder)
    }

    #[test]
    fn a_folder_is_made_for_its_owner_alone() {
        let (_parent, folder) = folders(0o700);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        check(&folder).unwrap();
    }

    #[test]
    fn others_may_write_neither_there_nor_above() {
        for (above, mode, good) in [
            (0o700, 0o777, false),
            (0o700, 0o720, false),
            (0o777, 0o700, false),
            (0o1777, 0o700, true),
            (0o755, 0o755, true),
        ] {
            let (_parent, folder) = folders(above);
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            let checked = check(&folder).map_err(|error| error.to_string());
            assert_eq!(checked.is_ok(), good, "{above:o} {mode:o}: {checked:?}");
            assert!(good || checked.unwrap_err().contains("alone: others"));
        }
    }

    #[test]
    fn nothing_is_made_where_others_may_write() {
        let (parent, folder) = folders(0o777);
        assert!(make_checked(&folder.join("c/d")).unwrap_err().to_string().contains("alone"));
        assert!(!folder.join("c").exists());
        // nor where a link of theirs leads
        let (other, link) = (tempfile::tempdir().unwrap(), parent.path().join("link"));
        std::os::unix::fs::symlink(other.path(), &link).unwrap();
        fs::set_permissions(parent.path().join("a"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(other.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(make_checked(&link.join("c")).is_err() && !other.path().join("c").exists());
        fs::set_permissions(other.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let real = make_checked(&link.join("c/d")).unwrap();
        assert_eq!(real, other.path().canonicalize().unwrap().join("c/d"));
        assert_eq!(make_checked(&link.join("c/d")).unwrap(), real);
        assert_eq!(make_checked(&folder.join("c")).unwrap(), folder.join("c"));
    }

    #[test]
    fn nobody_else_owns_it() {
        let (_parent, folder) = folders(0o700);
        let metadata = fs::metadata(&folder).unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert!(judge(&metadata, own, false).is_ok() && judge(&metadata, own + 1, false).is_err());
        // root's are above everybody's
        assert_eq!(judge(&metadata, own + 1, true).is_ok(), own == 0);
    }
}
