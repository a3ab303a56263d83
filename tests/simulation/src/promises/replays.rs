//! Retained messages that a subscription must bring: what certainly was retained when it was made,
//! or what has replaced it since, as long as the broker lives.

use lotmq_codec::{QoS, RetainHandling, SubscriptionOptions};

use super::{Kind, Promises, Published, Step};
use crate::checked::{Checked, ensure};
use crate::client::MessageId;
use crate::matching::{filter_matches, unshared};

/// A SUBSCRIBE that wants retained messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    filter: &'static str,
    options: SubscriptionOptions,
    asked: Step,
    answered: Option<Step>,
}

/// Those of one session, since the broker was started.
#[derive(Debug, Default)]
pub(super) struct Replays(Vec<Wanted>);

impl Replays {
    pub(super) fn ask(&mut self, filter: &'static str, options: SubscriptionOptions, asked: Step) {
        let is_wanted = options.retain_handling == RetainHandling::Send && options.qos > QoS::AtMostOnce;
        if is_wanted && unshared(filter) == filter {
            self.0.push(Wanted { filter, options, asked, answered: None });
        }
    }

    /// The answer to the first SUBSCRIBE for this filter that waits for one has come.
    pub(super) fn answered(&mut self, filter: &str, is_done: bool, step: Step) {
        let waits = |wanted: &Wanted| wanted.filter == filter && wanted.answered.is_none();
        let Some(at) = self.0.iter().position(waits) else { return };
        if is_done {
            self.0[at].answered = Some(step);
        } else {
            self.0.remove(at);
        }
    }

    /// Answers do not come any more.
    pub(super) fn forget_unanswered(&mut self) {
        self.0.retain(|wanted| wanted.answered.is_some());
    }

    /// The broker was killed: it knows nothing of what was under way.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Promises {
    /// Everybody has what was retained.
    ///
    /// # Errors
    /// When something is missing.
    pub(super) fn check_replays(&self) -> Checked {
        if self.has_failed || self.is_incomplete {
            return Ok(());
        }
        for client in 0..self.clients.len() {
            let book = self.last(client);
            for wanted in &book.replays.0 {
                let Some(answered) = wanted.answered else { continue };
                // Neither ended nor made anew since.
                if book.filters.certain(wanted.filter, (answered + 1, self.step)).is_none() {
                    continue;
                }
                for (id, message) in self.messages.iter().enumerate() {
                    let is_wanted = filter_matches(wanted.filter, message.topic);
                    let Some(any) = self.retained_since(id, message, wanted.asked).filter(|_| is_wanted)
                    else {
                        continue;
                    };
                    let is_hidden = |id: &MessageId| {
                        wanted.options.no_local && usize::from(self.messages[*id].publisher) == client
                    };
                    if any.iter().any(is_hidden) {
                        continue;
                    }
                    let has_got = any.iter().any(|id| self.has_got(client, *id));
                    ensure!(
                        has_got,
                        "c{client} lacks {message:?}, which was retained for {wanted:?}, and any later one"
                    );
                }
            }
        }
        Ok(())
    }

    /// A message that certainly was its topic's retained one before a step, and those that may have
    /// replaced it since: who was subscribed from then on has one of them. None where that is not
    /// so, or where one of them may have left nothing behind.
    fn retained_since(&self, id: MessageId, message: &Published, step: Step) -> Option<Vec<MessageId>> {
        let leaves_something = |published: &Published| {
            published.kind == Kind::Publish
                && published.tag.is_some()
                && published.qos > QoS::AtMostOnce
                && !published.may_have_expired(self.now_ms)
        };
        let is_candidate = message.retain
            && leaves_something(message)
            && message.taken.is_some_and(|(taken, _)| taken < step);
        if !is_candidate {
            return None;
        }
        let rivals = self.messages.iter().enumerate().filter(|(_, published)| {
            published.retain
                && published.topic == message.topic
                && published.kind != Kind::DiscardedWill
                && published.until() >= message.sent
        });
        let mut any = vec![id];
        for (rival, published) in rivals {
            if !leaves_something(published) {
                return None;
            }
            any.push(rival);
        }
        Some(any)
    }
}
