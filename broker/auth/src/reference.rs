//! How stored rows say whose they are: the name of a user and, behind it, the number of the account that had it.
//!
//! A name is given again when its user is removed; a number never is. Accounts that were made before accounts had numbers have one that follows from
//! their name, as have rows of that time, so that they belong together. Not here: how a row is laid out (`store`).

use std::hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _, RandomState};

/// What stands between name and number. No name has it: see [`check_user_name`](crate::check_user_name).
const SEPARATOR: char = '\u{1}';

/// Set in the numbers that follow from names, and in no others.
const OF_NAME: u64 = 1 << 63;

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
    hasher.finish() | OF_NAME
}

/// Number of a new account, which no other has had.
pub(crate) fn new_number(name: &str) -> u64 {
    // The keys are the system's random numbers, others each time.
    (RandomState::new().hash_one(name) & !OF_NAME).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_of_an_account_names_it_alone() {
        let (first, second) = (new_number("ann"), new_number("ann"));
        for number in [first, second, number_of_name("ann")] {
            let account = AccountReference { name: "ann", number };
            assert_eq!(AccountReference::read(&account.stored()), account);
        }
        assert_eq!(AccountReference::read("ann").stored(), "ann", "as it was before accounts had numbers");
        let numbers = [first, second, number_of_name("ann"), number_of_name("bob")];
        assert!((1..4).all(|end| !numbers[..end].contains(&numbers[end])), "{numbers:?}");
        // Damage is told apart elsewhere; what is no number is a name that nobody has.
        let odd = AccountReference::read("ann\u{1}zz");
        assert_eq!((odd.name, odd.stored().as_str()), ("ann\u{1}zz", "ann\u{1}zz"));
    }
}
