//! Clients that load generators are not: those that make handshakes, and those that hold connections and do nothing.
//!
//! - `compare-clients handshakes full|resumed ADDRESS SECONDS`: TLS 1.3 handshakes, each with one request, on eight
//!   connections at a time; prints `REPORT handshakes resumed errors p50 p99` (times in µs).
//! - `compare-clients hold plain|tls|h2c|h2|websocket ADDRESS COUNT`: so many connections, each of which has had one whole
//!   exchange; prints `HELD count`, and lets go of them when its input ends.
//! - `compare-clients upgrades ADDRESS`: an origin that takes every upgrade and echoes.
mod handshakes;
mod hold;
mod tls;
mod upgrades;

use std::process::ExitCode;

const USAGE: &str = "usage: compare-clients handshakes full|resumed ADDRESS SECONDS
       compare-clients hold plain|tls|h2c|h2|websocket ADDRESS COUNT
       compare-clients upgrades ADDRESS";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match words[..] {
        ["handshakes", form @ ("full" | "resumed"), address, seconds] => {
            let seconds = seconds.parse().expect("a number of seconds");
            runtime.block_on(handshakes::run(address, form == "resumed", seconds));
        }
        ["hold", kind, address, count] => {
            let Some(kind) = hold::Kind::named(kind) else {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            };
            runtime.block_on(hold::run(kind, address, count.parse().expect("a count")));
        }
        ["upgrades", address] => runtime.block_on(upgrades::serve(address)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
