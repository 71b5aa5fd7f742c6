//! An authority made with openssl's commands, and its responder.
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tollgate::tls::Pair;

use super::peers::within;

/// Who signs answers.
#[derive(Clone, Copy)]
pub(crate) enum Signer {
    /// The authority itself.
    Issuer,
    /// Somebody whom it lets.
    Delegate,
    /// A certificate of it that is for something else.
    Other,
    /// Nobody it knows.
    Stranger,
}

/// An authority, a certificate of it for `shop.test`, and a responder that may run.
pub(crate) struct Authority {
    folder: TempDir,
    port: u16,
    responder: Option<Child>,
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.stop();
    }
}

fn openssl(folder: &Path, arguments: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(folder).stdin(Stdio::null());
    let output =
        command.output().unwrap_or_else(|error| panic!("openssl is missing ({error}): tests/all.sh installs it"));
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Authority {
    pub(crate) fn new(must_staple: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = folder.path();
        let mut leaf = format!("subjectAltName=DNS:shop.test\nauthorityInfoAccess=OCSP;URI:http://127.0.0.1:{port}\n");
        if must_staple {
            leaf.push_str("tlsfeature=status_request\n");
        }
        std::fs::write(at.join("leaf.ext"), leaf).unwrap();
        std::fs::write(at.join("delegate.ext"), "extendedKeyUsage=OCSPSigning\nnoCheck=ignored\n").unwrap();
        std::fs::write(at.join("other.ext"), "extendedKeyUsage=serverAuth\n").unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        for name in ["ca", "stranger"] {
            openssl(at, &format!("req -x509 {key} -keyout {name}.key -out {name}.pem -days 30 -subj /CN={name}"));
        }
        for (serial, name) in [(1, "leaf"), (2, "delegate"), (3, "other")] {
            openssl(at, &format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
            openssl(
                at,
                &format!(
                    "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -set_serial 0x100{serial} -days 30 -extfile {name}.ext \
                     -out {name}.pem"
                ),
            );
        }
        let authority = Self { folder, port, responder: None };
        authority.says("V");
        authority
    }

    /// What the responder knows of the certificate: `V` good, `R` revoked.
    pub(crate) fn says(&self, status: &str) {
        let revoked = if status == "R" { "250101000000Z" } else { "" };
        let line = format!("{status}\t491231235959Z\t{revoked}\t1001\tunknown\t/CN=leaf\n");
        std::fs::write(self.folder.path().join("index.txt"), line).unwrap();
    }

    /// Begins to answer; an answer holds for a day.
    pub(crate) async fn answer(&mut self, signer: Signer) {
        self.stop();
        let name = match signer {
            Signer::Issuer => "ca",
            Signer::Delegate => "delegate",
            Signer::Other => "other",
            Signer::Stranger => "stranger",
        };
        let mut command = Command::new("openssl");
        command.args(["ocsp", "-index", "index.txt", "-CA", "ca.pem", "-ndays", "1", "-port", &self.port.to_string()]);
        command.args(["-rsigner", &format!("{name}.pem"), "-rkey", &format!("{name}.key")]);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut responder = command.spawn().unwrap();
        let mut told = BufReader::new(responder.stderr.take().unwrap());
        self.responder = Some(responder);
        // Not by connecting: it never gets over a connection without a question.
        let waits = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            while !line.contains("waiting for OCSP client connections") {
                line.clear();
                assert!(told.read_line(&mut line).unwrap() > 0, "the responder ended");
            }
            // It must not block on a full pipe; ends with the process.
            std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        });
        within(|| "the responder".to_owned(), waits).await.unwrap();
    }

    /// Answers no more.
    pub(crate) fn stop(&mut self) {
        if let Some(mut responder) = self.responder.take() {
            let _ = responder.kill();
            let _ = responder.wait();
        }
    }

    /// The certificate with the authority's behind it.
    pub(crate) fn pair(&self) -> Pair {
        let read = |name: &str| std::fs::read_to_string(self.path(name)).unwrap();
        Pair::from_pem(&(read("leaf.pem") + &*read("ca.pem")), &read("leaf.key")).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}
