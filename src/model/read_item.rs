//! [`read_item`]: one item of a store, by itself.
use std::borrow::Cow;

use serde_json::Value;

use super::check::walk::Rules;
use super::check::{Described, judge};
use super::read::match_part;
use super::{Finding, Id, Kind, Rejected, Severity, UnknownFields};

/// Reads the item `id` of kind `T` from its JSON form, by its own rules: a look at others, plugins, patterns and so on is
/// the gateway's. An `id` (of a consumer `username`) in `value` that differs is a fault; none is as good as the same, and so
/// is the last part of the id of a credential or secret manager, which the reference writes there.
///
/// Gives the item with its doubts.
///
/// # Errors
/// What is wrong with it; of a route, and of a certificate that demands some of clients, also which requests it is for.
#[expect(private_bounds, reason = "the resources of this crate are all there are")]
pub fn read_item<T: Described>(
    id: &Id,
    value: &Value,
    unknown_fields: UnknownFields,
) -> Result<(T, Vec<Finding>), Rejected> {
    let value = &*named(T::KIND, id, value);
    let mut findings = Vec::new();
    let unknown = match unknown_fields {
        UnknownFields::Reject => Severity::Error,
        UnknownFields::Warn => Severity::Warning,
    };
    let (faultless, cleaned) = judge::<T>(value, Some(id), None, Rules { unknown, ..Rules::STRICT }, &mut findings);
    if faultless {
        match T::deserialize(cleaned.as_ref().unwrap_or(value)) {
            Ok(item) => {
                if item.id() == id {
                    return Ok((item, findings));
                }
                let message = format!("is `{}`, not the one of its key", item.id());
                let finding = Finding::error(T::KIND, Some(id.clone()), "id", message);
                findings.push(finding.with_mend("write the same in both, or leave it out"));
            }
            Err(error) => findings.push(Finding::error(T::KIND, Some(id.clone()), "", error.to_string())),
        }
    }
    let match_part = match_part(T::KIND, value);
    Err(Rejected { kind: T::KIND, id: Some(id.clone()), index: None, match_part, findings })
}

/// `value` with its id.
fn named<'v>(kind: Kind, id: &Id, value: &'v Value) -> Cow<'v, Value> {
    let field = match kind {
        Kind::Consumer => "username",
        Kind::Plugin => "name",
        _ => "id",
    };
    let is_short = |text: &str| id.as_str().rsplit_once('/').is_some_and(|(_, last)| last == text);
    match value.get(field) {
        None => {}
        Some(Value::String(text)) if is_short(text) => {}
        Some(_) => return Cow::Borrowed(value),
    }
    let mut value = value.clone();
    if let Value::Object(object) = &mut value {
        object.insert(field.to_owned(), Value::from(id.as_str()));
    }
    Cow::Owned(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{CredentialSpec, MatchPart, RouteSpec, SecretSpec, SslSpec};

    #[test]
    fn an_item_is_called_by_its_key() {
        let read = |value| read_item::<RouteSpec>(&"7".into(), &value, UnknownFields::Reject);
        let route = json!({"uri": "/a", "plugins": {}});
        assert_eq!(read(route.clone()).unwrap().0.id, "7");
        let with = |id: Value| {
            let mut route = route.clone();
            route["id"] = id;
            route
        };
        assert_eq!(read(with(json!(7))).unwrap().0.id, "7");
        let rejected = read(with(json!("8"))).unwrap_err();
        assert_eq!(rejected.findings[0].path, "id");
        assert_eq!(rejected.match_part.unwrap().uris.len(), 1, "it fails closed");
        for id in [json!("vault/1"), json!("1"), Value::Null] {
            let mut vault = json!({"uri": "http://vault:8200", "prefix": "kv", "token": "t"});
            if !id.is_null() {
                vault["id"] = id;
            }
            let read = read_item::<SecretSpec>(&"vault/1".into(), &vault, UnknownFields::Reject);
            assert_eq!(read.unwrap().0.id, "vault/1");
        }
    }

    #[test]
    fn a_certificate_that_demands_some_of_clients_fails_closed_by_its_names() {
        let names = |ssl: serde_json::Value| {
            let rejected = read_item::<SslSpec>(&"s".into(), &ssl, UnknownFields::Reject).unwrap_err();
            let names = |part: MatchPart| part.hosts.iter().map(|host| host.as_str().to_owned()).collect::<Vec<_>>();
            rejected.match_part.map(names)
        };
        let one = |name: &str| Some(vec![name.to_owned()]);
        assert_eq!(names(json!({"sni": "A.test", "client": {}})), one("a.test"));
        assert_eq!(names(json!({"snis": [7, "b.test"], "client": 5, "status": 2})), one("b.test"));
        assert_eq!(names(json!({"snis": "c.test", "client": {}, "type": "klient"})), one("c.test"));
        assert_eq!(names(json!({"sni": "d.test", "cleint": {}})), one("d.test"), "it may be misspelt");
        for nothing in [
            json!({"sni": "a.test"}),
            json!({"client": {}}),
            json!({"sni": "a.test", "client": {}, "status": 0}),
            json!({"sni": "a.test", "client": {}, "type": "client"}),
        ] {
            assert_eq!(names(nothing), None);
        }
    }

    #[test]
    fn a_credential_may_be_called_without_its_consumer() {
        let read = |id: &str| {
            let credential = json!({"id": id, "plugins": {"key-auth": {"key": "k"}}});
            read_item::<CredentialSpec>(&"jack/credentials/c".into(), &credential, UnknownFields::Reject)
        };
        assert_eq!(read("c").unwrap().0.id, "jack/credentials/c");
        assert_eq!(read("jack/credentials/c").unwrap().0.id, "jack/credentials/c");
        assert!(read("d").is_err() && read("jill/credentials/c").is_err());
    }

    #[test]
    fn an_unknown_field_is_a_fault_or_left_out() {
        let route = json!({"uri": "/a", "plugins": {}, "urj": 1});
        assert!(read_item::<RouteSpec>(&"7".into(), &route, UnknownFields::Reject).is_err());
        let (_, findings) = read_item::<RouteSpec>(&"7".into(), &route, UnknownFields::Warn).unwrap();
        assert_eq!(findings.len(), 1);
    }
}
