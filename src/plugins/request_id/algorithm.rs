//! The forms of ids.
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use crate::plugins::random::Random;

/// How ids are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Algorithm {
    /// A random UUID, version 4 (RFC 9562 §5.4).
    #[default]
    Uuid,
    /// A UUID that begins with the time in milliseconds, version 7 (RFC 9562 §5.7).
    UuidV7,
    /// 21 characters of `A` to `Z`, `a` to `z`, `0` to `9`, `_` and `-`: 126 random bits.
    NanoId,
    /// Characters of a set of one's own.
    #[serde(rename = "range_id")]
    RangeId,
    /// 27 digits and letters: the time in seconds and 128 random bits, in base 62.
    Ksuid,
}

const NANO_ID: &[u8; 64] = b"-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// When KSUIDs begin to count: 2014-05-13T16:53:20Z.
const KSUID_EPOCH: u64 = 1_400_000_000;

/// Version 4.
pub(super) fn uuid_v4(random: &Random) -> Bytes {
    uuid(random.bytes(), 4)
}

/// Version 7, at a time since 1970.
pub(super) fn uuid_v7(random: &Random, now: Duration) -> Bytes {
    let mut bytes = random.bytes::<16>();
    let [_, _, time @ ..] = u64::try_from(now.as_millis()).unwrap_or_default().to_be_bytes();
    for (byte, of_time) in bytes.iter_mut().zip(time) {
        *byte = of_time;
    }
    uuid(bytes, 7)
}

/// The text of a UUID, with its version and variant put in.
fn uuid(mut bytes: [u8; 16], version: u8) -> Bytes {
    bytes[6] = version << 4 | bytes[6] & 0x0f;
    bytes[8] = 0x80 | bytes[8] & 0x3f;
    let mut text = Vec::with_capacity(36);
    for (index, byte) in bytes.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push(b'-');
        }
        text.extend([byte >> 4, byte & 0x0f].map(|digit| if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }));
    }
    text.into()
}

/// 21 characters.
pub(super) fn nano_id(random: &Random) -> Bytes {
    let letters = random.bytes::<21>().map(|byte| letter(NANO_ID, usize::from(byte & 63)));
    Bytes::copy_from_slice(&letters)
}

/// `length` characters of a set, each as likely as the others.
pub(super) fn range_id(random: &Random, characters: &[u8], length: usize) -> Bytes {
    let count = u32::try_from(characters.len()).unwrap_or(u32::MAX).max(1);
    // What lies above the last whole multiple would favour the first characters.
    let fair = u32::MAX - u32::MAX % count;
    let mut stream = random.stream();
    let mut text = Vec::with_capacity(length);
    while text.len() < length {
        let mut drawn = [0; 4];
        stream.fill(&mut drawn);
        let drawn = u32::from_le_bytes(drawn);
        if drawn < fair {
            text.push(letter(characters, (drawn % count) as usize));
        }
    }
    text.into()
}

/// 27 characters, at a time since 1970.
pub(super) fn ksuid(random: &Random, now: Duration) -> Bytes {
    let seconds = u32::try_from(now.as_secs().saturating_sub(KSUID_EPOCH)).unwrap_or(u32::MAX);
    let mut words = [seconds, 0, 0, 0, 0];
    for (word, bytes) in words.iter_mut().skip(1).zip(random.bytes::<16>().chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    let mut text = [0; 27];
    for digit in text.iter_mut().rev() {
        // Long division by 62, most significant word first; what remains is the digit.
        let mut rest = 0_u64;
        for word in &mut words {
            let value = rest << 32 | u64::from(*word);
            *word = (value / 62) as u32;
            rest = value % 62;
        }
        *digit = letter(BASE_62, rest as usize);
    }
    Bytes::copy_from_slice(&text)
}

/// The letter at a place of an alphabet, which each caller keeps inside of it.
fn letter(alphabet: &[u8], at: usize) -> u8 {
    alphabet.get(at).copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn text(id: &Bytes) -> &str {
        std::str::from_utf8(id).unwrap()
    }

    #[test]
    fn uuids_have_version_variant_and_time() {
        let random = Random::new().unwrap();
        let now = Duration::from_millis(0x0123_4567_89ab);
        for (id, version) in [(uuid_v4(&random), "4"), (uuid_v7(&random, now), "7")] {
            let id = text(&id);
            let groups: Vec<_> = id.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
            assert!(id.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
            assert_eq!((&id[14..15], "89ab".contains(&id[19..20])), (version, true), "{id}");
        }
        assert!(text(&uuid_v7(&random, now)).starts_with("01234567-89ab-7"));
    }

    #[test]
    fn nano_ids_and_range_ids_use_the_whole_set_and_nothing_else() {
        let random = Random::new().unwrap();
        let drawn: HashSet<u8> = (0..200).flat_map(|_| nano_id(&random).to_vec()).collect();
        assert_eq!((nano_id(&random).len(), drawn.len()), (21, 64));
        assert!(drawn.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        let id = range_id(&random, b"0123456", 7000);
        assert_eq!(id.len(), 7000);
        for digit in b"0123456" {
            let count = id.iter().filter(|byte| *byte == digit).count();
            // 1000 expected; 6 standard deviations are 176.
            assert!(count.abs_diff(1000) < 176, "{digit}: {count}");
        }
    }

    #[test]
    fn ksuids_are_in_order_of_time_and_read_back() {
        let random = Random::new().unwrap();
        let at = |seconds| ksuid(&random, Duration::from_secs(seconds));
        let ids: Vec<_> = [0, KSUID_EPOCH, KSUID_EPOCH + 1, 1_800_000_000, u64::MAX].map(at).into();
        assert!(ids.iter().all(|id| id.len() == 27 && id.iter().all(u8::is_ascii_alphanumeric)));
        assert!(ids[2..].is_sorted());
        // The first 32 of 160 bits are the seconds.
        let digit = |byte: u8| BASE_62.iter().position(|digit| *digit == byte).unwrap() as f64;
        let value = ids[3].iter().fold(0.0, |value, byte| value * 62.0 + digit(*byte));
        assert_eq!((value / 2_f64.powi(128)).floor(), 400_000_000.0);
        // The largest one.
        assert_eq!(text(&ids[4])[..5].to_owned(), "aWgEP");
    }
}
