//! A set of HTTP statuses.
use http::StatusCode;

/// The first status that may stand in a list (upstream.md §7.1).
const FIRST: u16 = 200;
/// The last one.
const LAST: u16 = 599;

/// Statuses from 200 to 599, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statuses([u64; 7]);

impl Statuses {
    /// Whether `status` is one of them.
    pub fn contains(&self, status: StatusCode) -> bool {
        place(status.as_u16()).is_some_and(|(word, bit)| self.0.get(word).is_some_and(|bits| bits & bit != 0))
    }
}

impl FromIterator<u16> for Statuses {
    /// Those of `codes` that lie within 200 to 599; no other can be in a list.
    fn from_iter<I: IntoIterator<Item = u16>>(codes: I) -> Self {
        let mut set = Self::default();
        for (word, bit) in codes.into_iter().filter_map(place) {
            if let Some(bits) = set.0.get_mut(word) {
                *bits |= bit;
            }
        }
        set
    }
}

fn place(code: u16) -> Option<(usize, u64)> {
    (FIRST..=LAST).contains(&code).then(|| {
        let at = code - FIRST;
        (usize::from(at / 64), 1 << (at % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_is_by_itself() {
        for code in 100..=999 {
            let set = Statuses::from_iter([code]);
            let found: Vec<_> =
                (100..=999).filter(|other| set.contains(StatusCode::from_u16(*other).unwrap())).collect();
            assert_eq!(found, if (200..600).contains(&code) { vec![code] } else { Vec::new() });
        }
    }
}
