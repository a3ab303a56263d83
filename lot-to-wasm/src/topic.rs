//! The rules of MQTT for Topic Names and Topic Filters, as far as a compiler needs them.

use crate::limits::TOPIC_BYTES_MAX;

/// Returns the error in a Topic Filter \[MQTT-4.7.1-1\], \[MQTT-4.7.1-2\], \[MQTT-4.7.3-1\].
pub(crate) fn filter_problem(filter: &str) -> Option<&'static str> {
    if let Some(problem) = common_problem(filter) {
        return Some(problem);
    }
    if let Some(shared) = filter.strip_prefix("$share/") {
        // [MQTT-4.8.2-1], [MQTT-4.8.2-2]
        let is_whole = shared.split_once('/').is_some_and(|(group, filter)| {
            !group.is_empty() && !group.contains(['+', '#']) && !filter.is_empty()
        });
        if !is_whole {
            return Some("a shared subscription is `$share/group/filter`");
        }
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') && (level != "#" || levels.peek().is_some()) {
            return Some("`#` must be the whole last level");
        }
        if level.contains('+') && level != "+" {
            return Some("`+` must be a whole level");
        }
    }
    None
}

/// Returns the correction of a filter with misplaced wildcards.
pub(crate) fn filter_help(filter: &str) -> Option<String> {
    let levels: Vec<&str> = filter.split('/').collect();
    if common_problem(filter).is_some() || filter.starts_with("$share/") {
        return None;
    }
    let last = levels.len() - 1;
    if levels.iter().any(|level| level.contains(['+', '#']) && level.len() > 1) {
        return Some(
            "a wildcard is a whole level: write +, and ask for a part of it by TOPIC POSITION 1 STARTS_WITH \"a\""
                .to_owned(),
        );
    }
    let own =
        |(index, level): (usize, &&str)| if *level == "#" && index < last { "+" } else { *level }.to_owned();
    let ours = levels.iter().enumerate().map(own).collect::<Vec<_>>().join("/");
    Some(format!("write \"{ours}\" for one level there, or end with /#"))
}

/// Level of a Topic Filter or Topic Name that its author hardly meant literally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForeignWildcard<'t> {
    /// `*`, `**` or `%` as a whole level: the level, its place, and its replacement.
    Level(&'t str, &'static str),
    /// `*` within a level.
    Within(&'t str),
}

/// The first level that is a wildcard elsewhere, but not in MQTT.
pub(crate) fn foreign_wildcard(filter: &str) -> Option<ForeignWildcard<'_>> {
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let is_last = levels.peek().is_none();
        return Some(match level {
            "**" if is_last => ForeignWildcard::Level(level, "#"),
            "*" | "**" | "%" => ForeignWildcard::Level(level, "+"),
            _ if level.contains('*') => ForeignWildcard::Within(level),
            _ => continue,
        });
    }
    None
}

/// The filter with the wildcards of MQTT in place of foreign ones.
pub(crate) fn with_own_wildcards(filter: &str) -> String {
    let count = filter.split('/').count();
    let own = |(index, level): (usize, &str)| match level {
        "**" if index + 1 == count => "#".to_owned(),
        "*" | "**" | "%" => "+".to_owned(),
        _ => level.to_owned(),
    };
    filter.split('/').enumerate().map(own).collect::<Vec<_>>().join("/")
}

/// Error of a topic that has a wildcard in it.
pub(crate) const WILDCARD: &str = "it has `+` or `#` in it";

/// Returns the error in a Topic Name \[MQTT-3.3.2-2\], \[MQTT-4.7.3-1\].
pub(crate) fn name_problem(name: &str) -> Option<&'static str> {
    if name.contains(['+', '#']) {
        return Some(WILDCARD);
    }
    common_problem(name)
}

fn common_problem(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.contains('\0') {
        return Some("it contains NUL");
    }
    (text.len() > TOPIC_BYTES_MAX).then_some("it is longer than 65,535 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_judged_as_mqtt_does() {
        for (filter, valid) in [
            ("a/+/b", true),
            ("#", true),
            ("+", true),
            ("a/#", true),
            ("/", true),
            ("", false),
            ("a/#/b", false),
            ("a+/b", false),
            ("a#", false),
            ("a\0", false),
            ("$share/g/a/#", true),
            ("$share/g", false),
            ("$share//a", false),
            ("$share/g/", false),
            ("$share/+/a", false),
            ("$share", true),
        ] {
            assert_eq!(filter_problem(filter).is_none(), valid, "{filter}");
        }
        assert!(name_problem("a/+").is_some() && name_problem("a/b").is_none());
    }
}
