//! The retained index against a walk over all topics, and its slices against a change in between.

use super::*;
use crate::filter_matches;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

fn index(topics: &[&str]) -> RetainedIndex<usize> {
    let mut index = RetainedIndex::new();
    topics.iter().enumerate().for_each(|(number, topic)| {
        index.insert(*topic, number);
    });
    index
}

fn all(index: &RetainedIndex<usize>, filter: &str, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut after: Option<Arc<str>> = None;
    loop {
        let slice = index.scan(filter, after.as_deref(), limit);
        assert!(slice.entries.len() <= limit, "{filter}");
        found.extend(slice.entries.iter().map(|(topic, _)| topic.to_string()));
        match slice.resume_after {
            Some(topic) => after = Some(topic),
            None => return found,
        }
    }
}

#[test]
fn retained_messages_match_filters() {
    let stored =
        ["$SYS/a", "$SYS/b/c", "/", "/a", "a", "a-b", "a-b/x", "a/", "a/b", "a/b/c", "a0", "b/b", "b/b/c"];
    let index = index(&stored);
    for (filter, expected) in [
        ("a/#", vec!["a", "a/", "a/b", "a/b/c"]), // a/# includes a, §4.7.1.2
        ("+/b", vec!["a/b", "b/b"]),
        ("+/b/#", vec!["a/b", "a/b/c", "b/b", "b/b/c"]),
        ("+/+/c", vec!["a/b/c", "b/b/c"]),
        ("+", vec!["a", "a-b", "a0"]),
        ("a/+", vec!["a/", "a/b"]),
        ("/+", vec!["/", "/a"]),
        ("+/", vec!["/", "a/"]),
        ("$SYS/#", vec!["$SYS/a", "$SYS/b/c"]),
        ("$SYS/+", vec!["$SYS/a"]),
        ("a/b", vec!["a/b"]),
        ("c", vec![]),
        ("c/#", vec![]),
        ("#", stored[2..].to_vec()), // [MQTT-4.7.2-1]
    ] {
        assert_eq!(all(&index, filter, 2), expected, "{filter}");
    }
}

#[test]
fn replacing_and_removing_return_what_was_there() {
    let mut retained = RetainedIndex::new();
    assert_eq!(retained.insert("a", 1), None);
    assert_eq!(retained.insert("a", 2), Some(1));
    assert_eq!((retained.len(), retained.get("a")), (1, Some(&2)));
    assert_eq!(retained.remove("a"), Some(2));
    assert_eq!(retained.remove("a"), None);
    assert!(retained.is_empty());
}

#[test]
fn scan_of_an_exact_topic_resumes_behind_it() {
    let index = index(&["a"]);
    assert_eq!(index.scan("a", None, 1).entries.len(), 1);
    assert_eq!(index.scan("a", Some("a"), 1).entries, []);
}

#[test]
fn all_topics_are_those_that_begin_with_a_dollar_too() {
    let index = index(&["$x/a", "a", "b"]);
    let first = index.all(None, 2);
    assert_eq!(first.entries.iter().map(|(topic, _)| &***topic).collect::<Vec<_>>(), ["$x/a", "a"]);
    let rest = index.all(first.resume_after.as_deref(), 2);
    assert_eq!((rest.entries.len(), rest.resume_after), (1, None));
}

#[test]
fn scan_that_finds_nothing_still_ends_its_slice() {
    let mut index = RetainedIndex::new();
    (0..10_000).for_each(|n| {
        index.insert(format!("{n}/x"), n);
    });
    let slice = index.scan("+/y", None, 10);
    assert_eq!(slice.entries, []);
    assert!(slice.resume_after.is_some_and(|topic| topic.as_ref() < "11"));
}

#[test]
fn resuming_sees_what_stayed_although_the_index_changed() {
    let mut index = index(&["a/1", "a/2", "a/3", "a/4"]);
    let after = index.scan("a/+", None, 2).resume_after;
    assert_eq!(after.as_deref(), Some("a/2"));
    index.remove("a/2");
    index.remove("a/3");
    index.insert("a/20", 9);
    let rest: Vec<_> =
        index.scan("a/+", after.as_deref(), 9).entries.iter().map(|(t, _)| t.to_string()).collect();
    assert_eq!(rest, ["a/20", "a/4"]);
}

#[test]
fn deep_topics_cost_no_stack() {
    let deep = "/".repeat(65_535);
    let index = index(&[&deep, "a"]);
    assert_eq!(all(&index, "#", 1).len(), 2);
    assert_eq!(all(&index, &format!("{}+", "/".repeat(255)), 1).len(), 0);
    assert_eq!(all(&index, &format!("{}#", "/".repeat(255)), 1), [deep]);
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["", "a", "a-", "a0", "b", "$x", "aa"][..])
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 2 => Just("+")];
    (vec(level, 0..4), any::<bool>()).prop_map(|(levels, multi)| {
        let multi = (multi || levels.is_empty()).then_some("#");
        levels.into_iter().chain(multi).collect::<Vec<_>>().join("/")
    })
}

proptest! {
    #[test]
    fn scan_finds_what_a_walk_over_all_topics_finds(
        topics in btree_set(vec(level(), 1..5).prop_map(|levels| levels.join("/")), 0..60),
        filter in filter(),
        limit in 1_usize..6,
    ) {
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let index = index(&topics);
        let expected: Vec<&str> = topics.iter().copied().filter(|topic| filter_matches(&filter, topic)).collect();
        prop_assert_eq!(all(&index, &filter, limit), expected);
    }
}
