//! Head of a binary, which shows whether it is linked statically.

/// Segment that names the program which loads the binary.
const INTERPRETER: u32 = 3;

/// Whether these are the bytes of a 64-bit little-endian binary that needs no loader.
pub(crate) fn is_static(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF\x02\x01")
        && segments(bytes).is_some_and(|kinds| !kinds.contains(&INTERPRETER))
}

/// Kinds of the segments; `None` for a table that is cut off.
fn segments(bytes: &[u8]) -> Option<Vec<u32>> {
    let start = usize::try_from(u64::from_le_bytes(*bytes.get(32..)?.first_chunk()?)).ok()?;
    let length = usize::from(u16::from_le_bytes(*bytes.get(54..)?.first_chunk()?));
    let count = usize::from(u16::from_le_bytes(*bytes.get(56..)?.first_chunk()?));
    let kind = |index: usize| {
        let at = start.checked_add(index.checked_mul(length)?)?;
        Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
    };
    (0..count).map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head with segments of these kinds.
    fn binary(kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = kinds.len().try_into().unwrap();
        for kind in kinds {
            bytes.extend_from_slice(&kind.to_le_bytes());
            bytes.resize(bytes.len() + 52, 0);
        }
        bytes
    }

    #[test]
    fn a_binary_with_a_loader_is_not_static() {
        assert!(is_static(&binary(&[1, 2, 6])));
        assert!(!is_static(&binary(&[6, 3, 1])));
        assert!(!is_static(b"#!/bin/sh\n"));
        let whole = binary(&[1, 1]);
        assert!(!is_static(&whole[..100]), "cut off");
        // This test is linked with the C library of this machine, or with musl.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(is_static(&own), cfg!(target_feature = "crt-static"));
    }
}
