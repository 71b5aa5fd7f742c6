//! What clients of HTTP/2 can make a server keep (security.md H2-08).
#![cfg(all(feature = "server", feature = "http2"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
#[path = "server_http2/raw.rs"]
mod raw;
mod support;

use std::alloc::System;

use raw::{CONTINUATION, END_HEADERS, END_STREAM, HEADERS, Raw, field, frame, get, head};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::{Record, echo, start_with, wait_until};
use tollgate::server::{Limits, Protocols};
use tollgate::{Next, Response};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that are allocated now, by the server and the test.
fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// One after the other: the tests of a process share its memory.
#[test]
fn sec_h2_08_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        idle_connections_are_small().await;
        bombs_are_defused().await;
    });
}

/// What is asked of the allocator, most of it by `h2`: 16 KiB to write, 13 KiB for fields, 8 KiB to read, of which little is ever
/// touched.
async fn idle_connections_are_small() {
    const COUNT: usize = 50;
    let (server, address) = start_with(Limits::default(), echo(&Record::default()), Protocols::H2);
    let mut held = Vec::new();
    for warm in [true, false] {
        let before = live();
        for _ in 0..COUNT {
            let mut raw = Raw::connect(address).await;
            assert!(raw.serves(1).await);
            held.push(raw);
        }
        let each = (live() - before) / COUNT;
        eprintln!("{each} bytes for an idle connection and its client");
        if !warm {
            assert!(each < 40 * 1024, "{each}");
        }
    }
    drop(held);
    wait_until("all are gone", || server.connections() == 0).await;
}

/// A block that puts a field into the table and then names it again and again.
fn references(name: &str, value: &str, count: usize) -> Vec<u8> {
    let mut block = head("GET", "/", &[]);
    let mut entry = field(name, value);
    entry[0] = 0x40;
    block.extend(entry);
    block.extend(std::iter::repeat_n(0xbe, count));
    block
}

/// Sends it over streams that nobody answers; what the server kept at most, and what was sent.
async fn kept(block: &[u8], streams: u32, whole: bool) -> (usize, usize) {
    let mute = Next::from_fn(|_| std::future::pending::<Response>());
    let (_server, address) = start_with(Limits::default(), mute, Protocols::H2);
    let mut raw = Raw::connect(address).await;
    // What a first request allocates is not of the bomb's making.
    raw.send(get(1)).await;
    raw.send(frame(raw::PING, 0, 0, &[0; 8])).await;
    raw.until(|frame| frame.kind == raw::PING).await;
    let (before, mut most, mut sent) = (live(), 0, 0);
    'all: for at in 1..streams {
        let mut parts = block.chunks(16_000).peekable();
        let mut kind = HEADERS;
        while let Some(part) = parts.next() {
            let ends = if parts.peek().is_none() && whole { END_HEADERS } else { 0 };
            let flags = ends | if kind == HEADERS { END_STREAM } else { 0 };
            let bytes = frame(kind, flags, at * 2 + 1, part);
            sent += bytes.len();
            if !raw.try_send(bytes).await {
                break 'all;
            }
            kind = CONTINUATION;
            for _ in 0..20 {
                tokio::task::yield_now().await;
                most = most.max(live().saturating_sub(before));
            }
        }
    }
    (most, sent)
}

async fn bombs_are_defused() {
    let empty = references("x", "", 15_000);
    let large = references("x", &"y".repeat(3900), 4000);
    let cookies = references("cookie", "a", 15_000);
    let some = references("x", "", 60);
    let endless = field("x", &"y".repeat(15_000));
    for (what, block, whole) in [
        ("references to an empty field", &empty, true),
        ("references to a large field", &large, true),
        ("pieces of a cookie", &cookies, true),
        ("as many as are allowed", &some, true),
        ("a block without an end", &endless, false),
    ] {
        let (kept, sent) = kept(block, 100, whole).await;
        eprintln!("{what}: {kept} bytes kept of {sent}");
        assert!(kept <= 32 << 20, "{what}: {kept}");
        assert!(kept <= 10 * sent || kept < 2 << 20, "{what}: {kept} of {sent}");
    }
}
