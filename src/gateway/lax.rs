//! Settings that are laxer than what holds by default (docs/security.md, "Opt-outs"): each use is a warning, so that it is
//! seen at the start and by `validate`.
use crate::model::{EncodedSlash, Finding, Kind, PathMode, Settings, UnknownFields, UnknownPlugin};

/// Warnings for the settings that void a promise.
pub(crate) fn settings(settings: &Settings) -> impl Iterator<Item = Finding> {
    let router = &settings.router;
    let everybody = settings.trusted_proxies.iter().any(|net| net.network().prefix_len() == 0);
    let used = [
        (
            router.path_mode == PathMode::Compatible,
            "router.path_mode",
            "rules on a path can be passed by another spelling of it",
        ),
        (
            router.encoded_slash == EncodedSlash::Keep,
            "router.encoded_slash",
            "an origin may read an encoded slash as a separator",
        ),
        (
            router.match_uri_encoded_slash,
            "router.match_uri_encoded_slash",
            "an origin may read an encoded slash as a separator",
        ),
        (
            router.normalize_uri_like_servlet,
            "router.normalize_uri_like_servlet",
            "the path that is matched is not the one that is sent on",
        ),
        (everybody, "trusted_proxies", "every client says itself who it is"),
        (
            settings.unknown_plugin == UnknownPlugin::Ignore,
            "unknown_plugin",
            "a plugin that is missing or misspelt guards nothing",
        ),
        (settings.unknown_fields == UnknownFields::Warn, "unknown_fields", "a rule that is misspelt does not hold"),
    ];
    used.into_iter().filter(|(used, ..)| *used).map(|(_, path, effect)| {
        Finding::warning(Kind::Settings, None, path, format!("is laxer than the default: {effect}"))
            .with_mend("leave it out, unless you need it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opt_out_is_named_and_nothing_else() {
        let paths = |settings: &Settings| self::settings(settings).map(|finding| finding.path).collect::<Vec<_>>();
        assert!(paths(&Settings::default()).is_empty());
        let mut lax = Settings::default();
        lax.router.path_mode = PathMode::Compatible;
        lax.router.encoded_slash = EncodedSlash::Keep;
        lax.router.match_uri_encoded_slash = true;
        lax.router.normalize_uri_like_servlet = true;
        lax.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap(), "0.0.0.0/0".parse().unwrap()];
        lax.unknown_plugin = UnknownPlugin::Ignore;
        lax.unknown_fields = UnknownFields::Warn;
        assert_eq!(
            paths(&lax),
            [
                "router.path_mode",
                "router.encoded_slash",
                "router.match_uri_encoded_slash",
                "router.normalize_uri_like_servlet",
                "trusted_proxies",
                "unknown_plugin",
                "unknown_fields",
            ]
        );
        lax.trusted_proxies.truncate(1);
        assert!(!paths(&lax).contains(&"trusted_proxies".to_owned()));
    }
}
