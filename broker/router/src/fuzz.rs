//! Fuzz function that runs foreign text as Topic Filters and a Topic Name through the rules and
//! both indexes.
//!
//! The fuzz target and the replay of its corpus are thin wrappers round [`fuzz_topic`]. Not for
//! production use: it panics by design when the indexes and the rules disagree.

use crate::{
    Match, RetainedIndex, SubscriptionIndex, filter_matches, parse_shared, topic_filter_valid,
    topic_name_valid,
};

/// Most filters of one input, so that a run stays short.
const FILTERS_MAX: usize = 64;

/// Reads `bytes` as lines, the first a Topic Name, the others Topic Filters; the indexes must find
/// exactly what the rules say.
pub fn fuzz_topic(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (topic, filters) = text.split_once('\n').unwrap_or((&text, &text));
    let filters: Vec<&str> = filters.split('\n').take(FILTERS_MAX).collect();
    let topic_is_valid = topic_name_valid(topic).is_ok();

    let mut index = SubscriptionIndex::new();
    let mut expected = Vec::new();
    for (number, filter) in filters.iter().enumerate() {
        if topic_filter_valid(filter).is_err() {
            continue;
        }
        let shared = parse_shared(filter).expect("a valid filter is shared or not");
        let plain = shared.map_or(*filter, |shared| shared.filter);
        match shared {
            Some(shared) => index.insert_shared(shared.share_name, shared.filter, number, ()),
            None => index.insert(filter, number, ()),
        };
        if topic_is_valid && filter_matches(plain, topic) {
            expected.push(number);
        }
        if topic_is_valid {
            check_retained(topic, plain);
        }
    }
    index.check_invariants().expect("the index is sound");
    if topic_is_valid {
        assert_eq!(found(&index, topic), expected, "{topic:?} against {filters:?}");
    }
    for (number, filter) in filters.iter().enumerate() {
        match parse_shared(filter) {
            Ok(Some(shared)) => index.remove_shared(shared.share_name, shared.filter, &number),
            Ok(None) => index.remove(filter, &number),
            Err(_) => None,
        };
    }
    assert!(index.is_empty(), "what was inserted can be removed");
    index.check_invariants().expect("the empty index is sound");
}

fn found(index: &SubscriptionIndex<usize, ()>, topic: &str) -> Vec<usize> {
    let mut found = Vec::new();
    index.visit(topic, |matching| match matching {
        Match::Subscriber(number, ()) => found.push(*number),
        Match::Group(group) => found.extend(group.members().map(|(number, ())| *number)),
    });
    found.sort_unstable();
    found
}

/// The retained index finds the topic exactly when the filter matches it, whatever lies beside it.
fn check_retained(topic: &str, filter: &str) {
    let mut retained = RetainedIndex::new();
    for neighbour in [format!("{topic}/"), format!("{topic}!"), format!("/{topic}"), topic.to_owned()] {
        retained.insert(neighbour.as_str(), ());
    }
    let mut topics = Vec::new();
    retained.matching(filter, |topic, ()| topics.push(topic.to_owned()));
    let expected: Vec<String> = retained
        .iter()
        .filter(|(topic, ())| filter_matches(filter, topic))
        .map(|(topic, ())| topic.to_string())
        .collect();
    assert_eq!(topics, expected, "{filter:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
    fn corpus_of_topics_replays() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/topic");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "the corpus is there");
        for file in files {
            let bytes = std::fs::read(file).unwrap();
            fuzz_topic(&bytes);
            (0..bytes.len()).for_each(|end| fuzz_topic(&bytes[..end]));
            for index in 0..bytes.len() {
                let mut changed = bytes.clone();
                for value in [b'/', b'+', b'#', b'$', b'\n', 0, 0xff] {
                    changed[index] = value;
                    fuzz_topic(&changed);
                }
            }
        }
    }
}
