//! Checks that fields of several plugins have in common.
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderName, StatusCode};

#[cfg(any(feature = "callout", feature = "jwe"))]
use crate::hop::is_end_to_end;
use crate::hop::is_hop;
use crate::plugin::ConfigError;

/// What a list means for a request that is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// Only what is on the list passes.
    Allowed,
    /// Everything passes but what is on the list.
    Denied,
}

impl Listed {
    /// Whether a request passes.
    pub(super) fn lets_pass(self, is_listed: bool) -> bool {
        match self {
            Self::Allowed => is_listed,
            Self::Denied => !is_listed,
        }
    }
}

/// A list that may be written in a block: its field's name, and what stands there.
pub(super) type Written<T> = (&'static str, Option<Vec<T>>);

/// The one list that is written: of those to allow, or of those to deny. Gives its field's name, too.
///
/// # Errors
/// Both, none, or an empty one.
pub(super) fn one_list<T>(
    plugin: &'static str,
    allow: Written<T>,
    deny: Written<T>,
) -> Result<(Listed, &'static str, Vec<T>), ConfigError> {
    let (listed, field, list) = match (allow, deny) {
        ((field, Some(list)), (_, None)) => (Listed::Allowed, field, list),
        ((_, None), (field, Some(list))) => (Listed::Denied, field, list),
        ((allow, _), (deny, _)) => {
            return Err(ConfigError::invalid(
                plugin,
                "",
                format!("exactly one of `{allow}` and `{deny}` is to be set"),
            ));
        }
    };
    non_empty(plugin, field, &list)?;
    Ok((listed, field, list))
}

/// # Errors
/// When the list is empty.
pub(super) fn non_empty<T>(plugin: &'static str, field: &str, list: &[T]) -> Result<(), ConfigError> {
    match list {
        [] => Err(ConfigError::invalid(plugin, field, "is empty; name at least one, or leave the field out")),
        _ => Ok(()),
    }
}

/// # Errors
/// When the text is empty or has more than `max` characters.
pub(super) fn length(plugin: &'static str, field: &str, text: &str, max: usize) -> Result<(), ConfigError> {
    match text.chars().take(max.saturating_add(1)).count() {
        0 => Err(ConfigError::invalid(plugin, field, format!("is empty; write 1 to {max} characters"))),
        count if count > max => Err(ConfigError::invalid(plugin, field, format!("has more than {max} characters"))),
        _ => Ok(()),
    }
}

/// A status of at least 200.
///
/// # Errors
/// Any other number.
pub(super) fn final_status(plugin: &'static str, field: &str, code: u16) -> Result<StatusCode, ConfigError> {
    let status = StatusCode::from_u16(code).ok().filter(|status| !status.is_informational());
    status.ok_or_else(|| ConfigError::invalid(plugin, field, format!("{code} is no final status; write 200 to 999")))
}

/// # Errors
/// When a number is out of its range.
#[cfg(feature = "callout")]
pub(super) fn within(
    plugin: &'static str,
    field: &str,
    value: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(ConfigError::invalid(plugin, field, format!("{value} is out of range: write {least} to {most}")))
}

/// The name of a field that a plugin may write: framing, `Host` and the fields of one hop are the gateway's alone
/// (security.md H1-24).
///
/// # Errors
/// What is no name, and one of those.
pub(super) fn own_field(plugin: &'static str, field: &str, name: &str) -> Result<HeaderName, ConfigError> {
    let invalid = |reason| ConfigError::invalid(plugin, field, reason);
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| invalid("is no name of a field: write one such as X-Request-Id".to_owned()))?;
    if name == CONTENT_LENGTH || name == HOST || is_hop(name.as_str().as_bytes()) {
        return Err(invalid(format!("`{name}` is written by the gateway; write another name")));
    }
    Ok(name)
}

/// Whether a field that a plugin is told to write may be taken off every request of every route, as what tells upstreams who
/// calls (security.md HOP-05). Not where clients send one of that name for reasons of their own: it comes off on the plugin's own
/// routes alone, or one block would break the requests of all others.
#[cfg(any(feature = "callout", feature = "jwe"))]
pub(super) fn is_identity(name: &HeaderName) -> bool {
    const OURS: [&str; 3] = ["x-userinfo", "x-consumer-", "x-credential-"];
    /// Of browsers, of tracing, of calls, beside those that HTTP itself knows.
    const OTHERS: [&str; 6] = ["baggage", "dnt", "grpc-", "priority", "sec-", "x-b3-"];
    let name = name.as_str();
    let begins = |list: &[&str]| list.iter().any(|begin| name.starts_with(begin));
    begins(&OURS) || !is_end_to_end(name) && !begins(&OTHERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_list_counts_and_it_has_something_on_it() {
        let choose = |allow, deny| one_list::<u8>("p", ("a", allow), ("d", deny)).map_err(|error| error.to_string());
        assert_eq!(choose(Some(vec![1]), None).unwrap(), (Listed::Allowed, "a", vec![1]));
        assert_eq!(choose(None, Some(vec![2])).unwrap(), (Listed::Denied, "d", vec![2]));
        assert!(choose(None, None).unwrap_err().contains("exactly one of `a` and `d`"));
        assert!(choose(Some(vec![1]), Some(vec![2])).unwrap_err().contains("exactly one of `a` and `d`"));
        assert!(choose(None, Some(vec![])).unwrap_err().contains("d: is empty"));
    }

    #[test]
    fn lengths_are_of_characters() {
        assert!(length("p", "f", "éé", 2).is_ok());
        assert!(length("p", "f", "ééé", 2).is_err() && length("p", "f", "", 2).is_err());
    }

    #[test]
    fn fields_of_framing_and_hops_are_not_a_plugins() {
        assert_eq!(own_field("p", "f", "X-Trace").unwrap(), "x-trace");
        for name in ["", "a b", "Content-Length", "host", "Connection", "te", "Transfer-Encoding", "upgrade"] {
            assert!(own_field("p", "f", name).is_err(), "{name}");
        }
    }

    #[cfg(any(feature = "callout", feature = "jwe"))]
    #[test]
    fn fields_that_clients_send_for_reasons_of_their_own_tell_nobodys_identity() {
        for (name, is) in [
            ("x-user", true),
            ("x-userinfo", true),
            ("x-consumer-tier", true),
            ("authorization", false),
            ("cookie", false),
            ("content-type", false),
            ("accept-language", false),
            ("range", false),
            ("x-forwarded-for", false),
            ("sec-fetch-site", false),
        ] {
            assert_eq!(is_identity(&HeaderName::from_static(name)), is, "{name}");
        }
    }

    #[test]
    fn statuses_are_final() {
        assert!(final_status("p", "f", 200).is_ok() && final_status("p", "f", 999).is_ok());
        for code in [0, 99, 101, 199, 1000] {
            assert!(final_status("p", "f", code).is_err(), "{code}");
        }
    }
}
