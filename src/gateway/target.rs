//! The request's target, made canonical (security.md §3).
use http::Uri;
use http::uri::PathAndQuery;

use super::settings::Rules;
use crate::error::{Error, Request};
use crate::model::EncodedSlash;
use crate::router::{self, canonicalise};

/// The target made canonical.
pub(super) struct Target {
    /// As sent, where it changed.
    pub(super) raw: Option<Uri>,
    /// What plugins see as `uri`, where it differs from what is forwarded.
    pub(super) path: Option<Box<[u8]>>,
    /// What patterns are compared with, where it differs from that.
    pub(super) matched: Option<Box<[u8]>>,
    has_encoded_slash: bool,
}

impl Target {
    /// Makes the request's URI canonical: origin-form, as it is forwarded.
    pub(super) fn of(request: &mut Request, rules: &Rules) -> Result<Self, Error> {
        let uri = request.uri();
        let sent = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        if sent == "*" {
            return Ok(Self { raw: None, path: None, matched: None, has_encoded_slash: false });
        }
        // An absolute target may have a query behind an empty path, which means the root (RFC 9110 §4.2.3).
        let rooted = sent.starts_with('?').then(|| format!("/{sent}"));
        let sent = rooted.as_deref().unwrap_or(sent);
        let canonical = canonicalise(sent, &rules.path).map_err(|_| Error::BadRequest("path"))?;
        let differs = |bytes: &[u8], from: &[u8]| (bytes != from).then(|| bytes.into());
        let path = differs(canonical.uri(), canonical.forward().as_bytes());
        let matched = differs(canonical.matched(), canonical.uri());
        let has_encoded_slash = canonical.has_encoded_slash();
        let origin_form = uri.scheme().is_none() && uri.authority().is_none();
        if canonical.is_as_sent() && origin_form {
            return Ok(Self { raw: None, path, matched, has_encoded_slash });
        }
        let mut target = canonical.forward().to_owned();
        if let Some(query) = canonical.query() {
            target.push('?');
            target.push_str(query);
        }
        let target = PathAndQuery::try_from(target).map_err(|_| Error::BadRequest("path"))?;
        let raw = std::mem::replace(request.uri_mut(), Uri::from(target));
        Ok(Self { raw: Some(raw), path, matched, has_encoded_slash })
    }

    /// What an encoded slash in the path means, or that the request is refused for one (security.md PATH-03). A route
    /// may say it itself, so the verdict falls after the match; without one the settings hold.
    pub(super) fn judge_slash(
        &self,
        of_route: Option<EncodedSlash>,
        rules: &Rules,
    ) -> Result<router::EncodedSlash, Error> {
        match of_route.unwrap_or(rules.encoded_slash) {
            EncodedSlash::Reject if self.has_encoded_slash => Err(Error::BadRequest("encoded_slash")),
            EncodedSlash::Reject => Ok(router::EncodedSlash::Reject),
            EncodedSlash::Keep => Ok(router::EncodedSlash::Keep),
        }
    }
}
