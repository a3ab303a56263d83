//! The cache of the LoT reference §6: bounds, eviction, kept values.

use std::collections::HashMap;

use lotmq_shares::NoShare;
use proptest::prelude::*;

use super::*;
use crate::definition::Owner;
use crate::limits::KEPT_ERROR_BYTES_MAX;

fn limits(topics_max: usize, bytes_max: u64) -> CacheLimits {
    CacheLimits { topics_max, bytes_max, ..CacheLimits::default() }
}

fn text(values: &LastValues, topic: &str) -> Option<String> {
    values.get(topic).map(|value| String::from_utf8(value).unwrap())
}

/// Takes the changed kept values, as the store does.
fn take(values: &LastValues) -> Vec<(String, Option<String>)> {
    let mut saved = Vec::new();
    values.take_unsaved(usize::MAX, |topic, value| {
        saved.push((topic.to_owned(), value.map(|value| String::from_utf8(value.payload.to_vec()).unwrap())));
    });
    saved.sort();
    saved
}

#[test]
fn last_write_wins_for_published_and_kept_values() {
    let values = LastValues::new(CacheLimits::default());
    assert_eq!(text(&values, "t"), None);
    values.publish("t", b"1");
    assert_eq!((text(&values, "t"), values.is_kept("t")), (Some("1".into()), false));
    values.keep(ValueKeeper::NOBODY, "t", b"2").unwrap();
    assert_eq!((text(&values, "t"), values.is_kept("t")), (Some("2".into()), true));
    values.publish("t", b"");
    assert_eq!((text(&values, "t"), values.is_kept("t")), (Some(String::new()), false), "empty is a value");
    values.clear("t");
    assert_eq!(text(&values, "t"), None);
    assert_eq!(values.figures(), CacheFigures::default());
}

#[test]
fn forget_removes_only_what_was_kept() {
    let values = LastValues::new(CacheLimits::default());
    values.publish("live", b"1");
    values.keep(ValueKeeper::NOBODY, "kept", b"1").unwrap();
    values.forget("live");
    values.forget("kept");
    values.forget("never");
    assert_eq!((text(&values, "live"), text(&values, "kept")), (Some("1".into()), None));
}

#[test]
fn entry_written_longest_ago_goes_first() {
    let values = LastValues::new(limits(3, u64::MAX));
    for topic in ["a", "b", "c", "a", "d"] {
        values.publish(topic, b"1");
    }
    let present: Vec<&str> = ["a", "b", "c", "d"].into_iter().filter(|t| values.get(t).is_some()).collect();
    assert_eq!(present, ["a", "c", "d"], "reading does not count, writing again does");
    assert_eq!((values.figures().topics, values.figures().evictions), (3, 1));
}

#[test]
fn bytes_are_bounded_and_a_giant_evicts_only_itself() {
    let entry = Shard::cost("a", 100);
    let values = LastValues::new(limits(100, 2 * entry));
    for topic in ["a", "b", "c"] {
        values.publish(topic, &[0; 100]);
    }
    assert_eq!((values.get("a"), values.figures().bytes), (None, 2 * entry));
    values.publish("b", &[0; 1000]);
    assert_eq!(values.get("b"), None, "its older value would be wrong");
    assert!(values.get("c").is_some());
    assert_eq!(values.figures().evictions, 2);
}

#[test]
fn value_of_a_topic_named_by_a_rule_is_not_evicted() {
    let values = LastValues::new(CacheLimits { topics_max: 3, ..CacheLimits::default() });
    let reads = [TopicFact::Exact("locked".into())];
    let [first, second] = [1, 2].map(DefinitionId);
    values.hold(first, &reads);
    values.hold(second, &reads);
    values.publish("locked", b"yes");
    (0..100).for_each(|number| values.publish(&format!("flood/{number}"), b"x"));
    assert_eq!(values.get("locked").as_deref(), Some(&b"yes"[..]));
    assert_eq!((values.figures().topics, values.figures().evictions), (3, 98));
    values.let_go(first, &reads);
    (0..3).for_each(|number| values.publish(&format!("other/{number}"), b"x"));
    assert!(values.get("locked").is_some(), "another rule names it");
    values.let_go(second, &reads);
    (3..6).for_each(|number| values.publish(&format!("other/{number}"), b"x"));
    assert_eq!(values.get("locked"), None);
    // If all entries are held, the cache exceeds its bound.
    let held: Vec<String> = (0..5).map(|number| format!("held/{number}")).collect();
    let reads: Vec<TopicFact> = held.iter().cloned().map(TopicFact::Exact).collect();
    values.hold(first, &reads);
    held.iter().for_each(|topic| values.publish(topic, b"x"));
    assert!(held.iter().all(|topic| values.get(topic).is_some()));
}

#[test]
fn values_matched_by_rule_patterns_are_evicted_last() {
    const MAX: usize = 10_000;
    let entry = Shard::cost("lock/1234", 1);
    let values = LastValues::new(limits(MAX, MAX as u64 * entry));
    let reads = [TopicFact::Pattern("lock/+".into()), TopicFact::Exact("named".into()), TopicFact::Any];
    let rule = DefinitionId(1);
    values.hold(rule, &reads);
    values.publish("named", b"x");
    let locks: Vec<String> = (0..2_000).map(|number| format!("lock/{number}")).collect();
    let are_there = || locks.iter().filter(|topic| values.get(topic).is_some()).count();
    locks.iter().for_each(|topic| values.publish(topic, b"1"));
    (0..50_000).for_each(|number| values.publish(&format!("flood/{number}"), b"x"));
    // Long ones, too, of which a few are the whole cache.
    (0..1_000).for_each(|number| values.publish(&format!("flood/{number}"), &[0; 20_000]));
    assert_eq!(are_there(), 2_000);
    let figures = values.figures();
    assert!(figures.topics <= MAX as u64 && figures.bytes <= MAX as u64 * entry / 8 * 9, "{figures:?}");
    // If all entries are such, some of them go, in no order, because they were skipped before.
    (0..50_000).for_each(|number| values.publish(&format!("lock/of-{number}"), b"x"));
    assert!(are_there() < 2_000);
    assert!(values.figures().topics <= MAX as u64 / 8 * 9 + 1, "{:?}", values.figures());
    assert!(values.get("named").is_some());
    values.let_go(rule, &reads);
    (0..20_000).for_each(|number| values.publish(&format!("flood/{number}"), b"x"));
    assert_eq!((values.get("named"), values.get("lock/of-49999")), (None, None));
    assert!(values.figures().topics <= MAX as u64);
}

#[test]
fn kept_values_are_never_evicted_and_have_their_own_bound() {
    let values = LastValues::new(CacheLimits { keep_topics_max: 3, ..limits(1, u64::MAX) });
    let keep = |topic: &str, payload: &[u8]| values.keep(ValueKeeper::NOBODY, topic, payload);
    keep("k1", b"1").unwrap();
    keep("k2", b"1").unwrap();
    for n in 0..10 {
        values.publish(&format!("t{n}"), b"1");
    }
    assert!(values.is_kept("k1") && values.is_kept("k2"));
    let refused = keep("k3", b"1").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "kept values are full: those of nobody have the 2 topics that others leave to them; -listKept shows them, -removeKept removes some"
    );
    keep("k1", b"longer than before").expect("a topic that is there needs no place");
    values.forget("k2");
    keep("k3", b"1").unwrap();
    values.publish("k3", b"1");
    keep("k4", b"1").expect("what came by a message is kept no more");
    values.clear("k4");
    keep("k5", b"1").unwrap();
}

fn user(name: &str) -> Owner {
    Owner { name: name.into(), account: name.bytes().map(u64::from).sum() }
}

fn of(user: &Owner) -> ValueKeeper<'_> {
    ValueKeeper { sum: KeptSum::Values, user: Some(user) }
}

#[test]
fn nobody_keeps_all_that_a_tenant_may_keep() {
    let [ann, ben] = ["ann", "ben"].map(user);
    let one = 1 << 10;
    let payload = vec![0; usize::try_from(one - Shard::cost("a00", 0)).unwrap()];
    let keep_bytes_max = 64 * one;
    let values = LastValues::new(CacheLimits { keep_bytes_max, ..CacheLimits::default() });
    let fill = |user: &Owner, letter: char| {
        (0..).find_map(|n| values.keep(of(user), &format!("{letter}{n:02}"), &payload).err()).unwrap()
    };
    let refused = fill(&ann, 'a');
    let reason = NoShare::Owner { max: 48 * one };
    assert_eq!(refused, KeepRefused { user: Some(ann.clone()), unit: "bytes", reason });
    assert!(
        refused.to_string().contains("those of user 'ann' have the 49152 bytes that others leave to him")
    );
    fill(&ben, 'b');
    let figures = values.figures();
    assert_eq!((figures.keep_topics, figures.keep_bytes), (60, 60 * one), "three quarters of what is left");
    assert_eq!(values.get("a00").as_ref(), Some(&payload));
    values.keep(of(&ann), "a00", &payload).expect("it has that much already");
    values.keep(of(&ann), "a00", b"short").unwrap();
    assert!(values.keep(of(&ann), "a00", &payload).is_err(), "ben leaves less of it now");
    // A write by another user counts for that user. Ben has no room, so the value stays Ann's.
    assert!(values.keep(of(&ben), "a00", &[1; 900]).is_err());
    values.forget("b00");
    values.keep(of(&ben), "a00", &payload).unwrap();
    let mut of_ben = 0;
    values.each_kept(|_, kept| of_ben += usize::from(kept.keeper == of(&ben)));
    assert_eq!(of_ben, 12);
}

#[test]
fn last_errors_have_room_when_programs_keep_all_that_they_may() {
    let [ann, ben] = ["ann", "ben"].map(user);
    let values = LastValues::new(CacheLimits { keep_bytes_max: 2000, ..CacheLimits::default() });
    values.keep(of(&ann), "full", &[0; 1300]).unwrap();
    assert!(values.keep(of(&ann), "more", &[0; 1300]).is_err());
    let error = |user| ValueKeeper { sum: KeptSum::Errors, user: Some(user) };
    values.keep(error(&ann), "$LOT/Error/action/A/", &[0; 4096]).unwrap();
    let large = vec![0; usize::try_from(KEPT_ERROR_BYTES_MAX / 4 * 3).unwrap()];
    assert!(values.keep(error(&ann), "$LOT/Error/action/B/", &large).is_err());
    values.keep(error(&ben), "$LOT/Error/action/C/", &[0; 4096]).unwrap();
}

#[test]
fn stored_values_are_restored_even_beyond_the_limit() {
    let ann = user("ann");
    let keep_bytes_max = 4000;
    let values = LastValues::new(CacheLimits { keep_bytes_max, ..CacheLimits::default() });
    for topic in ["a", "b", "c", "a"] {
        values.restore_kept(of(&ann), topic, &[7; 3000]);
    }
    assert_eq!(values.figures().keep_topics, 3);
    assert!(values.keep(of(&ann), "d", b"").is_err());
    values.keep(of(&ann), "a", &[1; 3000]).expect("it is no more than before");
    values.keep(of(&ann), "a", b"1").expect("nor is this");
    assert!(values.keep(of(&ann), "a", &[1; 3000]).is_err(), "there is too much still");
    ["a", "b", "c"].iter().for_each(|topic| values.forget(topic));
    values.keep(of(&ann), "d", &[0; 2500]).unwrap();
}

#[test]
fn saving_takes_the_last_value_of_each_topic_once() {
    let values = LastValues::new(CacheLimits::default());
    assert!(!values.has_unsaved());
    values.keep(ValueKeeper::NOBODY, "a", b"1").unwrap();
    values.keep(ValueKeeper::NOBODY, "a", b"2").unwrap();
    values.keep(ValueKeeper::NOBODY, "b", b"1").unwrap();
    assert!(values.has_unsaved());
    assert_eq!(take(&values), [("a".into(), Some("2".into())), ("b".into(), Some("1".into()))]);
    assert!(!values.has_unsaved());
    values.publish("a", b"3");
    values.clear("b");
    assert_eq!(take(&values), [("a".into(), None), ("b".into(), None)], "both are to be deleted");
    values.publish("a", b"4");
    values.clear("never");
    assert!(!values.has_unsaved(), "live values are nobody's to save");
    values.restore_kept(ValueKeeper::NOBODY, "c", b"1");
    assert!(!values.has_unsaved() && values.is_kept("c"), "what comes from the store is there already");
}

#[test]
fn those_are_saved_first_that_wait_for_longest() {
    let values = LastValues::new(CacheLimits::default());
    let take = |topics_max| {
        let mut taken = Vec::new();
        values.take_unsaved(topics_max, |topic, _| taken.push(topic.to_owned()));
        taken
    };
    for topic in ["m", "z", "a", "m"] {
        values.keep(ValueKeeper::NOBODY, topic, b"1").unwrap();
    }
    assert_eq!(take(2), ["m", "z"]);
    values.keep(ValueKeeper::NOBODY, "m", b"2").unwrap();
    assert_eq!(take(2), ["a", "m"], "who changes all the time keeps nobody from being saved");
}

#[test]
fn changes_that_wait_to_be_saved_are_bounded_though_their_values_are_gone() {
    let values = LastValues::new(CacheLimits { keep_topics_max: 100, ..CacheLimits::default() });
    let (ann, bob) = (user("ann"), user("bob"));
    let keep = |user, number: u64| {
        let keeper = ValueKeeper { sum: KeptSum::Values, user: Some(user) };
        values.keep(keeper, &format!("k{number}"), b"1")
    };
    let mut number = 0;
    let refused = loop {
        match keep(&ann, number) {
            Ok(()) => values.publish(&format!("k{number}"), b"2"),
            Err(refused) => break refused,
        }
        number += 1;
        assert!(number < 1_000_000, "they pile up");
    };
    let max = (100 + KEPT_ERRORS_MAX) / 4 * 3;
    assert_eq!(number, max);
    assert_eq!(
        refused.to_string(),
        format!(
            "kept values are full: those of user 'ann' have the {max} changes on their way to the disk that others leave to him; -listKept shows them, -removeKept removes some"
        )
    );
    keep(&ann, 7).expect("it waits already");
    keep(&bob, number).expect("others have room");
    values.take_unsaved(2, |_, _| ());
    keep(&ann, number + 1).expect("there is room again");
}

#[test]
fn unsaved_values_are_taken_first_at_the_next_save() {
    let values = LastValues::new(CacheLimits::default());
    let take = |topics_max| {
        let mut taken = Vec::new();
        values.take_unsaved(topics_max, |topic, _| taken.push(topic.to_owned()));
        taken
    };
    for topic in ["a", "b", "c"] {
        values.keep(ValueKeeper::NOBODY, topic, b"1").unwrap();
    }
    let failed = take(2);
    values.keep(ValueKeeper::NOBODY, "b", b"2").unwrap();
    values.save_again(failed);
    assert_eq!(take(usize::MAX), ["a", "c", "b"], "none of them twice");
}

#[test]
fn saving_goes_in_portions() {
    let values = LastValues::new(CacheLimits::default());
    for n in 0..10 {
        values.keep(ValueKeeper::NOBODY, &format!("k{n}"), b"1").unwrap();
    }
    let mut portions = Vec::new();
    while values.has_unsaved() {
        let mut count = 0;
        values.take_unsaved(4, |_, _| count += 1);
        portions.push(count);
    }
    assert_eq!(portions, [4, 4, 2]);
}

#[test]
fn pruning_drops_live_entries_only() {
    let values = LastValues::new(CacheLimits::default());
    values.publish("a/1", b"1");
    values.publish("b/1", b"1");
    values.keep(ValueKeeper::NOBODY, "b/2", b"1").unwrap();
    values.retain(|topic| topic.starts_with("a/"));
    assert_eq!((text(&values, "a/1"), text(&values, "b/1")), (Some("1".into()), None));
    assert!(values.is_kept("b/2"));
    assert_eq!((values.figures().topics, values.figures().keep_topics), (1, 1));
    assert_eq!(values.figures().bytes, Shard::cost("a/1", 1));
}

/// Four threads write, read, keep and save at once; afterwards the sums match the entries.
#[test]
fn threads_leave_bounds_and_sums_intact() {
    let values = LastValues::new(limits(50, 20_000));
    let stored = Mutex::new(HashMap::new());
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let values = &values;
            scope.spawn(move || {
                for n in 0..5000_usize {
                    let topic = format!("t{}", (n * 7 + thread * 13) % 200);
                    match n % 8 {
                        0 => values.keep(ValueKeeper::NOBODY, &topic, &vec![1; n % 40]).unwrap(),
                        1 => values.forget(&topic),
                        2 => values.clear(&topic),
                        3 => values.read(&topic, |value| assert!(value.is_none_or(|v| v.len() < 400))),
                        _ => values.publish(&topic, &vec![2; n % 400]),
                    }
                }
            });
        }
        for _ in 0..200 {
            save(&values, &stored, 7);
        }
    });
    while values.has_unsaved() {
        save(&values, &stored, usize::MAX);
    }
    let figures = values.figures();
    assert!(figures.topics <= 50 && figures.bytes <= 20_000, "{figures:?}");
    let topics: Vec<String> = (0..200).map(|n| format!("t{n}")).collect();
    let (kept, live): (Vec<&String>, Vec<&String>) =
        topics.iter().filter(|topic| values.get(topic).is_some()).partition(|topic| values.is_kept(topic));
    let bytes = |topics: &[&String]| -> u64 {
        topics.iter().map(|topic| Shard::cost(topic, values.get(topic).unwrap().len())).sum()
    };
    assert_eq!((figures.topics, figures.bytes), (live.len() as u64, bytes(&live)));
    assert_eq!((figures.keep_topics, figures.keep_bytes), (kept.len() as u64, bytes(&kept)));
    let kept_values: HashMap<String, Vec<u8>> =
        kept.into_iter().map(|topic| (topic.clone(), values.get(topic).unwrap())).collect();
    assert_eq!(*stored.lock(), kept_values, "the store ends with what is kept");
}

fn save(values: &LastValues, stored: &Mutex<HashMap<String, Vec<u8>>>, topics_max: usize) {
    values.take_unsaved(topics_max, |topic, value| {
        match value {
            Some(value) => stored.lock().insert(topic.to_owned(), value.payload.to_vec()),
            None => stored.lock().remove(topic),
        };
    });
}

#[derive(Debug, Clone)]
enum Step {
    Publish(u8, usize),
    Keep(u8, usize),
    Clear(u8),
    Forget(u8),
    Save,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..12, 0usize..300).prop_map(|(t, n)| Step::Publish(t, n)),
        2 => (0u8..12, 0usize..300).prop_map(|(t, n)| Step::Keep(t, n)),
        1 => (0u8..12).prop_map(Step::Clear),
        1 => (0u8..12).prop_map(Step::Forget),
        1 => Just(Step::Save),
    ]
}

/// A plain list: (topic, payload length, is kept), oldest write first.
#[derive(Default)]
struct Model {
    entries: Vec<(u8, usize, bool)>,
    stored: HashMap<u8, usize>,
}

impl Model {
    fn cost(topic: u8, len: usize) -> u64 {
        Shard::cost(&format!("t{topic}"), len)
    }

    fn remove(&mut self, topic: u8) {
        self.entries.retain(|(t, ..)| *t != topic);
    }

    fn sums(&self, is_kept: bool) -> (u64, u64) {
        let of_kind = self.entries.iter().filter(|(.., kept)| *kept == is_kept);
        of_kind.fold((0, 0), |(n, bytes), (t, len, _)| (n + 1, bytes + Model::cost(*t, *len)))
    }

    fn publish(&mut self, topic: u8, len: usize, topics_max: u64, bytes_max: u64) {
        self.remove(topic);
        if Model::cost(topic, len) > bytes_max {
            return;
        }
        self.entries.push((topic, len, false));
        while self.sums(false).0 > topics_max || self.sums(false).1 > bytes_max {
            let oldest = self.entries.iter().position(|(.., kept)| !kept).unwrap();
            self.entries.remove(oldest);
        }
    }
}

proptest! {
    /// The cache equals a plain list under any steps: bounds, order of eviction, sums, and the
    /// final contents of the store.
    #[test]
    fn agrees_with_a_plain_list(
        steps in prop::collection::vec(step(), 0..120), topics_max in 1usize..8, bytes_max in 100u64..1500
    ) {
        let values = LastValues::new(limits(topics_max, bytes_max));
        let mut model = Model::default();
        for step in steps.into_iter().chain([Step::Save]) {
            match step {
                Step::Publish(t, len) => {
                    values.publish(&format!("t{t}"), &vec![t; len]);
                    model.publish(t, len, topics_max as u64, bytes_max);
                }
                Step::Keep(t, len) => {
                    values.keep(ValueKeeper::NOBODY, &format!("t{t}"), &vec![t; len]).unwrap();
                    model.remove(t);
                    model.entries.push((t, len, true));
                }
                Step::Clear(t) => { values.clear(&format!("t{t}")); model.remove(t); }
                Step::Forget(t) => {
                    values.forget(&format!("t{t}"));
                    model.entries.retain(|(topic, _, kept)| *topic != t || !kept);
                }
                Step::Save => values.take_unsaved(usize::MAX, |topic, value| {
                    let topic = topic[1..].parse().unwrap();
                    match value {
                        Some(value) => drop(model.stored.insert(topic, value.payload.len())),
                        None => drop(model.stored.remove(&topic)),
                    }
                }),
            }
            for t in 0..12 {
                let expected = model.entries.iter().find(|(topic, ..)| *topic == t);
                let topic = format!("t{t}");
                prop_assert_eq!(values.get(&topic), expected.map(|(_, len, _)| vec![t; *len]));
                prop_assert_eq!(values.is_kept(&topic), expected.is_some_and(|(.., kept)| *kept));
            }
            let figures = values.figures();
            prop_assert_eq!((figures.topics, figures.bytes), model.sums(false));
            prop_assert_eq!((figures.keep_topics, figures.keep_bytes), model.sums(true));
        }
        let kept: HashMap<u8, usize> =
            model.entries.iter().filter(|(.., kept)| *kept).map(|(t, len, _)| (*t, *len)).collect();
        prop_assert_eq!(model.stored, kept);
    }
}

#[test]
fn kept_values_of_a_former_account_do_not_count_for_its_successor() {
    let values = LastValues::new(CacheLimits { keep_topics_max: 16, ..CacheLimits::default() });
    let (former, later) = (user("ann"), Owner { account: 2, ..user("ann") });
    let fill = |user: &Owner| {
        let keeps =
            |number: &usize| values.keep(of(user), &format!("{}/{number}", user.account), b"1").is_ok();
        (0..).take_while(keeps).count()
    };
    assert_eq!(fill(&former), 12);
    assert_eq!(fill(&later), 3, "three quarters of what the former one leaves");
    values.keep(of(&later), "1/0", b"2").unwrap_err();
    values.forget("2/0");
    values.keep(of(&later), "1/0", b"2").expect("what he writes anew is his");
}
