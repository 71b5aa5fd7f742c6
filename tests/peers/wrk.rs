//! wrk from Debian's package: load, and whether any of it failed.
use std::process::Stdio;

use tokio::process::Command;

/// What a run found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    /// Answered, whatever the status.
    pub(crate) requests: u64,
    /// Failed on connecting, reading, writing, or by time.
    pub(crate) socket_errors: u64,
    /// Answered with a status of 400 and above.
    pub(crate) refused: u64,
    pub(crate) p99_us: u64,
}

const SCRIPT: &str = r#"
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("REPORT %d %d %d %d\n", summary.requests, e.connect + e.read + e.write + e.timeout, e.status, latency:percentile(99)))
end
"#;

/// Loads `url` over so many connections for so many seconds, by one thread.
///
/// Fails the test in one line when wrk is missing.
pub(crate) async fn run(url: &str, connections: u32, seconds: u32) -> Report {
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(script.path(), SCRIPT).unwrap();
    let mut command = Command::new("wrk");
    command.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "-s"]).arg(script.path()).arg(url);
    let output = match command.stdin(Stdio::null()).kill_on_drop(true).output().await {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned() + &*String::from_utf8_lossy(&output.stderr),
        Err(error) => panic!("wrk is missing ({error}): tests/all.sh installs it"),
    };
    let Some(line) = output.lines().find_map(|line| line.strip_prefix("REPORT ")) else {
        panic!("wrk gave no report: {output}")
    };
    let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
    let mut next = || numbers.next().unwrap();
    Report { requests: next(), socket_errors: next(), refused: next(), p99_us: next() }
}
