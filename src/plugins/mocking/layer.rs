//! The plugin.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::schema::Schema;
use super::xml;
use crate::plugin::{Around, AroundLayer, BuildContext, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::chance::Dice;
use crate::plugins::edit::{FieldTemplate, FieldValues, append_fields, compile_fields};
use crate::request::{RequestVars, Template};
use crate::router::Variables;
use crate::{Body, Next, PluginLayer, Request, Response, answer_of};

/// Options of `mocking`. One of `response_example` and `response_schema` is required.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MockingConfig {
    /// How long every answer takes, in whole seconds. Default 0.
    pub delay: u32,
    /// The status, 200–999. Default 200.
    pub response_status: u16,
    /// The media type: `application/json`, `application/xml`, `text/xml`, `text/plain` or `text/html`, with parameters
    /// if need be. Default `application/json;charset=utf8`.
    pub content_type: String,
    /// The body, a template. Wins over `response_schema`. Default: none.
    pub response_example: Option<String>,
    /// What to make a body up by. Default: none.
    pub response_schema: Option<Value>,
    /// Whether the answer says `x-mock-by`. Default `true`.
    pub with_mock_header: bool,
    /// Fields that are added: strings (templates) or numbers. Default: none.
    pub response_headers: BTreeMap<String, FieldValues>,
}

impl Default for MockingConfig {
    fn default() -> Self {
        Self {
            delay: 0,
            response_status: 200,
            content_type: "application/json;charset=utf8".to_owned(),
            response_example: None,
            response_schema: None,
            with_mock_header: true,
            response_headers: BTreeMap::new(),
        }
    }
}

const MOCKED_BY: HeaderName = HeaderName::from_static("x-mock-by");
const NAME_AND_VERSION: HeaderValue = HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION")));

/// Answers requests.
#[derive(Debug)]
pub struct Mocking {
    delay: Duration,
    status: StatusCode,
    content_type: HeaderValue,
    content: Content,
    with_mock_header: bool,
    headers: Vec<(HeaderName, FieldTemplate)>,
}

#[derive(Debug)]
enum Content {
    Literal(Bytes),
    Template(Template),
    Json(Schema),
    Xml(Schema),
}

/// [`Mocking`] around a service, which it never calls.
pub type MockingLayer = AroundLayer<Mocking>;

impl Mocking {
    /// Compiles the options.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn new(config: MockingConfig) -> Result<Self, ConfigError> {
        let fault = |field: &str, reason: String| ConfigError::invalid(MockingPlugin::NAME, field, reason);
        let status = StatusCode::from_u16(config.response_status).ok().filter(|status| status.as_u16() >= 200);
        let status = status.ok_or_else(|| fault("response_status", "is a status from 200 on".to_owned()))?;
        let media_type = config.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_xml = match &*media_type {
            "application/xml" | "text/xml" => true,
            "application/json" | "text/plain" | "text/html" => false,
            _ => return Err(fault("content_type", "unsupported content type!".to_owned())),
        };
        let content_type = HeaderValue::from_str(&config.content_type);
        let content_type = content_type.map_err(|_| fault("content_type", "is no field value".to_owned()))?;
        let content = match (config.response_example, config.response_schema) {
            (Some(example), _) => {
                let template = Template::parse(&example);
                let template = template.map_err(|error| fault("response_example", error.to_string()))?;
                match template.as_literal() {
                    Some(literal) => Content::Literal(Bytes::copy_from_slice(literal)),
                    None => Content::Template(template),
                }
            }
            (None, Some(schema)) => {
                let schema = Schema::compile(&schema, "response_schema").map_err(|(at, reason)| fault(&at, reason))?;
                if is_xml { Content::Xml(schema) } else { Content::Json(schema) }
            }
            (None, None) => {
                return Err(fault("", "write one of `response_example` and `response_schema`".to_owned()));
            }
        };
        Ok(Self {
            delay: Duration::from_secs(config.delay.into()),
            status,
            content_type,
            content,
            with_mock_header: config.with_mock_header,
            headers: compile_fields(MockingPlugin::NAME, "response_headers", &config.response_headers)?,
        })
    }

    fn answer(&self, vars: &dyn Variables) -> Response {
        let body = match &self.content {
            Content::Literal(text) => Body::from(text.clone()),
            Content::Template(template) => Body::from(template.render(vars).text),
            Content::Json(schema) => Body::from(schema.make(&mut Dice::new()).to_string()),
            Content::Xml(schema) => Body::from(xml::document(&schema.make(&mut Dice::new()))),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        if self.with_mock_header {
            headers.insert(MOCKED_BY, NAME_AND_VERSION);
        }
        append_fields(&self.headers, vars, headers);
        answer_of(MockingPlugin::NAME, response)
    }
}

impl Around for Mocking {
    async fn handle(self: Arc<Self>, request: Request, _: Next) -> Response {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        self.answer(&RequestVars::of(&request))
    }
}

/// Registry entry of `mocking`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MockingPlugin;

impl Plugin for MockingPlugin {
    const NAME: &'static str = "mocking";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 10_900;
    type Config = MockingConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<MockingConfig>()
    }

    fn build(&self, config: MockingConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Mocking::new(config).map(|mocking| AroundLayer::of(mocking).into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::Fault;
    use crate::plugin::shape;

    fn mocking(block: Value) -> Result<Mocking, ConfigError> {
        Mocking::new(shape(MockingPlugin::NAME, block.as_object().unwrap())?)
    }

    fn answer(block: Value) -> Response {
        let request = http::Request::builder().uri("/a?b=c").body(()).unwrap();
        mocking(block).unwrap().answer(&RequestVars::of(&request))
    }

    fn text(response: &Response) -> String {
        String::from_utf8(response.body().as_bytes().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn examples_are_templates_and_win() {
        for (block, wanted) in [
            (json!({"response_example": "plain"}), "plain"),
            (json!({"response_example": ""}), ""),
            (json!({"response_example": "$uri ${arg_b} $arg_none\\$x"}), "/a c $x"),
            (json!({"response_example": "e", "response_schema": {"type": "string"}}), "e"),
        ] {
            assert_eq!(text(&answer(block.clone())), wanted, "{block}");
        }
    }

    #[test]
    fn schemas_become_json_or_xml() {
        let schema = json!({"type": "object", "properties": {
            "id": {"type": "integer", "example": 7},
            "tags": {"type": "array", "example": ["a", "<b>"]},
        }});
        for (content_type, wanted) in [
            ("application/json", r#"{"id":7,"tags":["a","<b>"]}"#),
            ("text/plain", r#"{"id":7,"tags":["a","<b>"]}"#),
            ("text/html; charset=utf-8", r#"{"id":7,"tags":["a","<b>"]}"#),
            ("application/xml", "<data><id>7</id><tags>a</tags><tags>&lt;b&gt;</tags></data>"),
            ("Text/XML;charset=utf8", "<data><id>7</id><tags>a</tags><tags>&lt;b&gt;</tags></data>"),
        ] {
            let response = answer(json!({"content_type": content_type, "response_schema": schema}));
            assert_eq!(text(&response), wanted, "{content_type}");
            assert_eq!(response.headers()["content-type"], content_type);
        }
    }

    #[test]
    fn status_and_fields() {
        let response = answer(json!({"response_example": "x"}));
        let by = concat!("tollgate/", env!("CARGO_PKG_VERSION"));
        assert_eq!((response.status().as_u16(), &response.headers()["x-mock-by"]), (200, &by.parse().unwrap()));
        assert_eq!(response.headers()["content-type"], "application/json;charset=utf8");
        assert_eq!(response.extensions().get::<Fault>().map(Fault::source), Some("mocking"));
        let response = answer(json!({
            "response_example": "x", "response_status": 201, "with_mock_header": false,
            "response_headers": {"x-a": "$arg_b", "x-n": 1, "content-type": "b"},
        }));
        assert_eq!(response.status(), 201);
        assert!(!response.headers().contains_key("x-mock-by"));
        assert_eq!(
            (&response.headers()["x-a"], &response.headers()["x-n"]),
            (&"c".parse().unwrap(), &"1".parse().unwrap())
        );
        assert_eq!(response.headers().get_all("content-type").iter().count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_takes_its_time_and_no_upstream() {
        let layer = AroundLayer::of(mocking(json!({"response_example": "x", "delay": 3})).unwrap());
        let chain = PluginLayer::from(layer).wrap(Next::from_fn(|_| async { panic!("called") }));
        let began = Instant::now();
        assert_eq!(chain.run(Request::default()).await.status(), 200);
        assert_eq!(began.elapsed().as_secs(), 3);
    }

    #[test]
    fn faults_name_their_field() {
        for (block, field, says) in [
            (json!({}), "", "one of `response_example` and `response_schema`"),
            (json!({"response_example": "${"}), "response_example", "closing"),
            (json!({"response_example": "", "response_status": 100}), "response_status", "from 200 on"),
            (json!({"response_example": "", "content_type": "image/png"}), "content_type", "unsupported content type!"),
            (json!({"response_example": "", "delay": -1}), "delay", "expected u32"),
            (json!({"response_schema": {"type": "date"}}), "response_schema.type", "is one of"),
            (json!({"response_example": "", "response_headers": {"te": "x"}}), "response_headers.te", "connection"),
            (json!({"example": ""}), "example", "unknown field"),
        ] {
            let error = mocking(block.clone()).unwrap_err();
            assert_eq!(error.field(), field, "{block}");
            assert!(error.to_string().contains(says), "{block}: {error}");
        }
    }
}
