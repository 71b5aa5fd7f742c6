//! Log-outs that the server announces (CAS protocol 3.0 §2.3.3, appendix C).
use serde_json::Value;

use crate::plugin::bodies::Bodies;
use crate::plugins::xml;

/// Longest announcement in bytes; one has a name and a ticket.
pub(super) const LONGEST: usize = 64 * 1024;

/// The ticket whose session is over: of the field `logoutRequest` of a form, else of the body itself.
pub(super) fn ticket(bodies: &Bodies, body: &[u8]) -> Option<String> {
    let form = if body.trim_ascii_start().starts_with(b"<") { Vec::new() } else { bodies.form(body).ok()? };
    let field = form.iter().find(|(name, _)| name == "logoutRequest").map(|(_, text)| text.as_bytes());
    let document = xml::decode(bodies, field.unwrap_or(body)).ok()?;
    let ticket = document.pointer("/LogoutRequest/SessionIndex").and_then(Value::as_str);
    ticket.filter(|ticket| !ticket.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn announcement(inside: &str) -> String {
        format!(
            "<samlp:LogoutRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"LR-1\" Version=\"2.0\" \
             IssueInstant=\"2026-01-01T00:00:00Z\"><saml:NameID>@NOT_USED@</saml:NameID>{inside}</samlp:LogoutRequest>"
        )
    }

    fn form(xml: &str) -> String {
        form_urlencoded::Serializer::new(String::new()).append_pair("logoutRequest", xml).finish()
    }

    #[test]
    fn the_ticket_is_found_in_a_form_and_in_a_bare_document() {
        let document = announcement("<samlp:SessionIndex>ST-1-a</samlp:SessionIndex>");
        for body in [form(&document), document.clone(), format!("\n{document}"), format!("a=b&{}", form(&document))] {
            assert_eq!(ticket(&Bodies::default(), body.as_bytes()).as_deref(), Some("ST-1-a"), "{body}");
        }
    }

    #[test]
    fn what_names_no_ticket_ends_nothing() {
        for body in [
            String::new(),
            "logoutRequest=".to_owned(),
            "SessionIndex=ST-1".to_owned(),
            form("<samlp:SessionIndex>ST-1</samlp:SessionIndex>"),
            form(&announcement("")),
            form(&announcement("<samlp:SessionIndex/>")),
            form(&announcement("<samlp:SessionIndex>a</samlp:SessionIndex><samlp:SessionIndex>b</samlp:SessionIndex>")),
            form(&format!("<!DOCTYPE x>{}", announcement("<samlp:SessionIndex>a</samlp:SessionIndex>"))),
        ] {
            assert_eq!(ticket(&Bodies::default(), body.as_bytes()), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_stumble(body in any::<Vec<u8>>()) {
            let _ = ticket(&Bodies::default(), &body);
        }
    }
}
