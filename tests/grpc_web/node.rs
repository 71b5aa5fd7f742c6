//! Two clients from npm's registry: grpc-web, of the gRPC project, in both of its forms, and connect-web.
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::origin::Origin;
use super::raw::front;

/// Runs `client.mjs`, and fails with what it found to be wrong.
async fn calls(address: std::net::SocketAddr) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/grpc-web");
    let there = folder.join("node_modules/grpc-web").exists();
    assert!(there, "no clients in {}: `bash tests/all.sh` installs them", folder.display());
    let run = Command::new("node")
        .args(["--input-type=module", "--eval", include_str!("client.mjs"), &address.to_string()])
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(Duration::from_secs(60), run).await.expect("it does not end");
    let output = ended.expect("node is not there: `bash tests/all.sh` installs it");
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &*String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("all is well"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_call_a_grpc_service() {
    let origin = Origin::start().await;
    let front = front(&origin);
    calls(front.address).await;
    // What its caller gave up, the service does not go on with.
    super::calls::until("no call is running", || origin.seen.running.load(std::sync::atomic::Ordering::SeqCst) == 0)
        .await;
}
