//! How long an answer is fresh, and how old it is (RFC 9111 §4.2).
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{AGE, DATE, EXPIRES, HeaderMap};

use super::conditional::date;
use super::directives::CacheControl;
use super::policy::Asked;

/// How long answers are fresh, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Lifetime {
    /// So long, whatever they say.
    Set(u32),
    /// As long as they say, else so long; those that say nothing are not kept if that is `None`.
    Told(Option<u32>),
}

impl Lifetime {
    /// For how many more seconds an answer is fresh that has so many `left` by what it says; `None` if it is stale,
    /// or does not say.
    pub(super) fn fresh_for(self, left: Option<u32>) -> Option<u32> {
        match self {
            Self::Set(seconds) => Some(seconds),
            Self::Told(fallback) => left.or(fallback).filter(|left| *left > 0),
        }
    }
}

/// How long an answer is fresh by what it says, in seconds from when it was made.
pub(super) fn told(control: &CacheControl, headers: &HeaderMap, now: u64) -> Option<u32> {
    control.s_maxage.or(control.max_age).or_else(|| expires(headers, now))
}

/// How long after now an answer expires, in seconds, by its `Expires` and `Date`. What is no date is in the past.
fn expires(headers: &HeaderMap, now: u64) -> Option<u32> {
    let expires = headers.get(EXPIRES)?;
    let Some(expires) = date(expires) else { return Some(0) };
    let from = headers.get(DATE).and_then(date).unwrap_or_else(|| UNIX_EPOCH + Duration::from_millis(now));
    Some(seconds_between(from, expires))
}

/// The age of an answer when it came (RFC 9111 §4.2.3).
pub(super) fn initial_age(headers: &HeaderMap, asked: Asked<'_>) -> u32 {
    let came = UNIX_EPOCH + Duration::from_millis(asked.came);
    let apparent = headers.get(DATE).and_then(date).map_or(0, |date| seconds_between(date, came));
    let told = headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse::<u32>().ok()).unwrap_or(0);
    let delay = u32::try_from(asked.came.saturating_sub(asked.sent) / 1000).unwrap_or(u32::MAX);
    apparent.max(told.saturating_add(delay)).min(1 << 31)
}

fn seconds_between(from: SystemTime, to: SystemTime) -> u32 {
    to.duration_since(from).map_or(0, |between| u32::try_from(between.as_secs()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::policy::Policy;
    use super::super::policy::tests::{ASKED, DATE_NOW, NOW, answer, policy};
    use super::*;

    #[test]
    fn lifetimes_are_told_by_the_answer() {
        let told = policy(Lifetime::Told(None));
        let fresh = |policy: &Policy, fields: &[(&'static str, &str)]| {
            policy.judge(ASKED, &answer(200, fields)).ok().map(|draft| draft.meta.fresh_for)
        };
        for (fields, wanted) in [
            (&[][..], None),
            (&[("cache-control", "max-age=60")], Some(60)),
            (&[("cache-control", "max-age=60, s-maxage=10")], Some(10)),
            (&[("cache-control", "max-age=0")], None),
            (&[("cache-control", "max-age=60"), ("age", "20")], Some(40)),
            (&[("cache-control", "max-age=60"), ("age", "60")], None),
            (&[("cache-control", "max-age=60"), ("date", "Sun, 09 Sep 2001 01:46:10 GMT")], Some(30)),
            (&[("expires", "Sun, 09 Sep 2001 01:47:40 GMT"), ("date", DATE_NOW)], Some(60)),
            (&[("expires", "Sun, 09 Sep 2001 01:47:40 GMT")], Some(60)),
            (&[("expires", "0")], None),
            (&[("expires", "Sun, 09 Sep 2001 01:47:40 GMT"), ("cache-control", "max-age=5")], Some(5)),
        ] {
            assert_eq!(fresh(&told, fields), wanted, "{fields:?}");
        }
        assert_eq!(fresh(&policy(Lifetime::Told(Some(7))), &[]), Some(7));
        assert_eq!(fresh(&policy(Lifetime::Told(Some(7))), &[("cache-control", "max-age=0")]), None);
        assert_eq!(fresh(&policy(Lifetime::Set(7)), &[("cache-control", "max-age=60")]), Some(7));
    }

    #[test]
    fn ages_count_the_way() {
        let told = policy(Lifetime::Told(Some(100)));
        let slow = Asked { sent: NOW - 3_000, ..ASKED };
        let draft = told.judge(slow, &answer(200, &[("age", "10"), ("date", DATE_NOW)])).unwrap();
        assert_eq!(draft.meta.initial_age, 13);
    }
}
