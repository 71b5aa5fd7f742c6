//! What a file can say of health beside probes over HTTP: other probes, comparison, and what holds when few are left.
//! Nothing is tried again here, so that no endpoint's failure is hidden.
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::peers::nginx::Nginx;
use super::rig::{ACTIVE, PATIENCE, Rig, be_well, endpoint, get, naming, node, read, shares, until};
use super::secure::Authority;

/// Probes of another type than `http`, each second, of which one decides.
fn probing(kind: &str) -> String {
    format!("    retries: 0\n{ACTIVE}        type: {kind}\n")
}

#[tokio::test]
async fn tcp_probes_see_who_is_gone() {
    let (stays, goes) = (endpoint("stays", 200), endpoint("goes", 200));
    let rig = Rig::new(&[&stays, &goes], &probing("tcp"));
    be_well(&stays, false);
    rig.settles(&["stays", "goes"]).await;
    drop(goes);
    rig.settles(&["stays"]).await;
    assert_eq!(rig.in_use(), [true, false], "what a page says is nothing to it");
}

#[tokio::test]
async fn https_probes_see_who_is_unwell_and_whom_nobody_should_believe() {
    let (authority, other) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let secure = |name: &str, by: &Authority| {
        let certificate = by.certificate(&["127.0.0.1"]);
        let (chain, key) = (folder.path().join(format!("{name}.crt")), folder.path().join(format!("{name}.key")));
        std::fs::write(&chain, certificate.chain).unwrap();
        std::fs::write(&key, certificate.key).unwrap();
        let lines = format!("ssl_certificate {}; ssl_certificate_key {};\n", chain.display(), key.display());
        let nginx = Nginx::listening("ssl", &(lines + &*naming(name, 200)));
        be_well(&nginx, true);
        nginx
    };
    let (one, two, foreign) = (secure("one", &authority), secure("two", &authority), secure("foreign", &other));
    // Requests and probes ask for the same name.
    let tls = format!("    scheme: https\n    pass_host: node\n    tls: {{ca: {:?}}}\n", authority.pem);
    let rig = Rig::new(&[&one, &two, &foreign], &(tls + &*probing("https")));
    rig.settles(&["one", "two"]).await;
    be_well(&two, false);
    rig.settles(&["one"]).await;
    be_well(&two, true);
    rig.settles(&["one", "two"]).await;
}

/// grpcio's server, which says of itself that it serves as long as a file is there.
struct GrpcServer {
    port: u16,
    folder: tempfile::TempDir,
    _process: Child,
}

impl GrpcServer {
    async fn start() -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        let python = format!("{root}/target/grpc/bin/python");
        assert!(std::path::Path::new(&python).exists(), "{python} is missing: tests/all.sh makes it");
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(python);
        command.arg(format!("{root}/tests/grpc/server.py")).arg(folder.path().join("healthz"));
        let mut process = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut told = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(PATIENCE, told.next_line()).await.expect("it starts").unwrap().unwrap();
        let port = line.strip_prefix("port ").unwrap().parse().unwrap();
        Self { port, folder, _process: process }
    }

    fn serve(&self, well: bool) {
        let file = self.folder.path().join("healthz");
        if well { std::fs::write(file, "").unwrap() } else { std::fs::remove_file(file).unwrap() }
    }
}

#[tokio::test]
async fn grpc_probes_ask_the_health_service() {
    let (one, two) = (GrpcServer::start().await, GrpcServer::start().await);
    one.serve(true);
    two.serve(true);
    let nodes = format!("[{}, {}]", node(one.port, 0), node(two.port, 0));
    let rig = Rig::of(&nodes, &("    scheme: grpc\n".to_owned() + &*probing("grpc")));
    two.serve(false);
    until("the second to be out", || rig.in_use() == [true, false]).await;
    two.serve(true);
    until("the second to be back", || rig.in_use() == [true, true]).await;
    drop(one);
    until("the first to be out", || rig.in_use() == [false, true]).await;
}

#[tokio::test]
async fn who_does_worse_than_others_is_out_by_comparison_alone() {
    let (good, bad) = (endpoint("good", 200), endpoint("bad", 500));
    let outlier = "    checks: {outlier: {consecutive_failures: 3}, ejection_time: 3600, max_ejection_time: 3600}\n";
    let rig = Rig::new(&[&good, &bad], outlier);
    let mut failures = 0;
    while rig.in_use() != [true, false] {
        failures += usize::from(rig.get("/", &[]).await.0 == 500);
        assert_eq!(rig.status().endpoints[1].health.unwrap().is_outlier, failures >= 3);
    }
    assert_eq!(rig.answers(12).await, shares(&["good"], 12));
}

#[tokio::test]
async fn health_is_heeded_down_to_the_panic_threshold() {
    let endpoints = ["one", "two", "three"].map(|name| endpoint(name, 200));
    let nodes: Vec<&Nginx> = endpoints.iter().collect();
    let from = |percent: u8| format!("    panic_threshold: {percent}\n{}", probing("http"));
    let rig = Rig::new(&nodes, &from(33));
    be_well(&endpoints[1], false);
    be_well(&endpoints[2], false);
    rig.settles(&["one"]).await;
    // One of three is less than half: a probe that is wrong must not take a site down.
    rig.apply(&nodes, &from(50));
    assert_eq!(rig.answers(12).await, shares(&["one", "two", "three"], 4));
    rig.apply(&nodes, &from(0));
    assert_eq!(rig.answers(12).await, shares(&["one"], 12));
    be_well(&endpoints[0], false);
    until("all to be out", || rig.in_use() == [false; 3]).await;
    let answer = rig.send(get("/", &[])).await;
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(read(answer).await.0, 503);
}
