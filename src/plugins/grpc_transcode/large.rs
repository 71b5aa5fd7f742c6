//! Messages that take long: they are read and written beside the threads that serve requests, at the plugin's bench.

/// Bytes from which on a message is worked on elsewhere. Fewer are read in less than a millisecond.
pub(super) const LARGE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;
    use http::{HeaderMap, Method};
    use http_body::Frame;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::super::{GrpcTranscode, GrpcTranscodeConfig};
    use super::*;
    use crate::plugin::bodies::Bodies;
    use crate::plugin::{AroundLayer, Bench};
    use crate::proto::Definitions;
    use crate::{Body, BodyError, Next, PluginLayer, Request, Response};

    const TEXT: &str = "syntax = \"proto3\"; message M { string a = 1; }
        service S { rpc One (M) returns (M); rpc Many (M) returns (stream M); }";

    /// A service that answers with the message it was sent, behind the plugin.
    fn echo(bench: &Bench, method: &str) -> Next {
        let mut definitions = Definitions::default();
        definitions.add("a.proto", TEXT.into());
        let mut config = GrpcTranscodeConfig::default();
        (config.proto_id, config.service, config.method) = ("a".into(), "S".to_owned(), method.to_owned());
        let proto = definitions.compile("a.proto").unwrap();
        let (transcode, _) = GrpcTranscode::at(bench, &Bodies::default(), &config, Some(&proto)).unwrap();
        PluginLayer::from(AroundLayer::of(transcode)).wrap(Next::from_fn(|request: Request| async {
            let message = request.into_body().collect().await.unwrap().to_bytes();
            let ok = HeaderMap::from_iter([(crate::grpc::STATUS, 0.into())]);
            let frames = [Frame::data(message), Frame::trailers(ok)].map(Ok::<_, BodyError>);
            let mut response = Response::new(Body::stream(StreamBody::new(futures_util::stream::iter(frames))));
            response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
            response
        }))
    }

    async fn answer(service: Next, bytes: usize) -> usize {
        let body = format!("{{\"a\":\"{}\"}}", "x".repeat(bytes));
        let request = http::Request::builder().method(Method::POST).header(CONTENT_TYPE, "application/json");
        let response = service.run(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap().to_bytes().len()
    }

    #[tokio::test]
    async fn large_messages_wait_for_a_place_and_small_ones_need_none() {
        for (method, around) in [("One", 8), ("Many", 9)] {
            let (bench, place) = Bench::taken();
            assert_eq!(answer(echo(&bench, method), 1000).await, 1000 + around);
            let large = tokio::spawn(answer(echo(&bench, method), LARGE));
            for _ in 0..100 {
                tokio::task::yield_now().await;
                assert!(!large.is_finished());
            }
            drop(place);
            assert_eq!(large.await.unwrap(), LARGE + around, "{method}");
        }
    }

    /// What a message may take in memory, as it is told in the documentation.
    #[test]
    fn a_value_is_some_fifty_bytes() {
        assert!((40..=64).contains(&size_of::<prost_reflect::Value>()), "{}", size_of::<prost_reflect::Value>());
    }
}
