//! What `gzip`, `brotli` and `zstd` cost, counted in this process: memory of a stream, time and size of an answer.
//!
//! `cargo bench --bench compress --features gzip,brotli,zstd`; with the name of a coding behind `--`, that one alone. *Memory* is what
//! the process grows by for each of several streams that were sent 3 MiB of unknown length and wait for more: resident pages, so
//! what C libraries take counts as well. *Time* is the thread's own CPU for an answer of 1 MiB of HTML at hand, as it goes through
//! the layer; *size* is what comes out of it. The first piece is out after the first 16 KiB that an upstream sent, or the
//! measurement ends.
#![expect(clippy::unwrap_used, reason = "a measurement ends when something is wrong")]
use std::cell::Cell;
use std::fs;
use std::pin::Pin;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;
use tollgate::plugins::brotli::BrotliConfig;
use tollgate::plugins::compress::{Compress, CompressLayer, Memory};
use tollgate::plugins::gzip::GzipConfig;
use tollgate::plugins::zstd::ZstdConfig;
use tollgate::{Body, BodyError, Next, PluginLayer, Response};

const STEP: usize = 16 * 1024;
const STREAMED: usize = 3 << 20;
const PAGE: usize = 1 << 20;

/// Rows of a table with numbers that do not come again soon.
fn html(length: usize) -> Bytes {
    let mut text = Vec::with_capacity(length + 100);
    let mut number = 0x2545_f491_4f6c_dd1d_u64;
    while text.len() < length {
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        let row = format!("<tr class=\"row-{}\"><td>{}</td></tr>\n", number % 1000, number % 100_000);
        text.extend_from_slice(row.as_bytes());
    }
    text.truncate(length);
    text.into()
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// Bytes of memory that this process has.
fn resident() -> usize {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn layer(coding: &str, level: u32) -> CompressLayer {
    let compress = match coding {
        "gzip" => {
            let mut config = GzipConfig::default();
            config.comp_level = level;
            Compress::gzip(config)
        }
        "br" => {
            let mut config = BrotliConfig::default();
            config.comp_level = level;
            Compress::brotli(config)
        }
        _ => {
            let mut config = ZstdConfig::default();
            config.comp_level = level;
            Compress::zstd(config)
        }
    };
    CompressLayer::of(compress.unwrap().within(Memory::new(u64::MAX)))
}

fn answer(runtime: &Runtime, coding: &str, level: u32, body: Body) -> Body {
    let body = std::sync::Mutex::new(Some(body));
    let end = Next::from_fn(move |_| {
        let answer = Response::new(body.lock().unwrap().take().unwrap());
        std::future::ready(answer)
    });
    let typed = PluginLayer::from_fn(|next: Next| {
        Next::from_fn(move |request| {
            let next = next.clone();
            async move {
                let mut answer = next.run(request).await;
                answer.headers_mut().insert("content-type", "text/html".parse().unwrap());
                answer
            }
        })
    });
    let chain = PluginLayer::from(layer(coding, level)).wrap(typed.wrap(end));
    let request = Request::get("/").header("accept-encoding", coding).body(Body::empty()).unwrap();
    let answer = runtime.block_on(chain.run(request));
    assert_eq!(answer.headers()["content-encoding"], coding);
    answer.into_body()
}

/// A body of so many bytes that then waits for ever; the number is what it has given.
fn waiting(text: Bytes) -> (Body, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given);
    let frames = futures_util::stream::poll_fn(move |_| {
        let at = count.load(Relaxed);
        if at == text.len() {
            return Poll::Pending;
        }
        let end = text.len().min(at + STEP);
        count.store(end, Relaxed);
        Poll::Ready(Some(Ok::<_, BodyError>(Frame::data(text.slice(at..end)))))
    });
    (Body::stream(StreamBody::new(frames)), given)
}

/// Reads all that comes out before the body waits.
fn read(body: &mut Body, given: &AtomicUsize, all: usize) -> usize {
    let mut read = 0;
    loop {
        match Pin::new(&mut *body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(frame)) => read += frame.unwrap().into_data().unwrap().len(),
            Poll::Ready(None) => return read,
            // It may have been another's turn.
            Poll::Pending if given.load(Relaxed) == all && read > 0 => return read,
            Poll::Pending => {}
        }
    }
}

fn memory(runtime: &Runtime, coding: &str, level: u32, text: &Bytes) -> usize {
    let streams = if level >= 9 { 4 } else { 16 };
    let mut held = Vec::with_capacity(streams);
    let mut before = 0;
    // the first one also pays for what is taken once
    for index in 0..=streams {
        let (body, given) = waiting(text.clone());
        let mut body = answer(runtime, coding, level, body);
        read(&mut body, &given, text.len());
        held.push(body);
        if index == 0 {
            before = resident();
        }
    }
    resident().saturating_sub(before) / streams
}

fn first_piece(runtime: &Runtime, coding: &str, level: u32) {
    let (body, given) = waiting(html(STEP));
    let mut body = answer(runtime, coding, level, body);
    assert!(read(&mut body, &given, STEP) > 0);
}

fn page(runtime: &Runtime, coding: &str, level: u32, text: &Bytes) -> (Duration, usize) {
    let rounds = if level >= 9 { 1 } else { 8 };
    let size = Rc::new(Cell::new(0));
    let began = cpu();
    for _ in 0..rounds {
        let body = answer(runtime, coding, level, Body::from(text.clone()));
        size.set(runtime.block_on(body.collect()).unwrap().to_bytes().len());
    }
    ((cpu() - began) / rounds, size.get())
}

/// Measures memory in a process of its own: what one case gives back the next one would get for nothing.
fn memory_apart(coding: &str, level: u32) -> f64 {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args(["memory", coding, &level.to_string()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse::<f64>().unwrap() / 1_048_576.0
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    if let [what, coding, level] = &arguments[..]
        && what == "memory"
    {
        println!("{}", memory(&runtime, coding, level.parse().unwrap(), &html(STREAMED)));
        return;
    }
    let only = arguments.first();
    let text = html(PAGE);
    let cases = [("gzip", &[1, 5, 9][..]), ("br", &[1, 4, 6, 9]), ("zstd", &[1, 3, 6, 9, 19])];
    println!("coding level   memory of a stream   1 MiB of HTML: CPU, size");
    for (coding, levels) in cases {
        if only.is_some_and(|only| only != coding) {
            continue;
        }
        for level in levels {
            first_piece(&runtime, coding, *level);
            let memory = memory_apart(coding, *level);
            let (took, size) = page(&runtime, coding, *level, &text);
            println!(
                "{coding:6} {level:5}   {memory:14.2} MiB   {:18.1} ms, {size} bytes",
                took.as_secs_f64() * 1000.0
            );
        }
    }
}
