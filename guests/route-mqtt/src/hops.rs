//! The loop guard of messages with properties: which bridges a message has passed, in its user property `x-bridge` (routes reference §6).
//!
//! Each bridge has a name of its own, a random one that it keeps; the property has those of all that it has passed, the last at the end, with commas between.

use std::borrow::Cow;
use std::rc::Rc;

use crate::limits::HOPS_MAX;
use lotmq_guest::route::{Properties, UserProperty};

/// Name of the user property.
pub(crate) const NAME: &str = "x-bridge";

/// Why a message is not carried on.
#[derive(Debug, PartialEq)]
pub(crate) enum Loop {
    /// It has passed this bridge already.
    Own,
    /// It has passed as many bridges as it may.
    TooLong,
}

/// The user property for those bridges.
pub(crate) fn property(bridges: &str) -> UserProperty {
    UserProperty { name: NAME.to_owned(), value: bridges.to_owned() }
}

/// Adds a bridge to those that a message has passed, unless it is one of them or one too many; gives them all, and the other properties.
pub(crate) fn pass<'a>(
    properties: &'a Properties,
    own: &Rc<str>,
) -> Result<(Cow<'a, Properties>, Rc<str>), Loop> {
    let of_bridges = |property: &&UserProperty| property.name == NAME;
    if !properties.user_properties.iter().any(|it| of_bridges(&it)) {
        return Ok((Cow::Borrowed(properties), Rc::clone(own)));
    }
    let passed: Vec<&str> =
        properties.user_properties.iter().filter(of_bridges).flat_map(|it| it.value.split(',')).collect();
    if passed.contains(&&**own) {
        return Err(Loop::Own);
    }
    if passed.len() >= HOPS_MAX {
        return Err(Loop::TooLong);
    }
    let mut value = passed.join(",");
    if !value.is_empty() {
        value.push(',');
    }
    value.push_str(own);
    let mut properties = properties.clone();
    properties.user_properties.retain(|property| property.name != NAME);
    Ok((Cow::Owned(properties), value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Passing;

    #[test]
    fn a_message_passes_each_bridge_once_and_eight_at_most() {
        let mut properties = Properties::default();
        properties.user_properties.push(UserProperty { name: "unit".to_owned(), value: "C".to_owned() });
        for bridge in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            let (others, bridges) = pass(&properties, &bridge.into()).unwrap();
            properties = Passing::all_properties(others, Some(&bridges));
        }
        assert_eq!(properties.user_properties.len(), 2);
        assert_eq!(properties.user_properties[1].value, "a,b,c,d,e,f,g,h");
        assert_eq!(pass(&properties, &"c".into()).err(), Some(Loop::Own));
        assert_eq!(pass(&properties, &"i".into()).err(), Some(Loop::TooLong));
    }
}
