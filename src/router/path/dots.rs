//! Dot segments and repeated slashes.

/// Merges repeated slashes and resolves dot segments; tells whether `..` stood at the root, where it is dropped.
pub(super) fn resolve(path: &[u8]) -> (Vec<u8>, bool) {
    let mut resolved = Vec::with_capacity(path.len());
    let mut climbs = false;
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"" | b"." => {}
            b".." => match resolved.iter().rposition(|byte| *byte == b'/') {
                Some(slash) => resolved.truncate(slash),
                None => climbs = true,
            },
            name => {
                resolved.push(b'/');
                resolved.extend_from_slice(name);
                continue;
            }
        }
        if is_last {
            resolved.push(b'/');
        }
    }
    if resolved.is_empty() {
        resolved.push(b'/');
    }
    (resolved, climbs)
}
