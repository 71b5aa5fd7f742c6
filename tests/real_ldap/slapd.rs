//! OpenLDAP's server from Debian's package, with a few users.
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

const USERS: &str = "\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=users,dc=example,dc=org
objectClass: organizationalUnit
ou: users

dn: cn=acme,ou=users,dc=example,dc=org
objectClass: person
cn: acme
sn: Acme
userPassword: pass word:1

dn: cn=a\\,b\\+c,ou=users,dc=example,dc=org
objectClass: person
cn: a,b+c
sn: Comma
userPassword: second

dn: cn=stranger,ou=users,dc=example,dc=org
objectClass: person
cn: stranger
sn: Stranger
userPassword: third
";

/// One process on free ports; ends with the value.
pub(crate) struct Slapd {
    process: Option<Child>,
    plain: u16,
    tls: u16,
    folder: TempDir,
}

impl Slapd {
    /// Fails the test in one line when the server is missing or does not start.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        fs::write(path("cert.pem"), cert.pem()).unwrap();
        fs::write(path("key.pem"), signing_key.serialize_pem()).unwrap();
        fs::create_dir(path("data")).unwrap();
        // no anonymous bind is refused: an empty password must be stopped before it
        let conf = format!(
            "include /etc/ldap/schema/core.schema\n\
             TLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
             database ldif\nsuffix dc=example,dc=org\ndirectory {}\n",
            path("cert.pem"),
            path("key.pem"),
            path("data")
        );
        fs::write(path("slapd.conf"), conf).unwrap();
        let mut add = program("slapadd").args(["-f", &path("slapd.conf")]).stdin(Stdio::piped()).spawn().unwrap();
        add.stdin.take().unwrap().write_all(USERS.as_bytes()).unwrap();
        assert!(add.wait().unwrap().success(), "slapadd refused the users");
        let mut slapd = Self { process: None, plain: free_port(), tls: free_port(), folder };
        slapd.restart();
        slapd
    }

    /// Where it listens in clear.
    pub(crate) fn plain(&self) -> String {
        format!("127.0.0.1:{}", self.plain)
    }

    /// Where it speaks TLS.
    pub(crate) fn tls(&self) -> String {
        format!("127.0.0.1:{}", self.tls)
    }

    /// The file of its certificate.
    pub(crate) fn certificate(&self) -> std::path::PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// Starts it, and waits until it takes connections.
    pub(crate) fn restart(&mut self) {
        let urls = format!("ldap://{} ldaps://{}", self.plain(), self.tls());
        let conf = self.folder.path().join("slapd.conf");
        let mut command = program("slapd");
        command.arg("-f").arg(conf).args(["-h", &urls, "-d", "0"]).stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        let begun = Instant::now();
        for port in [self.plain, self.tls] {
            while TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_err() {
                let ended = self.process.as_mut().unwrap().try_wait().unwrap();
                assert!(ended.is_none() && begun.elapsed() < Duration::from_secs(30), "slapd did not start: {ended:?}");
                std::thread::yield_now();
            }
        }
    }

    /// Lets it stand still.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
        // each of its threads stops at its own time
        let tasks = format!("/proc/{}/task", self.process.as_ref().unwrap().id());
        let is_stopped = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        };
        let start = Instant::now();
        while !fs::read_dir(&tasks).unwrap().all(|task| is_stopped(task.unwrap())) {
            assert!(start.elapsed() < Duration::from_secs(10), "it does not stop");
            std::thread::yield_now();
        }
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn signal(&self, signal: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A program of the package, whose folder is not in everybody's path.
fn program(name: &str) -> Command {
    let path = format!("/usr/sbin/{name}");
    assert!(fs::exists(&path).unwrap(), "{path} is missing: tests/all.sh installs it");
    Command::new(path)
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
