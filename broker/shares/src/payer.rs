//! Payer of an account: the lower bits of the account's number.
//!
//! An account that a non-administrator makes has the payer bits of its maker. So all these accounts
//! have one share, whether they still exist or not. Module `auth` draws the numbers.

/// Bits of an account's number that name its payer. As many as keep those apart that are not there
/// at the same time, whom nothing else does; the others tell 8 million accounts of one payer apart.
pub const PAYER_MASK: u64 = (1 << 40) - 1;

/// Payer of an account by its number: key of its share. 0, nobody's, pays for itself.
pub const fn payer(account: u64) -> u64 {
    account & PAYER_MASK
}
