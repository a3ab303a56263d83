//! The cache of the LoT reference §6: bounds, eviction, kept values.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn limits(topics_max: usize, bytes_max: u64) -> CacheLimits {
    CacheLimits { topics_max, bytes_max, ..CacheLimits::default() }
}

fn text(values: &LastValues, topic: &str) -> Option<String> {
    values.get(topic).map(|value| String::from_utf8(value).unwrap())
}

/// What the store would do with the kept values that changed.
fn take(values: &LastValues) -> Vec<(String, Option<String>)> {
    let mut saved = Vec::new();
    values.take_unsaved(usize::MAX, |topic, value| {
        saved.push((topic.to_owned(), value.map(|value| String::from_utf8(value.to_vec()).unwrap())));
    });
    saved.sort();
    saved
}

#[test]
fn last_write_wins_whoever_wrote() {
    let values = LastValues::new(CacheLimits::default());
    assert_eq!(text(&values, "t"), None);
    values.publish("t", b"1");
    assert_eq!((text(&values, "t"), values.is_kept("t")), (Some("1".into()), false));
    values.keep("t", b"2").unwrap();
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
    values.keep("kept", b"1").unwrap();
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
fn kept_values_are_never_evicted_and_have_their_own_bound() {
    let values = LastValues::new(CacheLimits { keep_topics_max: 2, ..limits(1, u64::MAX) });
    values.keep("k1", b"1").unwrap();
    values.keep("k2", b"1").unwrap();
    for n in 0..10 {
        values.publish(&format!("t{n}"), b"1");
    }
    assert!(values.is_kept("k1") && values.is_kept("k2"));
    assert!(values.keep("k3", b"1").is_err());
    values.keep("k1", b"longer than before").expect("a topic that is there needs no place");
    values.forget("k2");
    values.keep("k3", b"1").unwrap();

    let small =
        LastValues::new(CacheLimits { keep_bytes_max: Shard::cost("k", 10), ..CacheLimits::default() });
    small.keep("k", &[0; 10]).unwrap();
    let refused = KeepRefused { topics: 1, bytes: Shard::cost("k", 10) };
    assert_eq!(small.keep("k", &[0; 11]), Err(refused));
    assert_eq!(small.get("k"), Some(vec![0; 10]), "the value before stays");
    small.keep("k", &[0; 9]).unwrap();
}

#[test]
fn saving_takes_the_last_value_of_each_topic_once() {
    let values = LastValues::new(CacheLimits::default());
    assert!(!values.has_unsaved());
    values.keep("a", b"1").unwrap();
    values.keep("a", b"2").unwrap();
    values.keep("b", b"1").unwrap();
    assert!(values.has_unsaved());
    assert_eq!(take(&values), [("a".into(), Some("2".into())), ("b".into(), Some("1".into()))]);
    assert!(!values.has_unsaved());
    values.publish("a", b"3");
    values.clear("b");
    assert_eq!(take(&values), [("a".into(), None), ("b".into(), None)], "both are to be deleted");
    values.publish("a", b"4");
    values.clear("never");
    assert!(!values.has_unsaved(), "live values are nobody's to save");
    values.restore_kept("c", b"1").unwrap();
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
        values.keep(topic, b"1").unwrap();
    }
    assert_eq!(take(2), ["m", "z"]);
    values.keep("m", b"2").unwrap();
    assert_eq!(take(2), ["a", "m"], "who changes all the time keeps nobody from being saved");
}

#[test]
fn what_was_not_stored_comes_first_the_next_time() {
    let values = LastValues::new(CacheLimits::default());
    let take = |topics_max| {
        let mut taken = Vec::new();
        values.take_unsaved(topics_max, |topic, _| taken.push(topic.to_owned()));
        taken
    };
    for topic in ["a", "b", "c"] {
        values.keep(topic, b"1").unwrap();
    }
    let failed = take(2);
    values.keep("b", b"2").unwrap();
    values.save_again(failed);
    assert_eq!(take(usize::MAX), ["a", "c", "b"], "none of them twice");
}

#[test]
fn saving_goes_in_portions() {
    let values = LastValues::new(CacheLimits::default());
    for n in 0..10 {
        values.keep(&format!("k{n}"), b"1").unwrap();
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
    values.keep("b/2", b"1").unwrap();
    values.retain(|topic| topic.starts_with("a/"));
    assert_eq!((text(&values, "a/1"), text(&values, "b/1")), (Some("1".into()), None));
    assert!(values.is_kept("b/2"));
    assert_eq!((values.figures().topics, values.figures().keep_topics), (1, 1));
    assert_eq!(values.figures().bytes, Shard::cost("a/1", 1));
}

/// Four threads write, read, keep and save at once; afterwards the sums are those of what is there.
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
                        0 => values.keep(&topic, &vec![1; n % 40]).unwrap(),
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
            Some(value) => stored.lock().insert(topic.to_owned(), value.to_vec()),
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
    /// The cache equals a plain list under any steps: bounds, order of eviction, sums, and what the store ends with.
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
                    values.keep(&format!("t{t}"), &vec![t; len]).unwrap();
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
                        Some(value) => drop(model.stored.insert(topic, value.len())),
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
