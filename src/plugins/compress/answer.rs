//! What is known of the request, and what becomes of the answer's head.
use http::header::{ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, IF_NONE_MATCH, VARY, VIA};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use http_body::Body as _;
use smallvec::SmallVec;

use super::accept::Accept;
use super::body::Compressed;
use super::layer::Offer;
use super::rules::forbids_transforming;
use crate::{Body, Response};

/// What of a request counts when its answer comes.
#[derive(Debug)]
pub(super) struct Asked {
    accept: Accept,
    version: Version,
    is_head: bool,
    no_transform: bool,
    by_proxy: bool,
    /// Each line of the field.
    if_none_match: SmallVec<[HeaderValue; 1]>,
}

impl Asked {
    pub(super) fn of<B>(request: &http::Request<B>) -> Self {
        let headers = request.headers();
        Self {
            accept: Accept::of(headers),
            version: request.version(),
            is_head: request.method() == Method::HEAD,
            no_transform: forbids_transforming(headers),
            by_proxy: headers.contains_key(VIA),
            if_none_match: headers.get_all(IF_NONE_MATCH).iter().cloned().collect(),
        }
    }

    /// Compresses the answer in one of the codings that are offered, if that may be.
    pub(super) fn answer<'o>(
        &self,
        offers: impl Iterator<Item = &'o Offer> + Clone,
        mut response: Response,
    ) -> Response {
        if response.status() == StatusCode::NOT_MODIFIED {
            self.tell_unmodified(offers, response.headers_mut());
            return response;
        }
        let length = length(&response, self.is_head);
        let (status, headers) = (response.status(), response.headers());
        let offers = offers.filter(|offer| offer.rules.allow(status, headers, length));
        let varies = offers.clone().any(|offer| offer.rules.vary);
        // A proxy that is not told what the answer depends on may give it to clients that cannot read it.
        let told = |offer: &&Offer| offer.rules.vary || !self.by_proxy;
        let spoken = |offer: &&Offer| self.version >= offer.rules.version && !self.no_transform;
        let offers = offers.filter(told).filter(spoken);
        let liked = offers.filter_map(|offer| Some((self.accept.weight(offer.coding.kind())?, offer)));
        let mut liked: SmallVec<[(u16, &Offer); 3]> = liked.collect();
        liked.sort_by_key(|(weight, offer)| std::cmp::Reverse((*weight, offer.coding.kind())));
        let begun = match self.is_head {
            true => liked.first().map(|(_, offer)| (offer.coding.kind(), None)),
            false => liked.iter().find_map(|(_, offer)| Some((offer.coding.kind(), Some(offer.begin(length)?)))),
        };
        if varies {
            add_vary(response.headers_mut());
        }
        let Some((kind, begun)) = begun else { return response };
        let headers = response.headers_mut();
        headers.insert(CONTENT_ENCODING, kind.name());
        headers.remove(CONTENT_LENGTH);
        headers.remove(ACCEPT_RANGES);
        weaken(headers);
        match begun {
            Some(begun) => response.map(|body| Body::stream(Compressed::new(body, begun))),
            None => response,
        }
    }

    /// A 304 says the tag of what the client has, or it would not be taken for that (RFC 9111 §4.3.4), and `Vary` as its 200
    /// would (RFC 9110 §15.4.5), whichever coding that had.
    fn tell_unmodified<'o>(&self, mut offers: impl Iterator<Item = &'o Offer>, headers: &mut HeaderMap) {
        if offers.any(|offer| offer.rules.vary && offer.rules.may_be_of(headers)) {
            add_vary(headers);
        }
        let Some(tag) = headers.get(ETAG).map(HeaderValue::as_bytes).filter(|tag| tag.starts_with(b"\"")) else {
            return;
        };
        if self.if_none_match.iter().any(|line| weak_tags(line.as_bytes()).any(|weak| weak == tag)) {
            weaken(headers);
        }
    }
}

/// The weak tags of a list (RFC 9110 §8.8.3), without `W/`. A tag may hold a comma.
fn weak_tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let quote = |text: &[u8]| text.iter().position(|byte| *byte == b'"');
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            let begins = quote(rest)?;
            let (before, tag) = rest.split_at_checked(begins)?;
            let ends = quote(tag.get(1..)?)? + 2;
            let (tag, behind) = tag.split_at_checked(ends)?;
            rest = behind;
            if before.ends_with(b"W/") {
                return Some(tag);
            }
        }
    })
}

/// Bytes of the body that a `GET` gets, if that is known.
fn length(response: &Response, is_head: bool) -> Option<u64> {
    let told = || response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    if is_head { told() } else { response.body().size_hint().exact().or_else(told) }
}

fn add_vary(headers: &mut HeaderMap) {
    let mut names = headers.get_all(VARY).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let there = names.any(|name| {
        let name = name.trim_ascii();
        name == b"*" || name.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str().as_bytes())
    });
    if !there {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// A strong tag becomes a weak one; what is no tag goes.
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).map(HeaderValue::as_bytes) else { return };
    if tag.starts_with(b"W/") {
        return;
    }
    let weak = tag.starts_with(b"\"").then(|| HeaderValue::from_bytes(&[b"W/", tag].concat()).ok());
    match weak.flatten() {
        Some(weak) => headers.insert(ETAG, weak),
        None => headers.remove(ETAG),
    };
}
