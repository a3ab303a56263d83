//! Matching of Topic Filters as the standard describes it (§4.7, §4.8.2), written down a second
//! time.

/// Share Name and filter of a shared subscription.
pub(crate) fn share(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}

/// The filter without its `$share/…/`.
pub(crate) fn unshared(filter: &str) -> &str {
    share(filter).map_or(filter, |(_, filter)| filter)
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
