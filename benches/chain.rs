//! What layers cost: a request through the gateway to an endpoint of this process, with 0, 1, 5, 10 and 20 layers.
//!
//! `cargo bench --bench chain --features prometheus`. The layer sets one field, as the lightest useful one does.
//! *Stack*: all layers of a route as one `ServiceBuilder` stack, erased once. *Each*: every layer given by itself, so erased by
//! itself. *Layers*: the same built from configuration. *Gates* and *arounds*: the same decision as a `Gate` and as `Around`
//! code, built from configuration; *gate stack*: gates composed in code and erased once. *Real*: key-auth, limit-count by
//! consumer and prometheus from configuration. The `request` line is the making of the request alone; the figures of the
//! others hold it too. The table at the end has the allocations of one request, without those of making it.
#![expect(clippy::unwrap_used, reason = "a measurement ends when something is wrong")]
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use criterion::Criterion;
use http::{HeaderName, HeaderValue, Request, Response};
use serde::Deserialize;
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::Runtime;
use tollgate::gateway::{Gateway, Route};
use tollgate::model::{NodeSpec, ReadOptions, read};
use tollgate::plugin::{Around, AroundLayer, BuildContext, ConfigError, Gate, GateLayer, Plugin, Stage};
use tollgate::{Body, ConnectInfo, Next, PluginLayer};
use tower::layer::util::{Identity, Stack};
use tower::{Layer, Service, ServiceBuilder, ServiceExt as _};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Sets a field of the request.
#[derive(Clone, Copy, Debug)]
struct Mark;

fn mark<B>(request: &mut Request<B>) {
    request.headers_mut().insert(HeaderName::from_static("x-mark"), HeaderValue::from_static("1"));
}

impl Gate for Mark {
    fn check<B>(&self, request: &mut Request<B>) -> Result<(), tollgate::Response> {
        mark(request);
        Ok(())
    }
}

impl Around for Mark {
    async fn handle(self: Arc<Self>, mut request: tollgate::Request, next: Next) -> tollgate::Response {
        mark(&mut request);
        next.run(request).await
    }
}

#[derive(Clone)]
struct Marked<S>(S);

impl<S> Layer<S> for Mark {
    type Service = Marked<S>;

    fn layer(&self, inner: S) -> Marked<S> {
        Marked(inner)
    }
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Marked<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        mark(&mut request);
        self.0.call(request)
    }
}

/// What a plugin of these builds.
#[derive(Deserialize)]
#[serde(tag = "form", rename_all = "lowercase")]
enum Form {
    Layer,
    Gate,
    Around,
}

impl From<Form> for PluginLayer {
    fn from(form: Form) -> Self {
        match form {
            Form::Layer => Self::new(Mark),
            Form::Gate => GateLayer::of(Mark).into(),
            Form::Around => AroundLayer::of(Mark).into(),
        }
    }
}

/// One name for each of up to 20 layers: a route has a plugin once.
macro_rules! plugins {
    ($($type:ident $name:literal)*) => {
        $(
            struct $type;

            impl Plugin for $type {
                const NAME: &'static str = $name;
                const STAGE: Stage = Stage::Access;
                const PRIORITY: i32 = 1;
                type Config = Form;

                fn build(&self, form: Form, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
                    Ok(form.into())
                }
            }
        )*
        const NAMES: [&str; 20] = [$($name),*];

        fn registered(builder: tollgate::gateway::GatewayBuilder) -> tollgate::gateway::GatewayBuilder {
            builder$(.plugin($type))*
        }
    };
}

plugins! {
    P00 "p00" P01 "p01" P02 "p02" P03 "p03" P04 "p04" P05 "p05" P06 "p06" P07 "p07" P08 "p08" P09 "p09"
    P10 "p10" P11 "p11" P12 "p12" P13 "p13" P14 "p14" P15 "p15" P16 "p16" P17 "p17" P18 "p18" P19 "p19"
}

const COUNTS: [usize; 4] = [1, 5, 10, 20];

/// Routes `/none`, `/stack/N`, `/each/N`, `/gatestack/5`, those of configuration, and `/real`.
fn gateway() -> Gateway {
    let endpoint =
        tower::service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::from("hello"))) });
    let to = || [NodeSpec::service("hello")];
    let one = || Stack::new(Identity::new(), Mark);
    let five = || Stack::new(one(), Stack::new(one(), Stack::new(one(), Stack::new(one(), one()))));
    let ten = || Stack::new(five(), five());
    let gate = || GateLayer::of(Mark);
    let gates = ServiceBuilder::new().layer(gate()).layer(gate()).layer(gate()).layer(gate()).layer(gate());
    let mut builder = registered(Gateway::builder())
        .endpoint("hello", endpoint)
        .route(Route::new("/none").to_nodes(to()))
        .route(Route::new("/stack/1").layer(one()).to_nodes(to()))
        .route(Route::new("/stack/5").layer(five()).to_nodes(to()))
        .route(Route::new("/stack/10").layer(ten()).to_nodes(to()))
        .route(Route::new("/stack/20").layer(Stack::new(ten(), ten())).to_nodes(to()))
        .route(Route::new("/gatestack/5").layer(gates.into_inner()).to_nodes(to()));
    for count in COUNTS {
        let route = Route::new(format!("/each/{count}"));
        let route = (0..count).fold(route, |route, _| route.layer(Mark));
        builder = builder.route(route.to_nodes(to()));
    }
    let gateway = builder.build().unwrap();
    let upstream = json!({"nodes": [{"service": "hello", "weight": 1}]});
    let mut routes = vec![json!({"id": "real", "uri": "/real", "upstream": upstream, "plugins": {
        "key-auth": {"header": "x-api-key"},
        "limit-count": {"count": 1_000_000_000, "time_window": 60, "key_type": "var", "key": "consumer_name"},
        "prometheus": {},
    }})];
    for form in ["layer", "gate", "around"] {
        for count in COUNTS {
            let plugins: serde_json::Map<_, _> =
                NAMES.iter().take(count).map(|name| ((*name).to_owned(), json!({"form": form}))).collect();
            let (id, uri) = (format!("{form}s-{count}"), format!("/{form}s/{count}"));
            routes.push(json!({"id": id, "uri": uri, "plugins": plugins, "upstream": upstream}));
        }
    }
    let consumers: Vec<_> = (0..1000)
        .map(|n| json!({"username": format!("consumer-{n}"), "plugins": {"key-auth": {"key": format!("key-{n}")}}}))
        .collect();
    let document = json!({"routes": routes, "consumers": consumers});
    gateway.apply(read(&document, &ReadOptions::default()).snapshot).unwrap();
    gateway
}

fn request(path: &'static str) -> Request<Body> {
    let request = Request::builder().uri(http::Uri::from_static(path));
    let request = request.header("host", HeaderValue::from_static("bench.test"));
    request.header("x-api-key", HeaderValue::from_static("key-7")).body(Body::empty()).unwrap()
}

/// Sends so many requests one after the other.
async fn send(gateway: &Gateway, path: &'static str, count: u64) {
    let connection = gateway.connection(ConnectInfo::new(([127, 0, 0, 1], 4711).into()));
    for _ in 0..count {
        let response = connection.clone().oneshot(request(path)).await.unwrap();
        assert_eq!(black_box(response).status(), 200);
    }
}

const PATHS: [&str; 23] = [
    "/none",
    "/stack/1",
    "/stack/5",
    "/stack/10",
    "/stack/20",
    "/gatestack/5",
    "/each/1",
    "/each/5",
    "/each/10",
    "/each/20",
    "/layers/1",
    "/layers/5",
    "/layers/10",
    "/layers/20",
    "/gates/1",
    "/gates/5",
    "/gates/10",
    "/gates/20",
    "/arounds/1",
    "/arounds/5",
    "/arounds/10",
    "/arounds/20",
    "/real",
];

/// Allocations of one turn of `work`, which is repeated.
fn allocations(runtime: &Runtime, gateway: &Gateway, path: &'static str) -> f64 {
    const ROUNDS: u32 = 1000;
    // The first request wires the chain.
    runtime.block_on(send(gateway, path, 10));
    let region = Region::new(ALLOCATOR);
    runtime.block_on(send(gateway, path, ROUNDS.into()));
    let all = region.change().allocations;
    let region = Region::new(ALLOCATOR);
    (0..ROUNDS).for_each(|_| drop(black_box(request(path))));
    let own = region.change().allocations;
    f64::from(u32::try_from(all - own).unwrap()) / f64::from(ROUNDS)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let gateway = gateway();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("chain");
    group.bench_function("request", |bencher| bencher.iter(|| request("/none")));
    for path in PATHS {
        let name = path.trim_start_matches('/').replace('/', "-");
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let began = Instant::now();
                runtime.block_on(send(&gateway, path, count));
                began.elapsed()
            });
        });
    }
    group.finish();
    criterion.final_summary();
    println!("{:12} allocations a request", "chain");
    for path in PATHS {
        println!("{path:12} {:.2}", allocations(&runtime, &gateway, path));
    }
}
