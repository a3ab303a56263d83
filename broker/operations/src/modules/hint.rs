//! The trigger that a component brings along: what it was compiled from says what starts it.
//!
//! Invariant: it starts a module only by topics that the module was granted to read. Timers, the
//! start of the broker and clients need no grant and would start any upload unasked, so that they
//! start none.

use lot_facts::{Facts, Trigger};
use lotmq_host::{Capability, custom_sections};

use crate::limits::MODULE_GRANTS_MAX;
use crate::module_catalog::grants::{self, GrantError, GrantSet, NamedGrant};

/// Topic Filters that a refusal names; of further ones it tells the number.
const FILTERS_TOLD_MAX: usize = 8;

/// Reason why the trigger of a component starts nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HintRefusal {
    #[error("{0}, and only topics start a module")]
    NoTopic(&'static str),
    #[error("{0} topic filters, and it takes 1 to {MODULE_GRANTS_MAX}")]
    Count(usize),
    #[error("a topic that nobody can grant: {0}")]
    Filter(#[from] GrantError),
    #[error("{0}, which it was not granted to read")]
    NotGranted(String),
}

/// Trigger that the facts in a component name; `None` without facts or trigger.
///
/// # Errors
/// [`HintRefusal`] where `granted` does not cover it.
pub(super) fn trigger(component: &[u8], granted: &GrantSet) -> Result<Option<Trigger>, HintRefusal> {
    let Some(trigger) = facts(component).and_then(|facts| facts.trigger) else { return Ok(None) };
    match &trigger {
        Trigger::Topic { filters } | Trigger::Change { filters } => check(filters, granted)?,
        Trigger::Window { .. } => return Err(HintRefusal::NoTopic("windows")),
        Trigger::Silence { .. } => return Err(HintRefusal::NoTopic("silence")),
        Trigger::Every { .. } | Trigger::Calendar { .. } | Trigger::Once(_) => {
            return Err(HintRefusal::NoTopic("a timer"));
        }
        Trigger::Start => return Err(HintRefusal::NoTopic("the start of the broker")),
        Trigger::Connect | Trigger::Disconnect | Trigger::Subscribe { .. } => {
            return Err(HintRefusal::NoTopic("clients"));
        }
    }
    Ok(Some(trigger))
}

fn check(filters: &[String], granted: &GrantSet) -> Result<(), HintRefusal> {
    if !(1..=MODULE_GRANTS_MAX).contains(&filters.len()) {
        return Err(HintRefusal::Count(filters.len()));
    }
    let mut missing = Vec::new();
    for filter in filters {
        let wanted: NamedGrant = format!("{}:{filter}", Capability::ReadTopic.word()).parse()?;
        if !grants::covers(granted, &wanted) {
            missing.push(filter.as_str());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let further = missing.len().saturating_sub(FILTERS_TOLD_MAX);
    missing.truncate(FILTERS_TOLD_MAX);
    let told = missing.join(", ");
    Err(HintRefusal::NotGranted(if further == 0 { told } else { format!("{told} and {further} more") }))
}

/// Facts that a component carries, as our compiler writes them.
fn facts(component: &[u8]) -> Option<Facts> {
    serde_json::from_slice(custom_sections(component, lot_facts::SECTION).first()?).ok()
}

#[cfg(test)]
mod tests {
    use lot_facts::{Interval, Kind};

    use super::*;

    fn component(facts: &Facts) -> Vec<u8> {
        let facts = serde_json::to_vec(facts).unwrap();
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        component.extend_from_slice(&[0, 2, 1, b'x']);
        let name = lot_facts::SECTION.as_bytes();
        component.push(0);
        let mut len = 1 + name.len() + facts.len();
        while len >= 0x80 {
            component.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
            len >>= 7;
        }
        component.push(u8::try_from(len).unwrap());
        component.push(u8::try_from(name.len()).unwrap());
        component.extend_from_slice(name);
        component.extend_from_slice(&facts);
        component
    }

    #[test]
    fn facts_are_found_in_a_component_and_nowhere_else() {
        let component = component(&Facts::new(Kind::Action, "A"));
        assert_eq!(facts(&component).unwrap().name, "A");
        for cut in [0, 7, 8, 9, 12, 13, 20, component.len() - 1] {
            assert!(facts(&component[..cut]).is_none(), "{cut}");
        }
        assert!(facts(&[0xff; 64]).is_none());
    }

    #[test]
    fn only_topics_that_were_granted_start_a_module() {
        let granted = GrantSet::from(["read:a/#".parse().unwrap(), "write:b".parse().unwrap()]);
        let topics = |filters: &[&str]| filters.iter().map(|filter| (*filter).to_owned()).collect::<Vec<_>>();
        let hinted = |hint: &Trigger| {
            let facts = Facts { trigger: Some(hint.clone()), ..Facts::new(Kind::Action, "A") };
            trigger(&component(&facts), &granted).map_err(|refusal| refusal.to_string())
        };
        let many: Vec<String> = (0..20_000).map(|n| format!("a/{n}")).collect();
        let long = format!("a/{}", "b".repeat(2000));
        for (filters, expected) in [
            (topics(&["a/+", "a/b"]), None),
            (topics(&["a/b", "b"]), Some("b, which it was not granted to read")),
            (
                topics(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
                Some("0, 1, 2, 3, 4, 5, 6, 7 and 2 more, which it was not granted to read"),
            ),
            (topics(&["$SYS/#"]), Some("$SYS/#, which it was not granted to read")),
            (
                topics(&[""]),
                Some("a topic that nobody can grant: 'read:' is not a grant: it names no topic filter"),
            ),
            (
                topics(&["a/#/b"]),
                Some("a topic that nobody can grant: 'read:a/#/b' is not a grant: it names no topic filter"),
            ),
            (
                topics(&["$share/g/a/b"]),
                Some(
                    "a topic that nobody can grant: 'read:$share/g/a/b' is not a grant: it names no topic filter",
                ),
            ),
            (vec![long], Some("a topic that nobody can grant: a grant has 2007 bytes, limit 1024")),
            (Vec::new(), Some("0 topic filters, and it takes 1 to 256")),
            (many, Some("20000 topic filters, and it takes 1 to 256")),
        ] {
            for hint in
                [Trigger::Topic { filters: filters.clone() }, Trigger::Change { filters: filters.clone() }]
            {
                let expected = expected.map_or_else(|| Ok(Some(hint.clone())), |text| Err(text.to_owned()));
                assert_eq!(hinted(&hint), expected);
            }
        }
        for (hint, what) in [
            (Trigger::Every { interval: Interval::Milliseconds(0) }, "a timer"),
            (Trigger::Every { interval: Interval::Months(0) }, "a timer"),
            (
                Trigger::Window {
                    filters: vec!["a".into()],
                    path: None,
                    extent: lot_facts::WindowExtent::Messages { last: 2, every: 1 },
                },
                "windows",
            ),
            (Trigger::Silence { filters: vec!["a".into()], after_ms: 10 }, "silence"),
            (Trigger::Start, "the start of the broker"),
            (Trigger::Connect, "clients"),
            (Trigger::Disconnect, "clients"),
            (Trigger::Subscribe { pattern: None }, "clients"),
        ] {
            assert_eq!(hinted(&hint), Err(format!("{what}, and only topics start a module")));
        }
    }
}
