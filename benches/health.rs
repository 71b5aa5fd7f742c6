//! What active checks of 10,000 endpoints cost: CPU for a probe, the kernel's share included, and memory for an endpoint.
//!
//! The origin is another process, so its work is not counted but for what the kernel does of it while it delivers our
//! packets over loopback. All endpoints are addresses of 127.0.0.0/8, at one port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench")]
use std::alloc::System;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tollgate::upstream::health::{ActiveConfig, HealthConfig, ProbeKind};
use tollgate::upstream::{Endpoints, NodeConfig, Target, Upstream, UpstreamConfig, UpstreamKey, Upstreams};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ENDPOINTS: u32 = 10_000;
const WARM_UP: Duration = Duration::from_secs(3);
const MEASURED: Duration = Duration::from_secs(10);

fn main() {
    if std::env::args().any(|argument| argument == "--origin") {
        return origin();
    }
    let origin = Origin::start();
    println!("{ENDPOINTS} endpoints, each probed once a second over a connection of its own");
    for (name, probe) in [("http", ActiveConfig::default().probe), ("tcp", ProbeKind::Tcp)] {
        let active = ActiveConfig { probe, ..ActiveConfig::default() };
        measure(name, origin.port, HealthConfig::new().with_active(active));
    }
}

fn measure(name: &str, port: u16, health: HealthConfig) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let nodes: Vec<_> = (0..ENDPOINTS)
            .map(|index| NodeConfig::new(Target::host(Ipv4Addr::from(0x7f01_0001 + index).to_string(), port)))
            .collect();
        let upstreams = Upstreams::new();
        let mut config = UpstreamConfig::new(UpstreamKey::new("upstream", "many"), nodes);
        config.health = Some(health);
        let checked = Region::new(ALLOCATOR);
        let upstream = upstreams.compile(config, &Endpoints::new()).unwrap();
        upstreams.keep_up();
        tokio::time::sleep(WARM_UP).await;
        let held = held(&checked);
        let (before, cpu) = (count(port).await, cpu());
        tokio::time::sleep(MEASURED).await;
        let (probes, cpu) = (count(port).await - before, self::cpu() - cpu);
        let usable = upstream.endpoints().filter(|endpoint| endpoint.health.unwrap().is_usable()).count();
        println!(
            "{name}: {:.1} us of CPU a probe ({probes} probes in {} s, {usable} endpoints usable); {} bytes of heap an \
             endpoint, all of it included",
            cpu.as_secs_f64() * 1e6 / probes as f64,
            MEASURED.as_secs(),
            held / u64::from(ENDPOINTS),
        );
        drop::<Arc<Upstream>>(upstream);
    });
}

/// Bytes that were allocated since and are not freed.
fn held(since: &Region<'_, System>) -> u64 {
    let change = since.change();
    change.bytes_allocated.saturating_sub(change.bytes_deallocated) as u64
}

/// What all threads of this process have used, in user space and kernel.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Connections that the origin has taken.
async fn count(port: u16) -> u64 {
    let ask = move || {
        let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        stream.write_all(b"COUNT\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.trim().parse().unwrap()
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

struct Origin {
    child: Child,
    port: u16,
}

impl Origin {
    fn start() -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new(program).arg("--origin").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn origin() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        let taken = Arc::new(AtomicU64::new(0));
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { continue };
            let taken = Arc::clone(&taken);
            taken.fetch_add(1, Relaxed);
            tokio::spawn(async move {
                let mut room = [0; 512];
                let Ok(read @ 1..) = stream.read(&mut room).await else { return };
                let answer = match room.get(..read).unwrap_or_default() {
                    [b'C', ..] => taken.load(Relaxed).to_string(),
                    _ => String::from("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
                };
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
}
