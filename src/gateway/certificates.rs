//! From the `ssls` of a configuration to the table of certificates that listeners have: what differs is read and put, nothing
//! else is looked at.
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::compile::Compile;
use super::difference::{difference, same};
use super::secrets::Told;
use crate::model::{
    Blocked, ClientCertificates, Finding, Host, Id, Kind, OcspStapling, Severity, Snapshot, SslSpec, TlsVersion,
};
use crate::tls::{Certificate, CertificateFault, Certificates, Change, ClientRules, Pair, Part, Stapling, Versions};

/// Room between two neighbours, for those that are put between them.
const GAP: u64 = 1 << 40;
/// The most room beside a neighbour: ids that ascend leave room for a million of their kind.
const STEP: u64 = 1 << 20;
/// Order number of the first one; those that a host has put stand behind all.
const FIRST: u64 = 1 << 40;

/// Certificates that refer to secrets, by id.
pub(super) type Answered = HashMap<Id, Answer>;

/// What the references of one certificate led to.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    /// A digest of it; `None` if it is no certificate, so that the table has another one, or none.
    digest: Option<blake3::Hash>,
    /// Where the certificate stands, or would.
    order: u64,
}

/// A certificate, and its order number.
type Put = (Arc<Certificate>, u64);

/// What is done to the table once the configuration is in force.
#[derive(Default)]
pub(super) struct TableChanges {
    changes: Vec<(Id, Option<Put>)>,
    /// Those of which everything was said anew.
    judged: HashSet<Id>,
    answered: Vec<(Id, Option<Answer>)>,
}

impl TableChanges {
    pub(super) fn touches(&self, id: &Id) -> bool {
        self.judged.contains(id)
    }

    pub(super) fn commit(self, table: &Certificates, answered: &mut Answered) {
        for (id, answer) in self.answered {
            match answer {
                Some(answer) => answered.insert(id, answer),
                None => answered.remove(&id),
            };
        }
        if !self.changes.is_empty() {
            table.begin_edition(self.changes.iter().map(|(id, put)| match put {
                Some((certificate, order)) => Change::Put(Arc::clone(certificate), Some(*order)),
                None => Change::Remove(id.as_str()),
            }));
        }
    }
}

/// One item, with what its references lead to.
struct Read<'s> {
    pairs: Vec<(Told<'s>, Told<'s>)>,
    ca: Option<Told<'s>>,
    digest: Option<blake3::Hash>,
}

impl Compile<'_> {
    /// What differs in the table. With `everything` references to secrets are looked up once more.
    pub(super) fn certificates(&mut self, snapshot: &Snapshot, everything: bool) -> TableChanges {
        let ssls = &snapshot.ssls;
        let before = self.before.snapshot.ssls.clone();
        let by_id = |part: Range<usize>| -> HashMap<&Id, &Arc<SslSpec>> {
            before.get(part).unwrap_or(&[]).iter().map(|spec| (&spec.id, spec)).collect()
        };
        let (old, new) = difference(&before, ssls);
        let mut was = by_id(old);
        let (mut fresh, orders) = (ssls.get(new.clone()).unwrap_or(&[]), self.orders(ssls, &new, &was));
        let orders = orders.unwrap_or_else(|| {
            // There is no room between two of them: all are numbered anew.
            (fresh, was) = (ssls, by_id(0..before.len()));
            (0..ssls.len() as u64).map(|place| FIRST.saturating_add(GAP.saturating_mul(place))).collect()
        });
        let mut done = TableChanges::default();
        let is: HashSet<&Id> = fresh.iter().map(|spec| &spec.id).collect();
        for (id, spec) in &was {
            if !is.contains(id) && spec.is_shown() {
                done.forget((*id).clone());
            }
        }
        for (spec, order) in fresh.iter().zip(orders) {
            let kept = was.get(&spec.id).copied();
            match kept {
                Some(was) if same(was, spec) && !self.is_answered_otherwise(spec, everything) => {
                    self.move_to(spec, order, &mut done);
                }
                _ => self.put(spec, kept, order, &mut done),
            }
        }
        if everything && !self.before.answered.is_empty() {
            for spec in ssls.iter().filter(|spec| !is.contains(&spec.id)) {
                if self.is_answered_otherwise(spec, true)
                    && let Some(order) = self.shown_at(&spec.id)
                {
                    self.put(spec, Some(spec), order, &mut done);
                }
            }
        }
        self.left_out(snapshot, &mut done);
        done
    }

    /// What was left out with what it demands of clients stays in its place, closed. It has an id of its own, as that of the
    /// item may be in use.
    fn left_out(&self, snapshot: &Snapshot, done: &mut TableChanges) {
        let is_same = self.before.snapshot.blocked_of(Kind::Ssl).eq(snapshot.blocked_of(Kind::Ssl));
        if is_same && (done.changes.is_empty() || snapshot.blocked_of(Kind::Ssl).next().is_none()) {
            return;
        }
        let id_of = |number: usize, blocked: &Blocked| {
            Id::from(format!("{} (left out {number})", blocked.id.as_ref().map_or("", Id::as_str)))
        };
        let gone = self.before.snapshot.blocked_of(Kind::Ssl).enumerate();
        let gone: Vec<_> = gone.map(|(number, blocked)| (id_of(number, blocked), None)).collect();
        let orders: HashMap<&Id, Option<u64>> =
            done.changes.iter().map(|(id, put)| (id, put.as_ref().map(|(_, order)| *order))).collect();
        let order = |spec: &Arc<SslSpec>| match orders.get(&spec.id) {
            Some(order) => *order,
            None => self.shown_at(&spec.id),
        };
        let put = snapshot.blocked_of(Kind::Ssl).enumerate().filter_map(|(number, blocked)| {
            let id = id_of(number, blocked);
            let certificate = Certificate::closed(id.as_str(), blocked.match_part.hosts.iter().map(Host::as_str))?;
            let (earlier, later) = snapshot.ssls.split_at_checked(blocked.behind).unwrap_or((&snapshot.ssls, &[]));
            let later = later.iter().find_map(order).map(|order| order.saturating_sub(1));
            let place = later.or_else(|| earlier.iter().rev().find_map(order).map(|order| order.saturating_add(1)));
            Some((id, Some((certificate, place.unwrap_or(FIRST)))))
        });
        let put: Vec<_> = put.collect();
        done.changes.extend(gone.into_iter().chain(put));
    }

    fn shown_at(&self, id: &Id) -> Option<u64> {
        let shown = self.before.certificates.order_of(id.as_str());
        shown.or_else(|| self.before.answered.get(id).map(|answer| answer.order))
    }

    /// Order numbers for those at `range`: what stands earlier in the list is tried first among those of one name. `None`
    /// when there is no room.
    fn orders(
        &self,
        ssls: &[Arc<SslSpec>],
        range: &Range<usize>,
        was: &HashMap<&Id, &Arc<SslSpec>>,
    ) -> Option<Vec<u64>> {
        let fresh = ssls.get(range.clone()).unwrap_or(&[]);
        let known: Vec<u64> = fresh.iter().filter_map(|spec| self.shown_at(&spec.id)).collect();
        // Others in the place of themselves, which nearly all changes are.
        if known.len() == fresh.len() && was.len() == fresh.len() && known.is_sorted() {
            return Some(known);
        }
        let below = ssls.get(..range.start).unwrap_or(&[]).iter().rev().find_map(|spec| self.shown_at(&spec.id));
        let above = ssls.get(range.end..).unwrap_or(&[]).iter().find_map(|spec| self.shown_at(&spec.id));
        let count = fresh.len() as u64;
        let room = match (below, above) {
            (None, None) => GAP,
            (below, Some(high)) => (high.saturating_sub(below.unwrap_or(0)) / (count + 1)).min(STEP),
            (Some(_), None) => STEP,
        };
        let first = match (below, above) {
            (Some(low), _) => low.saturating_add(room),
            (None, Some(high)) => high.saturating_sub(room.saturating_mul(count)),
            (None, None) => FIRST,
        };
        (room > 0 || count == 0).then(|| (0..count).map(|place| first.saturating_add(room * place)).collect())
    }

    /// Whether a reference in an item that stays has another value than before.
    fn is_answered_otherwise(&self, spec: &SslSpec, everything: bool) -> bool {
        let before = if everything { self.before.answered.get(&spec.id) } else { None };
        before.is_some_and(|before| self.read(spec).ok().and_then(|read| read.digest) != before.digest)
    }

    /// The same certificate at another place.
    fn move_to(&self, spec: &SslSpec, order: u64, done: &mut TableChanges) {
        if self.shown_at(&spec.id) != Some(order)
            && let Some(certificate) = self.before.certificates.get(spec.id.as_str())
        {
            done.changes.push((spec.id.clone(), Some((certificate, order))));
        }
        if let Some(answer) = self.before.answered.get(&spec.id) {
            done.answered.push((spec.id.clone(), Some(Answer { order, ..*answer })));
        }
    }

    fn put(&mut self, spec: &SslSpec, was: Option<&Arc<SslSpec>>, order: u64, done: &mut TableChanges) {
        done.judged.insert(spec.id.clone());
        let is_as_it_was = was.is_some_and(|was| same_content(was, spec));
        if !spec.is_shown() {
            if was.is_some_and(|was| was.is_shown()) {
                done.forget(spec.id.clone());
            }
            return;
        }
        let read = match self.read(spec) {
            Ok(read) => read,
            Err(finding) => {
                // Of one that is as it was, but for a secret that cannot be had at the moment, what is in force stays.
                if !is_as_it_was {
                    done.changes.push((spec.id.clone(), closed(spec).map(|closed| (closed, order))));
                }
                done.answered.push((spec.id.clone(), Some(Answer { digest: None, order })));
                self.findings.push(finding);
                return;
            }
        };
        #[cfg(unix)]
        self.findings.extend(self.open_keys(spec));
        match self.build(spec, &read) {
            Ok(certificate) => {
                let answer = read.digest.map(|digest| Answer { digest: Some(digest), order });
                done.answered.push((spec.id.clone(), answer));
                done.changes.push((spec.id.clone(), Some((certificate, order))));
            }
            Err(mut finding) => {
                // What its references lead to is at fault, not the configuration: what is in force stays, and nothing else
                // waits for it.
                if is_as_it_was {
                    finding.severity = Severity::Warning;
                    done.answered.push((spec.id.clone(), Some(Answer { digest: None, order })));
                }
                self.findings.push(finding);
            }
        }
    }

    /// The texts of an item, where it has references what those lead to.
    fn read<'s>(&self, spec: &'s SslSpec) -> Result<Read<'s>, Finding> {
        let mut hasher = blake3::Hasher::new();
        let mut refers = false;
        let mut text = |value: &'s str, field: &str| {
            let found = self.secrets.text(value).map_err(|reason| {
                let mut finding = fault(spec, field, &format!("is closed: {reason}"), "give the reference a value");
                finding.severity = Severity::Warning;
                finding
            })?;
            refers |= matches!(found, Told::Found(_));
            hasher.update(&(found.len() as u64).to_le_bytes());
            hasher.update(found.as_bytes());
            Ok::<_, Finding>(found)
        };
        let mut pairs = Vec::with_capacity(1 + spec.certs.len());
        if !spec.acme {
            pairs.push((text(&spec.cert, "cert")?, text(spec.key.expose(), "key")?));
        }
        for (place, (cert, key)) in spec.certs.iter().zip(&spec.keys).enumerate() {
            let (cert, key) = (text(cert, &format!("certs[{place}]")), text(key.expose(), &format!("keys[{place}]")));
            pairs.push((cert?, key?));
        }
        let ca = spec.client.as_ref().map(|client| text(&client.ca, "client.ca")).transpose()?;
        Ok(Read { pairs, ca, digest: refers.then(|| hasher.finalize()) })
    }

    /// Keys in files that others than their owner may read (security.md TLS-04).
    #[cfg(unix)]
    fn open_keys(&self, spec: &SslSpec) -> Vec<Finding> {
        let named = |place: usize| match place {
            0 => "key".to_owned(),
            place => format!("keys[{}]", place - 1),
        };
        let keys = std::iter::once(&spec.key).chain(&spec.keys).enumerate();
        let open = keys.filter_map(|(place, key)| Some((place, self.secrets.open_mode(key.expose())?)));
        let finding = |(place, mode)| {
            let message = format!("is in a file that others than its owner may use (its mode is {mode:03o})");
            let finding = Finding::warning(Kind::Ssl, Some(spec.id.clone()), named(place), message);
            finding.with_mend("chmod 600, with the gateway's user as its owner")
        };
        open.map(finding).collect()
    }

    fn build(&mut self, spec: &SslSpec, read: &Read<'_>) -> Result<Arc<Certificate>, Finding> {
        let mut builder = Certificate::builder(spec.id.as_str()).versions(self.versions(spec)?);
        for name in spec.names() {
            builder = builder.name(name.as_str());
        }
        for (place, (chain, key)) in read.pairs.iter().enumerate() {
            let pair = Pair::from_pem(chain, key).map_err(|error| refused(spec, &error, place))?;
            builder = builder.pair(pair);
        }
        if let (Some(client), Some(ca)) = (&spec.client, &read.ca) {
            builder = builder.client(rules(client, ca));
        }
        if spec.acme {
            builder = builder.issued();
        }
        if let Some(said) = &spec.ocsp_stapling {
            builder = builder.stapling(self.stapling(spec, said));
        }
        let certificate = builder.build().map_err(|error| refused(spec, &error, 0))?;
        if let Some(before) = self.before.certificates.get(spec.id.as_str()).filter(|before| before.is_issued()) {
            // What was issued goes on being shown until there is another. None at all is no fault.
            let _ = if spec.acme { certificate.install(before.pairs().to_vec()) } else { Ok(()) };
        }
        Ok(certificate)
    }

    fn stapling(&mut self, spec: &SslSpec, said: &OcspStapling) -> Stapling {
        if said.enabled && said.skip_verify {
            let message = "answers about the certificate are shown whoever signed them";
            let mut finding = fault(spec, "ocsp_stapling.skip_verify", message, "remove it");
            finding.severity = Severity::Warning;
            self.findings.push(finding);
        }
        let mut stapling = Stapling::default();
        (stapling.enabled, stapling.skip_verify) = (said.enabled, said.skip_verify);
        stapling.cache_ttl = Duration::from_secs(said.cache_ttl.into());
        stapling
    }

    fn versions(&mut self, spec: &SslSpec) -> Result<Versions, Finding> {
        let has = |version| spec.ssl_protocols.contains(&version);
        if has(TlsVersion::V1_1) {
            let mut finding = fault(spec, "ssl_protocols", "TLS 1.1 is never spoken", "remove TLSv1.1");
            finding.severity = if spec.ssl_protocols.len() == 1 { Severity::Error } else { Severity::Warning };
            if finding.is_error() {
                return Err(finding);
            }
            self.findings.push(finding);
        }
        Ok(match (has(TlsVersion::V1_2), has(TlsVersion::V1_3)) {
            (true, false) => Versions::Only12,
            (false, true) => Versions::Only13,
            _ => Versions::Both,
        })
    }
}

impl TableChanges {
    fn forget(&mut self, id: Id) {
        self.judged.insert(id.clone());
        self.answered.push((id.clone(), None));
        self.changes.push((id, None));
    }
}

/// What stands for an item that cannot be had: its demand of clients, if it has one.
fn closed(spec: &SslSpec) -> Option<Arc<Certificate>> {
    spec.client.as_ref()?;
    Certificate::closed(spec.id.as_str(), spec.names().map(Host::as_str))
}

fn same_content(was: &Arc<SslSpec>, spec: &SslSpec) -> bool {
    std::ptr::eq(Arc::as_ptr(was), spec) || **was == *spec
}

fn rules(client: &ClientCertificates, ca: &str) -> ClientRules {
    client.skip_mtls_uri_regex.iter().fold(ClientRules::new(ca).depth(client.depth), ClientRules::skip)
}

fn fault(spec: &SslSpec, field: &str, message: &str, mend: &str) -> Finding {
    Finding::error(Kind::Ssl, Some(spec.id.clone()), field, message).with_mend(mend)
}

/// The field that is at fault, of the pair at `place`.
fn refused(spec: &SslSpec, error: &CertificateFault, place: usize) -> Finding {
    let of_pair = |one: &str, more: &str| match (place, spec.acme) {
        (0, false) => one.to_owned(),
        _ => format!("{more}[{}]", place - usize::from(!spec.acme)),
    };
    let field = match error.part() {
        Part::Chain => of_pair("cert", "certs"),
        Part::Key => of_pair("key", "keys"),
        Part::Names if spec.sni.is_some() => "sni".to_owned(),
        Part::Names => "snis".to_owned(),
        Part::ClientCa => "client.ca".to_owned(),
        Part::ClientPaths => "client.skip_mtls_uri_regex".to_owned(),
    };
    fault(spec, &field, &error.to_string(), error.mend())
}
