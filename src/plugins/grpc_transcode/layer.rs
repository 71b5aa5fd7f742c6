//! The plugin.
use std::sync::Arc;
use std::time::Duration;

use http::header::ALLOW;
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode};
use prost_reflect::{FieldDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor};

use super::annotations::{Annotations, Found};
use super::call::Bound;
use super::config::GrpcTranscodeConfig;
use super::to_json::Style;
use crate::hop::takes_trailers;
use crate::plugin::bodies::Bodies;
use crate::plugin::{Around, AroundLayer, Bench, BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::proto::Proto;
use crate::{Next, PluginLayer, Request, Response, grpc, reject_empty};

pub(super) const NAME: &str = GrpcTranscodePlugin::NAME;

/// The most milliseconds that `grpc-timeout` holds.
const MOST_DEADLINE: u32 = 99_999_999;

/// Turns requests with JSON into gRPC calls, and their answers back.
#[derive(Clone, Debug)]
pub struct GrpcTranscode {
    target: Target,
}

/// What requests become.
#[derive(Clone, Debug)]
enum Target {
    One(Box<Call>),
    Annotated(Annotations),
    /// Nothing: they are answered with this.
    Missing(StatusCode),
}

/// Puts [`GrpcTranscode`] around a service.
pub type GrpcTranscodeLayer = AroundLayer<GrpcTranscode>;

/// A method, and how it is called.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) path: PathAndQuery,
    pub(super) input: MessageDescriptor,
    pub(super) output: MessageDescriptor,
    /// The field of the answer that is told, if it is not all of it.
    pub(super) told: Option<FieldDescriptor>,
    /// Whether it answers with a stream.
    pub(super) streams: bool,
    pub(super) deadline: Option<HeaderValue>,
    pub(super) style: Style,
    pub(super) show_status_in_body: bool,
    pub(super) status_detail: Option<MessageDescriptor>,
    pub(super) max_req_body_size: usize,
    pub(super) max_resp_body_size: usize,
    pub(super) bench: Bench,
    pub(super) bodies: Bodies,
}

impl GrpcTranscode {
    /// Compiles the options; `proto` is the definition that `proto_id` names.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong. A definition, service or method that does not exist is a [`Caveat`]: it
    /// may come later, and until then requests are answered with 500 or 503.
    pub fn new(config: &GrpcTranscodeConfig, proto: Option<&Proto>) -> Result<(Self, Vec<Caveat>), ConfigError> {
        Self::at(&Bench::default(), &Bodies::default(), config, proto)
    }

    /// The same, with places to work at that are shared.
    pub(super) fn at(
        bench: &Bench,
        bodies: &Bodies,
        config: &GrpcTranscodeConfig,
        proto: Option<&Proto>,
    ) -> Result<(Self, Vec<Caveat>), ConfigError> {
        let invalid = |field: &str, reason: &str| Err(ConfigError::invalid(NAME, field, reason));
        if config.proto_id.is_empty() {
            return invalid("proto_id", "missing field `proto_id`: write the id of one of `protos`");
        }
        if config.auto_mapping && !config.method.is_empty() {
            return invalid("method", "is not to be beside `auto_mapping`, which finds it; remove one of the two");
        }
        if !config.auto_mapping && (config.service.is_empty() || config.method.is_empty()) {
            let field = if config.service.is_empty() { "service" } else { "method" };
            return invalid(field, &format!("missing field `{field}`"));
        }
        if config.deadline > MOST_DEADLINE {
            return invalid("deadline", "is at most 99999999 milliseconds");
        }
        if config.max_req_body_size == 0 || config.max_resp_body_size == 0 {
            let field = if config.max_req_body_size == 0 { "max_req_body_size" } else { "max_resp_body_size" };
            return invalid(field, "write at least 1");
        }
        let mut caveats = Vec::new();
        let target = match find(config, proto, (bench, bodies), &mut caveats) {
            Ok(target) => target,
            Err(status) => Target::Missing(status),
        };
        Ok((Self { target }, caveats))
    }
}

/// What requests become, or how they are answered because of what is missing.
fn find(
    config: &GrpcTranscodeConfig,
    proto: Option<&Proto>,
    (bench, bodies): (&Bench, &Bodies),
    caveats: &mut Vec<Caveat>,
) -> Result<Target, StatusCode> {
    let mut doubt = |field: &str, message: String, mend: &str| caveats.push(Caveat::new(field, message, mend));
    let Some(proto) = proto else {
        let message = format!("there is no proto `{}`: requests are answered with 500", config.proto_id);
        doubt("proto_id", message, "add it to `protos`");
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let missing = StatusCode::SERVICE_UNAVAILABLE;
    let detail = config.status_detail_type.as_deref();
    let status_detail = detail.and_then(|name| proto.pool().get_message_by_name(name));
    if let (Some(name), None) = (detail, &status_detail) {
        let message = format!("the proto has no message `{name}`: details stay encoded");
        doubt("status_detail_type", message, "write its name with the package, and import its file");
    }
    let service = proto.pool().get_service_by_name(&config.service);
    if service.is_none() && !config.service.is_empty() {
        let message = format!("the proto has no service `{}`: requests are answered with 503", config.service);
        doubt("service", message, "write its name with the package, such as `helloworld.Greeter`");
        return Err(missing);
    }
    let call = |service: &ServiceDescriptor, method: &MethodDescriptor| {
        let path = PathAndQuery::try_from(format!("/{}/{}", service.full_name(), method.name())).ok()?;
        let deadline = Duration::from_millis(config.deadline.into());
        Some(Call {
            path,
            input: method.input(),
            output: method.output(),
            told: None,
            streams: method.is_server_streaming(),
            deadline: (!deadline.is_zero()).then(|| grpc::write_timeout(deadline)),
            style: Style::of(&config.pb_option),
            show_status_in_body: config.show_status_in_body,
            status_detail: status_detail.clone(),
            max_req_body_size: config.max_req_body_size,
            max_resp_body_size: config.max_resp_body_size,
            bench: bench.clone(),
            bodies: bodies.clone(),
        })
    };
    if config.auto_mapping {
        let mut annotations = Annotations::default();
        let services: Vec<_> = service.map_or_else(|| proto.pool().services().collect(), |service| vec![service]);
        for service in &services {
            for method in service.methods().filter(|method| !method.is_client_streaming()) {
                let added = call(service, &method).map_or(Ok(()), |call| annotations.add(&method, &call));
                if let Err(fault) = added {
                    let message = format!("an annotation of `{}` is left out: {fault}", method.full_name());
                    doubt("auto_mapping", message, "correct it in the proto");
                }
            }
        }
        if annotations.is_empty() {
            let message = "no method has a `google.api.http` annotation: requests are answered with 503".to_owned();
            doubt("auto_mapping", message, "annotate the methods, or write `service` and `method`");
            return Err(missing);
        }
        return Ok(Target::Annotated(annotations));
    }
    let service = service.ok_or(missing)?;
    let Some(method) = service.methods().find(|method| method.name() == config.method) else {
        let message = format!("the service has no method `{}`: requests are answered with 503", config.method);
        doubt("method", message, "write one that the service has");
        return Err(missing);
    };
    if method.is_client_streaming() {
        let message = format!("`{}` takes a stream: requests are answered with 503", config.method);
        doubt("method", message, "write a method that takes one message");
        return Err(missing);
    }
    call(&service, &method).map(|call| Target::One(Box::new(call))).ok_or(missing)
}

impl Around for GrpcTranscode {
    async fn handle(self: Arc<Self>, mut request: Request, next: Next) -> Response {
        let path = request.uri().path().to_owned();
        let (call, bound) = match &self.target {
            Target::One(call) => (&**call, None),
            Target::Annotated(annotations) => match annotations.find(request.method(), &path) {
                Found::Call(binding, variables) => {
                    (&binding.call, Some(Bound { body: binding.body.clone(), variables }))
                }
                Found::OtherMethod(allow) => {
                    let mut refusal = reject_empty(StatusCode::METHOD_NOT_ALLOWED, NAME);
                    refusal.headers_mut().insert(ALLOW, allow);
                    return refusal;
                }
                Found::Nothing => return reject_empty(StatusCode::NOT_FOUND, NAME),
            },
            Target::Missing(status) => return reject_empty(*status, NAME),
        };
        let takes_trailers = takes_trailers(request.headers());
        match call.begin(&mut request, bound).await {
            Ok(()) => call.end(next.run(request).await, takes_trailers).await,
            Err(refusal) => refusal,
        }
    }
}

/// Registry entry of `grpc-transcode`.
#[derive(Clone, Debug, Default)]
pub struct GrpcTranscodePlugin {
    /// Of all blocks of a gateway.
    bench: Bench,
}

impl Plugin for GrpcTranscodePlugin {
    const NAME: &'static str = "grpc-transcode";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 506;
    type Config = GrpcTranscodeConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<GrpcTranscodeConfig>()
    }

    fn build(&self, config: GrpcTranscodeConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let proto = if config.proto_id.is_empty() { None } else { cx.proto(&config.proto_id) };
        let (transcode, caveats) = GrpcTranscode::at(&self.bench, &cx.bodies(), &config, proto.as_ref())?;
        caveats.into_iter().for_each(|caveat| cx.doubt(caveat));
        Ok(GrpcTranscodeLayer::of(transcode).into())
    }
}
