//! Logins and denials of one address: the first few of a minute have records of their own, the others are summed up in one. Where the user has proved
//! who he is, he is told apart from others of the same address; what somebody only says that he is makes no difference.
//!
//! Invariants: at most [`AUDIT_ADDRESSES_MAX`] addresses are told apart at a time, the events of others are counted together; at most so many records
//! a second as [`per_second`] says, whatever how many addresses send. One lock, no allocation for an address that is known.

use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::time::Duration;

use hashbrown::HashMap;
use lotmq_auth::Peer;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::record::Event;
use crate::limits::{
    AUDIT_ADDRESSES_MAX, AUDIT_DENIALS_PER_SECOND, AUDIT_LOGINS_PER_SECOND, AUDIT_OWN_RECORDS,
    AUDIT_REFUSALS_PER_SECOND, AUDIT_SUM_INTERVAL, AUDIT_SUM_USERS_MAX,
};

/// What is summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sort {
    Accepted,
    Refused,
    Denied,
}

impl Sort {
    const ALL: [Self; 3] = [Self::Accepted, Self::Refused, Self::Denied];

    pub(super) fn event(self) -> Event {
        match self {
            Self::Accepted | Self::Refused => Event::Login,
            Self::Denied => Event::Denial,
        }
    }

    /// What their common record gives as result.
    pub(super) fn result(self) -> &'static str {
        match self {
            Self::Accepted => "success",
            Self::Refused => "refused",
            Self::Denied => "DENIED",
        }
    }
}

/// Records of a sort in each second, whosever they are.
fn per_second(sort: Sort) -> u32 {
    match sort {
        Sort::Accepted => AUDIT_LOGINS_PER_SECOND,
        Sort::Refused => AUDIT_REFUSALS_PER_SECOND,
        Sort::Denied => AUDIT_DENIALS_PER_SECOND,
    }
}

/// Events without a record of their own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) sort: Sort,
    /// From where they came; `None` when they came from more addresses than are told apart.
    pub(super) address: Option<String>,
    pub(super) count: u64,
    /// Some of those whom they named.
    pub(super) users: Users,
}

pub(super) type Users = SmallVec<[Box<str>; 2]>;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Sums(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    addresses: HashMap<Key, Address>,
    /// Of the addresses that are not told apart, by [`Sort`].
    others: [u64; 3],
    /// Records of the present second, by [`Sort`].
    second: u64,
    records: [u32; 3],
    looked_at_ms: u64,
    others_at_ms: u64,
}

/// What is told apart.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    sort: Sort,
    /// `None` = a Unix socket.
    address: Option<IpAddr>,
    /// Hash of the name of a user who has logged in.
    user: u64,
}

#[derive(Debug)]
struct Address {
    peer: Peer,
    began_ms: u64,
    own: u32,
    count: u64,
    users: Users,
}

impl Sums {
    /// Whether an event gets a record of its own; counts it if not.
    pub(super) fn admits(&self, sort: Sort, peer: Peer, user: Option<&str>, now_ms: u64) -> bool {
        let mut state = self.0.lock();
        let state = &mut *state;
        if state.second != now_ms / 1000 {
            state.second = now_ms / 1000;
            state.records = [0; 3];
        }
        let has_room = state.records[sort as usize] < per_second(sort);
        let ip = match peer {
            Peer::Tcp(address) | Peer::Proxied(address) => Some(address.to_canonical()),
            Peer::Unix | Peer::Guest | Peer::Unknown => None,
        };
        let proved = user.filter(|_| sort != Sort::Refused);
        let user_hash = proved.map_or(0, |user| state.addresses.hasher().hash_one(user));
        let key = Key { sort, address: ip, user: user_hash };
        let is_full = state.addresses.len() >= AUDIT_ADDRESSES_MAX;
        let address = match state.addresses.get_mut(&key) {
            Some(address) => address,
            None if is_full => {
                state.others[sort as usize] += 1;
                return false;
            }
            None => state.addresses.entry(key).or_insert(Address {
                peer,
                began_ms: now_ms,
                own: 0,
                count: 0,
                users: Users::new(),
            }),
        };
        if has_room && address.own < AUDIT_OWN_RECORDS {
            address.own += 1;
            state.records[sort as usize] += 1;
            return true;
        }
        address.count += 1;
        if let Some(user) = user
            && address.users.len() < AUDIT_SUM_USERS_MAX
            && !address.users.iter().any(|known| **known == *user)
        {
            let cut = user.floor_char_boundary(crate::limits::AUDIT_FIELD_BYTES_MAX);
            address.users.push(user[..cut].into());
        }
        false
    }

    /// The sums whose time is over, or all of them. Looks once a second at most, unless it is all.
    pub(super) fn take(&self, now_ms: u64, all: bool) -> Vec<Sum> {
        let mut state = self.0.lock();
        if !all && now_ms / 1000 == state.looked_at_ms / 1000 {
            return Vec::new();
        }
        state.looked_at_ms = now_ms;
        let is_over = |began_ms: u64| {
            all || Duration::from_millis(now_ms.saturating_sub(began_ms)) >= AUDIT_SUM_INTERVAL
        };
        let over = state.addresses.extract_if(|_, address| is_over(address.began_ms));
        let mut sums: Vec<Sum> = over
            .filter(|(_, address)| address.count > 0)
            .map(|(key, address)| Sum {
                sort: key.sort,
                address: Some(address.peer.address()),
                count: address.count,
                users: address.users,
            })
            .collect();
        if !is_over(state.others_at_ms) {
            return sums;
        }
        state.others_at_ms = now_ms;
        for sort in Sort::ALL {
            let count = std::mem::take(&mut state.others[sort as usize]);
            if count > 0 {
                sums.push(Sum { sort, address: None, count, users: Users::new() });
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::Tcp([10, 0, 0, last].into())
    }

    #[test]
    fn the_first_of_an_address_have_records_and_the_others_are_summed() {
        let sums = Sums::default();
        let admitted = |peer, user: &str, now_ms| sums.admits(Sort::Refused, peer, Some(user), now_ms);
        let own =
            (0..1000).filter(|n| admitted(peer(1), if n % 2 == 0 { "a" } else { "b" }, 1000 + n)).count();
        assert_eq!(own, AUDIT_OWN_RECORDS as usize);
        assert!(admitted(peer(2), "c", 2000));
        assert_eq!(sums.take(2_000, false), []);
        let later = 1000 + u64::try_from(AUDIT_SUM_INTERVAL.as_millis()).unwrap();
        let found = sums.take(later, false);
        assert_eq!(
            (found.len(), &found[0].address, found[0].count),
            (1, &Some("10.0.0.1".into()), 1000 - own as u64)
        );
        assert_eq!(found[0].users.to_vec(), [Box::from("a"), Box::from("b")]);
        // A new minute begins with records of its own.
        assert!(admitted(peer(1), "a", later));
        assert_eq!(sums.take(later, true), []);
    }

    #[test]
    fn many_addresses_together_are_bounded() {
        let sums = Sums::default();
        let all = AUDIT_ADDRESSES_MAX as u32 * 2;
        let ip = |n: u32| Peer::Tcp(std::net::Ipv4Addr::from(n).into());
        let own = (0..all).filter(|n| sums.admits(Sort::Denied, ip(*n), None, 5_000)).count();
        assert_eq!(own, AUDIT_DENIALS_PER_SECOND as usize);
        let found = sums.take(5_000, true);
        assert_eq!(found.len(), AUDIT_ADDRESSES_MAX - own + 1);
        assert_eq!(found.iter().map(|sum| sum.count).sum::<u64>(), u64::from(all) - own as u64);
        assert!(found.iter().any(|sum| sum.address.is_none() && sum.count == AUDIT_ADDRESSES_MAX as u64));
    }
}
