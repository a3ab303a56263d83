//! Topic Filters as the standard describes them (§4.7, §4.8.2), written down a second time.

/// Share Name and filter of a shared subscription.
pub(super) fn share(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}

/// Whether a filter without `$share/` matches a Topic Name.
pub(crate) fn filter_matches(filter: &str, topic: &str) -> bool {
    let is_hidden = topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'));
    let (filter, topic): (Vec<&str>, Vec<&str>) = (filter.split('/').collect(), topic.split('/').collect());
    !is_hidden && levels_match(&filter, &topic)
}

fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => levels_match(filter, topic),
        ([wanted, filter @ ..], [level, topic @ ..]) => wanted == level && levels_match(filter, topic),
        ([], [_, ..]) | ([_, ..], []) => false,
    }
}

/// Whether SUBSCRIBE may name it.
pub(super) fn filter_is_valid(filter: &str) -> bool {
    let plain = match filter.strip_prefix("$share/") {
        None => filter,
        Some(shared) => match shared.split_once('/') {
            Some((name, filter)) if !name.is_empty() && !name.contains(['+', '#']) => filter,
            Some(_) | None => return false,
        },
    };
    let levels: Vec<&str> = plain.split('/').collect();
    let is_last = |at: usize| at + 1 == levels.len();
    !plain.is_empty()
        && levels.iter().enumerate().all(|(at, level)| match *level {
            "#" => is_last(at),
            "+" => true,
            level => !level.contains(['+', '#']),
        })
}
