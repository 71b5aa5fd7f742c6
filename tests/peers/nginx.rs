//! nginx from Debian's package, as an origin or as a second opinion.
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// One process on a free port; ends with the value.
pub(crate) struct Nginx {
    process: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Nginx {
    /// Serves with these directives inside of its `server { }`; `@DIR@` in them is its own folder.
    ///
    /// Fails the test in one line when nginx is missing or does not start.
    pub(crate) fn start(directives: &str) -> Self {
        Self::listening("", directives)
    }

    /// As [`start`](Self::start), with these words behind the address that it listens on, such as `ssl http2`.
    pub(crate) fn listening(how: &str, directives: &str) -> Self {
        let mut told = String::new();
        // another process can take the free port before nginx does
        for _ in 0..5 {
            match Self::try_start(how, directives) {
                Ok(nginx) => return nginx,
                Err(error) if error.contains("Address already in use") => told = error,
                Err(error) => panic!("nginx did not start: {error}"),
            }
        }
        panic!("nginx found no free port: {told}")
    }

    fn try_start(how: &str, directives: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let run = folder.path().display().to_string();
        // one process, so that ending it leaves no worker behind; its notices tell when the socket is open
        let config = format!(
            "daemon off; master_process off; pid {run}/pid; error_log stderr notice;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n  access_log {run}/access.log;\n  keepalive_requests 1000000;\n\
             client_body_temp_path {run}/body; proxy_temp_path {run}/proxy; fastcgi_temp_path {run}/fastcgi;\n\
             uwsgi_temp_path {run}/uwsgi; scgi_temp_path {run}/scgi;\n\
             server {{ listen {address} {how};\n{}\n}}\n}}\n",
            directives.replace("@DIR@", &run)
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(program());
        command
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process =
            command.spawn().unwrap_or_else(|error| panic!("nginx is missing ({error}): tests/all.sh installs it"));
        let mut notices = BufReader::new(process.stderr.take().unwrap());
        let mut told = String::new();
        // the event method is chosen once the listening sockets are open
        while !told.contains("event method") {
            if notices.read_line(&mut told).unwrap_or(0) == 0 {
                let _ = process.wait();
                return Err(told);
            }
        }
        // it must not block on a full pipe; ends with the process
        std::thread::spawn(move || std::io::copy(&mut notices, &mut std::io::sink()));
        Ok(Self { process, address, folder })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its own folder, for files that it serves (`@DIR@`) and its `access.log`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Debian has it where only root's path looks.
fn program() -> &'static str {
    if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" }
}
