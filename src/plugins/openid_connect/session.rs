//! Who is logged in, for how long, and with which tokens.
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::SessionLimits;
use super::token::Claims;

/// A log-in. Names are short, since it travels in cookies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Session {
    /// When the user logged in, in Unix seconds.
    #[serde(rename = "c")]
    pub(super) created: u64,
    /// When the session was renewed.
    #[serde(rename = "r")]
    pub(super) renewed: u64,
    /// When it was used, to within [`Session::STEP`].
    #[serde(rename = "u")]
    pub(super) used: u64,
    /// When the provider was last asked who the user is.
    #[serde(rename = "p")]
    pub(super) asked: u64,
    #[serde(rename = "i")]
    pub(super) id_token: String,
    #[serde(rename = "a")]
    pub(super) access_token: String,
    /// When that expires.
    #[serde(rename = "e")]
    pub(super) expires: u64,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    /// What the tokens are for, if the provider told.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<String>,
    /// What the provider's userinfo endpoint says.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<Value>,
}

impl Session {
    /// A session is written anew after so many seconds of use, not with each request.
    const STEP: u64 = 60;

    /// Whether it is still in force.
    pub(super) fn is_alive(&self, now: u64, limits: SessionLimits) -> bool {
        let within = |since: u64, limit: u64| limit == 0 || now.saturating_sub(since) < limit;
        within(self.created, limits.absolute)
            && within(self.renewed, limits.rolling)
            && within(self.used, limits.idling)
    }

    /// Notes a use; whether the session is to be written.
    pub(super) fn touch(&mut self, now: u64, limits: SessionLimits) -> bool {
        let rolls = limits.rolling > 0 && now.saturating_sub(self.renewed) >= limits.rolling / 4 * 3;
        // where a session may idle for less than some steps, each use counts
        let step = Self::STEP.min(limits.idling / 4);
        let counts = limits.idling > 0 && now.saturating_sub(self.used) >= step;
        if rolls {
            self.renewed = now;
        }
        if rolls || counts {
            self.used = now;
        }
        rolls || counts
    }

    /// Seconds until it ends unless it is used; `None`: never.
    #[cfg(feature = "redis")]
    pub(super) fn time_left(&self, now: u64, limits: SessionLimits) -> Option<u64> {
        let left = |since: u64, limit: u64| (limit > 0).then(|| since.saturating_add(limit).saturating_sub(now));
        let ends = [
            left(self.created, limits.absolute),
            left(self.renewed, limits.rolling),
            // what was not written yet counts as used
            left(self.used, limits.idling).map(|left| left.saturating_add(Self::STEP)),
        ];
        ends.into_iter().flatten().min()
    }

    /// The claims of the ID token, which was verified before it came into the session.
    pub(super) fn claims(&self) -> Claims {
        jsonwebtoken::dangerous::insecure_decode_claims(&self.id_token).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SessionLimits = SessionLimits { idling: 900, rolling: 3600, absolute: 86_400 };

    fn session() -> Session {
        Session {
            created: 1000,
            renewed: 1000,
            used: 1000,
            asked: 1000,
            id_token: String::new(),
            access_token: String::new(),
            expires: 0,
            refresh_token: None,
            scope: None,
            user: None,
        }
    }

    #[test]
    fn a_session_ends_when_it_idles() {
        assert!(session().is_alive(1899, LIMITS));
        assert!(!session().is_alive(1900, LIMITS));
        assert!(session().is_alive(4599, SessionLimits { idling: 0, ..LIMITS }));
        assert!(!session().is_alive(4600, SessionLimits { idling: 0, ..LIMITS }));
        assert!(session().is_alive(u64::MAX, SessionLimits { idling: 0, rolling: 0, absolute: 0 }));
    }

    #[test]
    fn use_keeps_a_session_up_to_its_absolute_end() {
        let (mut session, mut written) = (session(), 0);
        let mut now = 1000;
        while session.is_alive(now, LIMITS) {
            written += u32::from(session.touch(now, LIMITS));
            now += 30;
        }
        assert!((87_390..=87_400).contains(&now), "ended at {now}");
        assert!(written < 87_400 / 60 + 40, "{written} times written");
    }
}
