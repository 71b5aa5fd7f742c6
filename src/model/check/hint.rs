//! "Did you mean …?"

/// The candidate nearest to `name`, if it is near enough to be what was meant.
pub(crate) fn closest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name: String = name.chars().take(64).flat_map(char::to_lowercase).collect();
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .map(|candidate| (distance(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words: a letter more, less or other, or two neighbours swapped.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut previous_letter = None;
    for (row, letter) in left.chars().enumerate() {
        let mut line = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let at = |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&last, column) + usize::from(letter != *other))
                .min(at(&last, column + 1) + 1)
                .min(at(&line, column) + 1);
            let swapped = column.checked_sub(1).filter(|before| {
                previous_letter == Some(*other) && right.get(*before) == Some(&letter) && !before_last.is_empty()
            });
            if let Some(before) = swapped {
                best = best.min(at(&before_last, before) + 1);
            }
            line.push(best);
        }
        before_last = std::mem::replace(&mut last, line);
        previous_letter = Some(letter);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, edits) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("enabeld", "enabled", 1),
            ("ab", "ba", 1),
        ] {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }

    #[test]
    fn only_near_words_are_offered() {
        let known = ["upstream", "upstream_id", "uri", "uris"];
        assert_eq!(closest("upsteam", known.into_iter()), Some("upstream"));
        assert_eq!(closest("url", known.into_iter()), Some("uri"));
        assert_eq!(closest("Upstream_Id", known.into_iter()), Some("upstream_id"));
        assert_eq!(closest("banana", known.into_iter()), None);
    }
}
