//! How stored rows say whose they are: the name of a user and, behind it, the number of the account
//! that had it.
//!
//! A name is given again when its user is removed; a number never is. Accounts that were made
//! before accounts had numbers have one that follows from their name, as have rows of that time, so
//! that they belong together. Not here: how a row is laid out (`store`).

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _, RandomState};

use lotmq_shares::{QUOTA_KEY_MASK, quota_key};

/// Separator between name and number. No name has it: see
/// [`check_user_name`](crate::check_user_name).
const SEPARATOR: char = '\u{1}';

/// Set in the numbers that follow from names, and in no others of accounts.
const OF_NAME: u64 = 1 << 63;

/// Not set in any number of an account that has [`OF_NAME`]: with both, a number is
/// [external](lotmq_shares::external_account).
const EXTERNAL: u64 = 1 << 62;

/// Account of a user, as a row names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountReference<'a> {
    /// Name of the user.
    pub name: &'a str,
    /// [`Account::number`](crate::Account::number).
    pub number: u64,
}

impl<'a> AccountReference<'a> {
    /// The account that a row names.
    pub fn read(stored: &'a str) -> Self {
        let numbered = stored.split_once(SEPARATOR);
        let numbered =
            numbered.and_then(|(name, number)| Some((name, u64::from_str_radix(number, 16).ok()?)));
        let (name, number) = numbered.unwrap_or_else(|| (stored, number_of_name(stored)));
        Self { name, number }
    }

    /// As a row names it.
    pub fn stored(self) -> String {
        let Self { name, number } = self;
        if number == number_of_name(name) { name.to_owned() } else { format!("{name}{SEPARATOR}{number:x}") }
    }
}

/// Number of an account that has none of its own. The same in each process alone: it is not stored.
pub(crate) fn number_of_name(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish() & !EXTERNAL | OF_NAME
}

/// Numbers of the accounts that there are, with their payers.
#[derive(Debug, Default)]
pub(crate) struct Numbers(BTreeSet<(u64, u64)>);

impl Numbers {
    pub(crate) fn insert(&mut self, number: u64) {
        self.0.insert((quota_key(number), number));
    }

    pub(crate) fn remove(&mut self, number: u64) {
        self.0.remove(&(quota_key(number), number));
    }

    /// Number of a new account, which no other has had. It has the payer of the account with the
    /// number `maker`, or is one that no account has.
    pub(crate) fn draw(&self, name: &str, maker: Option<u64>) -> u64 {
        loop {
            // The keys are the system's random numbers, others each time.
            let drawn = RandomState::new().hash_one(name) & !OF_NAME;
            let number = maker.map_or(drawn, |maker| drawn & !QUOTA_KEY_MASK | quota_key(maker));
            if quota_key(number) != 0 && !self.has(number, maker.is_some()) {
                return number;
            }
        }
    }

    /// Whether there is an account of this number, or, but for `may_share`, of its payer.
    fn has(&self, number: u64, may_share: bool) -> bool {
        let quota_key = quota_key(number);
        match may_share {
            true => self.0.contains(&(quota_key, number)),
            false => self.0.range((quota_key, 0)..=(quota_key, u64::MAX)).next().is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use lotmq_shares::is_external_account;

    use super::*;

    #[test]
    fn stored_account_reference_identifies_exactly_one_account() {
        let drawn = Numbers::default();
        let (first, second) = (drawn.draw("ann", None), drawn.draw("ann", None));
        for number in [first, second, number_of_name("ann")] {
            let account = AccountReference { name: "ann", number };
            assert_eq!(AccountReference::read(&account.stored()), account);
        }
        assert_eq!(AccountReference::read("ann").stored(), "ann", "as it was before accounts had numbers");
        let numbers = [first, second, number_of_name("ann"), number_of_name("bob")];
        assert!((1..4).all(|end| !numbers[..end].contains(&numbers[end])), "{numbers:?}");
        // Damage is detected elsewhere; an invalid number makes it an unknown name.
        let odd = AccountReference::read("ann\u{1}zz");
        assert_eq!((odd.name, odd.stored().as_str()), ("ann\u{1}zz", "ann\u{1}zz"));
    }

    #[test]
    fn no_account_has_an_external_number() {
        for number in 1..1_000 {
            let numbers = [number_of_name(&number.to_string()), Numbers::default().draw("ann", Some(number))];
            assert!(numbers.into_iter().all(|number| !is_external_account(number)), "{numbers:x?}");
        }
    }

    #[test]
    fn accounts_share_the_quota_owner_of_their_creator_and_have_unique_numbers() {
        for maker in [Numbers::default().draw("ann", None), number_of_name("ann")] {
            let mut numbers = Numbers::default();
            numbers.insert(maker);
            for made in 1..=20_000 {
                let number = numbers.draw("bob", Some(maker));
                assert_eq!(quota_key(number), quota_key(maker));
                numbers.insert(number);
                assert_eq!(numbers.0.len(), made + 1, "a number of its own");
            }
            assert_ne!(quota_key(numbers.draw("bob", None)), quota_key(maker));
            numbers.remove(maker);
            assert!(!numbers.has(maker, true) && numbers.has(maker, false));
        }
    }
}
