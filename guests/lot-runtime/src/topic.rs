//! Topics: levels, and what the wildcards of a trigger matched (§5.2, §5.5).

use crate::value::{Origin, Value};

/// `TOPIC POSITION n`: the n-th level from 1; Empty when there is none.
pub fn position(topic: &'static str, position: i64) -> Value {
    let Some(skipped) = usize::try_from(position).ok().and_then(|position| position.checked_sub(1)) else {
        return Value::Empty;
    };
    topic.split('/').nth(skipped).map_or(Value::Empty, |level| Value::Text(level, Origin::Data))
}

/// Returns the levels of a topic from the n-th on, which a trailing `#` matched. With `slash`, puts
/// a `/` before them if there is at least one.
pub fn rest(topic: &'static str, from: u32, slash: bool) -> Value {
    let mut start = 0;
    for _ in 1..from {
        match topic[start..].find('/') {
            Some(at) => start += at + 1,
            None => return Value::Text("", Origin::Data),
        }
    }
    // The slash before the n-th level is the topic's own, except before the first.
    match (slash, start) {
        (true, 0) => Value::data(format!("/{topic}")),
        (true, _) => Value::Text(&topic[start - 1..], Origin::Data),
        (false, _) => Value::Text(&topic[start..], Origin::Data),
    }
}

/// Returns the index of the first filter that matches a topic; NUL separates the filters. Returns
/// their number if none does.
pub fn first_match(filters: &str, topic: &str) -> usize {
    filters.split('\0').take_while(|filter| !matches(filter, topic)).count()
}

/// Whether a valid Topic Filter matches a topic \[MQTT-4.7.1-2, 4.7.1-3, 4.7.2-1\].
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            (_, Some(_) | None) => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_count_from_one() {
        for (topic, n, expected) in [
            ("a/b", 1, Value::data("a")),
            ("a/b", 2, Value::data("b")),
            ("a/b", 9, Value::Empty),
            ("a/b", 0, Value::Empty),
            ("a/b", -1, Value::Empty),
            ("/a", 1, Value::data("")),
            ("/a", 2, Value::data("a")),
        ] {
            assert_eq!(position(topic, n), expected, "{topic} {n}");
        }
    }

    #[test]
    fn the_rest_begins_at_a_level() {
        for (topic, from, slash, expected) in [
            ("a/b/c", 2, false, "b/c"),
            ("a/b/c", 2, true, "/b/c"),
            ("a", 2, true, ""),
            ("a", 2, false, ""),
            ("a/b", 1, false, "a/b"),
            ("a/b", 1, true, "/a/b"),
            ("a/", 2, true, "/"),
        ] {
            assert_eq!(rest(topic, from, slash), Value::data(expected), "{topic} {from} {slash}");
        }
    }

    #[test]
    fn the_first_filter_that_matches_counts() {
        for (filters, topic, expected) in [
            ("a/+\0b/+/c", "b/7/c", 1),
            ("a/+\0a/#", "a/7", 0),
            ("a/#\0b", "a", 0),
            ("#", "$SYS/x", 1),
            ("a/+\0b", "c", 2),
        ] {
            assert_eq!(first_match(filters, topic), expected, "{filters:?} {topic}");
        }
    }
}
