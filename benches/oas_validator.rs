//! What `oas-validator` costs with a document of 300 operations, counted in this process: the decision of a request, its
//! allocations, and compiling the document.
//!
//! `cargo bench --bench oas_validator --features validation`. A chain is the layer before an end that answers at once; `none` is
//! the end alone. Times are of the thread's own CPU, so that neighbours on the machine count little. The body is an order of
//! 2 KiB of JSON with ten lines of six members each; every path has two parameters, every operation one in the query.
#![expect(clippy::unwrap_used, reason = "a measurement ends when something is wrong")]
#[path = "support/allocations.rs"]
mod allocations;
#[path = "support/chains.rs"]
mod chains;
#[path = "support/cpu.rs"]
mod cpu;

use std::hint::black_box;

use allocations::allocated;
use chains::spent;
use cpu::cpu;
use criterion::Criterion;
use http::{HeaderValue, Request};
use rustix::time::ClockId;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tollgate::plugins::oas_validator::{OasValidator, OasValidatorConfig, OasValidatorLayer};
use tollgate::{Body, Next, PluginLayer, Response};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// 100 paths with three methods each.
fn document(version: &str) -> String {
    let query = json!([{"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}}]);
    let body =
        json!({"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}});
    let paths = (0..100).map(|index| {
        let item = json!({
            "parameters": [
                {"name": "tenant", "in": "path", "required": true, "schema": {"type": "string", "maxLength": 20}},
                {"name": "id", "in": "path", "required": true, "schema": {"type": "integer"}},
            ],
            "get": {"parameters": query}, "post": {"parameters": query, "requestBody": body}, "delete": {"parameters": query},
        });
        (format!("/v1/{{tenant}}/things-{index}/{{id}}"), item)
    });
    json!({"openapi": version, "paths": paths.collect::<serde_json::Map<_, _>>(), "components": {"schemas": {
        "Order": {
            "type": "object", "required": ["customer", "lines"], "additionalProperties": false,
            "properties": {
                "customer": {"type": "string", "minLength": 1, "maxLength": 80},
                "lines": {"type": "array", "minItems": 1, "maxItems": 50, "items": {"$ref": "#/components/schemas/Line"}},
                "note": {"type": "string"},
            },
        },
        "Line": {
            "type": "object", "required": ["sku", "amount", "price"], "additionalProperties": false,
            "properties": {
                "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"}, "amount": {"type": "integer", "minimum": 1},
                "price": {"type": "number", "minimum": 0}, "currency": {"enum": ["EUR", "USD", "GBP"]},
                "express": {"type": "boolean"}, "comment": {"type": "string", "maxLength": 200},
            },
        },
    }}}).to_string()
}

/// An order of 2 KiB.
fn order() -> String {
    let line = |index: usize| {
        json!({"sku": format!("ABC-{index:04}"), "amount": index + 1, "price": 12.5, "currency": "EUR", "express": index.is_multiple_of(2),
            "comment": "c".repeat(92)})
    };
    let order = |note: &str| {
        json!({"customer": "acme", "lines": (0..10).map(line).collect::<Value>(), "note": note}).to_string()
    };
    order(&"n".repeat(2048 - order("").len()))
}

fn end() -> Next {
    Next::from_call(|_| Box::pin(std::future::ready(Response::default())))
}

fn validated(version: &str) -> Next {
    let mut config = OasValidatorConfig::default();
    config.spec = Some(document(version));
    PluginLayer::from(OasValidatorLayer::of(OasValidator::new(config).unwrap())).wrap(end())
}

fn get() -> Request<Body> {
    Request::get("/v1/acme/things-57/4711?limit=10").body(Body::empty()).unwrap()
}

fn post(order: &'static str) -> Request<Body> {
    let mut request = Request::post("/v1/acme/things-57/4711?limit=10").body(Body::from(order)).unwrap();
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    request
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let order: &'static str = order().leak();
    assert_eq!(order.len(), 2048);
    type Make = fn(&'static str) -> Request<Body>;
    let cases: [(&str, Next, Make); 5] = [
        ("none", end(), post),
        ("GET, 3.0", validated("3.0.3"), |_| get()),
        ("POST of 2 KiB, 3.0", validated("3.0.3"), post),
        ("GET, 3.1", validated("3.1.0"), |_| get()),
        ("POST of 2 KiB, 3.1", validated("3.1.0"), post),
    ];
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("oas_validator");
    for (name, chain, make) in &cases {
        group.bench_function(*name, |bencher| {
            bencher
                .iter_custom(|count| spent((&runtime, chain), (count, 1000), ClockId::ThreadCPUTime, || make(order)));
        });
    }
    let text = document("3.0.3");
    group.sample_size(10).bench_function("compiling the document", |bencher| {
        bencher.iter_custom(|count| {
            let began = cpu(ClockId::ThreadCPUTime);
            for _ in 0..count {
                let mut config = OasValidatorConfig::default();
                config.spec = Some(text.clone());
                black_box(OasValidator::new(config).unwrap());
            }
            cpu(ClockId::ThreadCPUTime) - began
        });
    });
    group.finish();
    criterion.final_summary();

    println!("\nallocations of a request");
    for (name, chain, make) in &cases {
        println!("  {name:24} {:.2}", allocated(ALLOCATOR, &runtime, chain, || make(order)));
    }
}
