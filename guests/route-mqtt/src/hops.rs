//! Loop guard of messages with properties: the bridges that a message has passed, in its user
//! property `x-bridge` (routes reference §6).
//!
//! The property has one entry per bridge, newest last, separated by commas:
//! `Up-89abcdef01234567@0badcafe`. An entry is the route's name with a stored random number, and
//! the bridge's broker. If the message came from another broker, `=` or `~` and the number of that
//! broker follow. `=` means that properties arrive from there, `~` that none do. Older versions
//! write the random number alone.
//!
//! Invariants: a message passes each bridge once, [`BROKER_HOPS_MAX`] of one broker and
//! [`HOPS_MAX`] in all. It does not return to a broker if one of the ways between that broker and
//! this one loses its properties.

use std::borrow::Cow;
use std::rc::Rc;

use crate::fingerprint::fnv;
use crate::limits::{BROKER_HOPS_MAX, HOPS_MAX, NAME_CHARS_MAX};
use lotmq_guest::route::{Properties, UserProperty};

/// Name of the user property.
pub(crate) const NAME: &str = "x-bridge";

/// Reason why a message is not carried on.
#[derive(Debug, PartialEq)]
pub(crate) enum Loop {
    /// It has passed this bridge already.
    Own,
    /// It has passed the most bridges, of one broker or in all, or would return to its origin.
    /// Holds the passed bridges.
    Long(String),
}

/// A bridge among all others.
#[derive(Debug, Clone)]
pub(crate) struct BridgeId {
    /// Its name and its broker, as in the property.
    own: Rc<str>,
    broker: Rc<str>,
}

/// Another broker, as the bridges of one broker know it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FarId {
    number: String,
    /// Whether properties go there, and come from there.
    has_properties: bool,
}

/// Way of a message through a bridge.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    bridge: BridgeId,
    /// Entry of this bridge in the property.
    entry: Rc<str>,
    /// The other broker to which it goes, if to one.
    to: Option<FarId>,
}

impl BridgeId {
    /// Returns the bridge of a route, with its stored random number, in the broker of this name. An
    /// empty name is unknown.
    pub(crate) fn new(route: &str, random: &str, broker: &str) -> BridgeId {
        let is_plain = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
        let plain = route.chars().take(NAME_CHARS_MAX).map(|it| if is_plain(it) { it } else { '_' });
        let own = format!("{}-{random}@{broker}", plain.collect::<String>());
        BridgeId { own: own.into(), broker: broker.into() }
    }

    /// Another broker by its address, of which others are to learn nothing.
    pub(crate) fn far(&self, address: &str, has_properties: bool) -> FarId {
        let parts = [self.broker.as_bytes(), &[0], address.as_bytes()];
        FarId { number: format!("{:08x}", fnv(&parts) >> 32), has_properties }
    }

    /// The way of messages from a broker to another one; `None` for this one.
    pub(crate) fn way(&self, from: Option<&FarId>, to: Option<&FarId>) -> Way {
        let entry = match from {
            None => Rc::clone(&self.own),
            Some(far) => format!("{}{}{}", self.own, sign(far.has_properties), far.number).into(),
        };
        Way { bridge: self.clone(), entry, to: to.cloned() }
    }
}

impl Way {
    /// Adds the bridge to those that a message has passed, unless it must stop. Returns the other
    /// properties and all passed bridges.
    pub(crate) fn pass<'a>(
        &self,
        properties: &'a Properties,
    ) -> Result<(Cow<'a, Properties>, Rc<str>), Loop> {
        let of_bridges = |property: &&UserProperty| property.name == NAME;
        if !properties.user_properties.iter().any(|it| of_bridges(&it)) {
            return Ok((Cow::Borrowed(properties), Rc::clone(&self.entry)));
        }
        let said = properties.user_properties.iter().filter(of_bridges);
        let passed: Vec<&str> = said.flat_map(|it| it.value.split(',')).collect();
        self.check(&passed)?;
        let mut value = passed.join(",");
        if !value.is_empty() {
            value.push(',');
        }
        value.push_str(&self.entry);
        let mut properties = properties.clone();
        properties.user_properties.retain(|property| property.name != NAME);
        Ok((Cow::Owned(properties), value.into()))
    }

    fn check(&self, passed: &[&str]) -> Result<(), Loop> {
        let own = &*self.bridge.own;
        let is_own = |entry: &&str| {
            entry.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', '~']))
        };
        if passed.iter().any(is_own) {
            return Err(Loop::Own);
        }
        let of_broker = passed.iter().filter_map(|entry| self.of_broker(entry));
        let comes_back = |came_from: &str| {
            self.to.as_ref().is_some_and(|to| {
                let is_that = came_from.strip_prefix(['=', '~']) == Some(&to.number);
                is_that && !(to.has_properties && came_from.starts_with(sign(true)))
            })
        };
        let is_long = passed.len() >= HOPS_MAX || of_broker.clone().count() >= BROKER_HOPS_MAX;
        if is_long || of_broker.clone().any(comes_back) {
            return Err(Loop::Long(passed.join(" -> ")));
        }
        Ok(())
    }

    /// Returns the origin of a message from a bridge's entry, if that is a bridge of this broker.
    fn of_broker<'e>(&self, entry: &'e str) -> Option<&'e str> {
        let broker = &*self.bridge.broker;
        let (_, rest) = entry.split_once('@')?;
        let rest = rest.strip_prefix(broker).filter(|_| !broker.is_empty())?;
        (rest.is_empty() || rest.starts_with(['=', '~'])).then_some(rest)
    }
}

/// Returns the sign before the number of another broker.
fn sign(has_properties: bool) -> char {
    if has_properties { '=' } else { '~' }
}

/// The user property for those bridges.
pub(crate) fn property(bridges: &str) -> UserProperty {
    UserProperty { name: NAME.to_owned(), value: bridges.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Passing;

    /// The properties behind a bridge, or why it does not carry them.
    fn behind(properties: &Properties, way: &Way) -> Result<Properties, Loop> {
        let (others, bridges) = way.pass(properties)?;
        Ok(Passing::all_properties(others, Some(&bridges)))
    }

    fn bridge(name: &str, broker: &str) -> BridgeId {
        BridgeId::new(name, "7", broker)
    }

    #[test]
    fn a_message_passes_each_bridge_once_and_eight_at_most() {
        let mut properties = Properties::default();
        properties.user_properties.push(UserProperty { name: "unit".to_owned(), value: "C".to_owned() });
        let way = |number: usize| bridge("Up", &format!("broker{number}")).way(None, None);
        for number in 0..8 {
            properties = behind(&properties, &way(number)).unwrap();
        }
        assert_eq!(properties.user_properties.len(), 2);
        let passed = &properties.user_properties[1].value;
        assert!(passed.starts_with("Up-7@broker0,Up-7@broker1,") && passed.ends_with(",Up-7@broker7"));
        assert_eq!(behind(&properties, &way(3)).err(), Some(Loop::Own));
        let long = Loop::Long(passed.replace(',', " -> "));
        assert_eq!(behind(&properties, &way(8)).err(), Some(long));
        // A forged entry of any length gets no further.
        properties.user_properties[1].value = "1,2,3,4,5,6,7,8".to_owned();
        assert!(matches!(behind(&properties, &way(8)), Err(Loop::Long(_))));
    }

    #[test]
    fn a_message_passes_two_bridges_of_one_broker() {
        let way = |name: &str, broker: &str| bridge(name, broker).way(None, None);
        let mut properties = Properties::default();
        for (name, broker, expected) in [
            ("In", "here", true),
            ("Out", "here", true),
            ("Out", "there", true),
            ("Third", "here", false),
            ("In", "here", false),
            ("Back", "there", true),
            ("Third", "there", false),
            ("Any", "hereafter", true),
        ] {
            let passed = behind(&properties, &way(name, broker));
            assert_eq!(passed.is_ok(), expected, "{name}@{broker}");
            properties = passed.unwrap_or(properties);
        }
        // A broker that is not known counts for none.
        let mut properties = Properties::default();
        for name in ["A", "B", "C"] {
            properties = behind(&properties, &way(name, "")).unwrap();
        }
    }

    #[test]
    fn what_loses_its_properties_on_a_way_does_not_go_back() {
        let (into, out) = (bridge("In", "here"), bridge("Out", "here"));
        for (comes_with, goes_with, expected) in
            [(true, true, true), (false, true, false), (true, false, false), (false, false, false)]
        {
            let from = into.far("far:1883", comes_with);
            let properties = behind(&Properties::default(), &into.way(Some(&from), None)).unwrap();
            let to = |id: &BridgeId, address: &str| id.far(address, goes_with);
            let back = out.way(None, Some(&to(&out, "far:1883")));
            assert_eq!(behind(&properties, &back).is_ok(), expected, "{comes_with} {goes_with}");
            assert!(behind(&properties, &out.way(None, Some(&to(&out, "other:1883")))).is_ok());
            // It is another one's business where that has it from.
            let other = bridge("Out", "there");
            assert!(behind(&properties, &other.way(None, Some(&to(&other, "far:1883")))).is_ok());
            // In the way of one bridge it is known, too.
            assert_eq!(behind(&properties, &into.way(None, Some(&from))).err(), Some(Loop::Own));
        }
    }

    #[test]
    fn names_fit_a_list() {
        let name = "a, b=c@d".to_owned() + &"x".repeat(100);
        let id = BridgeId::new(&name, "7", "here");
        assert_eq!(&*id.own, format!("a__b_c_d{}-7@here", "x".repeat(NAME_CHARS_MAX - 8)));
    }
}
