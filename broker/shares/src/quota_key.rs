//! Payer of an account: the lower bits of the account's number.
//!
//! An account that a non-administrator makes has the payer bits of its maker. So all these accounts
//! have one share, whether they still exist or not. Module `auth` draws the numbers.

/// Bits of an account's number that name its payer. As many as keep those apart that are not there
/// at the same time, whom nothing else does; the others tell 8 million accounts of one payer apart.
pub const QUOTA_KEY_MASK: u64 = (1 << 40) - 1;

/// Payer of an account by its number: key of its share. 0, nobody's, pays for itself.
pub const fn quota_key(account: u64) -> u64 {
    account & QUOTA_KEY_MASK
}

/// Owner of work or of a share: the accounts of a tenant that have the same quota key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OwnerKey {
    /// Number of the tenant.
    pub tenant: u32,
    /// [Quota key](quota_key) of the accounts; 0 for clients without a user, and for nobody.
    pub quota_key: u64,
}
