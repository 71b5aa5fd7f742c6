//! What the server says of a ticket (CAS protocol 3.0, appendix A).
use serde_json::{Map, Value, json};

use crate::plugin::bodies::{Bodies, Misread};
use crate::plugins::xml;

/// The server's word.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// `{"user": "…", "attributes": {"…": "…"}}`; several values of an attribute are a list.
    User(Value),
    /// The ticket is nobody's.
    Nobody {
        /// Why, such as `INVALID_TICKET`.
        code: String,
    },
}

/// Why an answer says nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Nonsense {
    #[error("it is not the XML that it should be: {0:?}")]
    Xml(Misread),
    #[error("it has neither one user nor a failure")]
    Empty,
}

/// Reads an answer.
///
/// # Errors
/// [`Nonsense`]: what is not plainly a yes or a no lets nobody in.
pub(super) fn read(bodies: &Bodies, text: &[u8]) -> Result<Verdict, Nonsense> {
    let document = xml::decode(bodies, text).map_err(Nonsense::Xml)?;
    let response = document.get("serviceResponse").and_then(Value::as_object).ok_or(Nonsense::Empty)?;
    match (response.get("authenticationSuccess"), response.get("authenticationFailure")) {
        (Some(success), None) => success.as_object().and_then(user).map(Verdict::User).ok_or(Nonsense::Empty),
        (None, Some(failure)) => {
            let code = failure.pointer("/_attr/code").and_then(Value::as_str).unwrap_or_default();
            Ok(Verdict::Nobody { code: code.to_owned() })
        }
        _ => Err(Nonsense::Empty),
    }
}

fn user(success: &Map<String, Value>) -> Option<Value> {
    // with two of them it is a list, and no text
    let name = success.get("user")?.as_str().filter(|name| !name.is_empty())?;
    Some(match success.get("attributes") {
        Some(attributes) if attributes.is_object() => json!({"attributes": attributes, "user": name}),
        _ => json!({"user": name}),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_text(text: &str) -> Option<Verdict> {
        read(&Bodies::default(), text.as_bytes()).ok()
    }

    fn response(inside: &str) -> String {
        format!("<cas:serviceResponse xmlns:cas=\"http://www.yale.edu/tp/cas\">{inside}</cas:serviceResponse>")
    }

    fn success(inside: &str) -> String {
        response(&format!("<cas:authenticationSuccess>{inside}</cas:authenticationSuccess>"))
    }

    #[test]
    fn a_user_is_known_with_what_is_told_of_him() {
        for (inside, user) in [
            ("<cas:user>ann</cas:user>", json!({"user": "ann"})),
            ("\n  <cas:user> ann </cas:user>\n", json!({"user": "ann"})),
            ("<cas:user>ann&amp;<![CDATA[<b>]]></cas:user>", json!({"user": "ann&<b>"})),
            (
                "<cas:user>ann</cas:user><cas:attributes><cas:mail>a@x.test</cas:mail><cas:groups>dev</cas:groups>\
                 <cas:groups>ops</cas:groups></cas:attributes>",
                json!({"user": "ann", "attributes": {"mail": "a@x.test", "groups": ["dev", "ops"]}}),
            ),
            ("<cas:user>ann</cas:user><cas:attributes/>", json!({"user": "ann"})),
            ("<cas:user>ann</cas:user><cas:proxyGrantingTicket>P</cas:proxyGrantingTicket>", json!({"user": "ann"})),
        ] {
            assert_eq!(read_text(&success(inside)), Some(Verdict::User(user)), "{inside}");
        }
    }

    #[test]
    fn a_failure_has_a_code() {
        let failure =
            "<cas:authenticationFailure code=\"INVALID_TICKET\">Ticket ST-1 not recognized</cas:authenticationFailure>";
        assert_eq!(read_text(&response(failure)), Some(Verdict::Nobody { code: "INVALID_TICKET".to_owned() }));
        let bare = "<cas:authenticationFailure/>";
        assert_eq!(read_text(&response(bare)), Some(Verdict::Nobody { code: String::new() }));
    }

    #[test]
    fn what_is_not_plainly_a_yes_lets_nobody_in() {
        let good = success("<cas:user>ann</cas:user>");
        assert!(read_text(&good).is_some());
        for bad in [
            String::new(),
            "yes\nann\n".to_owned(),
            good[..good.len() - 1].to_owned(),
            format!("{good}{good}"),
            format!("<!DOCTYPE x [<!ENTITY a \"ann\">]>{}", success("<cas:user>&a;</cas:user>")),
            success(""),
            success("<cas:user/>"),
            success("<cas:user> </cas:user>"),
            success("<cas:user>ann</cas:user><cas:user>bob</cas:user>"),
            success("<cas:user>ann<cas:x/></cas:user>"),
            success("<cas:user>&ann;</cas:user>"),
            response("<cas:user>ann</cas:user>"),
            response("<cas:authenticationSuccess/>"),
            response(
                "<cas:authenticationSuccess><cas:user>a</cas:user></cas:authenticationSuccess><cas:authenticationFailure/>",
            ),
            response(&"<cas:authenticationSuccess><cas:user>a</cas:user></cas:authenticationSuccess>".repeat(2)),
            "<cas:authenticationSuccess><cas:user>ann</cas:user></cas:authenticationSuccess>".to_owned(),
            response(&"<a>".repeat(1000)),
        ] {
            assert_eq!(read_text(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_comment_cuts_no_name_short() {
        let verdict = read_text(&success("<cas:user>admin<!-- -->.evil</cas:user>"));
        assert_eq!(verdict, Some(Verdict::User(json!({"user": "admin.evil"}))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_stumble(text in any::<Vec<u8>>(), tags in "(<(/)?(cas:)?(serviceResponse|authenticationSuccess|user)>|a|&lt;){0,12}") {
            let _ = read(&Bodies::default(), &text);
            let _ = read(&Bodies::default(), tags.as_bytes());
        }
    }
}
