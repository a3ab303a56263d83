//! Who pays for what an account takes of a sum: the lower bits of its number.
//!
//! Accounts that somebody who is no administrator has made have those of his, so all of them have
//! one share, whether their accounts are still there or not. Numbers are drawn in `auth`.

/// Bits of an account's number that name its payer. As many as keep those apart that are not there
/// at the same time, whom nothing else does; the others tell 8 million accounts of one payer apart.
pub const PAYER_MASK: u64 = (1 << 40) - 1;

/// Payer of an account by its number: key of its share. 0, nobody's, pays for itself.
pub const fn payer(account: u64) -> u64 {
    account & PAYER_MASK
}
