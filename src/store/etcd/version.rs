//! What servers of which version can be trusted with.

/// Whether an answer to a progress request comes behind the events that it is about. Before 3.4.25 and 3.5.8 it may
/// overtake them (etcd-io/etcd#15220, mended by #15237): who goes on from there misses events for good.
pub(super) fn orders_progress(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next(), numbers.next(), numbers.next());
    match version {
        (Some(3), Some(4), Some(patch)) => patch >= 25,
        (Some(3), Some(5), Some(patch)) => patch >= 8,
        (Some(3), Some(minor), _) => minor >= 6,
        (Some(major), ..) => major > 3,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mended_versions_are_trusted() {
        for (version, expected) in [
            ("3.4.23", false),
            ("3.4.25", true),
            ("3.5.1", false),
            ("3.5.8", true),
            ("3.5.0-rc.1", false),
            ("3.6.0", true),
            ("4.0.0", true),
            ("", false),
            ("none", false),
        ] {
            assert_eq!(orders_progress(version), expected, "{version}");
        }
    }
}
