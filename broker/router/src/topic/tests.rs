//! Tables for the rules of topics; each row cites the clause it comes from.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn filter_matches_by_levels() {
    for (filter, topic, expected) in [
        ("sport/tennis/player1", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1", true), // # includes the parent level, §4.7.1.2
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/tennis/player1/#", "sport/tennis/player10", false),
        ("sport/#", "sport", true),
        ("sport/#", "sports", false),
        ("#", "a", true),
        ("#", "/", true),
        ("sport/tennis/+", "sport/tennis/player1", true), // §4.7.1.3
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true), // a level may be empty, §4.7.3
        ("+", "finance", true),
        ("+", "/finance", false),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+/tennis/#", "sport/tennis", true),
        ("+/#", "a", true),
        ("+/#", "a/b/c", true),
        ("/", "/", true),
        ("a//b", "a//b", true),
        ("a//b", "a/b", false),
        ("a/+/b", "a//b", true),
        ("a/", "a", false),
        ("a", "a/", false),
        ("a/b", "a", false),
        ("A", "a", false),                   // no case folding, [MQTT-4.7.3-4]
        ("caf\u{e9}", "cafe\u{301}", false), // no normalisation, [MQTT-4.7.3-4]
        (" a", "a", false),                  // no trimming, [MQTT-4.7.3-4]
        ("\u{feff}a", "a", false),           // a BOM is a character, [MQTT-1.5.4-3]
        ("#", "$SYS/broker", false),         // [MQTT-4.7.2-1]
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("+/#", "$SYS", false),
        ("$SYS/#", "$SYS/monitor/Clients", true),
        ("$SYS/#", "$SYS", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("a/+", "a/$x", true), // only the first level hides
        ("a/#", "a/$x/y", true),
    ] {
        assert_eq!(filter_matches(filter, topic), expected, "{filter} against {topic}");
    }
}

#[test]
fn topic_name_is_checked() {
    let longest = "a".repeat(TOPIC_BYTES_MAX);
    let too_long = "a".repeat(TOPIC_BYTES_MAX + 1);
    for (topic, expected) in [
        ("a", Ok(())),
        ("/", Ok(())),
        ("a b/\u{fffd}", Ok(())),
        ("a\nb", Err(TopicError::Discouraged)),
        ("a/\u{7f}", Err(TopicError::Discouraged)),
        ("a/\u{ffff}", Err(TopicError::Discouraged)),
        ("$SYS/x", Ok(())),
        (longest.as_str(), Ok(())),
        ("", Err(TopicError::Empty)),           // [MQTT-4.7.3-1]
        ("a\0b", Err(TopicError::ContainsNul)), // [MQTT-4.7.3-2]
        ("a/+", Err(TopicError::WildcardInName { wildcard: '+' })), // [MQTT-3.3.2-2]
        ("a#/+", Err(TopicError::WildcardInName { wildcard: '#' })),
        (too_long.as_str(), Err(TopicError::TooLong { bytes: 65_536 })), // [MQTT-4.7.3-3]
    ] {
        assert_eq!(topic_name_valid(topic), expected, "{topic:.20}");
    }
}

#[test]
fn topic_filter_is_checked() {
    use TopicError::{MultiLevelWildcardMisplaced, SingleLevelWildcardMisplaced};
    let deepest = "/".repeat(FILTER_LEVELS_MAX - 1);
    let too_deep = "/".repeat(FILTER_LEVELS_MAX);
    for (filter, expected) in [
        ("a", Ok(())),
        ("#", Ok(())),
        ("+", Ok(())),
        ("/", Ok(())),
        ("+/a/+/#", Ok(())),
        ("a/+/b", Ok(())),
        ("$SYS/#", Ok(())),
        ("$share", Ok(())),
        ("$shared/g/x", Ok(())),
        ("$share/g/+/#", Ok(())),
        (deepest.as_str(), Ok(())),
        ("", Err(TopicError::Empty)),
        ("a\0", Err(TopicError::ContainsNul)),
        ("a#", Err(MultiLevelWildcardMisplaced)), // [MQTT-4.7.1-1]
        ("a/#/b", Err(MultiLevelWildcardMisplaced)),
        ("#/", Err(MultiLevelWildcardMisplaced)),
        ("##", Err(MultiLevelWildcardMisplaced)),
        ("a+", Err(SingleLevelWildcardMisplaced)), // [MQTT-4.7.1-2]
        ("+a/b", Err(SingleLevelWildcardMisplaced)),
        ("++", Err(SingleLevelWildcardMisplaced)),
        (too_deep.as_str(), Err(TopicError::TooManyLevels { levels: 257 })),
        ("$share/g/a#", Err(MultiLevelWildcardMisplaced)),
    ] {
        assert_eq!(topic_filter_valid(filter), expected, "{filter:.20}");
    }
}

#[test]
fn shared_filter_is_taken_apart() {
    use TopicError::{ShareNameEmpty, SharedFilterMissing};
    for (filter, expected) in [
        ("a/b", Ok(None)),
        ("$share", Ok(None)),
        ("$sharex/g/a", Ok(None)),
        ("$share/g/a/b", Ok(Some(SharedFilter { share_name: "g", filter: "a/b" }))),
        ("$share/g//a", Ok(Some(SharedFilter { share_name: "g", filter: "/a" }))),
        ("$share/g//", Ok(Some(SharedFilter { share_name: "g", filter: "/" }))),
        ("$share/g/#", Ok(Some(SharedFilter { share_name: "g", filter: "#" }))),
        ("$share/$g/$SYS/#", Ok(Some(SharedFilter { share_name: "$g", filter: "$SYS/#" }))),
        ("$share/", Err(ShareNameEmpty)), // [MQTT-4.8.2-1]
        ("$share//x", Err(ShareNameEmpty)),
        ("$share/g", Err(SharedFilterMissing)), // [MQTT-4.8.2-2]
        ("$share/g/", Err(SharedFilterMissing)),
        ("$share/+/x", Err(TopicError::WildcardInShareName { wildcard: '+' })),
        ("$share/a#b/x", Err(TopicError::WildcardInShareName { wildcard: '#' })),
        ("$share/g\0/x", Err(TopicError::ContainsNul)),
    ] {
        assert_eq!(parse_shared(filter), expected, "{filter}");
    }
}

#[test]
fn wildcards_are_found_as_whole_levels() {
    for (filter, expected) in [("a/b", false), ("a/+", true), ("#", true), ("/", false)] {
        assert_eq!(filter_has_wildcard(filter), expected, "{filter}");
    }
}

#[test]
fn a_filter_includes_what_matches_no_more_than_it() {
    for (wide, narrow, expected) in [
        ("#", "a/b", true),
        ("#", "+/b/#", true),
        ("#", "$SYS/#", false), // [MQTT-4.7.2-1]
        ("+/x", "$SYS/x", false),
        ("a/#", "a", true),
        ("a/#", "a/+/b", true),
        ("a/#", "a/#", true),
        ("a/+", "a/+", true),
        ("a/+", "a/b", true),
        ("a/+", "a/#", false),
        ("a/+/#", "a/#", false),
        ("a/b", "a/+", false),
        ("a/b", "a/b/c", false),
        ("a/b/c", "a/b", false),
    ] {
        assert_eq!(filter_includes(wide, narrow), expected, "{wide} and {narrow}");
    }
}

/// §4.7 word for word, on lists of levels.
fn matches_by_definition(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) => true,
        ([], []) => true,
        ([first, filter @ ..], [level, topic @ ..]) => {
            (*first == "+" || first == level) && matches_by_definition(filter, topic)
        }
        ([], [_, ..]) | ([_, ..], []) => false,
    }
}

proptest! {
    #[test]
    fn filter_matches_as_defined(
        filter in vec(prop::sample::select(&["", "a", "b", "+", "#", "$x"][..]), 1..5),
        topic in vec(prop::sample::select(&["", "a", "b", "$x"][..]), 1..5),
    ) {
        let (filter_text, topic_text) = (filter.join("/"), topic.join("/"));
        prop_assume!(topic_filter_valid(&filter_text).is_ok() && topic_name_valid(&topic_text).is_ok());
        let is_hidden = topic_text.starts_with('$') && ["+", "#"].contains(&filter[0]);
        let expected = !is_hidden && matches_by_definition(&filter, &topic);
        prop_assert_eq!(filter_matches(&filter_text, &topic_text), expected);
    }

    #[test]
    fn filter_matches_all_topics_of_a_filter_that_it_includes(
        wide in vec(prop::sample::select(&["", "a", "+", "#", "$x"][..]), 1..4),
        narrow in vec(prop::sample::select(&["", "a", "+", "#", "$x"][..]), 1..4),
        topic in vec(prop::sample::select(&["", "a", "$x"][..]), 1..4),
    ) {
        let (wide, narrow, topic) = (wide.join("/"), narrow.join("/"), topic.join("/"));
        let are_valid = topic_filter_valid(&wide).is_ok() && topic_filter_valid(&narrow).is_ok();
        if !are_valid || topic_name_valid(&topic).is_err() || !filter_includes(&wide, &narrow) {
            return Ok(());
        }
        prop_assert!(!filter_matches(&narrow, &topic) || filter_matches(&wide, &topic));
    }

    #[test]
    fn no_text_makes_the_checks_panic(text in "[a+#/$\\x00]{0,12}|\\$share/[a+#/]{0,6}") {
        let shared = parse_shared(&text);
        if topic_filter_valid(&text).is_ok() {
            let shared = shared.expect("a valid filter is shared or ordinary");
            let plain = shared.map_or(text.as_str(), |shared| shared.filter);
            prop_assert!(!plain.is_empty() && plain.split('/').all(|level| level.len() == 1 || !level.contains(['+', '#'])));
        }
        let is_name = topic_name_valid(&text).is_ok();
        prop_assert_eq!(is_name, !text.is_empty() && !text.contains(['+', '#', '\0']));
    }
}
