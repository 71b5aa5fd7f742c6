//! nginx behind TLS: certificates on both sides, names, sessions, HTTP/1.1 and HTTP/2.
use std::fs;
use std::path::Path;

use http::Request;
use tempfile::TempDir;
use tollgate::Body;
use tollgate::config::FileSource;
use tollgate::gateway::Gateway;
use tower::ServiceExt as _;

use super::peers::nginx::Nginx;
use super::secure::{Authority, Certificate};

/// What nginx says of each connection and request.
const SAYS: &str = "location / { return 200 \
                    \"$ssl_server_name $ssl_protocol $ssl_session_reused $server_protocol [$ssl_client_s_dn] $connection\"; }\n\
                    location /file { alias @DIR@/file; }\n\
                    location /up { client_max_body_size 50m; client_body_buffer_size 64k; return 200 \"$content_length\"; }\n";

/// A folder with certificates and the configuration, and nginx with the one of them.
struct Rig {
    folder: TempDir,
    nginx: Nginx,
}

impl Rig {
    fn new(certificate: &Certificate, directives: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "server", certificate);
        let path = folder.path().display();
        let certificates = format!("ssl_certificate {path}/server.crt; ssl_certificate_key {path}/server.key;\n");
        let directives = directives.replace("@CERTS@", &path.to_string());
        let nginx = Nginx::listening("ssl http2", &(certificates + &*directives + SAYS));
        Self { folder, nginx }
    }

    /// The gateway whose upstream has these lines more.
    fn gateway(&self, lines: &str) -> Gateway {
        let gateway = Gateway::builder().build().unwrap();
        self.apply(&gateway, lines);
        gateway
    }

    fn apply(&self, gateway: &Gateway, lines: &str) {
        let text = format!(
            "upstreams:\n  - id: u\n    scheme: https\n    nodes: {{\"localhost:{}\": 1}}\n{lines}\n\
             routes:\n  - {{id: r, uri: /*, upstream_id: u}}\n\
             secrets:\n  - {{id: file/tls, path: {}}}\n",
            self.nginx.address().port(),
            self.folder.path().display()
        );
        let file = self.folder.path().join("tollgate.yaml");
        fs::write(&file, text).unwrap();
        let loaded = FileSource::new(file).load().unwrap();
        assert!(loaded.findings.iter().all(|finding| !finding.is_error()), "{:?}", loaded.findings);
        gateway.apply(loaded.snapshot).unwrap();
    }
}

fn write(folder: &Path, name: &str, certificate: &Certificate) {
    fs::write(folder.join(format!("{name}.crt")), &certificate.chain).unwrap();
    fs::write(folder.join(format!("{name}.key")), &certificate.key).unwrap();
}

/// PEM as a reference to the file `name` in the rig's folder.
fn reference(name: &str) -> String {
    format!("$secret://file/tls/{name}")
}

async fn ask(gateway: &Gateway, path: &str, body: Body) -> (u16, Vec<u8>) {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let request = Request::builder().method(method).uri(path).header("host", "client.test").body(body).unwrap();
    let (head, body) = gateway.clone().oneshot(request).await.unwrap().into_parts();
    (head.status.as_u16(), body.buffer(64 << 20).await.unwrap().to_vec())
}

/// What nginx said, word by word.
async fn said(gateway: &Gateway) -> Vec<String> {
    let (status, body) = ask(gateway, "/", Body::empty()).await;
    let text = String::from_utf8(body).unwrap();
    assert_eq!(status, 200, "{text}");
    text.split(' ').map(str::to_owned).collect()
}

#[tokio::test]
async fn nginx_is_spoken_to_in_either_version_of_http_and_of_tls() {
    let authority = Authority::new();
    let file: Vec<u8> = (0..5_000_000_u32).map(|number| (number % 251) as u8).collect();
    for versions in ["TLSv1.3", "TLSv1.2"] {
        let rig = Rig::new(&authority.certificate(&["localhost"]), &format!("ssl_protocols {versions};\n"));
        fs::write(rig.folder.path().join("ca.crt"), &authority.pem).unwrap();
        fs::write(rig.nginx.folder().join("file"), &file).unwrap();
        for (version, protocol) in [("1.1", "HTTP/1.1"), ("auto", "HTTP/2.0"), ("2", "HTTP/2.0")] {
            let lines = format!("    http_version: \"{version}\"\n    tls: {{ca: \"{}\"}}", reference("ca.crt"));
            let gateway = rig.gateway(&lines);
            let first = said(&gateway).await;
            assert_eq!(first[..2], ["localhost", versions]);
            assert_eq!(first[3], protocol);
            assert_eq!(said(&gateway).await, first, "the very same connection");
            assert!(ask(&gateway, "/file", Body::empty()).await == (200, file.clone()), "{versions} {version}");
            let upload = ask(&gateway, "/up", Body::from(file.clone())).await;
            assert_eq!(String::from_utf8(upload.1).unwrap(), "5000000");
        }
    }
}

#[tokio::test]
async fn sec_tls_03_nginx_with_a_certificate_that_cannot_be_believed_is_a_502() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (certificate, status) in [
        (authority.certificate(&["localhost"]), 200),
        (authority.certificate(&["elsewhere.test"]), 502),
        (authority.expired("localhost"), 502),
        (other.certificate(&["localhost"]), 502),
    ] {
        let rig = Rig::new(&certificate, "");
        fs::write(rig.folder.path().join("ca.crt"), &authority.pem).unwrap();
        let believing = rig.gateway(&format!("    tls: {{ca: \"{}\"}}", reference("ca.crt")));
        assert_eq!(ask(&believing, "/", Body::empty()).await.0, status);
        assert_eq!(ask(&rig.gateway("    tls: {verify: false}"), "/", Body::empty()).await.0, 200);
    }
}

#[tokio::test]
async fn sec_tls_01_an_nginx_that_speaks_only_what_is_old_is_a_502() {
    let certificate = Authority::new().certificate(&["localhost"]);
    let rig = Rig::new(&certificate, "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;\n");
    assert_eq!(ask(&rig.gateway("    tls: {verify: false}"), "/", Body::empty()).await.0, 502);
}

#[tokio::test]
async fn nginx_sees_sessions_that_are_resumed_and_the_name_that_is_told() {
    let authority = Authority::new();
    for versions in ["TLSv1.3", "TLSv1.2"] {
        let directives = format!("ssl_protocols {versions}; ssl_session_cache shared:s:1m;\n");
        let rig = Rig::new(&authority.certificate(&["told.test"]), &directives);
        fs::write(rig.folder.path().join("ca.crt"), &authority.pem).unwrap();
        let tls = format!("    tls: {{ca: \"{}\", sni: told.test}}\n", reference("ca.crt"));
        let gateway = rig.gateway(&(tls + "    keepalive_pool: {idle_timeout: 0}"));
        let (first, second) = (said(&gateway).await, said(&gateway).await);
        assert_eq!((&*first[0], &*first[2], &*second[2]), ("told.test", ".", "r"), "{versions}");
        assert_ne!(first.last(), second.last(), "each has a connection of its own");
    }
}

#[tokio::test]
async fn nginx_demands_our_certificate_and_sees_the_new_one_when_it_changes() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clients.crt");
    fs::write(&file, &clients.pem).unwrap();
    let directives = format!("ssl_client_certificate {}; ssl_verify_client on;\n", file.display());
    let rig = Rig::new(&authority.certificate(&["localhost"]), &directives);
    fs::write(rig.folder.path().join("ca.crt"), &authority.pem).unwrap();
    let ca = reference("ca.crt");
    // nginx says so itself: no required SSL certificate was sent.
    assert_eq!(ask(&rig.gateway(&format!("    tls: {{ca: \"{ca}\"}}")), "/", Body::empty()).await.0, 400);
    write(rig.folder.path(), "client", &clients.certificate(&["one.test"]));
    let lines = format!(
        "    tls: {{ca: \"{ca}\", client_cert: \"{}\", client_key: \"{}\"}}",
        reference("client.crt"),
        reference("client.key")
    );
    let gateway = rig.gateway(&lines);
    let first = said(&gateway).await;
    assert!(first[4].starts_with("[CN="), "{first:?}");
    assert_eq!(said(&gateway).await, first);
    // An unchanged configuration keeps the connection, another certificate does not.
    rig.apply(&gateway, &lines);
    assert_eq!(said(&gateway).await, first);
    write(rig.folder.path(), "client", &clients.certificate(&["two.test"]));
    gateway.refresh_secrets().unwrap();
    let second = said(&gateway).await;
    assert_ne!(second.last(), first.last());
    assert_eq!(second[2], ".", "nor does it resume the other one's session");
}
