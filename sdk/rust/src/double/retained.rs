//! Double of the interface `retained`: messages that a test sets as retained.

use std::cell::RefCell;

pub use super::bindings::lotmq::guest::retained::{Page, RetainedMessage};

thread_local!(static RETAINED: RefCell<Vec<RetainedMessage>> = RefCell::default());

/// Messages of a page, as the host has them.
const PAGE_MESSAGES: usize = 64;

/// Retains these and no others.
pub(super) fn set(mut messages: Vec<RetainedMessage>) {
    messages.sort_by(|a, b| a.topic.cmp(&b.topic));
    RETAINED.set(messages);
}

pub fn read(filter: &str, after: Option<&str>) -> Page {
    RETAINED.with_borrow(|retained| {
        let behind = |message: &&RetainedMessage| after.is_none_or(|after| message.topic.as_str() > after);
        let mut matching = retained.iter().filter(behind).filter(|it| matches(filter, &it.topic));
        let messages: Vec<RetainedMessage> = matching.by_ref().take(PAGE_MESSAGES).cloned().collect();
        let next_after = matching.next().and(messages.last()).map(|last| last.topic.clone());
        Page { messages, next_after }
    })
}

/// Whether a filter without share matches a topic.
fn matches(filter: &str, topic: &str) -> bool {
    let (mut levels, mut of_topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (levels.next(), of_topic.next()) {
            (Some("#"), _) => return true,
            (Some(level), Some(name)) if level == "+" || level == name => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}
