//! Sums of logins, denials and read-only commands of one address: the first few of a minute have
//! their own records, others are summed up. Users who have proved their identity are told apart
//! within an address; a claimed name makes no difference. The first command with a verb and a
//! result also has a record, so that many of one hide no other.
//!
//! Invariants: of each sort at most [`AUDIT_ADDRESSES_MAX`] addresses are told apart at a time, and
//! events of others are counted together. There are at most as many records a second as
//! [`per_second`] returns, however many addresses send. One lock, no allocation for an address that
//! is known.

use std::hash::BuildHasher as _;
use std::time::Duration;

use hashbrown::HashMap;
use lotmq_auth::{Peer, Source};
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::record::Event;
use crate::limits::{
    AUDIT_ADDRESSES_MAX, AUDIT_COMMANDS_PER_SECOND, AUDIT_DENIALS_PER_SECOND, AUDIT_LOGINS_PER_SECOND,
    AUDIT_OWN_RECORDS, AUDIT_REFUSALS_PER_SECOND, AUDIT_SUM_COMMANDS_MAX, AUDIT_SUM_INTERVAL,
    AUDIT_SUM_USERS_MAX,
};

/// Sort of events that are summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sort {
    Accepted,
    Refused,
    Denied,
    /// A command that changed nothing, of a user who is no administrator.
    Command,
}

impl Sort {
    const ALL: [Self; 4] = [Self::Accepted, Self::Refused, Self::Denied, Self::Command];

    pub(super) fn event(self) -> Event {
        match self {
            Self::Accepted | Self::Refused => Event::Login,
            Self::Denied => Event::Denial,
            Self::Command => Event::Command,
        }
    }

    /// Result in their common record; each command has its own.
    pub(super) fn result(self) -> Option<&'static str> {
        match self {
            Self::Accepted => Some("success"),
            Self::Refused => Some("refused"),
            Self::Denied => Some("DENIED"),
            Self::Command => None,
        }
    }
}

/// Most records of a sort in each second, of all users.
fn per_second(sort: Sort) -> u32 {
    match sort {
        Sort::Accepted => AUDIT_LOGINS_PER_SECOND,
        Sort::Refused => AUDIT_REFUSALS_PER_SECOND,
        Sort::Denied => AUDIT_DENIALS_PER_SECOND,
        Sort::Command => AUDIT_COMMANDS_PER_SECOND,
    }
}

/// Sum of events without a record of their own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) sort: Sort,
    /// Address that they came from; `None` when there were more addresses than are told apart.
    pub(super) address: Option<String>,
    pub(super) count: u64,
    /// Some of the users that they named.
    pub(super) users: Users,
    /// Commands with the number of each.
    pub(super) commands: Vec<(SummedCommand, u64)>,
}

pub(super) type Users = SmallVec<[Box<str>; 2]>;

/// Command as it is summed up: the verb, if it exists, and the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SummedCommand {
    pub(super) verb: Option<Box<str>>,
    pub(super) result: Box<str>,
}

/// Sums of one tenant.
#[derive(Debug, Default)]
pub(super) struct Sums(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Addresses by [`Sort`], so that a flood of one sort leaves the others as they are.
    addresses: [HashMap<Key, Address>; 4],
    /// Events of addresses that are not told apart, by [`Sort`].
    others: [u64; 4],
    /// Records of the present second, by [`Sort`].
    second: u64,
    records: [u32; 4],
    looked_at_ms: u64,
    others_at_ms: u64,
}

/// Key by which events are told apart.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    source: Source,
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
    /// Commands so far, with the number of each without a record.
    commands: Vec<(SummedCommand, u64)>,
}

impl Sums {
    /// Whether a login or denial gets a record of its own; counts it if not.
    pub(super) fn admits(&self, sort: Sort, peer: Peer, user: Option<&str>, now_ms: u64) -> bool {
        self.admits_summed(sort, (peer, user), None, now_ms)
    }

    /// Whether a command with this verb and result gets a record of its own; counts it if not.
    pub(super) fn admits_command(
        &self,
        from: (Peer, Option<&str>),
        command: (Option<&str>, &str),
        now_ms: u64,
    ) -> bool {
        self.admits_summed(Sort::Command, from, Some(command), now_ms)
    }

    fn admits_summed(
        &self,
        sort: Sort,
        (peer, user): (Peer, Option<&str>),
        command: Option<(Option<&str>, &str)>,
        now_ms: u64,
    ) -> bool {
        let mut state = self.0.lock();
        let state = &mut *state;
        if state.second != now_ms / 1000 {
            state.second = now_ms / 1000;
            state.records = [0; 4];
        }
        let has_room = state.records[sort as usize] < per_second(sort);
        let proved = user.filter(|_| sort != Sort::Refused);
        let addresses = &mut state.addresses[sort as usize];
        let user_hash = proved.map_or(0, |user| addresses.hasher().hash_one(user));
        let key = Key { source: peer.source(), user: user_hash };
        let is_full = addresses.len() >= AUDIT_ADDRESSES_MAX;
        let address = match addresses.get_mut(&key) {
            Some(address) => address,
            None if is_full => {
                state.others[sort as usize] += 1;
                return false;
            }
            None => addresses.entry(key).or_insert(Address::new(peer, now_ms)),
        };
        let (is_new, command) = address.command(command);
        if has_room && (address.own < AUDIT_OWN_RECORDS || is_new) {
            address.own += 1;
            state.records[sort as usize] += 1;
            return true;
        }
        if let Some(at) = command {
            address.commands[at].1 += 1;
        }
        address.count += 1;
        address.name(user);
        false
    }

    /// Takes the sums whose time is over, or all of them. Looks once a second at most, unless all
    /// are taken.
    pub(super) fn take(&self, now_ms: u64, all: bool) -> Vec<Sum> {
        let mut state = self.0.lock();
        if !all && now_ms / 1000 == state.looked_at_ms / 1000 {
            return Vec::new();
        }
        state.looked_at_ms = now_ms;
        let is_over = |began_ms: u64| {
            all || Duration::from_millis(now_ms.saturating_sub(began_ms)) >= AUDIT_SUM_INTERVAL
        };
        let mut sums = Vec::new();
        for (sort, addresses) in Sort::ALL.into_iter().zip(&mut state.addresses) {
            let over = addresses.extract_if(|_, address| is_over(address.began_ms));
            sums.extend(over.filter_map(|(_, address)| address.sum(sort)));
        }
        if !is_over(state.others_at_ms) {
            return sums;
        }
        state.others_at_ms = now_ms;
        for sort in Sort::ALL {
            let count = std::mem::take(&mut state.others[sort as usize]);
            if count > 0 {
                sums.push(Sum { sort, address: None, count, users: Users::new(), commands: Vec::new() });
            }
        }
        sums
    }
}

impl Address {
    fn new(peer: Peer, began_ms: u64) -> Self {
        Self { peer, began_ms, own: 0, count: 0, users: Users::new(), commands: Vec::new() }
    }

    /// Whether a command is the first of its verb and result, and its place among those that are
    /// told apart, at most [`AUDIT_SUM_COMMANDS_MAX`].
    fn command(&mut self, command: Option<(Option<&str>, &str)>) -> (bool, Option<usize>) {
        let Some((verb, result)) = command else { return (false, None) };
        let is_it = |deed: &SummedCommand| deed.verb.as_deref() == verb && *deed.result == *result;
        let known = self.commands.iter().position(|(deed, _)| is_it(deed));
        if known.is_none() && self.commands.len() >= AUDIT_SUM_COMMANDS_MAX {
            return (false, None);
        }
        let at = known.unwrap_or_else(|| {
            self.commands.push((SummedCommand { verb: verb.map(Into::into), result: result.into() }, 0));
            self.commands.len() - 1
        });
        (known.is_none(), Some(at))
    }

    /// Remembers the user that an event without a record names, up to a few.
    fn name(&mut self, user: Option<&str>) {
        if let Some(user) = user
            && self.users.len() < AUDIT_SUM_USERS_MAX
            && !self.users.iter().any(|known| **known == *user)
        {
            let cut = user.floor_char_boundary(crate::limits::AUDIT_FIELD_BYTES_MAX);
            self.users.push(user[..cut].into());
        }
    }

    fn sum(mut self, sort: Sort) -> Option<Sum> {
        self.commands.retain(|(_, left_out)| *left_out > 0);
        let (count, users, commands) = (self.count, self.users, self.commands);
        (count > 0).then(|| Sum { sort, address: Some(self.peer.address()), count, users, commands })
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
    fn many_commands_of_one_kind_hide_no_other() {
        let sums = Sums::default();
        let give = |user: &str, verb: &str, result: &str, now_ms| {
            sums.admits_command((peer(1), Some(user)), (Some(verb), result), now_ms)
        };
        let helped = (0..10_000).filter(|n| give("bob", "help", "NOT_FOUND", 1000 + n)).count();
        assert_eq!(helped, AUDIT_OWN_RECORDS as usize);
        assert!(give("bob", "addUser", "PERMISSION_DENIED", 12_000));
        assert!(!give("bob", "addUser", "PERMISSION_DENIED", 12_001));
        assert!(give("bob", "help", "success", 12_002), "another result");
        assert!(give("ann", "help", "NOT_FOUND", 12_003), "another user");
        // Verbs without end are no way round it.
        let own = (0..1000).filter(|n| give("bob", &format!("v{n}"), "?", 13_000 + 100 * n)).count();
        assert_eq!(own, AUDIT_SUM_COMMANDS_MAX - 3);
        let found = sums.take(13_000, true);
        let deed =
            |verb: &str, result: &str| SummedCommand { verb: Some(verb.into()), result: result.into() };
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].users.to_vec(), &found[0].address),
            (vec!["bob".into()], &Some("10.0.0.1".into()))
        );
        let counts = [(deed("help", "NOT_FOUND"), 9_990), (deed("addUser", "PERMISSION_DENIED"), 1)];
        assert_eq!(found[0].commands, counts);
        assert_eq!(found[0].count, 9_991 + 1000 - own as u64);
    }

    #[test]
    fn strangers_take_no_place_of_users() {
        let sums = Sums::default();
        for n in 0..AUDIT_ADDRESSES_MAX as u32 {
            sums.admits(Sort::Refused, Peer::Tcp(std::net::Ipv4Addr::from(n).into()), None, 5_000);
        }
        assert!(sums.admits_command((peer(1), Some("bob")), (Some("help"), "success"), 5_000));
        // A network of IPv6 is one address.
        let ip = |n: u16| Peer::Tcp(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n).into());
        let own = (0..100).filter(|n| sums.admits(Sort::Accepted, ip(*n), Some("eve"), 5_000)).count();
        assert_eq!(own, AUDIT_OWN_RECORDS as usize);
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
