//! TLS of listeners with curl and OpenSSL as clients, which share no code with it.
#![cfg(test)]
#![cfg(all(feature = "full", feature = "real-servers"))]
#![allow(dead_code, reason = "other tests use the rest of what is shared")]
#[path = "upstream/secure.rs"]
mod secure;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use secure::{Authority, Certificate};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tollgate::gateway::{Gateway, Route};
use tollgate::model::{ReadOptions, read};
use tollgate::server::{Listener, Protocols, Server};
use tollgate::tls::ServerTls;
use tollgate::{Body, ConnectInfo};

/// A gateway behind a listener with TLS, and files for clients.
struct Rig {
    servers: Authority,
    clients: Authority,
    gateway: Gateway,
    server: Server,
    address: SocketAddr,
    folder: TempDir,
}

impl Rig {
    async fn start(tls: impl FnOnce(ServerTls) -> ServerTls) -> Self {
        let answers = tower::service_fn(|request: http::Request<Body>| async move {
            let version = format!("{:?} {}", request.version(), request.uri().path());
            Ok::<_, Infallible>(http::Response::new(Body::from(version)))
        });
        let gateway = Gateway::builder().route(Route::new("/*").to_service(answers)).build().unwrap();
        let serving = gateway.clone();
        let server = Server::builder().serve(move |info: ConnectInfo| serving.connection(info));
        let listener = Listener::new(([127, 0, 0, 1], 0).into()).with_protocols(Protocols::Both);
        let listener = listener.with_tls(tls(ServerTls::new(gateway.certificates())));
        let address = server.listen(listener).unwrap();
        let (servers, clients) = (Authority::new(), Authority::new());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca"), &servers.pem).unwrap();
        let rig = Self { servers, clients, gateway, server, address, folder };
        rig.apply(&rig.ssls());
        rig
    }

    fn apply(&self, ssls: &Value) {
        let read = read(&json!({"ssls": ssls}), &ReadOptions::default());
        assert_eq!(read.errors().count(), 0);
        self.gateway.apply(read.snapshot).unwrap();
    }

    fn ssl(&self, id: &str, more: Value) -> Value {
        let pair = self.servers.certificate(&[&format!("{id}.test")]);
        let mut ssl = json!({"id": id, "sni": format!("{id}.test"), "cert": pair.chain, "key": pair.key});
        ssl.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ssl
    }

    fn ssls(&self) -> Value {
        let ca = &self.clients.pem;
        json!([
            self.ssl("open", json!({})),
            self.ssl("new", json!({"ssl_protocols": ["TLSv1.3"]})),
            self.ssl("strict", json!({"client": {"ca": ca}})),
            self.ssl("lax", json!({"client": {"ca": ca, "skip_mtls_uri_regex": ["^/open$"]}})),
        ])
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The paths of a certificate and its key.
    fn files(&self, name: &str, pair: &Certificate) -> [String; 2] {
        [("cert", &pair.chain), ("key", &pair.key)].map(|(part, text)| {
            let path = self.file(&format!("{name}.{part}"));
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        })
    }

    /// What curl prints, and the code that it ends with.
    async fn curl(&self, name: &str, path: &str, arguments: &[&str]) -> (String, i32) {
        let port = self.address.port();
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "--cacert"]).arg(self.file("ca"));
        for host in ["open", "new", "strict", "lax", "nobody"] {
            curl.args(["--resolve", &format!("{host}.test:{port}:127.0.0.1")]);
        }
        let output = curl.args(arguments).arg(format!("https://{name}.test:{port}{path}")).output().await.unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap_or(-1))
    }

    fn openssl(&self, arguments: &[&str]) -> Command {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &self.address.to_string(), "-CAfile"]).arg(self.file("ca"));
        openssl.args(arguments).kill_on_drop(true);
        openssl
    }

    /// A request by OpenSSL's own client: everything that it says, errors among it.
    async fn s_client(&self, arguments: &[&str]) -> String {
        let mut child = self.openssl(arguments);
        let child = child.arg("-ign_eof").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A handshake that failed reads nothing.
        let _ = stdin.write_all(b"GET / HTTP/1.1\r\nHost: open.test\r\nConnection: close\r\n\r\n").await;
        let output = tokio::time::timeout(std::time::Duration::from_secs(20), child.wait_with_output());
        let output = output.await.unwrap().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

fn has(said: &str, wanted: &str) {
    assert!(said.contains(wanted), "no `{wanted}` in:\n{said}");
}

#[tokio::test]
async fn curl_gets_pages_by_each_version_and_protocol() {
    let rig = Rig::start(|tls| tls).await;
    for (arguments, version) in [
        (&["--tlsv1.2", "--tls-max", "1.2", "--http1.1"][..], "HTTP/1.1 /a"),
        (&["--tlsv1.3", "--http1.1"], "HTTP/1.1 /a"),
        (&["--tlsv1.2", "--tls-max", "1.2", "--http2"], "HTTP/2.0 /a"),
        (&["--tlsv1.3", "--http2"], "HTTP/2.0 /a"),
        (&["--no-alpn"], "HTTP/1.1 /a"),
    ] {
        assert_eq!(rig.curl("open", "/a", arguments).await, (version.to_owned(), 0), "{arguments:?}");
    }
    // 35: the handshake failed.
    assert_eq!(rig.curl("nobody", "/", &[]).await.1, 35);
    assert_eq!(rig.curl("new", "/", &["--tls-max", "1.2"]).await.1, 35);
    assert_eq!(rig.curl("new", "/", &["--http1.1"]).await, ("HTTP/1.1 /".to_owned(), 0));
}

#[tokio::test]
async fn sec_tls_02_curl_shows_its_certificate_or_is_turned_away() {
    let rig = Rig::start(|tls| tls).await;
    let (good, bad) = (rig.clients.certificate(&["jack"]), Authority::new().certificate(&["jack"]));
    let ([good, good_key], [bad, bad_key]) = (rig.files("good", &good), rig.files("bad", &bad));
    let status = ["-o", "/dev/null", "-w", "%{http_code}"];
    for version in ["1.2", "1.3"] {
        for (own, name, path, told) in [
            (Some((&good, &good_key)), "strict", "/", "200"),
            (Some((&bad, &bad_key)), "strict", "/", "000"),
            (None, "strict", "/", "000"),
            (Some((&good, &good_key)), "lax", "/", "200"),
            (Some((&bad, &bad_key)), "lax", "/", "400"),
            (None, "lax", "/", "400"),
            (None, "lax", "/open", "200"),
        ] {
            let mut arguments = vec!["--tls-max", version];
            arguments.extend(status);
            if let Some((certificate, key)) = own {
                arguments.extend(["--cert", certificate, "--key", key]);
            }
            assert_eq!(rig.curl(name, path, &arguments).await.0, told, "{name}{path} by {version}, {own:?}");
        }
    }
    // Another host in the request than in the handshake.
    for protocol in ["--http1.1", "--http2"] {
        for (host, told) in [("strict.test", "421"), ("lax.test", "421"), ("new.test", "200")] {
            let field = format!("Host: {host}");
            let arguments = [&status[..], &[protocol, "-H", &field]].concat();
            assert_eq!(rig.curl("open", "/", &arguments).await.0, told, "{host} {protocol}");
        }
    }
}

#[tokio::test]
async fn sec_tls_01_openssl_is_refused_what_is_old_and_resumes_what_is_new() {
    let rig = Rig::start(|tls| tls).await;
    let open = ["-servername", "open.test"];
    for old in [&["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"][..], &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]] {
        let said = rig.s_client(&[&open[..], old].concat()).await;
        has(&said, "SSL alert number");
        has(&said, "Cipher is (NONE)");
    }
    for weak in ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"] {
        let said = rig.s_client(&[&open[..], &["-tls1_2", "-cipher", weak]].concat()).await;
        has(&said, "alert handshake failure");
    }
    for (version, text) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let session = rig.file("session");
        let session = session.to_str().unwrap();
        let said = rig.s_client(&[&open[..], &[version, "-sess_out", session]].concat()).await;
        has(&said, &format!("New, {text}"));
        has(&said, "Verify return code: 0 (ok)");
        has(&said, "Compression: NONE");
        has(&said, "HTTP/1.1 200 OK");
        let said = rig.s_client(&[&open[..], &[version, "-sess_in", session]].concat()).await;
        has(&said, &format!("Reused, {text}"));
        has(&said, "HTTP/1.1 200 OK");
        // The same session with another name is a new one.
        let said = rig.s_client(&["-servername", "lax.test", version, "-sess_in", session]).await;
        assert!(!said.contains("Reused"), "{said}");
    }
    // The first hello has a key of no use, and is asked for another.
    let said = rig.s_client(&[&open[..], &["-tls1_3", "-groups", "P-521:X25519"]].concat()).await;
    has(&said, "Server Temp Key: X25519");
    has(&said, "HTTP/1.1 200 OK");
    // Early data is not taken.
    let said = rig.s_client(&[&open[..], &["-tls1_3"]].concat()).await;
    has(&said, "Max Early Data: 0");
}

#[tokio::test]
async fn sec_tls_02_openssl_asks_for_names() {
    let rig = Rig::start(|tls| tls).await;
    has(&rig.s_client(&["-servername", "nobody.test"]).await, "unrecognized name");
    has(&rig.s_client(&["-noservername"]).await, "unrecognized name");
    let rig = Rig::start(|tls| tls.with_fallback_sni("open.test")).await;
    has(&rig.s_client(&["-noservername", "-verify_hostname", "open.test"]).await, "Verify return code: 0 (ok)");
    has(&rig.s_client(&["-servername", "nobody.test"]).await, "unrecognized name");
}

#[tokio::test]
async fn sec_tls_07_openssl_is_told_that_its_protocol_is_not_spoken() {
    let rig = Rig::start(|tls| tls).await;
    let alpn = |offer: &'static str| ["-servername", "open.test", "-alpn", offer];
    has(&rig.s_client(&alpn("spdy/3")).await, "alert no application protocol");
    has(&rig.s_client(&alpn("spdy/3,http/1.1")).await, "ALPN protocol: http/1.1");
    let mut child = rig.openssl(&alpn("h2,http/1.1")).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).await.unwrap();
    has(&said, "ALPN protocol: h2");
}

/// A connection of OpenSSL's client that stays open, of which nothing is said but the answers.
struct Held {
    child: Child,
}

impl Held {
    fn new(rig: &Rig) -> Self {
        let mut openssl = rig.openssl(&["-servername", "open.test", "-quiet"]);
        Self { child: openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap() }
    }

    async fn ask(&mut self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: open.test\r\n\r\n");
        self.child.stdin.as_mut().unwrap().write_all(request.as_bytes()).await.unwrap();
        let (mut said, mut some) = (String::new(), [0; 4096]);
        let wanted = format!("HTTP/1.1 {path}");
        while !said.ends_with(&wanted) {
            let count = self.child.stdout.as_mut().unwrap().read(&mut some).await.unwrap();
            assert!(count > 0, "the connection ended behind {said}");
            said.push_str(std::str::from_utf8(&some[..count]).unwrap());
        }
        said
    }
}

#[tokio::test]
async fn twenty_changes_of_its_certificate_close_no_connection() {
    let rig = Rig::start(|tls| tls).await;
    let mut held: Vec<Held> = (0..10).map(|_| Held::new(&rig)).collect();
    for held in &mut held {
        has(&held.ask("/before").await, "200 OK");
    }
    let fingerprint = || async {
        let said = rig.curl("open", "/", &["-w", "%{certs}", "-o", "/dev/null"]).await.0;
        if said.is_empty() {
            // Older ones tell nothing of certificates.
            rig.s_client(&["-servername", "open.test"])
                .await
                .lines()
                .skip_while(|line| !line.contains("BEGIN"))
                .take(3)
                .collect()
        } else {
            said
        }
    };
    let mut seen = Vec::new();
    for _ in 0..20 {
        rig.apply(&rig.ssls());
        seen.push(fingerprint().await);
    }
    seen.dedup();
    assert_eq!(seen.len(), 20, "each change is seen by the next handshake");
    for held in &mut held {
        has(&held.ask("/behind").await, "200 OK");
    }
    let counts = rig.gateway.certificates().handshakes();
    assert!(counts.full >= 30, "{counts:?}");
}
