//! CRC-32C (Castagnoli). A header is short and there is one a connection, so bit by bit is fast enough.

pub(super) fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    let bits = |crc: u32, byte: u8| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    };
    !bytes.fold(!0, bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values() {
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
        assert_eq!(crc32c([0; 32].into_iter()), 0x8a91_36aa);
    }
}
