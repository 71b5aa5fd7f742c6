//! Server names.
use std::borrow::Cow;

/// As it is looked up: in lower case, without one trailing dot. Most names are so already.
pub(super) fn normal(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    Cow::Borrowed(name)
}

/// Whether a normal name is one that a certificate can have: `*`, a host, or `*.` and a host.
pub(super) fn is_pattern(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let host = name.strip_prefix("*.").unwrap_or(name);
    name == "*" || (host.len() <= 253 && host.split('.').all(label))
}

/// The wildcard that covers a normal name, as the part behind its star: `.rest`.
pub(super) fn behind_first_label(name: &str) -> Option<&str> {
    name.find('.').and_then(|dot| name.get(dot..))
}
