//! A change: one transaction of etcd's.
use std::collections::BTreeMap;
use std::collections::btree_map::Entry::Vacant;
use std::sync::atomic::Ordering::Relaxed;

use super::super::{Committed, Edit, Guard, StoreError, Transaction};
use super::client::Client;
use super::failure::{Failure, Meaning};
use super::message::{
    Compare, CompareResult, CompareTarget, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest,
    RequestOp, TxnRequest, compare, request_op,
};
use super::options::{Options, end_of};

/// A key that is no item.
const SCRATCH: &str = "gen_id";

/// The longest time to live in seconds: `lease.MaxLeaseTTL`.
const LONGEST: i64 = 9_000_000_000;

/// The leases of a transaction by their seconds.
type Leases = BTreeMap<i64, i64>;

/// Makes the change.
pub(super) async fn commit(client: &Client, transaction: &Transaction) -> Result<Committed, StoreError> {
    let mut leases = Leases::new();
    let done = attempt(client, transaction, &mut leases).await;
    let took_place = match &done {
        Ok(committed) => committed.is_some(),
        // Nobody knows. Leases that nothing hangs on run out by themselves.
        Err(failure) => failure.meaning() == Meaning::Down,
    };
    if !took_place {
        for id in leases.into_values() {
            // Else it runs out.
            let _ = client.call(LeaseRevokeRequest { id }).await;
        }
    }
    match done {
        Ok(Some(committed)) => Ok(committed),
        Ok(None) => Err(StoreError::Conflict),
        Err(failure) => Err(client.error(&failure)),
    }
}

/// `None` when a guard does not hold.
async fn attempt(
    client: &Client,
    transaction: &Transaction,
    leases: &mut Leases,
) -> Result<Option<Committed>, Failure> {
    for ttl in transaction.edits.iter().filter_map(seconds) {
        if let Vacant(place) = leases.entry(ttl) {
            let lease = client.call(LeaseGrantRequest { ttl }).await?;
            if !lease.error.is_empty() || lease.id == 0 {
                return Err(Failure::Nonsense("there is no lease in it"));
            }
            place.insert(lease.id);
        }
    }
    let answer = client.call(request(&client.options, transaction, leases)).await?;
    let header = answer.header.ok_or(Failure::Nonsense("it has no header"))?;
    client.note(header);
    if !answer.succeeded {
        return Ok(None);
    }
    let puts = transaction.edits.iter().any(|edit| matches!(edit, Edit::Put { .. }));
    if !puts && answer.responses.iter().all(|response| response.deleted() == 0) {
        pass(client, header.revision).await?;
    }
    Ok(Some(Committed { revision: header.revision.unsigned_abs() }))
}

/// What changed nothing makes no event, so a watch might not come to its revision for long: others may have written
/// beside our prefix since the last change below it. It is made to.
async fn pass(client: &Client, revision: i64) -> Result<(), Failure> {
    if client.ask.receiver_count() == 0 || client.told.load(Relaxed) >= revision {
        return Ok(());
    }
    if client.connection().await?.orders_progress {
        client.ask.send_replace(());
        return Ok(());
    }
    // The reference's scratch key, whose value means nothing.
    let put = PutRequest { key: client.options.key(SCRATCH), value: "0".into(), lease: 0 };
    let success = vec![RequestOp { request: Some(request_op::Request::Put(put)) }];
    client.call(TxnRequest { compare: Vec::new(), success }).await.map(drop)
}

/// The time that an edit lives, up to whole seconds: etcd has no others, and none beyond 285 years.
fn seconds(edit: &Edit) -> Option<i64> {
    match edit {
        Edit::Put { ttl: Some(ttl), .. } => {
            let whole = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0));
            Some(i64::try_from(whole).unwrap_or(LONGEST).clamp(1, LONGEST))
        }
        _ => None,
    }
}

fn request(options: &Options, transaction: &Transaction, leases: &Leases) -> TxnRequest {
    let operation = |edit: &Edit| {
        let key = options.key(edit.key().as_str());
        let request = match edit {
            Edit::Put { value, .. } => request_op::Request::Put(PutRequest {
                key,
                value: value.clone(),
                lease: seconds(edit).and_then(|ttl| leases.get(&ttl)).copied().unwrap_or(0),
            }),
            Edit::Delete { .. } => request_op::Request::DeleteRange(DeleteRangeRequest { key }),
        };
        RequestOp { request: Some(request) }
    };
    TxnRequest {
        compare: transaction.guards.iter().map(|guard| condition(options, guard)).collect(),
        success: transaction.edits.iter().map(operation).collect(),
    }
}

fn condition(options: &Options, guard: &Guard) -> Compare {
    use CompareResult::{Equal, Greater, Less};
    use CompareTarget::{Create, Mod};
    use compare::TargetUnion::{CreateRevision, ModRevision};
    let signed = |revision: u64| i64::try_from(revision).unwrap_or(i64::MAX);
    let (key, range_end, target, result, union) = match guard {
        Guard::Modified { key, at: 0 } => (key.as_str(), None, Create, Equal, CreateRevision(0)),
        Guard::Modified { key, at } => (key.as_str(), None, Mod, Equal, ModRevision(signed(*at))),
        Guard::Exists(key) => (key.as_str(), None, Create, Greater, CreateRevision(0)),
        Guard::Unchanged { prefix, since } => {
            let end = end_of(&format!("{}{prefix}", options.prefix));
            (prefix.as_str(), Some(end), Mod, Less, ModRevision(signed(since.saturating_add(1))))
        }
    };
    Compare {
        result: result.into(),
        target: target.into(),
        key: options.key(key),
        target_union: Some(union),
        range_end: range_end.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::Key;

    #[test]
    fn times_to_live_are_whole_seconds_that_etcd_takes() {
        let put = |ttl| Edit::Put { key: Key::parse("routes/1").unwrap(), value: "{}".into(), ttl };
        let lived = |ttl| seconds(&put(Some(ttl)));
        assert_eq!(lived(Duration::ZERO), Some(1));
        assert_eq!(lived(Duration::from_millis(1001)), Some(2));
        assert_eq!(lived(Duration::from_secs(LONGEST.unsigned_abs() + 1)), Some(LONGEST));
        assert_eq!(lived(Duration::MAX), Some(LONGEST));
        assert_eq!(seconds(&put(None)), None);
    }
}
