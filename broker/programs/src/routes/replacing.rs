//! Waiting messages for parts of a route that its new text no longer has.

use std::collections::BTreeMap;

use lot_facts::RouteFacts;

use super::mailbox::RouteMessage;
use super::runner::RouteRunner;
use crate::limits::GONE_EVENTS_SHOWN;

/// Returns a warning about waiting messages if a new text replaces the text of the route. Messages
/// for removed events, mappings and tags become dead letters. Counts only the part of the outbox
/// that was read, which is its beginning.
pub fn warning(route: &RouteRunner, said: &RouteFacts) -> Option<String> {
    let shared = route.shared.lock();
    let mut gone: BTreeMap<String, u64> = BTreeMap::new();
    // A former replacement has reported the earlier ones.
    let is_gone = |post: &&RouteMessage| post.to.is_gone(said) && !post.to.is_gone(shared.version.said());
    for post in shared.mailbox.posts().filter(is_gone) {
        *gone.entry(post.to.to_string()).or_default() += 1;
    }
    let (unread, former) = (shared.outbox.unread().messages, &shared.version.said().kind);
    let waiting = shared.mailbox.unfinished().0 as u64 + unread;
    if !gone.is_empty() {
        let count: u64 = gone.values().sum();
        let shown: Vec<String> =
            gone.iter().take(GONE_EVENTS_SHOWN).map(|(name, count)| format!("{name} ({count})")).collect();
        let more = if gone.len() > GONE_EVENTS_SHOWN { ", …" } else { "" };
        let behind =
            if unread > 0 { format!("; {unread} more that wait were not looked at") } else { String::new() };
        return Some(format!(
            "{count} waiting message(s) are for events that go, and become dead letters: {}{more}{behind}",
            shown.join(", ")
        ));
    }
    let former_said = shared.version.said();
    let events = former_said.events.iter().filter(|event| said.event(&event.name).is_none());
    let mappings = former_said.mappings.iter().filter(|mapping| said.mapping(&mapping.name).is_none());
    let names: Vec<&str> = events.chain(mappings).take(GONE_EVENTS_SHOWN).map(|block| &*block.name).collect();
    if unread > 0 && !names.is_empty() {
        return Some(format!(
            "{unread} message(s) wait that were not looked at; those for events that go become dead letters: {}",
            names.join(", ")
        ));
    }
    (waiting > 0 && *former != said.kind).then(|| {
        format!("{waiting} waiting message(s) were taken for type {former}; type {} gets those whose events it has", said.kind)
    })
}
