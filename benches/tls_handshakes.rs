//! What TLS on a listener costs: processor time of handshakes, memory of idle connections, and what a flood of hellos does to
//! requests beside it.
//!
//! `cargo bench --bench tls_handshakes --features server,tls`. `HANDSHAKES=1000` and `IDLE=1000` say how many.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a measurement")]
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use rustix::time::{ClockId, clock_gettime};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::runtime::{Builder, Runtime};
use tollgate::server::{Limits, Listener, Server};
use tollgate::tls::{Certificate, Certificates, Pair, ServerTls};
use tollgate::{Body, Next};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NAME: &str = "bench.test";

/// Handshakes of clients, and requests by them.
struct Client(Arc<ClientConfig>);

fn main() {
    for (kind, key) in [
        ("ECDSA P-256", KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()),
        ("RSA 2048", KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap()),
    ] {
        let (certificates, root) = table(&key);
        handshakes(kind, &certificates, &root);
        if kind.starts_with("ECDSA") {
            idle(&certificates, &root);
            flood(&certificates, &root);
        }
    }
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

fn table(key: &KeyPair) -> (Certificates, CertificateDer<'static>) {
    let certificate = CertificateParams::new(vec![NAME.to_owned()]).unwrap().self_signed(key).unwrap();
    let certificates = Certificates::new();
    let pair = Pair::from_pem(&certificate.pem(), &key.serialize_pem()).unwrap();
    certificates.put(Certificate::builder("bench").name(NAME).pair(pair).build().unwrap());
    (certificates, certificate.der().clone())
}

/// A server on a thread of its own, whose processor time can be asked for.
fn serve(threads: usize, certificates: &Certificates) -> (Runtime, SocketAddr, Server) {
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let runtime = builder.worker_threads(threads).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let mut limits = Limits::default();
    limits.max_connections = 1_000_000;
    limits.idle_timeout = Duration::from_secs(3600);
    let server = Server::builder().limits(limits);
    let server = server.serve(|_| Next::from_fn(|_| async { http::Response::new(Body::from("hello\n")) }));
    let tls = ServerTls::new(certificates.clone());
    let address = server.listen(Listener::new(([127, 0, 0, 1], 0).into()).with_tls(tls)).unwrap();
    drop(_entered);
    (runtime, address, server)
}

impl Client {
    fn new(root: &CertificateDer<'static>, resumes: bool) -> Self {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        if !resumes {
            config.resumption = Resumption::disabled();
        }
        Self(Arc::new(config))
    }

    fn connection(&self) -> ClientConnection {
        ClientConnection::new(Arc::clone(&self.0), ServerName::try_from(NAME).unwrap()).unwrap()
    }

    fn open(&self, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        StreamOwned::new(self.connection(), socket)
    }

    fn ask(&self, stream: &mut StreamOwned<ClientConnection, TcpStream>) {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: bench.test\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello\n") {
            let mut some = [0; 1024];
            let count = stream.read(&mut some).unwrap();
            assert!(count > 0, "the connection ended");
            answer.extend_from_slice(&some[..count]);
        }
    }
}

/// Processor time of the server's only thread for a handshake with a request.
fn handshakes(kind: &str, certificates: &Certificates, root: &CertificateDer<'static>) {
    let count = number("HANDSHAKES", 3000);
    let (runtime, address, server) = serve(1, certificates);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let spent = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&spent);
    let thread = std::thread::spawn(move || {
        runtime.block_on(async {
            let clock = tokio::spawn(async move {
                loop {
                    let time = clock_gettime(ClockId::ThreadCPUTime);
                    told.store(time.tv_sec as usize * 1_000_000 + time.tv_nsec as usize / 1000, Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            let _ = stopped.await;
            clock.abort();
            drop(server);
        });
    });
    let settle = || {
        std::thread::sleep(Duration::from_millis(50));
        spent.load(Relaxed)
    };
    for (what, resumes) in [("full", false), ("resumed", true)] {
        let client = Client::new(root, resumes);
        for _ in 0..200 {
            client.ask(&mut client.open(address));
        }
        let (before, start) = (settle(), Instant::now());
        for _ in 0..count {
            client.ask(&mut client.open(address));
        }
        let (wall, used) = (start.elapsed(), settle() - before);
        let each = used as f64 / count as f64;
        println!(
            "{kind}, {what}: {each:.0} us of processor each with a request, {:.0} a second of one core; {wall:?}",
            1e6 / each
        );
    }
    let client = Client::new(root, true);
    let mut stream = client.open(address);
    client.ask(&mut stream);
    let before = settle();
    for _ in 0..count {
        client.ask(&mut stream);
    }
    println!("{kind}, a request on an open connection: {:.1} us", (settle() - before) as f64 / count as f64);
    let _ = stop.send(());
    thread.join().unwrap();
}

/// Memory of a connection that has answered one request. Clients keep nothing but their socket.
fn idle(certificates: &Certificates, root: &CertificateDer<'static>) {
    let count = number("IDLE", 4000);
    let (runtime, address, server) = serve(2, certificates);
    let client = Client::new(root, false);
    let open = || {
        let mut stream = client.open(address);
        client.ask(&mut stream);
        stream.into_parts().1
    };
    let _warm: Vec<_> = (0..200).map(|_| open()).collect();
    let before = resident();
    let sockets: Vec<_> = (0..count).map(|_| open()).collect();
    println!("idle: {} bytes each, of {count}", resident().saturating_sub(before) / count);
    drop(sockets);
    let start = Instant::now();
    while server.connections() > 200 && start.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(100));
    }
    println!(
        "given back: {} connections left, {} KiB more than before",
        server.connections(),
        resident().saturating_sub(before) / 1024
    );
    drop(runtime);
}

/// Requests on one connection, alone and beside clients that only say hello.
fn flood(certificates: &Certificates, root: &CertificateDer<'static>) {
    let (_runtime, address, _server) = serve(2, certificates);
    let client = Client::new(root, false);
    let mut hello = Vec::new();
    client.connection().write_tls(&mut hello).unwrap();
    let hello: Arc<[u8]> = hello.into();
    let window = || {
        // one of its own, so that it stays below what one connection may ask
        let mut stream = client.open(address);
        client.ask(&mut stream);
        let mut times: Vec<Duration> = (0..2000)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(1));
                let start = Instant::now();
                client.ask(&mut stream);
                start.elapsed()
            })
            .collect();
        times.sort();
        (times[times.len() / 2], times[times.len() * 99 / 100])
    };
    for round in 1..=3 {
        let (alone, alone_99) = window();
        let (running, sent) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let hostile = {
            let (running, sent, hello) = (Arc::clone(&running), Arc::clone(&sent), Arc::clone(&hello));
            std::thread::spawn(move || {
                let start = Instant::now();
                while running.load(Relaxed) {
                    let due = Duration::from_millis(sent.fetch_add(1, Relaxed) as u64);
                    std::thread::sleep(due.saturating_sub(start.elapsed()));
                    if let Ok(mut socket) = TcpStream::connect(address) {
                        let _ = socket.write_all(&hello);
                    }
                }
                sent.load(Relaxed) as f64 / start.elapsed().as_secs_f64()
            })
        };
        let (beside, beside_99) = window();
        running.store(false, Relaxed);
        let rate = hostile.join().unwrap();
        println!(
            "flood {round}: alone median {alone:?}, p99 {alone_99:?}; beside {rate:.0} hellos a second {beside:?}, {beside_99:?}"
        );
    }
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default() * 4096
}
