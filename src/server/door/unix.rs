//! A Unix socket in the file system.
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::BindError;
use crate::model::ListenAddress;
use crate::server::listener::SocketOptions;

/// The file of a socket. It is removed when this is dropped.
pub(super) struct Place {
    path: PathBuf,
    /// Which file is ours: another process may have put its own in the place meanwhile.
    inode: (u64, u64),
}

/// Opens a socket at a path. Must be called inside a tokio runtime.
pub(super) fn open(path: &Path, options: &SocketOptions) -> Result<(UnixListener, Place), BindError> {
    let address = || ListenAddress::Unix(path.to_owned());
    let other = |source| BindError::Other { address: address(), source: Arc::new(source) };
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::NoSocket(address())),
        Ok(_) if is_answered(path).map_err(other)? => return Err(BindError::InUse(address())),
        _ => {}
    }
    let listener = bind_private(path, options).map_err(other)?;
    let ours = fs::symlink_metadata(path).map_err(other)?;
    Ok((listener, Place { path: path.to_owned(), inode: (ours.dev(), ours.ino()) }))
}

impl Place {
    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.inode)
    }

    /// Sets who may connect.
    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        if self.is_ours() { fs::set_permissions(&self.path, Permissions::from_mode(mode)) } else { Ok(()) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_ours() {
            // Left behind it is in nobody's way: the next to listen replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether a process listens on the socket: whoever left it behind and is gone refuses. It is asked without waiting, since
/// one whose queue is full would hold us up; it counts as listening, as one does that we may not connect to.
fn is_answered(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) => Ok(!matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)),
        Ok(()) => Ok(true),
    }
}

/// Opens the socket in a folder that nobody else can enter and moves it to its place once its mode is set, so that there
/// is no moment at which others could connect.
fn bind_private(path: &Path, options: &SocketOptions) -> io::Result<UnixListener> {
    if path.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name"));
    }
    let folder = new_folder(path)?;
    let inside = folder.join("s");
    let opened = bind(&inside, options).and_then(|listener| {
        fs::set_permissions(&inside, Permissions::from_mode(options.mode))?;
        fs::rename(&inside, path)?;
        Ok(listener)
    });
    if opened.is_err() {
        let _ = fs::remove_file(&inside);
    }
    let _ = fs::remove_dir(&folder);
    opened
}

fn bind(path: &Path, options: &SocketOptions) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(options.backlog.into())?;
    UnixListener::from_std(socket.into())
}

/// A new folder beside `path`. Its name is short, since the path of a socket has hardly more than 100 bytes. One that is there
/// already is left alone, whoever made it.
fn new_folder(path: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let name = format!(".{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let folder = path.with_file_name(name);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| folder),
        }
    }
}
