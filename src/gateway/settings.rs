//! Process settings in the form that requests read.
use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::model::{EncodedSlash, ErrorBodies, PathMode, Settings, UnknownFields, UnknownPlugin};
use crate::router::{self, PathOptions, RouterOptions};
use crate::upstream::AnswerLimits;

/// What holds for every request.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) router: RouterOptions,
    pub(crate) path: PathOptions,
    /// What an encoded slash means to routes that don't say it themselves.
    pub(crate) encoded_slash: EncodedSlash,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) ignore_unknown_plugins: bool,
    /// Fields that plugins do not know are left out, with a warning.
    pub(crate) leave_out_unknown_fields: bool,
    /// Own answers are `application/problem+json`.
    pub(crate) problem: bool,
    pub(crate) body_bytes: u64,
    pub(crate) body_timeout: Duration,
    /// Heads of upstreams' responses.
    pub(crate) answers: AnswerLimits,
    /// The largest request body at hand that is kept for another attempt.
    pub(crate) replay_bytes: usize,
    /// Where the Admin API listens, which no upstream may lead to.
    pub(crate) admin: Option<SocketAddr>,
    /// `checks` of upstreams hold.
    pub(crate) checks: bool,
    /// Until the response head, for requests that come by a host's server.
    pub(crate) request_timeout: Duration,
}

impl Rules {
    pub(crate) fn new(settings: &Settings) -> Self {
        let router = &settings.router;
        let path = PathOptions {
            path_mode: match router.path_mode {
                PathMode::Strict => router::PathMode::Strict,
                PathMode::Compatible => router::PathMode::Compatible,
            },
            // A route may decide for itself, so the path keeps it and the verdict falls after the match.
            encoded_slash: router::EncodedSlash::Keep,
            delete_uri_tail_slash: router.delete_uri_tail_slash,
            normalize_uri_like_servlet: router.normalize_uri_like_servlet,
            match_uri_encoded_slash: router.match_uri_encoded_slash,
            ..PathOptions::default()
        };
        Self {
            router: RouterOptions {
                host_first: router.host_first,
                parameters: router.parameters,
                method_not_allowed: router.method_not_allowed,
                path_mode: path.path_mode,
            },
            path,
            encoded_slash: router.encoded_slash,
            trusted_proxies: settings.trusted_proxies.iter().map(|net| net.network()).collect(),
            ignore_unknown_plugins: settings.unknown_plugin == UnknownPlugin::Ignore,
            leave_out_unknown_fields: settings.unknown_fields == UnknownFields::Warn,
            problem: settings.errors == ErrorBodies::Problem,
            body_bytes: settings.limits.body_bytes,
            body_timeout: settings.limits.body_timeout(),
            answers: AnswerLimits {
                header_bytes: usize::try_from(settings.limits.response_header_bytes).unwrap_or(usize::MAX),
                header_count: usize::try_from(settings.limits.response_header_count).unwrap_or(usize::MAX),
                interim: settings.limits.max_interim_responses,
            },
            replay_bytes: usize::try_from(settings.limits.replay_bytes).unwrap_or(usize::MAX),
            admin: settings.admin.as_ref().map(|admin| admin.listen),
            checks: !settings.disable_upstream_healthcheck,
            request_timeout: settings.limits.request_timeout(),
        }
    }
}
