//! Topic rewriting: puts the levels that one filter's wildcards match in place of another's
//! wildcards (routes reference §6).

use std::borrow::Cow;

/// Prefix of shared subscriptions.
const SHARE: &str = "$share/";

/// The filter within a shared subscription; any other filter as it is.
pub(crate) fn unshared(filter: &str) -> &str {
    filter.strip_prefix(SHARE).and_then(|rest| rest.split_once('/')).map_or(filter, |(_group, filter)| filter)
}

/// Whether it is a shared subscription.
pub(crate) fn is_shared(filter: &str) -> bool {
    filter.starts_with(SHARE)
}

/// A topic that a filter matches, as a pattern has it; `None` where it does not match.
pub(crate) fn rewritten<'t>(filter: &str, topic: &'t str, pattern: &str) -> Option<Cow<'t, str>> {
    if filter == pattern {
        return matches(filter, topic).then_some(Cow::Borrowed(topic));
    }
    let mut captures = Vec::new();
    compare(filter, topic, |captured| captures.push(captured)).then(|| Cow::Owned(filled(pattern, &captures)))
}

/// Whether a filter matches a topic.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    compare(filter, topic, |_| ())
}

/// Returns whether a filter matches a topic. Calls `captured` with each wildcard's match, in order;
/// `None` for a `#` that matches nothing.
fn compare<'t>(filter: &str, topic: &'t str, mut captured: impl FnMut(Option<&'t str>)) -> bool {
    // [MQTT-4.7.2-1]
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut rest = Some(topic);
    for level in filter.split('/') {
        if level == "#" {
            captured(rest);
            return true;
        }
        let Some(topic) = rest else { return false };
        let (first, behind) = match topic.split_once('/') {
            Some((first, behind)) => (first, Some(behind)),
            None => (topic, None),
        };
        if level == "+" {
            captured(Some(first));
        } else if level != first {
            return false;
        }
        rest = behind;
    }
    rest.is_none()
}

/// Fills the wildcards of a pattern with captures. Omits the level of an empty capture.
fn filled(pattern: &str, captures: &[Option<&str>]) -> String {
    let mut captures = captures.iter().copied();
    let mut topic = String::with_capacity(pattern.len());
    let mut is_first = true;
    for level in pattern.split('/') {
        let level = match level {
            "+" | "#" => captures.next().flatten(),
            plain => Some(plain),
        };
        let Some(level) = level else { continue };
        if !std::mem::take(&mut is_first) {
            topic.push('/');
        }
        topic.push_str(level);
    }
    topic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_supply_wildcards() {
        for (filter, topic, pattern, expected) in [
            ("site/#", "site/a/b", "sites/x/#", Some("sites/x/a/b")),
            ("site/#", "site", "sites/x/#", Some("sites/x")),
            ("site/#", "site/", "sites/#", Some("sites/")),
            ("bridged/commands/#", "bridged/commands/test", "commands/#", Some("commands/test")),
            ("+/temp/+", "a/temp/b", "x/+/y/+", Some("x/a/y/b")),
            ("+/temp/#", "a/temp/b/c", "t/+/#", Some("t/a/b/c")),
            ("+/temp/#", "a/temp/b/c", "t/+", Some("t/a")),
            ("a/+", "a/b", "all", Some("all")),
            ("a/#", "a/b/c", "x/+/y", Some("x/b/c/y")),
            ("#", "a/b", "far/#", Some("far/a/b")),
            ("#", "a", "#", Some("a")),
            ("a/+/#", "a/b", "a/+/#", Some("a/b")),
            ("a/+/#", "b/b", "a/+/#", None),
            ("a/#", "a", "#", Some("")),
            ("#", "$SYS/x", "far/#", None),
            ("+/x", "$SYS/x", "far/+", None),
            ("$SYS/#", "$SYS/x", "far/#", Some("far/x")),
            ("a/+", "a", "x", None),
            ("a/+", "a/b/c", "x", None),
            ("a/b", "a/c", "x", None),
            ("+", "", "x/+", Some("x/")),
        ] {
            let found = rewritten(filter, topic, pattern);
            assert_eq!(found.as_deref(), expected, "{filter} {topic} {pattern}");
        }
    }

    #[test]
    fn shared_subscriptions_have_a_filter_within() {
        assert_eq!(unshared("$share/g/a/+"), "a/+");
        assert_eq!(unshared("$share/g"), "$share/g");
        assert_eq!(unshared("a/+"), "a/+");
        assert!(is_shared("$share/g/#") && !is_shared("share/g/#"));
    }
}
