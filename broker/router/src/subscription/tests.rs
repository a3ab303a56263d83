//! The subscription index against a list of all subscriptions, and tables for what the list cannot
//! show.

use super::*;
use crate::filter_matches;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Index = SubscriptionIndex<u64, u8>;

fn found(index: &Index, topic: &str) -> Vec<(u64, u8)> {
    let mut found = Vec::new();
    index.matches(topic, |subscriber, options| found.push((*subscriber, *options)), |_| {});
    found.sort_unstable();
    found
}

fn groups(index: &Index, topic: &str) -> Vec<(String, Vec<u64>)> {
    let mut found = Vec::new();
    index.matches(
        topic,
        |_, _| {},
        |group| {
            let mut members: Vec<u64> = group.members().map(|(member, _)| *member).collect();
            members.sort_unstable();
            found.push((group.share_name().to_owned(), members));
        },
    );
    found.sort_unstable();
    found
}

#[test]
fn every_matching_subscription_is_named() {
    let mut index = Index::new();
    for (subscriber, filter) in
        ["a/b", "a/+", "a/#", "#", "+/b", "+/+", "a/b/#", "b", "$SYS/#"].iter().enumerate()
    {
        index.insert(filter, subscriber as u64, 0);
    }
    let subscribers = |topic| found(&index, topic).into_iter().map(|(s, _)| s).collect::<Vec<_>>();
    assert_eq!(subscribers("a/b"), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(subscribers("a"), [2, 3]);
    assert_eq!(subscribers("$SYS/b"), [8]); // [MQTT-4.7.2-1]
    assert_eq!(subscribers("$SYS"), [8]);
    assert_eq!(subscribers("a/"), [1, 2, 3, 5]);
    assert_eq!(subscribers("b"), [3, 7]);
}

#[test]
fn identical_filter_replaces_the_options() {
    let mut index = Index::new();
    assert_eq!(index.insert("a/+", 1, 10), None);
    assert_eq!(index.insert("a/+", 1, 11), Some(10)); // [MQTT-3.8.4-3]
    assert_eq!((index.len(), index.get("a/+", &1)), (1, Some(&11)));
    assert_eq!(index.get("a/b", &1), None);
    assert_eq!(found(&index, "a/x"), [(1, 11)]);
}

#[test]
fn removing_compares_byte_for_byte() {
    let mut index = Index::new();
    index.insert("a/+", 1, 0);
    for other in ["a/b", "a/#", "#", "A/+", "a/+/", "+", "a"] {
        assert_eq!(index.remove(other, &1), None, "{other}"); // [MQTT-3.10.4-1]
    }
    assert_eq!(index.remove("a/+", &2), None);
    assert_eq!(index.remove("a/+", &1), Some(0));
    assert!(index.is_empty());
    index.check_invariants().unwrap();
}

#[test]
fn fan_out_of_many_subscribers_keeps_each_once() {
    let mut index = Index::new();
    (0..1000).for_each(|subscriber| assert_eq!(index.insert("f", subscriber, 1), None));
    (0..1000).for_each(|subscriber| assert_eq!(index.insert("f", subscriber, 2), Some(1)));
    index.check_invariants().unwrap();
    assert_eq!(found(&index, "f").len(), 1000);
    for subscriber in (0..1000).filter(|subscriber| subscriber % 100 != 7) {
        assert_eq!(index.remove("f", &subscriber), Some(2), "{subscriber}");
    }
    index.check_invariants().unwrap();
    assert_eq!(found(&index, "f").len(), 10);
}

#[test]
fn shared_groups_are_share_name_and_filter() {
    let mut index = Index::new();
    index.insert("a/b", 1, 0);
    index.insert_shared("g", "a/b", 1, 0);
    index.insert_shared("g", "a/b", 2, 0);
    index.insert_shared("h", "a/b", 1, 0);
    index.insert_shared("g", "a/#", 3, 0);
    assert_eq!(index.len(), 5);
    let named = |name: &str, members: &[u64]| (name.to_owned(), members.to_vec());
    assert_eq!(groups(&index, "a/b"), [named("g", &[1, 2]), named("g", &[3]), named("h", &[1])]);
    assert_eq!(found(&index, "a/b"), [(1, 0)]);
    assert_eq!(index.remove_shared("g", "a/b", &1), Some(0));
    assert_eq!(index.remove_shared("g", "a/b", &1), None);
    assert_eq!(index.remove_shared("h", "a/b", &1), Some(0));
    assert_eq!(groups(&index, "a/b"), [named("g", &[2]), named("g", &[3])]);
    index.check_invariants().unwrap();
}

#[test]
fn group_keeps_its_handle_while_members_come_and_go() {
    let mut index = Index::new();
    index.insert_shared("g", "a", 1, 0);
    let kept = Arc::clone(index.group("g", "a").unwrap());
    index.insert_shared("g", "a", 2, 0);
    index.remove_shared("g", "a", &1);
    let now = index.group("g", "a").unwrap();
    assert_eq!(now.id(), kept.id());
    assert_eq!((kept.len(), now.len()), (1, 1));
    index.remove_shared("g", "a", &2);
    assert!(index.group("g", "a").is_none());
    index.insert_shared("g", "a", 1, 0);
    assert_ne!(index.group("g", "a").unwrap().id(), kept.id(), "a handle is never used again");
}

#[test]
fn members_take_turns_and_rejected_ones_are_passed_over() {
    let mut index = Index::new();
    (0..3).for_each(|member| {
        index.insert_shared("g", "a", member, 0);
    });
    let group = index.group("g", "a").unwrap();
    let turn =
        |rejected: &[u64]| group.choose(|member, _| !rejected.contains(member)).map(|(member, _)| *member);
    let chosen: Vec<_> = (0..6).map(|_| turn(&[])).collect();
    assert_eq!(chosen, [Some(0), Some(1), Some(2), Some(0), Some(1), Some(2)]);
    assert_eq!([turn(&[0]), turn(&[0]), turn(&[0])], [Some(1), Some(2), Some(1)]);
    assert_eq!(turn(&[0, 1, 2]), None);
}

#[test]
fn deep_topics_and_filters_cost_no_stack() {
    let mut index = Index::new();
    let deep = "/".repeat(65_535);
    let filter = "+/".repeat(255) + "#";
    index.insert(&filter, 1, 0);
    index.insert("#", 2, 0);
    index.insert(&deep, 3, 0); // refused by `topic_filter_valid`; must do no harm all the same
    assert_eq!(found(&index, &deep).len(), 3);
    assert_eq!(index.remove(&deep, &3), Some(0));
    assert_eq!(found(&index, &deep).len(), 2);
    index.check_invariants().unwrap();
}

#[test]
fn subscription_takes_less_than_200_bytes() {
    for suffix in ["pump/state", "+/state", "#", "+"] {
        let filter = |device: u64| format!("site/{}/device-{device}/{suffix}", device % 100);
        let mut index = SubscriptionIndex::<u64, u64>::new();
        (0..30_000).for_each(|device| {
            index.insert(&filter(device), device, 0);
        });
        let bytes = index.memory_bytes() / 30_000;
        assert!(bytes <= 200, "{bytes} bytes per subscription that ends in {suffix}");
        (0..30_000).for_each(|device| {
            index.remove(&filter(device), &device);
        });
        assert!(index.is_empty());
        index.check_invariants().unwrap();
    }
}

#[derive(Debug, Clone)]
enum Step {
    Insert(Option<&'static str>, String, u64, u8),
    Remove(Option<&'static str>, String, u64),
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["", "a", "b", "c", "$x", "a level of more than sixteen bytes"][..])
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 2 => Just("+")];
    (vec(level, 0..4), any::<bool>()).prop_map(|(levels, multi)| {
        let multi = (multi || levels.is_empty()).then_some("#");
        levels.into_iter().chain(multi).collect::<Vec<_>>().join("/")
    })
}

fn step() -> impl Strategy<Value = Step> {
    let share = prop::sample::select(&[None, None, Some("g"), Some("h")][..]);
    let share_too = share.clone();
    prop_oneof![
        3 => (share, filter(), 0_u64..40, any::<u8>()).prop_map(|(share, f, s, o)| Step::Insert(share, f, s, o)),
        2 => (share_too, filter(), 0_u64..40).prop_map(|(share, f, s)| Step::Remove(share, f, s)),
    ]
}

/// Share Name, filter and subscriber, to options.
type Model = BTreeMap<(Option<&'static str>, String, u64), u8>;

fn take(step: Step, index: &mut Index, model: &mut Model) -> Result<(), TestCaseError> {
    let (got, expected) = match step {
        Step::Insert(None, f, s, o) => (index.insert(&f, s, o), model.insert((None, f, s), o)),
        Step::Insert(Some(g), f, s, o) => {
            (index.insert_shared(g, &f, s, o), model.insert((Some(g), f, s), o))
        }
        Step::Remove(None, f, s) => (index.remove(&f, &s), model.remove(&(None, f, s))),
        Step::Remove(Some(g), f, s) => (index.remove_shared(g, &f, &s), model.remove(&(Some(g), f, s))),
    };
    prop_assert_eq!(got, expected);
    prop_assert_eq!(index.len(), model.len());
    index.check_invariants().map_err(TestCaseError::fail)
}

fn compare(index: &Index, model: &Model, topic: &str) -> Result<(), TestCaseError> {
    let mut expected = Vec::new();
    let mut expected_groups = BTreeMap::<_, Vec<u64>>::new();
    for ((share, filter, subscriber), options) in model {
        if !filter_matches(filter, topic) {
            continue;
        }
        match share {
            None => expected.push((*subscriber, *options)),
            Some(name) => expected_groups.entry((*name, filter)).or_default().push(*subscriber),
        }
    }
    expected.sort_unstable();
    let mut expected_groups: Vec<_> =
        expected_groups.into_iter().map(|((name, _), members)| (name.to_owned(), members)).collect();
    expected_groups.sort_unstable();
    prop_assert_eq!(found(index, topic), expected);
    prop_assert_eq!(groups(index, topic), expected_groups);
    Ok(())
}

proptest! {
    #[test]
    fn index_agrees_with_a_list_of_subscriptions(
        steps in vec(step(), 1..120),
        topics in vec(vec(level(), 1..5).prop_map(|levels| levels.join("/")), 1..12),
    ) {
        let (mut index, mut model) = (Index::new(), Model::new());
        for step in steps {
            take(step, &mut index, &mut model)?;
        }
        for topic in &topics {
            compare(&index, &model, topic)?;
        }
        for ((share, filter, subscriber), options) in model {
            let removed = match share {
                None => index.remove(&filter, &subscriber),
                Some(name) => index.remove_shared(name, &filter, &subscriber),
            };
            prop_assert_eq!(removed, Some(options));
        }
        prop_assert!(index.is_empty());
        index.check_invariants().map_err(TestCaseError::fail)?;
    }
}
