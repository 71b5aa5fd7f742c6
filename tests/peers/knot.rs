//! Knot DNS from Debian's package, with one zone, `test.`, that a test may change.
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::redis::free_port;

/// One process on a free port; ends with the value.
pub(crate) struct Knot {
    process: Option<Child>,
    port: u16,
    serial: u32,
    folder: TempDir,
}

impl Knot {
    /// Serves these records, such as `shop 1 A 127.0.0.2`: name under `test.`, time to live, type, data.
    ///
    /// Fails the test in one line when Knot is missing or does not start.
    pub(crate) fn start(records: &[&str]) -> Self {
        let mut told = String::new();
        // another process can take the free port before Knot does
        for _ in 0..5 {
            let mut knot = Self { process: None, port: free_port(), serial: 0, folder: tempfile::tempdir().unwrap() };
            knot.write(records);
            match knot.launch() {
                Ok(()) => return knot,
                Err(error) => told = error,
            }
        }
        panic!("knotd did not start: {told}")
    }

    /// Another set of records, in force when this returns.
    pub(crate) fn set(&mut self, records: &[&str]) {
        self.write(records);
        let output = Command::new("/usr/sbin/knotc")
            .arg("-s")
            .arg(self.folder.path().join("knot.sock"))
            .args(["-b", "zone-reload", "test"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Ends the process at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again on the same port, with these records.
    pub(crate) fn restart(&mut self, records: &[&str]) {
        self.kill();
        self.write(records);
        if let Err(told) = self.launch() {
            panic!("knotd did not start again: {told}");
        }
    }

    fn write(&mut self, records: &[&str]) {
        self.serial += 1;
        let folder = self.folder.path();
        let zone = format!(
            "$ORIGIN test.\n@ 3600 SOA ns hostmaster {} 3600 600 86400 1\n@ 3600 NS ns\nns 3600 A 127.0.0.1\n{}\n",
            self.serial,
            records.join("\n")
        );
        std::fs::write(folder.join("test.zone"), zone).unwrap();
        let run = folder.display();
        let config = format!(
            "server:\n  rundir: \"{run}\"\n  listen: 127.0.0.1@{}\n  udp-workers: 1\n  tcp-workers: 1\n  \
             background-workers: 1\n\
             log:\n  - target: stderr\n    any: info\n\
             database:\n  storage: \"{run}\"\n\
             zone:\n  - domain: test\n    storage: \"{run}\"\n    file: test.zone\n    zonefile-load: whole\n    \
             journal-content: none\n",
            self.port
        );
        std::fs::write(folder.join("knot.conf"), config).unwrap();
    }

    fn launch(&mut self) -> Result<(), String> {
        let mut command = Command::new("/usr/sbin/knotd");
        command.arg("-c").arg(self.folder.path().join("knot.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process =
            command.spawn().unwrap_or_else(|error| panic!("knotd is missing ({error}): tests/all.sh installs it"));
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut told = String::new();
        // the zone may be there before the sockets are, or the other way round
        while !["server started", "[test.] loaded", "control, binding"].iter().all(|line| told.contains(line)) {
            if log.read_line(&mut told).unwrap_or(0) == 0 {
                let _ = process.wait();
                return Err(told);
            }
        }
        // it must not block on a full pipe; ends with the process
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        self.process = Some(process);
        Ok(())
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        self.kill();
    }
}
