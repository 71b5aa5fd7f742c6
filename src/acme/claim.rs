//! Claims: of several gateways on one folder, one orders.
//!
//! A claim is a file that says who orders a certificate and until when it may be believed, or, after a failure, when the
//! next try is due. It only saves orders: two that order at once are no harm, as each writes a whole certificate, and
//! whoever dies is waited for no longer than [`Claims::HOLD`].
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::folder::{Folder, Shelf, random_name};

/// One process's claims.
#[derive(Debug)]
pub(super) struct Claims {
    folder: Arc<Folder>,
    /// Who we are.
    holder: String,
}

/// What others say of one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Failures {
    pub(super) count: u32,
    pub(super) last: Option<String>,
}

#[derive(Debug)]
pub(super) enum Claimed {
    /// It is ours; what failed before.
    Ours(Failures),
    /// Others order until then, or nobody does before.
    Until(SystemTime, Failures),
}

#[derive(Serialize, Deserialize)]
struct Claim {
    holder: String,
    /// In Unix seconds.
    until: u64,
    names: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Claims {
    /// For how long a claim is believed without being renewed.
    pub(super) const HOLD: Duration = Duration::from_secs(15);

    /// By then everybody has written who was about to.
    const SETTLE: Duration = Duration::from_millis(100);

    /// No claim is believed that is for longer than this: whoever wrote it has a wrong clock.
    const LONGEST: Duration = Duration::from_secs(25 * 60 * 60);

    pub(super) fn new(folder: Arc<Folder>) -> io::Result<Self> {
        Ok(Self { folder, holder: random_name()? })
    }

    /// Claims an order, unless somebody else has. That it can be written also tells that the folder can be written to,
    /// before anything is ordered. Blocks, for a moment where a claim is over.
    pub(super) fn take(&self, id: &str, names: &[String], now: SystemTime) -> io::Result<Claimed> {
        let found = self.find(id)?;
        let failures = match &found {
            // Other names are another order.
            Some(claim) if claim.names == names => {
                let failures = Failures { count: claim.failures, last: claim.error.clone() };
                let until = UNIX_EPOCH.checked_add(Duration::from_secs(claim.until));
                let believed = until.filter(|until| *until > now && *until <= now + Self::LONGEST);
                if let Some(until) = believed.filter(|_| claim.holder != self.holder) {
                    return Ok(Claimed::Until(until, failures));
                }
                failures
            }
            _ => Failures::default(),
        };
        let text = self.text(now + Self::HOLD, names, &failures, &self.holder);
        match found {
            Some(_) => {
                self.folder.put(Shelf::Claims, id, &text)?;
                // All who waited for its end wake at once: whoever wrote last has it.
                std::thread::sleep(Self::SETTLE);
                if self.find(id)?.is_some_and(|claim| claim.holder != self.holder) {
                    return Ok(Claimed::Until(now + Self::HOLD, failures));
                }
            }
            None if self.folder.put_first(Shelf::Claims, id, &text)? => {}
            None => return Ok(Claimed::Until(now + Self::HOLD, failures)),
        }
        Ok(Claimed::Ours(failures))
    }

    /// Says that we still order.
    pub(super) fn renew(&self, id: &str, names: &[String], failures: &Failures, now: SystemTime) -> io::Result<()> {
        self.folder.put(Shelf::Claims, id, &self.text(now + Self::HOLD, names, failures, &self.holder))
    }

    /// The certificate is there.
    pub(super) fn release(&self, id: &str) {
        self.folder.remove(Shelf::Claims, id);
    }

    /// Says when the next try is due, whoever makes it.
    pub(super) fn postpone(
        &self,
        id: &str,
        names: &[String],
        failures: &Failures,
        until: SystemTime,
    ) -> io::Result<()> {
        self.folder.put(Shelf::Claims, id, &self.text(until, names, failures, ""))
    }

    /// One that cannot be read is none.
    fn find(&self, id: &str) -> io::Result<Option<Claim>> {
        let Some(text) = self.folder.get(Shelf::Claims, id)? else { return Ok(None) };
        Ok(Some(serde_json::from_str(&text).unwrap_or(Claim {
            holder: String::new(),
            until: 0,
            names: Vec::new(),
            failures: 0,
            error: None,
        })))
    }

    fn text(&self, until: SystemTime, names: &[String], failures: &Failures, holder: &str) -> String {
        let until = until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claim = Claim {
            holder: holder.to_owned(),
            until,
            names: names.to_vec(),
            failures: failures.count,
            error: failures.last.clone(),
        };
        // Text and numbers alone: that cannot fail.
        serde_json::to_string(&claim).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> (tempfile::TempDir, Claims, Claims) {
        let place = tempfile::tempdir().unwrap();
        let folder = Arc::new(Folder::open(place.path(), "https://acme.test/").unwrap());
        (place, Claims::new(Arc::clone(&folder)).unwrap(), Claims::new(folder).unwrap())
    }

    fn names(name: &str) -> Vec<String> {
        vec![name.to_owned()]
    }

    /// Whether it is ours, else for how many seconds it is not.
    fn take(claims: &Claims, name: &str, now: SystemTime) -> Result<Failures, u64> {
        match claims.take("id", &names(name), now).unwrap() {
            Claimed::Ours(failures) => Ok(failures),
            Claimed::Until(until, _) => Err(until.duration_since(now).unwrap().as_secs()),
        }
    }

    #[test]
    fn sec_cfg_05_one_of_two_orders_and_whoever_dies_is_not_waited_for() {
        let (_place, one, other) = two();
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert!(take(&one, "a", now).is_ok());
        assert_eq!(take(&other, "a", now), Err(15));
        assert!(take(&one, "a", now).is_ok(), "one's own is no hindrance");
        let later = now + Duration::from_secs(10);
        one.renew("id", &names("a"), &Failures::default(), later).unwrap();
        assert_eq!(take(&other, "a", now + Duration::from_secs(16)), Err(9));
        assert!(take(&other, "a", now + Duration::from_secs(26)).is_ok(), "the first one is dead");
        other.release("id");
        assert!(take(&one, "a", later).is_ok());
    }

    #[test]
    fn after_a_failure_all_wait_and_know_why() {
        let (_place, one, other) = two();
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let failures = Failures { count: 3, last: Some("no way".to_owned()) };
        take(&one, "a", now).unwrap();
        one.postpone("id", &names("a"), &failures, now + Duration::from_secs(240)).unwrap();
        for claims in [&one, &other] {
            assert_eq!(take(claims, "a", now), Err(240));
        }
        assert!(take(&other, "b", now).is_ok(), "other names are another order");
        one.postpone("id", &names("a"), &failures, now).unwrap();
        assert_eq!(take(&other, "a", now), Ok(failures));
    }

    #[test]
    fn nonsense_is_not_believed() {
        let (_place, one, other) = two();
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        for nonsense in ["", "{", "[]", "{\"holder\":\"x\",\"until\":18446744073709551615,\"names\":[\"a\"]}"] {
            one.folder.put(Shelf::Claims, "id", nonsense).unwrap();
            assert!(take(&other, "a", now).is_ok(), "{nonsense}");
        }
    }
}
