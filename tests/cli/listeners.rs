//! Listeners that change with the file, sockets of a service manager, and the end in good order.
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::peers::End;
use super::peers::client::Client;
use super::peers::origin::Origin;
use super::process::{Folder, Gateway, leading_to};

/// Addresses that nobody has at the moment.
fn free<const N: usize>() -> [SocketAddr; N] {
    let held = std::array::from_fn::<_, N, _>(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|one| one.local_addr().unwrap())
}

/// A file with these listeners before an origin.
fn with(origin: SocketAddr, listeners: &str) -> String {
    leading_to(origin).replace("#END", &format!("tollgate:\n  listeners: {listeners}\n#END"))
}

async fn listening(control: SocketAddr) -> Value {
    let mut client = Client::connect(control).await;
    client.send("GET /v1/listeners HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    serde_json::from_slice(&client.answer().await.body).unwrap()
}

async fn says(client: &mut Client, text: &str) {
    client.send("GET / HTTP/1.1\r\nhost: gw.test\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), &*answer.text()), (200, text));
}

#[tokio::test]
async fn listeners_change_with_the_file_and_connections_of_others_notice_nothing() {
    let origin = Origin::saying("one").await;
    let [first, second, control] = free();
    let folder = Folder::new();
    let file = folder.write("a.yaml", &with(origin.address(), &format!("[{{address: \"{first}\"}}]")));
    let gateway = Gateway::start_exactly(&["--config", &file, "--control", &control.to_string()]).await;
    let mut kept = Client::connect(first).await;
    says(&mut kept, "one").await;

    // One more, and one that cannot be had.
    let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = theirs.local_addr().unwrap();
    let three = format!("[{{address: \"{first}\"}}, {{address: \"{second}\"}}, {{address: \"{taken}\"}}]");
    folder.write("a.yaml", &with(origin.address(), &three));
    gateway.hear(&format!("listeners: {second}: opened")).await;
    gateway.hear(&format!("cannot listen on {taken}: the address is in use")).await;
    says(&mut Client::connect(second).await, "one").await;
    says(&mut kept, "one").await;
    let told = listening(control).await;
    let of = |address: SocketAddr| {
        told.as_array().unwrap().iter().find(|one| one["address"] == address.to_string()).unwrap().clone()
    };
    assert_eq!((&of(first)["error"], &of(first)["connections"]), (&Value::Null, &Value::from(1)));
    assert!(of(taken)["error"].as_str().unwrap().contains("in use") && of(taken)["since"].is_null());
    drop(theirs);
    gateway.hear(&format!("listeners: {taken}: opened")).await;

    // Options of one, and two that go.
    folder.write("a.yaml", &with(origin.address(), &format!("[{{address: \"{first}\", proxy_protocol: true}}]")));
    gateway.hear(&format!("listeners: {first}: changed")).await;
    gateway.hear(&format!("listeners: {second}: closed")).await;
    says(&mut kept, "one").await;
    assert!(tokio::net::TcpStream::connect(second).await.is_err());
    let mut passed_on = Client::connect(first).await;
    passed_on.send("PROXY TCP4 192.0.2.7 192.0.2.1 1000 80\r\n").await;
    says(&mut passed_on, "one").await;

    // What waits for the next start is named.
    let settings = "tollgate:\n  workers: 2\n  errors: problem\n  limits: {idle_timeout_ms: 5000, body_bytes: 5000}\n  listeners: ";
    let changed =
        with(origin.address(), &format!("[{{address: \"{first}\"}}]")).replace("tollgate:\n  listeners: ", settings);
    folder.write("a.yaml", &changed);
    gateway.hear("tollgate.workers has changed, which takes effect at the next start").await;
    gateway.hear("tollgate.errors has changed, which takes effect at the next start").await;
    gateway.hear("tollgate.limits.idle_timeout_ms has changed, which takes effect at the next start").await;
    says(&mut kept, "one").await;
    assert!(!gateway.told().iter().any(|line| line.contains("tollgate.limits.body_bytes")), "that is in force");
}

#[tokio::test]
async fn beside_a_store_the_file_has_the_listeners() {
    let [first, second] = free();
    let folder = Folder::new();
    let settings = |listeners: &str| format!("tollgate:\n  listeners: {listeners}\n#END\n");
    let file = folder.write("a.yaml", &settings(&format!("[{{address: \"{first}\"}}]")));
    let gateway = Gateway::start_exactly(&["--config", &file, "--store", "memory"]).await;
    folder.write("a.yaml", &settings(&format!("[{{address: \"{second}\"}}]")));
    gateway.hear(&format!("listeners: {second}: opened")).await;
    gateway.hear(&format!("listeners: {first}: closed")).await;

    // All else is of the next start there, what a file without a store would change live included.
    let more = format!("[{{address: \"{second}\"}}]\n  trusted_proxies: [10.0.0.0/8]\n  limits: {{body_bytes: 5000}}");
    folder.write("a.yaml", &settings(&more));
    for name in ["trusted_proxies", "limits.body_bytes"] {
        gateway.hear(&format!("tollgate.{name} has changed, which takes effect at the next start")).await;
    }
    // Neither the listeners, which are in force, nor what a flag says.
    let named = gateway.told().iter().filter(|line| line.contains("takes effect at the next start")).count();
    assert_eq!(named, 2, "{:?}", gateway.told());
    folder.write("a.yaml", "routes: [{id: a, uri: /x}]\n#END\n");
    gateway.hear("the listeners before serve on").await;
    assert!(tokio::net::TcpStream::connect(second).await.is_ok());
}

#[tokio::test]
async fn sec_drn_01_readiness_goes_first_and_a_second_signal_cuts() {
    let origin = Origin::saying("one").await;
    let [listen, status] = free();
    let folder = Folder::new();
    let text = with(origin.address(), &format!("[{{address: \"{listen}\"}}]"))
        .replace("tollgate:\n", &format!("tollgate:\n  drain: {{grace_ms: 600000}}\n  status: \"{status}\"\n"));
    let file = folder.write("a.yaml", &text);
    let place = folder.path("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    manager.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let mut gateway = Gateway::start_in(&["--config", &file], &[("NOTIFY_SOCKET", place.to_str().unwrap())]).await;
    let told = || {
        let mut room = [0; 64];
        let count = manager.recv(&mut room).unwrap();
        String::from_utf8(room[..count].to_vec()).unwrap()
    };
    assert_eq!(told(), "READY=1");
    let ready = async || {
        let mut client = Client::connect(status).await;
        client.send("GET /status/ready HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        client.answer().await.status()
    };
    assert_eq!(ready().await, 200);
    let mut kept = Client::connect(listen).await;
    says(&mut kept, "one").await;
    gateway.signal("TERM");
    assert_eq!(told(), "STOPPING=1");
    gateway.hear("SIGTERM: finishing what runs").await;
    // The drain begins a moment after it is said.
    super::peers::within(|| "it to be ready no longer".to_owned(), async {
        while ready().await != 503 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    says(&mut kept, "one").await;
    says(&mut Client::connect(listen).await, "one").await;
    gateway.signal("TERM");
    gateway.hear("SIGTERM once more: what still runs is cut").await;
    assert_eq!(kept.end().await, End::Closed);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

/// Starts a program with sockets that are open already, as systemd does: descriptors from 3 on, and their names.
const MANAGER: &str = r"
import os, socket, sys
sockets = []
for place in sys.argv[2].split(','):
    if place.startswith('/'):
        one = socket.socket(socket.AF_UNIX); one.bind(place)
    else:
        host, port = place.rsplit(':', 1)
        one = socket.socket(); one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); one.bind((host, int(port)))
    one.listen(64); sockets.append(one)
kept = [os.dup2(one.fileno(), 100 + at) for at, one in enumerate(sockets)]
for at, descriptor in enumerate(kept):
    os.dup2(descriptor, 3 + at)
    os.set_inheritable(3 + at, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(kept)), LISTEN_FDNAMES=sys.argv[1])
os.execv(sys.argv[3], sys.argv[3:])
";

#[tokio::test]
async fn sockets_of_a_service_manager_are_listened_on_by_name() {
    let origin = Origin::saying("one").await;
    let [first, second, third] = free();
    let folder = Folder::new();
    let path = folder.path("s");
    let file = folder.write("a.yaml", &with(origin.address(), "[{address: \"systemd:web\"}]"));
    let places = format!("{first},{second},{third},{}", path.display());
    let gateway =
        Gateway::started_by("python3", &["-c", MANAGER, "web:web:other:local", &places], &["--config", &file]).await;
    says(&mut Client::connect(first).await, "one").await;
    let mut kept = Client::connect(second).await;
    says(&mut kept, "one").await;
    let both = "[{address: \"systemd:other\"}, {address: \"systemd:local\"}, {address: \"systemd:none\"}]";
    folder.write("a.yaml", &with(origin.address(), both));
    gateway.hear("listeners: systemd:other: opened").await;
    gateway.hear("cannot listen on systemd:none: the process was given no socket of this name").await;
    says(&mut Client::connect(third).await, "one").await;
    says(&mut kept, "one").await;
    // Closed here, it is still open there: nobody is refused.
    assert!(tokio::net::TcpStream::connect(first).await.is_ok());
    assert!(tokio::net::UnixStream::connect(&path).await.is_ok());
}

/// A start that serves what is valid leaves a host whose certificate is faulty to nobody, if it demanded some of clients.
#[tokio::test]
async fn sec_tls_02_a_start_with_a_faulty_demand_opens_its_host_to_nobody() {
    let origin = Origin::saying("one").await;
    let key = KeyPair::generate().unwrap();
    let pair = CertificateParams::new(vec!["shop.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let folder = Folder::new();
    folder.write("pem", &pair.pem());
    folder.write("key", &key.serialize_pem());
    folder.write("torn", "-----BEGIN CERTIFICATE-----\nQUFB\n-----END CERTIFICATE-----\n");
    let document = |ca: &str| {
        let path = folder.path("");
        let pair = "cert: $secret://file/f/pem, key: $secret://file/f/key";
        let ssls = format!(
            "secrets: [{{id: file/f, path: {path:?}}}]\nssls:\n  - {{id: shop, sni: \"*\", {pair}}}\n  - {{id: partners, \
             sni: partners.test, {pair}, client: {{ca: $secret://file/f/{ca}}}}}\n"
        );
        let more = "tollgate:\n  start_policy: serve_valid\n  listeners: [{address: \"127.0.0.1:0\", tls: {}}]\n#END";
        leading_to(origin.address()).replace("#END", &(ssls + more))
    };
    let file = folder.write("a.yaml", &document("torn"));
    let gateway = Gateway::start_exactly(&["--config", &file]).await;
    let mut roots = RootCertStore::empty();
    roots.add(pair.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let ask = async |host: &str| {
        let socket = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
        let mut stream = connector.connect("shop.test".try_into().unwrap(), socket).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        heard.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!((ask("shop.test").await, ask("partners.test").await), ("200".to_owned(), "421".to_owned()));
    assert!(gateway.told().iter().any(|line| line.contains("ssl partners: left out")), "{:#?}", gateway.told());
    // Mended, it still is for its own connections alone.
    folder.write("a.yaml", &document("pem"));
    gateway.hear("revision 2 in force").await;
    assert_eq!((ask("shop.test").await, ask("partners.test").await), ("200".to_owned(), "421".to_owned()));
}
