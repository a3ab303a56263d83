//! Topic rules, until `lotmq_router` has landed.
pub(crate) fn topic_name_valid(topic: &str) -> Result<(), ()> {
    let ok = !topic.is_empty() && topic.len() <= 65_535 && !topic.contains(['+', '#', '\0']);
    ok.then_some(()).ok_or(())
}
pub(crate) fn filter_matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for part in filter.split('/') {
        if part == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if part == "+" || part == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}
