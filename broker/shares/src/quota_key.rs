//! Payer of an account: the lower bits of the account's number.
//!
//! An account that a non-administrator makes has the payer bits of its maker. So all these accounts
//! have one share, whether they still exist or not. Module `auth` draws the numbers.
//!
//! A user whom the broker does not store has an external number, which is a hash of the name. Two
//! bits keep external numbers apart from those of accounts, and one keeps their payers apart.

/// Bits of an account's number that name its payer. As many as keep those apart that are not there
/// at the same time, whom nothing else does; the others tell 8 million accounts of one payer apart.
pub const QUOTA_KEY_MASK: u64 = (1 << 40) - 1;

/// Set in the payers of external numbers, and in no others.
const EXTERNAL_PAYER: u64 = QUOTA_KEY_MASK + 1;

/// Both are set in external numbers. A number of an account has one of them at most.
const EXTERNAL: u64 = 0b11 << 62;

/// Payer of an account by its number: key of its share. 0, nobody's, pays for itself.
pub const fn quota_key(account: u64) -> u64 {
    account & if is_external_account(account) { EXTERNAL_PAYER | QUOTA_KEY_MASK } else { QUOTA_KEY_MASK }
}

/// External number of a user, from a hash of the user's name.
pub const fn external_account(hash: u64) -> u64 {
    hash | EXTERNAL | EXTERNAL_PAYER
}

/// Whether a number is external: the broker does not store the user.
pub const fn is_external_account(account: u64) -> bool {
    account & EXTERNAL == EXTERNAL
}

/// Owner of work or of a share: the accounts of a tenant that have the same quota key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OwnerKey {
    /// Number of the tenant.
    pub tenant: u32,
    /// [Quota key](quota_key) of the accounts; 0 for clients without a user, and for nobody.
    pub quota_key: u64,
}
