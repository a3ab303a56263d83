//! Fingerprints of bytes.

/// A number of these bytes, FNV-1a: the same on every machine and in every version.
pub(crate) fn fnv(parts: &[&[u8]]) -> u64 {
    parts.iter().copied().flatten().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
