//! What a client accepts (RFC 9110 §12.5.3).
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use super::Kind;

/// A weight in thousandths.
type Weight = u16;

/// What `Accept-Encoding` says of each coding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Accept {
    gzip: Option<Weight>,
    brotli: Option<Weight>,
    zstd: Option<Weight>,
    identity: Option<Weight>,
    others: Option<Weight>,
}

impl Accept {
    /// Reads the field. One that is missing accepts nothing: such clients seldom decode anything.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut accept = Self::default();
        for line in headers.get_all(ACCEPT_ENCODING) {
            for element in line.as_bytes().split(|byte| *byte == b',') {
                accept.note(element);
            }
        }
        accept
    }

    fn note(&mut self, element: &[u8]) {
        let mut parts = element.split(|byte| *byte == b';');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let weight = parts.next().map_or(1000, |weight| read_weight(weight.trim_ascii()));
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        let place = if is(b"gzip") || is(b"x-gzip") {
            &mut self.gzip
        } else if is(b"br") {
            &mut self.brotli
        } else if is(b"zstd") {
            &mut self.zstd
        } else if is(b"identity") {
            &mut self.identity
        } else if name == b"*" {
            &mut self.others
        } else {
            return;
        };
        *place = Some(weight);
    }

    /// How much the client likes a coding; `None` if it does not accept it, or likes the answer as it is better.
    pub(super) fn weight(&self, kind: Kind) -> Option<Weight> {
        let own = match kind {
            Kind::Gzip => self.gzip,
            Kind::Brotli => self.brotli,
            Kind::Zstd => self.zstd,
        };
        let weight = own.or(self.others)?;
        (weight > 0 && weight >= self.identity.unwrap_or(0)).then_some(weight)
    }
}

/// `q=0.5` in thousandths; 0 for what is no weight.
fn read_weight(text: &[u8]) -> Weight {
    let Some((b"q=" | b"Q=", number)) = text.split_at_checked(2) else { return 0 };
    let digits = match number {
        [b'1'] => return 1000,
        [b'1', b'.', zeros @ ..] if zeros.len() <= 3 && zeros.iter().all(|digit| *digit == b'0') => return 1000,
        [b'0'] => return 0,
        [b'0', b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return 0,
    };
    let mut scale = 100;
    let mut weight = 0;
    for digit in digits {
        weight += Weight::from(digit - b'0') * scale;
        scale /= 10;
    }
    weight
}

#[cfg(test)]
mod unit {
    use proptest::prelude::*;

    use super::*;

    fn accept(field: &str) -> Accept {
        Accept::of(&HeaderMap::from_iter([(ACCEPT_ENCODING, field.parse().unwrap())]))
    }

    #[test]
    fn weights_stars_and_identity_count() {
        let table = [
            ("gzip", [Some(1000), None, None]),
            ("GZIP;q=0.5 , br", [Some(500), Some(1000), None]),
            ("x-gzip", [Some(1000), None, None]),
            ("gzip;q=0, *", [None, Some(1000), Some(1000)]),
            ("*;q=0.001", [Some(1), Some(1), Some(1)]),
            ("*;q=0", [None, None, None]),
            ("gzip;q=0.5, identity", [None, None, None]),
            ("gzip, identity", [Some(1000), None, None]),
            ("gzip, identity;q=0.5, zstd;q=0.4", [Some(1000), None, None]),
            ("identity;q=0, br;q=0.123", [None, Some(123), None]),
            ("gzip;q=1.000, br;q=1., zstd;q=0.", [Some(1000), Some(1000), None]),
            ("gzip;q=2, br;q=1.001, zstd;q=0.0001", [None, None, None]),
            ("gzip;level=1, deflate, brr", [None, None, None]),
            ("", [None, None, None]),
            (",,;q=1,", [None, None, None]),
        ];
        for (field, expected) in table {
            let accept = accept(field);
            assert_eq!([Kind::Gzip, Kind::Brotli, Kind::Zstd].map(|kind| accept.weight(kind)), expected, "{field}");
        }
        assert_eq!(Accept::of(&HeaderMap::new()).weight(Kind::Gzip), None);
    }

    #[test]
    fn lines_are_one_list() {
        let mut headers = HeaderMap::new();
        for line in ["gzip", "br;q=0.2"] {
            headers.append(ACCEPT_ENCODING, line.parse().unwrap());
        }
        let accept = Accept::of(&headers);
        assert_eq!((accept.weight(Kind::Gzip), accept.weight(Kind::Brotli)), (Some(1000), Some(200)));
    }

    proptest! {
        #[test]
        fn a_weight_is_its_number(thousandths in 0_u16..=1000, kept in 0_usize..=3) {
            let text = format!("q={}.{:03}", thousandths / 1000, thousandths % 1000);
            let text = &text[..text.len() - kept];
            let expected = (text[2..].parse::<f64>().unwrap() * 1000.0).round() as u16;
            prop_assert_eq!(read_weight(text.as_bytes()), expected);
        }

        #[test]
        fn any_field_is_read(field in "[ -~]{0,40}") {
            let _ = accept(&field);
        }
    }
}
