//! The chain of records: each has a digest of itself and of the one before, so that one that was changed, added or taken out is found.

use sha2::{Digest as _, Sha256};

/// Digest of a record.
pub(super) type Digest = [u8; 32];

/// In the place of the digest of the record before the first.
pub(super) const BEGIN: Digest = [0; 32];

/// The digest of a record behind the one that has `before`.
pub(super) fn digest(before: &Digest, number: u64, at_ms: u64, text: &[u8]) -> Digest {
    let mut digest = Sha256::new();
    digest.update(before);
    digest.update(number.to_be_bytes());
    digest.update(at_ms.to_be_bytes());
    digest.update(text);
    digest.finalize().into()
}
