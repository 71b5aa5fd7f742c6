//! What is kept (RFC 9111 §3).
use std::time::Duration;

use http::header::{
    AGE, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, EXPIRES, HeaderMap, HeaderName, SET_COOKIE, TRAILER,
};
use http::response::Parts;
use http::{HeaderValue, StatusCode};

use super::deception::deceives;
use super::directives::CacheControl;
use super::lifetime::{Lifetime, initial_age, told};
use super::unkeyed::Unkeyed;
use crate::cache::{Draft, Meta, Vary};
use crate::hop::is_hop;
use crate::plugin::StandIn;
use crate::{Fault, IntoResponse as _, Response, reject_empty};

/// What a block says of all its answers.
#[derive(Clone, Debug)]
pub(in super::super) struct Policy {
    /// The plugin's name.
    pub(in super::super) plugin: &'static str,
    /// The field that tells what the cache did.
    pub(in super::super) status_field: HeaderName,
    /// Statuses that are kept, in order.
    pub(in super::super) statuses: Vec<u16>,
    pub(in super::super) lifetime: Lifetime,
    /// Answers with `Set-Cookie` are kept.
    pub(in super::super) keeps_cookies: bool,
    /// Clients are not told `Cache-Control` and `Expires`.
    pub(in super::super) hides_lifetime: bool,
    /// The longest body that is kept.
    pub(in super::super) max_body: u64,
    /// For how many seconds a stale answer is used while a new one is fetched, where it does not say so itself.
    pub(in super::super) while_revalidate: u32,
    /// For how many seconds a stale answer is used when no new one can be had, where it does not say so itself.
    pub(in super::super) if_error: u32,
    /// How long a request waits for another one's answer; zero for not at all.
    pub(in super::super) collapse: Duration,
    pub(in super::super) unkeyed: Unkeyed,
}

/// What the request says about who may get its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// It brought credentials, or is a known caller's, and the key does not say whose.
    pub(super) authorized: bool,
    /// The path that was sent, and the one that was asked for.
    pub(super) paths: [&'a [u8]; 2],
    /// When it was sent, and when its answer came, in milliseconds since 1970.
    pub(super) sent: u64,
    pub(super) came: u64,
}

/// Why an answer is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotKept {
    /// Its status is not among those that are.
    Status,
    /// It is an error of the gateway's or another plugin's own, or of an upstream that stands in.
    Own,
    /// It is the caller's: `private`, credentials without `public`, a cookie.
    Private,
    /// It says `no-store`, `no-cache` or `Vary: *`.
    Forbidden,
    /// It is stale already, or does not say how long it is fresh.
    Stale,
    /// It is too long, its end cannot be known, or something stands behind it.
    Length,
    /// It is a page under the name of a file.
    Deceives,
}

impl Policy {
    /// What is kept of an answer.
    ///
    /// # Errors
    /// Why it is not kept.
    pub(super) fn judge(&self, asked: Asked<'_>, answer: &Parts) -> Result<Draft, NotKept> {
        let status = answer.status;
        let is_part = status == StatusCode::PARTIAL_CONTENT || status == StatusCode::NOT_MODIFIED;
        if is_part || self.statuses.binary_search(&status.as_u16()).is_err() {
            return Err(NotKept::Status);
        }
        if is_anothers(answer) {
            return Err(NotKept::Own);
        }
        let headers = &answer.headers;
        let control = CacheControl::of(headers);
        let may_be_shared = control.public || control.s_maxage.is_some() || control.must_revalidate;
        if control.private
            || asked.authorized && !may_be_shared
            || !self.keeps_cookies && headers.contains_key(SET_COOKIE)
        {
            return Err(NotKept::Private);
        }
        let Vary::By(names) = Vary::of(headers) else { return Err(NotKept::Forbidden) };
        if control.no_store || control.no_cache || headers.contains_key(CONTENT_RANGE) {
            return Err(NotKept::Forbidden);
        }
        if status == StatusCode::OK && deceives(&asked.paths, headers) {
            return Err(NotKept::Deceives);
        }
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.max_body) {
            return Err(NotKept::Length);
        }
        #[cfg(feature = "client")]
        if answer.extensions.get::<crate::body::EndsWithConnection>().is_some() {
            return Err(NotKept::Length);
        }
        if never_ends(headers) || has_trailers(headers) {
            return Err(NotKept::Length);
        }
        let initial_age = initial_age(headers, asked);
        let left = told(&control, headers, asked.came).map(|told| told.saturating_sub(initial_age));
        let mut fresh_for = self.lifetime.fresh_for(left).ok_or(NotKept::Stale)?;
        if asked.authorized {
            fresh_for = fresh_for.min(left.unwrap_or(u32::MAX));
        }
        // Callers with credentials share it for as long as it says itself, whatever lifetime is set:
        // `must-revalidate` is a permission because it is checked each time once that is over (RFC 9111 §3.5).
        let shared = may_be_shared && left.map_or(control.public, |left| left >= fresh_for);
        if fresh_for == 0 || asked.authorized && !shared {
            return Err(NotKept::Stale);
        }
        let must_be_checked = control.must_revalidate || control.proxy_revalidate;
        // What must be checked is never used stale; of `s-maxage` that holds unless the answer itself says otherwise
        // (RFC 9111 §4.2.4, §5.2.2.10).
        let unsaid = |own: u32| if control.s_maxage.is_some() { 0 } else { own };
        let stale = |told: Option<u32>, own: u32| match must_be_checked {
            true => 0,
            false => told.unwrap_or_else(|| unsaid(own)),
        };
        let meta = Meta {
            stored_at: asked.came,
            fresh_for,
            initial_age,
            while_revalidate: stale(control.while_revalidate, self.while_revalidate),
            if_error: stale(control.if_error, self.if_error),
            variant: 0,
            status,
            shared,
            strict: must_be_checked || control.s_maxage.is_some(),
        };
        Ok(Draft { meta, headers: self.kept_fields(headers), names })
    }

    /// The fields without those of one hop, of one answer, and of what we write ourselves.
    fn kept_fields(&self, headers: &HeaderMap) -> HeaderMap {
        let is_named = |text: &str| {
            let lists = headers.get_all(CONNECTION).iter().flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
            lists.map(<[u8]>::trim_ascii).any(|name| name.eq_ignore_ascii_case(text.as_bytes()))
        };
        let is_kept = |name: &HeaderName| {
            let text = name.as_str();
            !is_hop(text.as_bytes())
                && !is_named(text)
                && *name != CONTENT_LENGTH
                && *name != AGE
                && *name != self.status_field
                && !text.starts_with("x-ratelimit-")
                && !text.starts_with("ratelimit")
        };
        headers.iter().filter(|(name, _)| is_kept(name)).map(|(name, value)| (name.clone(), value.clone())).fold(
            HeaderMap::with_capacity(headers.len()),
            |mut kept, (name, value)| {
                kept.append(name, value);
                kept
            },
        )
    }

    /// Says what the cache did.
    pub(super) fn mark(&self, mut response: Response, status: &'static str) -> Response {
        response.headers_mut().insert(self.status_field.clone(), HeaderValue::from_static(status));
        if self.hides_lifetime {
            response.headers_mut().remove(http::header::CACHE_CONTROL);
            response.headers_mut().remove(EXPIRES);
        }
        response
    }

    /// The answer to who wants what is kept only, where nothing is (RFC 9111 §5.2.1.7).
    pub(super) fn nothing_kept(&self) -> Response {
        self.mark(reject_empty(StatusCode::GATEWAY_TIMEOUT, self.plugin).into_response(), "MISS")
    }
}

/// Whether an answer says that fields stand behind its body, which would be lost.
fn has_trailers(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let is_grpc = |media: &[u8]| media.get(..GRPC.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(GRPC));
    headers.contains_key(TRAILER) || is_grpc(media_type(headers))
}

/// The media type without its parameters.
fn media_type(headers: &HeaderMap) -> &[u8] {
    let media = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    media.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// Whether an answer is not of the upstream that was meant, but an error of the gateway's own or of one that stands in.
pub(super) fn is_anothers(answer: &Parts) -> bool {
    answer.extensions.get::<Fault>().is_some() || answer.extensions.get::<StandIn>().is_some()
}

/// Whether an answer is a stream of events or pictures, which has no end as a rule.
fn never_ends(headers: &HeaderMap) -> bool {
    let media = media_type(headers);
    [&b"text/event-stream"[..], b"multipart/x-mixed-replace"].iter().any(|stream| stream.eq_ignore_ascii_case(media))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn policy(lifetime: Lifetime) -> Policy {
        Policy {
            plugin: "proxy-cache",
            status_field: HeaderName::from_static("apisix-cache-status"),
            statuses: vec![200, 301, 404],
            lifetime,
            keeps_cookies: false,
            hides_lifetime: false,
            max_body: 100,
            while_revalidate: 0,
            if_error: 0,
            collapse: Duration::from_secs(5),
            unkeyed: Unkeyed::default(),
        }
    }

    pub(in super::super) fn answer(status: u16, fields: &[(&'static str, &str)]) -> Parts {
        let mut response = http::Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    /// 2001-09-09T01:46:40Z
    pub(in super::super) const NOW: u64 = 1_000_000_000_000;
    pub(in super::super) const DATE_NOW: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
    pub(in super::super) const ASKED: Asked<'_> =
        Asked { authorized: false, paths: [b"/", b"/"], sent: NOW, came: NOW };

    #[test]
    fn sec_cache_02_what_is_not_everybodys_is_not_kept() {
        let policy = policy(Lifetime::Set(300));
        let with = |field: (&'static str, &str)| policy.judge(ASKED, &answer(200, &[field])).map(drop);
        for (field, why) in [
            (("cache-control", "private"), NotKept::Private),
            (("cache-control", "max-age=9, private=\"x\""), NotKept::Private),
            (("set-cookie", "a=b"), NotKept::Private),
            (("cache-control", "no-store"), NotKept::Forbidden),
            (("cache-control", "no-cache"), NotKept::Forbidden),
            (("vary", "accept, *"), NotKept::Forbidden),
            (("content-range", "bytes 0-1/2"), NotKept::Forbidden),
            (("content-length", "101"), NotKept::Length),
            (("content-type", "Text/Event-Stream; charset=utf-8"), NotKept::Length),
        ] {
            assert_eq!(with(field), Err(why), "{field:?}");
        }
        assert_eq!(with(("vary", "accept")), Ok(()));
        for (status, why) in [(206, NotKept::Status), (500, NotKept::Status), (304, NotKept::Status)] {
            assert_eq!(policy.judge(ASKED, &answer(status, &[])).map(drop), Err(why), "{status}");
        }
        let own = reject_empty(StatusCode::NOT_FOUND, "x").into_parts().0;
        assert_eq!(policy.judge(ASKED, &own).map(drop), Err(NotKept::Own));
        let page = answer(200, &[("content-type", "text/html")]);
        for paths in [[&b"/account/x.css"[..], b"/"], [b"/index.php", b"/account/x.css"]] {
            assert_eq!(policy.judge(Asked { paths, ..ASKED }, &page).map(drop), Err(NotKept::Deceives));
        }
    }

    #[test]
    fn sec_cache_02_credentials_need_a_word_of_the_origin() {
        let policy = policy(Lifetime::Set(300));
        let asked = Asked { authorized: true, ..ASKED };
        for (control, kept) in [
            ("", false),
            ("max-age=9", false),
            ("public", true),
            ("s-maxage=9", true),
            ("must-revalidate, max-age=9", true),
            ("public, private", false),
            // to be checked each time, and the set lifetime would do away with that
            ("must-revalidate", false),
            ("max-age=0, must-revalidate", false),
            ("s-maxage=0", false),
            ("public, max-age=0", false),
            ("proxy-revalidate, max-age=60", false),
        ] {
            let judged = policy.judge(asked, &answer(200, &[("cache-control", control)]));
            assert_eq!(judged.is_ok(), kept, "{control}");
            assert!(judged.is_ok_and(|draft| draft.meta.shared) == kept);
        }
    }

    #[test]
    fn credentials_share_an_answer_as_long_as_it_says() {
        let policy = policy(Lifetime::Set(300));
        let judge = |authorized, control| {
            let asked = Asked { authorized, ..ASKED };
            let meta = policy.judge(asked, &answer(200, &[("cache-control", control), ("age", "2")])).unwrap().meta;
            (meta.fresh_for, meta.shared)
        };
        assert_eq!(judge(true, "public, max-age=9"), (7, true));
        assert_eq!(judge(true, "public"), (300, true));
        assert_eq!(judge(true, "s-maxage=900"), (300, true));
        // what is kept of those without credentials for longer than it says is for them alone
        assert_eq!(judge(false, "public, max-age=9"), (300, false));
        assert_eq!(judge(false, "max-age=0, must-revalidate"), (300, false));
        assert_eq!(judge(false, "s-maxage=900"), (300, true));
    }

    #[test]
    fn stale_use_is_bounded_by_what_the_answer_says() {
        let told = Policy { while_revalidate: 7, if_error: 8, ..policy(Lifetime::Set(300)) };
        for (control, wanted) in [
            ("", (7, 8)),
            ("stale-while-revalidate=1", (1, 8)),
            ("stale-if-error=2", (7, 2)),
            ("s-maxage=1", (0, 0)),
            ("s-maxage=1, stale-if-error=2", (0, 2)),
            ("must-revalidate, stale-if-error=2", (0, 0)),
            ("proxy-revalidate, stale-while-revalidate=2", (0, 0)),
        ] {
            let meta = told.judge(ASKED, &answer(200, &[("cache-control", control)])).unwrap().meta;
            assert_eq!((meta.while_revalidate, meta.if_error), wanted, "{control}");
        }
    }

    #[test]
    fn fields_of_one_answer_are_not_kept() {
        let fields = [
            ("content-length", "3"),
            ("age", "1"),
            ("connection", "close, X-Once"),
            ("x-once", "1"),
            ("x-ratelimit-remaining", "1"),
            ("ratelimit", "x"),
            ("apisix-cache-status", "HIT"),
            ("etag", "\"a\""),
        ];
        let draft = policy(Lifetime::Set(1)).judge(ASKED, &answer(200, &fields)).unwrap();
        assert_eq!(draft.headers.keys().collect::<Vec<_>>(), ["etag"]);
    }
}
