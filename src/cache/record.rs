//! An answer's head as it is kept: a few numbers, then its fields in few bytes.
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, header};

/// What is kept of an answer beside fields and body. Times in seconds, but for `stored_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// When it was stored, in milliseconds since 1970.
    pub(crate) stored_at: u64,
    /// How long it is fresh from then on.
    pub(crate) fresh_for: u32,
    /// How old it was then (RFC 9111 §4.2.3).
    pub(crate) initial_age: u32,
    /// For how long after that it is used while a new one is fetched (RFC 5861 §3).
    pub(crate) while_revalidate: u32,
    /// For how long after that it is used when no new one can be had (RFC 5861 §4).
    pub(crate) if_error: u32,
    /// Which of several under one key, by the fields that `Vary` names; 0 without.
    pub(crate) variant: u64,
    pub(crate) status: StatusCode,
    /// Callers who bring credentials may share it (RFC 9111 §3.5).
    pub(crate) shared: bool,
    /// It is never used stale, whatever the request allows (RFC 9111 §4.2.4).
    pub(crate) strict: bool,
}

/// A head that is to be stored.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) meta: Meta,
    pub(crate) headers: HeaderMap,
    /// The request fields that tell it from others under its key, in order of name.
    pub(crate) names: Vec<HeaderName>,
}

impl Meta {
    /// Seconds since it was stored.
    pub(crate) fn resident(&self, now: u64) -> u64 {
        now.saturating_sub(self.stored_at) / 1000
    }

    /// Its age, in seconds.
    pub(crate) fn age(&self, now: u64) -> u64 {
        self.resident(now) + u64::from(self.initial_age)
    }

    /// For how many seconds it has been stale; `None` while it is fresh.
    pub(crate) fn stale_for(&self, now: u64) -> Option<u64> {
        self.resident(now).checked_sub(self.fresh_for.into())
    }
}

/// Bytes of the numbers.
const FIXED: usize = 40;
/// The longest names and values that are kept.
const LONGEST: usize = u16::MAX as usize;

/// Names that have a number of their own. Only ever add to the end: files hold the numbers.
static NAMES: [HeaderName; 40] = [
    header::ACCEPT_RANGES,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    header::ALLOW,
    header::ALT_SVC,
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::LAST_MODIFIED,
    header::LINK,
    header::LOCATION,
    header::PRAGMA,
    header::REFERRER_POLICY,
    header::RETRY_AFTER,
    header::SERVER,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::VARY,
    header::VIA,
    header::WARNING,
    header::WWW_AUTHENTICATE,
    header::X_CONTENT_TYPE_OPTIONS,
    header::X_FRAME_OPTIONS,
    header::X_XSS_PROTECTION,
    header::REFRESH,
    header::CACHE_STATUS,
    header::CDN_CACHE_CONTROL,
    header::UPGRADE_INSECURE_REQUESTS,
    header::TE,
];

/// Marks a name that is written out.
const WRITTEN: u8 = 0xff;

/// The head as it is kept; `None` when a name or value is too long.
pub(super) fn encode(draft: &Draft) -> Option<Vec<u8>> {
    let Draft { meta, headers, .. } = draft;
    let mut out = Vec::with_capacity(FIXED + headers.len() * 32);
    out.extend_from_slice(&meta.stored_at.to_le_bytes());
    for number in [meta.fresh_for, meta.initial_age, meta.while_revalidate, meta.if_error] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&meta.variant.to_le_bytes());
    out.extend_from_slice(&meta.status.as_u16().to_le_bytes());
    out.extend_from_slice(&[u8::from(meta.shared) | u8::from(meta.strict) << 1, 0]);
    out.extend_from_slice(&[0; 4]);
    for (name, value) in headers {
        match NAMES.iter().position(|known| known == name) {
            Some(number) => out.push(u8::try_from(number).ok()?),
            None => {
                out.push(WRITTEN);
                piece(&mut out, name.as_str().as_bytes())?;
            }
        }
        piece(&mut out, value.as_bytes())?;
    }
    let length = u32::try_from(out.len() - FIXED).ok()?;
    out.get_mut(FIXED - 4..FIXED)?.copy_from_slice(&length.to_le_bytes());
    Some(out)
}

fn piece(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    let length = u16::try_from(bytes.len().min(LONGEST + 1)).ok()?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
    Some(())
}

/// The numbers of a head.
pub(super) fn meta(record: &[u8]) -> Option<Meta> {
    let mut reader = Reader(record);
    let stored_at = u64::from_le_bytes(reader.take()?);
    let mut number = || Some(u32::from_le_bytes(reader.take()?));
    let (fresh_for, initial_age) = (number()?, number()?);
    let (while_revalidate, if_error) = (number()?, number()?);
    let variant = u64::from_le_bytes(reader.take()?);
    let status = StatusCode::from_u16(u16::from_le_bytes(reader.take()?)).ok()?;
    let [flags, _] = reader.take()?;
    Some(Meta {
        stored_at,
        fresh_for,
        initial_age,
        while_revalidate,
        if_error,
        variant,
        status,
        shared: flags & 1 == 1,
        strict: flags & 2 == 2,
    })
}

/// How many bytes the head has that `record` begins with.
pub(super) fn length(record: &[u8]) -> Option<usize> {
    let length = record.get(FIXED - 4..FIXED)?.first_chunk().copied()?;
    usize::try_from(u32::from_le_bytes(length)).ok()?.checked_add(FIXED)
}

/// The fields of a head. Values share its bytes.
pub(super) fn headers(record: &Bytes) -> Option<HeaderMap> {
    let end = length(record)?;
    let mut headers = HeaderMap::with_capacity(16);
    let mut at = FIXED;
    let mut take = |length: usize| {
        let piece = (at..at.checked_add(length).filter(|next| *next <= end)?).clone();
        record.get(piece.clone())?;
        at = piece.end;
        Some(piece)
    };
    loop {
        let Some(number) = take(1) else { return Some(headers) };
        let number = *record.get(number.start)?;
        let mut sized = || {
            let length = record.get(take(2)?)?.first_chunk().copied()?;
            take(u16::from_le_bytes(length).into())
        };
        let name = match number {
            WRITTEN => HeaderName::from_bytes(record.get(sized()?)?).ok()?,
            number => NAMES.get(usize::from(number))?.clone(),
        };
        headers.append(name, HeaderValue::from_maybe_shared(record.slice(sized()?)).ok()?);
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) fn draft(status: u16) -> Draft {
        let meta = Meta {
            stored_at: 1_000_000,
            fresh_for: 60,
            initial_age: 5,
            while_revalidate: 0,
            if_error: 0,
            variant: 0,
            status: StatusCode::from_u16(status).unwrap(),
            shared: false,
            strict: false,
        };
        Draft { meta, headers: HeaderMap::new(), names: Vec::new() }
    }

    #[test]
    fn ages_are_counted_from_when_it_was_stored() {
        let meta = draft(200).meta;
        assert_eq!((meta.age(1_010_500), meta.stale_for(1_010_500)), (15, None));
        assert_eq!((meta.age(1_060_000), meta.stale_for(1_060_000)), (65, Some(0)));
        assert_eq!((meta.age(0), meta.stale_for(1_070_000)), (5, Some(10)));
    }

    proptest! {
        #[test]
        fn heads_are_read_as_written(
            fields in prop::collection::vec(("[a-z][a-z0-9-]{0,20}|etag|vary|content-type", "[ -~]{0,60}"), 0..20),
            numbers in any::<(u64, u32, u32, u32, u32, u64, bool, bool)>(),
            status in 200u16..600,
        ) {
            let (stored_at, fresh_for, initial_age, while_revalidate, if_error, variant, shared, strict) = numbers;
            let status = StatusCode::from_u16(status).unwrap();
            let meta = Meta {
                stored_at, fresh_for, initial_age, while_revalidate, if_error, variant, status, shared, strict,
            };
            let mut map = HeaderMap::new();
            for (name, value) in &fields {
                let value = HeaderValue::from_str(value).unwrap();
                map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
            }
            let draft = Draft { meta, headers: map.clone(), names: Vec::new() };
            let record = Bytes::from(encode(&draft).unwrap());
            prop_assert_eq!(super::meta(&record), Some(meta));
            prop_assert_eq!(length(&record), Some(record.len()));
            prop_assert_eq!(headers(&record), Some(map));
        }

        #[test]
        fn no_bytes_make_reading_a_head_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let record = Bytes::from(bytes);
            let _ = (super::meta(&record), length(&record), headers(&record));
        }
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let mut long = draft(200);
        long.headers.insert("x", HeaderValue::from_str(&"v".repeat(LONGEST + 1)).unwrap());
        assert!(encode(&long).is_none());
    }
}
