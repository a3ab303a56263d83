//! Servers of a route: finds the one that accepts writes now.
//!
//! Asks the servers of the connection string first, then those that they report. While members
//! elect a primary, it asks them again for a while.

use std::collections::{BTreeSet, VecDeque};

use lotmq_guest::route::{Failure, Peer, ambient, net};

use crate::address::place;
use crate::config::Config;
use crate::limits::{MEMBERS_MAX, SELECTION_PAUSE_MS};
use crate::link::{Hello, Link, name_of};

/// A round of questions to the servers.
struct Round {
    waiting: VecDeque<(Peer, bool)>,
    asked: BTreeSet<String>,
    /// Why each is not the one, for people.
    reasons: Vec<String>,
    /// Whether one has answered that may be, or know, the primary soon.
    has_answered: bool,
    /// Failure of a reachable server that only an operator can correct.
    fatal: Option<String>,
}

/// Connects to the server that takes writes, and logs in.
pub(crate) fn open(config: &Config) -> Result<Link, Failure> {
    let began = ambient::monotonic_ms();
    loop {
        let mut round = Round::new(config);
        if let Some((mut link, hello)) = round.find(config) {
            if let Some(login) = &config.address.login {
                link.login(login, &hello)?;
            }
            return Ok(link);
        }
        if let Some(reason) = round.fatal {
            return Err(Failure::Fatal(reason));
        }
        let passed = ambient::monotonic_ms().saturating_sub(began);
        if !round.has_answered || passed >= config.address.selection_ms.into() {
            return Err(Failure::Reconnect(round.reasons.join("; ")));
        }
        net::wait(&[], SELECTION_PAUSE_MS);
    }
}

impl Round {
    fn new(config: &Config) -> Round {
        let servers = config.address.servers.iter().enumerate();
        Round {
            waiting: servers.map(|(number, peer)| (peer.clone(), number == 0)).collect(),
            asked: BTreeSet::new(),
            reasons: Vec::new(),
            has_answered: false,
            fatal: None,
        }
    }

    /// The server that takes writes.
    fn find(&mut self, config: &Config) -> Option<(Link, Hello)> {
        while let Some((peer, is_endpoint)) = self.waiting.pop_front() {
            if self.asked.len() >= MEMBERS_MAX || !self.asked.insert(name_of(&peer).to_ascii_lowercase()) {
                continue;
            }
            let (link, hello) = match Link::open(&peer, is_endpoint, config) {
                Ok(opened) => opened,
                Err(failure) => {
                    self.failed(failure);
                    continue;
                }
            };
            match self.judge(link.name(), &hello, config) {
                Ok(()) => return Some((link, hello)),
                Err(reason) => self.reasons.push(reason),
            }
        }
        None
    }

    fn failed(&mut self, failure: Failure) {
        match failure {
            Failure::Fatal(reason) => drop(self.fatal.get_or_insert(reason)),
            Failure::Retry(reason) | Failure::Reconnect(reason) | Failure::Reject(reason) => {
                self.reasons.push(reason);
            }
        }
    }

    /// Whether a server is the one; otherwise those that it knows are asked next.
    fn judge(&mut self, name: &str, hello: &Hello, config: &Config) -> Result<(), String> {
        let wanted = config.address.replica_set.as_deref();
        if wanted.is_some() && hello.replica_set.as_deref() != wanted {
            let reason = match &hello.replica_set {
                Some(found) => format!(
                    "{name} is of the replica set '{found}', and not of '{}'",
                    wanted.unwrap_or_default()
                ),
                None => {
                    format!("{name} is of no replica set, and '{}' is wanted", wanted.unwrap_or_default())
                }
            };
            return Err(reason);
        }
        if hello.is_writable || config.address.is_direct || config.address.is_load_balanced {
            return Ok(());
        }
        self.has_answered = true;
        let primary = hello.primary.iter().filter_map(|text| place(text));
        for peer in primary {
            self.waiting.push_front((peer, false));
        }
        let members = hello.members.iter().filter_map(|text| place(text));
        self.waiting.extend(members.map(|peer| (peer, false)));
        Err(format!("{name} is no primary"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(address: &str) -> Config {
        let text = format!(
            r#"{{"route":{{"name":"R"}},"sections":{{"MONGODB_CONFIG":{{"CONNECTION_STRING":"{address}","DATABASE":"d"}}}}}}"#
        );
        Config::parse(&text).unwrap()
    }

    #[test]
    fn the_primary_that_a_member_names_is_asked_next() {
        let config = config("mongodb://a,b/?replicaSet=rs");
        let mut round = Round::new(&config);
        let hello = Hello {
            replica_set: Some("rs".to_owned()),
            primary: Some("c:1".to_owned()),
            members: vec!["a:27017".to_owned(), "nonsense:x".to_owned(), "[::1]:3".to_owned()],
            ..Hello::default()
        };
        assert_eq!(round.judge("a:27017", &hello, &config).unwrap_err(), "a:27017 is no primary");
        let waiting: Vec<String> = round.waiting.iter().map(|(peer, _)| name_of(peer)).collect();
        assert_eq!(waiting, ["c:1", "a:27017", "b:27017", "a:27017", "[::1]:3"]);
        assert!(round.has_answered);
        let primary = Hello { is_writable: true, replica_set: Some("rs".to_owned()), ..Hello::default() };
        assert_eq!(round.judge("c:1", &primary, &config), Ok(()));
        let other = Hello { is_writable: true, replica_set: Some("other".to_owned()), ..Hello::default() };
        assert_eq!(
            round.judge("c:1", &other, &config).unwrap_err(),
            "c:1 is of the replica set 'other', and not of 'rs'"
        );
        assert_eq!(
            round.judge("c:1", &Hello::default(), &config).unwrap_err(),
            "c:1 is of no replica set, and 'rs' is wanted"
        );
    }

    #[test]
    fn a_server_that_is_meant_directly_is_taken_as_it_is() {
        let config = config("mongodb://a/?directConnection=true");
        assert_eq!(Round::new(&config).judge("a:27017", &Hello::default(), &config), Ok(()));
    }
}
