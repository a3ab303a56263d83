//! Topic patterns of facts, level by level: whether one covers a topic.
//!
//! Subscriptions are the router's; these differ in that a fact's leading wildcard also covers `$…`
//! topics.

/// Whether the pattern covers the topic; a leading wildcard covers every first level.
pub(crate) fn covers(pattern: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for expected in pattern.split('/') {
        if expected == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if expected == "+" || expected == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use lot_facts::overlaps;

    #[test]
    fn patterns_cover_topics() {
        for (pattern, topic, expected) in [
            ("a/+", "a/b", true),
            ("a/+", "a/b/c", false),
            ("a/#", "a", true), // # includes the parent level
            ("a/#", "a/b/c", true),
            ("a", "a/b", false),
            ("+/x", "$SYS/x", true), // unlike in a subscription
            ("#", "$SYS/x", true),
        ] {
            assert_eq!(covers(pattern, topic), expected, "{pattern} over {topic}");
        }
    }

    #[test]
    fn patterns_overlap_filters() {
        for (pattern, filter, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/+", true),
            ("a/+", "+/b", true),
            ("a/+", "b/+", false),
            ("a/#", "a", true),
            ("a", "a/#", true),
            ("a/b", "a", false),
            ("out/+/x", "out/#", true),
            ("out/+/x", "+/+/y", false),
            ("$SYS/x", "#", false), // a filter's leading wildcard does not reach $…
            ("#", "$SYS/x", true),
        ] {
            assert_eq!(overlaps(pattern, filter), expected, "{pattern} and {filter}");
        }
    }

    proptest! {
        #[test]
        fn a_covered_and_matched_topic_proves_an_overlap(
            pattern in "(a|b|\\+)(/(a|b|\\+)){0,2}(/#)?",
            filter in "(a|b|\\+)(/(a|b|\\+)){0,2}(/#)?",
            topic in "(a|b)(/(a|b)){0,3}",
        ) {
            if covers(&pattern, &topic) && lotmq_router::filter_matches(&filter, &topic) {
                prop_assert!(overlaps(&pattern, &filter));
            }
        }
    }
}
