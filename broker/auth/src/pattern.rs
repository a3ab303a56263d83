//! Patterns of rules against topics and against *requested filters*, language reference §10.2.

/// Whether a rule's pattern covers a topic, or a filter taken literally.
///
/// Level by level: `+` in the pattern covers any one level, even a `+` or `#` of the filter; `#`
/// covers the rest and its parent level; every other level only itself. So `dev/#` covers the
/// filter `dev/+/t` but not the broader `#`. A first level that begins with `$` is covered only
/// literally: `#` and `+` do not reach it.
///
/// ```
/// use lotmq_auth::covers;
/// assert!(covers("dev/#", "dev/+/t"));
/// assert!(!covers("dev/#", "#"));
/// assert!(!covers("#", "$foo/bar"));
/// ```
pub fn covers(pattern: &str, asked: &str) -> bool {
    if asked.starts_with('$') && matches!(pattern.as_bytes().first(), Some(b'+' | b'#')) {
        return false;
    }
    let mut asked_levels = asked.split('/');
    for level in pattern.split('/') {
        if level == "#" {
            return true;
        }
        match asked_levels.next() {
            Some(_) if level == "+" => {}
            Some(text) if text == level => {}
            _ => return false,
        }
    }
    asked_levels.next().is_none()
}

/// Of `$share/<group>/<filter>` the filter; everything else as it is.
pub(crate) fn inner_filter(filter: &str) -> &str {
    filter
        .strip_prefix("$share/")
        .and_then(|rest| rest.split_once('/'))
        .map_or(filter, |(_group, inner)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_covers_level_by_level() {
        for (pattern, asked, expected) in [
            ("#", "a/b", true),
            ("#", "#", true),
            ("dev/#", "dev/+/t", true),
            ("dev/#", "dev", true), // # includes the parent level, §4.7.1.2
            ("dev/#", "#", false),
            ("dev/#", "+/x", false),
            ("dev/+/x", "dev/+/x", true),
            ("dev/+/x", "dev/#", false),
            ("dev/+", "dev/#", true), // + covers any one level, even #
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("#", "$foo/bar", false),
            ("+/bar", "$foo/bar", false),
            ("$foo/#", "$foo/bar", true),
            ("$SYS/broker/#", "$SYS/broker", true),
            ("$SYS/broker/#", "$SYS/#", false),
            ("$SYS/broker/#", "$SYS/+/uptime", false),
            ("a/+", "a/", true), // a level may be empty
        ] {
            assert_eq!(covers(pattern, asked), expected, "{pattern} against {asked}");
        }
    }

    #[test]
    fn share_prefix_is_stripped_once() {
        for (filter, expected) in [
            ("$share/g/secret/#", "secret/#"),
            ("$share/secret/a", "a"),
            ("$share/g/$share/h/x", "$share/h/x"),
            ("$share/g", "$share/g"),
            ("secret/#", "secret/#"),
        ] {
            assert_eq!(inner_filter(filter), expected, "{filter}");
        }
    }
}
