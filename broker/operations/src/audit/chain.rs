//! Chain of records: each has a digest of itself and of the one before, so that a record that was
//! changed, added or removed is found.

use sha2::{Digest as _, Sha256};

/// Digest of a record.
pub(super) type Digest = [u8; 32];

/// Digest in place of that of the record before the first.
pub(super) const BEGIN: Digest = [0; 32];

/// Digest of a record behind the one that has `before`.
pub(super) fn digest(before: &Digest, number: u64, at_ms: u64, text: &[u8]) -> Digest {
    let mut digest = Sha256::new();
    digest.update(before);
    digest.update(number.to_be_bytes());
    digest.update(at_ms.to_be_bytes());
    digest.update(text);
    digest.finalize().into()
}
