//! Ways back, which never lead to another host (security.md AUTH-10).

/// Longest target that is remembered whole.
const LONGEST: usize = 2048;

/// Whether a target stays on its host: a path, with or without a query.
pub(in crate::plugins) fn is_local(target: &str) -> bool {
    target.starts_with('/')
        && !target.starts_with("//")
        && !target.contains('\\')
        && target.bytes().all(|byte| byte > b' ' && byte != 0x7f)
}

/// The target that is remembered: one that stays on the host, without its query where it is very long.
pub(in crate::plugins) fn remembered(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or_default();
    match [target, path].into_iter().find(|text| text.len() <= LONGEST) {
        Some(text) if is_local(text) => text,
        _ => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_auth_10_redirects_stay_on_the_host() {
        let long = format!("/p?{}", "x".repeat(LONGEST));
        for (target, kept) in [
            ("/a/b?c=d//e", "/a/b?c=d//e"),
            ("//evil.test/", "/"),
            ("/\\evil.test/", "/"),
            ("http://evil.test/", "/"),
            ("/a\r\nset-cookie: x", "/"),
            ("", "/"),
            (&long, "/p"),
        ] {
            assert_eq!(remembered(target), kept, "{target}");
        }
    }
}
