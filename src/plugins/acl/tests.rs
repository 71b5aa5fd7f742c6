//! Tables of the decision.
use serde_json::{Value, json};

use super::*;
use crate::model::ConsumerSpec;
use crate::plugin::Gate as _;
use crate::plugins::testing::{ask, build_error, built, configured};
use crate::request::{Consumer, ExternalUser};

fn acl(block: Value) -> Acl {
    Acl::new(configured(block)).unwrap()
}

#[test]
fn labels_of_consumers_in_every_form() {
    let allow = json!({"allow_labels": {"org": ["acme", "umbrella"], "tier": ["gold"]}});
    let deny = json!({"deny_labels": {"org": ["acme", "umbrella"], "tier": ["gold"]}});
    for (labels, listed) in [
        (json!({"org": "acme"}), true),
        (json!({"org": "other", "tier": "gold"}), true),
        (json!({"org": "other,acme"}), true),
        (json!({"org": "other , acme"}), true),
        (json!({"org": "[\"other\", \"umbrella\"]"}), true),
        (json!({"org": "other"}), false),
        (json!({"org": "Acme"}), false),
        (json!({"org": "acme2,other"}), false),
        (json!({"org": "[\"other\"]"}), false),
        (json!({"org": "[acme"}), false),
        (json!({"org": "gold"}), false),
        (json!({"team": "acme"}), false),
        (json!({}), false),
    ] {
        let text = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap().to_owned());
        let labels = labels.as_object().unwrap().iter().map(text).collect();
        let found = (acl(allow.clone()).allows_labels(&labels), acl(deny.clone()).allows_labels(&labels));
        assert_eq!(found, (listed, !listed), "{labels:?}");
    }
}

#[test]
fn denial_comes_first_and_then_a_hit_is_needed() {
    let acl = acl(json!({"allow_labels": {"org": ["a", "b"]}, "deny_labels": {"org": ["b", "c"]}}));
    for (org, allowed) in [("a", true), ("b", false), ("a,b", false), ("c", false), ("d", false)] {
        assert_eq!(acl.allows_labels(&[("org".to_owned(), org.to_owned())].into()), allowed, "{org}");
    }
}

#[test]
fn external_users_by_path_and_parser() {
    let block = |more: Value| {
        let mut block = json!({"allow_labels": {"groups": ["admin"]}});
        block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        block
    };
    let segmented = json!({"external_user_label_field_parser": "segmented_text",
        "external_user_label_field_separator": "\\||;"});
    let json_text = json!({"external_user_label_field_parser": "json"});
    let table = json!({"external_user_label_field_parser": "table"});
    let nested = json!({"external_user_label_field": "$.realm.roles", "external_user_label_field_key": "groups"});
    let every = json!({"external_user_label_field": "roles[*].name", "external_user_label_field_key": "groups"});
    let unnamed = json!({"external_user_label_field": "$.groups"});
    for (more, user, allowed) in [
        (json!({}), json!({"groups": ["user", "admin"]}), true),
        (json!({}), json!({"groups": "admin"}), true),
        (json!({}), json!({"groups": "user,admin"}), true),
        (json!({}), json!({"groups": "[\"admin\"]"}), true),
        (json!({}), json!({"groups": ["user"]}), false),
        (json!({}), json!({"groups": {"admin": true}}), false),
        (json!({}), json!({"groups": 1}), false),
        (json!({}), json!({"roles": ["admin"]}), false),
        (json!({}), json!("admin"), false),
        (segmented.clone(), json!({"groups": "user | admin;x"}), true),
        (segmented.clone(), json!({"groups": "user,admin"}), false),
        (segmented, json!({"groups": ["admin"]}), false),
        (json_text.clone(), json!({"groups": "[\"user\",\"admin\"]"}), true),
        (json_text.clone(), json!({"groups": "admin"}), false),
        (json_text, json!({"groups": ["admin"]}), false),
        (table.clone(), json!({"groups": ["admin"]}), true),
        (table, json!({"groups": "admin"}), false),
        (nested, json!({"realm": {"roles": ["admin"]}}), true),
        (every, json!({"roles": [{"name": "x"}, {"name": "admin"}]}), true),
        // Providers number their groups, too.
        (json!({}), json!({"groups": [7]}), false),
        (json!({"allow_labels": {"groups": ["7"]}}), json!({"groups": [6, 7]}), true),
        // The label is called as the field is written.
        (unnamed, json!({"groups": ["admin"]}), false),
    ] {
        assert_eq!(acl(block(more.clone())).allows_user(&user), allowed, "{more} {user}");
    }
}

#[test]
fn values_that_cannot_be_read_are_denied() {
    let deny = json!({"groups": ["banned"]});
    let json_text = json!({"deny_labels": deny, "external_user_label_field_parser": "json"});
    let table = json!({"deny_labels": deny, "external_user_label_field_parser": "table"});
    let any = json!({"deny_labels": deny});
    for (block, user, allowed) in [
        (&json_text, json!({"groups": "[\"user\"]"}), true),
        (&json_text, json!({"groups": "[\"banned\"]"}), false),
        (&json_text, json!({"groups": "banned"}), false),
        (&json_text, json!({"groups": ["banned"]}), false),
        (&table, json!({"groups": ["user"]}), true),
        (&table, json!({"groups": "banned"}), false),
        (&any, json!({"groups": "user"}), true),
        (&any, json!({"groups": {"banned": true}}), false),
        // Who is in no group is not in a denied one.
        (&json_text, json!({}), true),
        (&json_text, json!({"groups": null}), true),
    ] {
        assert_eq!(acl(block.clone()).allows_user(&user), allowed, "{block} {user}");
    }
}

#[test]
fn a_consumer_counts_before_an_external_user() {
    let acl = acl(json!({"allow_labels": {"groups": ["admin"]}}));
    let mut request = http::Request::new(());
    request.extensions_mut().insert(ExternalUser::new(json!({"groups": ["admin"]})));
    assert!(acl.check(&mut request).is_ok());
    Consumer::new(&ConsumerSpec { username: "acme".into(), ..ConsumerSpec::default() }).attach(&mut request);
    assert!(acl.check(&mut request).is_err());
}

#[tokio::test]
async fn the_answer_is_the_blocks() {
    let labels = [("org".to_owned(), "acme".to_owned())];
    let spec = ConsumerSpec { username: "acme".into(), labels: labels.into(), ..ConsumerSpec::default() };
    for (block, known, status, body) in [
        (json!({"allow_labels": {"org": ["acme"]}}), true, 200, ""),
        (json!({"allow_labels": {"org": ["acme"]}}), false, 401, "{\"message\":\"Missing authentication.\"}\n"),
        (json!({"deny_labels": {"org": ["acme"]}}), true, 403, "{\"message\":\"The consumer is forbidden.\"}\n"),
        (
            json!({"deny_labels": {"org": ["acme"]}, "rejected_code": 404, "rejected_msg": "no"}),
            true,
            404,
            "{\"message\":\"no\"}\n",
        ),
    ] {
        let mut request = http::Request::default();
        if known {
            Consumer::new(&spec).attach(&mut request);
        }
        let answer = ask(&built(AclPlugin, &block), request).await;
        assert_eq!((answer.status(), answer.body()), (status, body), "{block} {known}");
    }
}

#[test]
fn faulty_blocks_are_refused() {
    let labels = json!({"org": ["acme"]});
    for (block, says) in [
        (json!({}), "at least one of `allow_labels` and `deny_labels`"),
        (json!({"allow_labels": {}}), "allow_labels: is empty"),
        (json!({"deny_labels": {"org": []}}), "deny_labels.org: is empty"),
        (json!({"deny_labels": {"org": "acme"}}), "deny_labels.org: invalid type"),
        (json!({"allow_labels": labels, "rejected_code": 99}), "rejected_code: 99"),
        (
            json!({"allow_labels": labels, "external_user_label_field": ""}),
            "external_user_label_field: is no JSON path",
        ),
        (json!({"allow_labels": labels, "external_user_label_field_key": ""}), "field_key: is empty"),
        (json!({"allow_labels": labels, "external_user_label_field_parser": "csv"}), "unknown variant `csv`"),
        (
            json!({"allow_labels": labels, "external_user_label_field_parser": "segmented_text"}),
            "external_user_label_field_separator: is required",
        ),
        (
            json!({"allow_labels": labels, "external_user_label_field_parser": "segmented_text",
                "external_user_label_field_separator": "("}),
            "external_user_label_field_separator: is no regular expression",
        ),
        (json!({"allow_label": labels}), "unknown field `allow_label`"),
    ] {
        let error = build_error(AclPlugin, &block);
        assert!(error.contains(says), "{block}: {error}");
    }
}
