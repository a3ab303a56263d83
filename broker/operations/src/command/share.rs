//! Shares of users in what there is so many of in a tenant: modules, their bytes, assets, scripts.
//! One who is no administrator has at most [`USER_PART`] of what others leave.
//!
//! The sums are those of the lists themselves, by the rule of `lotmq_shares::AccountShares`. A
//! second count could differ from them after a restore.

use lotmq_definitions::Owner;
use lotmq_shares::share_of;

use super::reply::Refusal;
use super::verb::Call;
use lotmq_codes::Code;
use lotmq_core::limits::USER_PART;

/// Refuses an amount beyond the share of a user who is no administrator: `more` is added to the
/// existing pieces. `of` lists these with their owners, and `what` names them.
///
/// # Errors
/// `QUOTA_EXCEEDED`.
pub(super) fn check_share(
    call: &Call<'_>,
    (what, max): (&str, usize),
    of: impl Iterator<Item = (Option<Owner>, usize)>,
    more: usize,
) -> Result<(), Refusal> {
    let user = call.owner();
    let (own, of_others) = sums(user.as_ref(), of);
    let most = share_of(max as u64, of_others, USER_PART);
    if own + more as u64 <= most || call.tenant.is_administrator(call.identity) {
        return Ok(());
    }
    let whose = user
        .map_or_else(|| "Clients without a user have".to_owned(), |user| format!("User '{}' has", user.name));
    let message = format!("{whose} {own} {what}; others leave {most} of {max} to one user.");
    Err(Refusal::new(Code::QuotaExceeded, message))
}

/// Sums up what a user has, with all users in the same share, and what all others have.
fn sums(user: Option<&Owner>, of: impl Iterator<Item = (Option<Owner>, usize)>) -> (u64, u64) {
    of.fold((0, 0), |(own, of_others), (owner, amount)| {
        let is_own = owner.as_ref().map(Owner::quota_key) == user.map(Owner::quota_key);
        if is_own { (own + amount as u64, of_others) } else { (own, of_others + amount as u64) }
    })
}
