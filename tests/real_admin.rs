//! The Admin API on a listener, asked by curl and by a client that was written for Apache APISIX.
#![cfg(test)]
#![cfg(all(unix, feature = "full", feature = "real-servers"))]
#[path = "admin/rig.rs"]
#[allow(dead_code, reason = "the tests of the service use the rest")]
mod rig;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::process::Command;
use tollgate::ConnectInfo;
use tollgate::server::{Listener, Server};
use tollgate::store::{DiskStore, Store};
use tower::ServiceExt as _;

use rig::{ROOT, Rig};

/// An Admin API and its gateway on ports of their own.
struct Running {
    rig: Rig,
    admin: (Server, String),
    gateway: (Server, String),
    _folder: tempfile::TempDir,
}

async fn running() -> Running {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(folder.path().join("store")).unwrap());
    let rig = Rig::over(store).await;
    let loopback = || Listener::new("127.0.0.1:0".parse().unwrap());
    let api = rig.api.clone();
    let server = Server::builder().serve(move |client: ConnectInfo| {
        let api = api.clone();
        tower::service_fn(move |mut request: tollgate::Request| {
            request.extensions_mut().insert(client.clone());
            api.clone().oneshot(request)
        })
    });
    let address = server.listen(loopback()).unwrap();
    let gateway = rig.gateway.clone();
    let traffic = Server::builder().serve(move |client| gateway.connection(client));
    let listens = traffic.listen(loopback()).unwrap();
    Running {
        rig,
        admin: (server, format!("http://{address}")),
        gateway: (traffic, format!("http://{listens}")),
        _folder: folder,
    }
}

impl Running {
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("ADMIN", format!("{}/apisix/admin", self.admin.1))
            .env("GATEWAY", &self.gateway.1)
            .env("KEY", format!("X-API-KEY: {ROOT}"))
            .env("ADMIN_KEY", ROOT)
            .kill_on_drop(true);
        command
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every command of the document, in order, with the status behind it.
fn commands() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("docs/admin-api.md")).unwrap();
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let lines = blocks.flat_map(str::lines).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (command, status) = line.rsplit_once('#').unwrap_or_else(|| panic!("no status: {line}"));
            (command.trim().to_owned(), status.trim().to_owned())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_is_true() {
    let running = running().await;
    let commands = commands();
    assert!(commands.len() > 40, "only {} commands found", commands.len());
    for (command, expected) in commands {
        let script = command.replacen("curl", "curl -s -o /dev/stderr -w '%{http_code}'", 1);
        let output = running.command("bash").arg("-c").arg(&script).output().await.unwrap();
        let (status, answer) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(status, expected, "{command}\n{answer}");
    }
    assert!(running.rig.get("/routes").await.status.is_success());
    drop(running.gateway.0);
}

/// `tests/all.sh` puts it there.
fn python() -> PathBuf {
    root().join("target/admin/bin/python")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_the_reference_works() {
    let running = running().await;
    let mut command = running.command(python());
    let output = command.arg(root().join("tests/admin/client.py")).arg(&running.admin.1).output().await.unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{failed}");
    assert!(said.trim_end().ends_with("all is well"), "{said}\n{failed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_openapi_document_is_one() {
    let running = running().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, running.rig.get("/openapi.json").await.text).unwrap();
    let check = "import json, sys; from openapi_spec_validator import OpenAPIV31SpecValidator as V; V(json.load(open(sys.argv[1]))).validate()";
    let output = running.command(python()).arg("-c").arg(check).arg(&file).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
