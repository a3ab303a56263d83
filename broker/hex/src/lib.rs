//! Bytes as hexadecimal digits: digests, keys of damaged rows, names of cached files, payloads that are printed.

/// Lower-case digits, two for each byte.
#[must_use]
pub fn lower(bytes: &[u8]) -> String {
    digits(bytes, b"0123456789abcdef")
}

/// Upper-case digits, two for each byte.
#[must_use]
pub fn upper(bytes: &[u8]) -> String {
    digits(bytes, b"0123456789ABCDEF")
}

fn digits(bytes: &[u8], digits: &[u8; 16]) -> String {
    let both = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(digits[usize::from(digit)]));
    bytes.iter().flat_map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_two_digits() {
        for (bytes, expected) in [(&[][..], ""), (&[0], "00"), (&[0x0F, 0xA0, 0xFF], "0fa0ff")] {
            assert_eq!(lower(bytes), expected);
            assert_eq!(upper(bytes), expected.to_uppercase());
        }
        let all: Vec<u8> = (0..=255).collect();
        let expected: String = all.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(lower(&all), expected);
    }
}
