//! Subscriptions of one session as a list of what was asked for each filter, and what was answered.

use std::collections::BTreeMap;

use lotmq_codec::SubscriptionOptions;

use super::Step;
use crate::matching::{filter_matches, unshared};

/// See the module's documentation.
#[derive(Debug, Default, Clone)]
pub(crate) struct Filters(BTreeMap<&'static str, Vec<Asked>>);

/// A SUBSCRIBE or UNSUBSCRIBE for one filter.
#[derive(Debug, Clone)]
struct Asked {
    /// `None` to unsubscribe.
    options: Option<SubscriptionOptions>,
    sent: Step,
    answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Awaited,
    /// It has not come, and does not any more.
    Never,
    Done(Step),
    Refused,
}

impl Filters {
    pub(super) fn ask(&mut self, filter: &'static str, options: Option<SubscriptionOptions>, step: Step) {
        self.0.entry(filter).or_default().push(Asked { options, sent: step, answer: Answer::Awaited });
    }

    /// The answer to the first of its kind that waits for one has come.
    pub(super) fn answered(&mut self, filter: &'static str, subscribes: bool, is_done: bool, step: Step) {
        let mut all = self.0.get_mut(filter).into_iter().flatten();
        let asked =
            all.find(|asked| asked.options.is_some() == subscribes && asked.answer == Answer::Awaited);
        if let Some(asked) = asked {
            asked.answer = if is_done { Answer::Done(step) } else { Answer::Refused };
        }
    }

    pub(super) fn forget_unanswered(&mut self) {
        for asked in self.0.values_mut().flatten().filter(|asked| asked.answer == Answer::Awaited) {
            asked.answer = Answer::Never;
        }
    }

    /// The same, but for what nothing is known any more.
    pub(super) fn in_doubt(&self) -> Self {
        let mut doubted = self.clone();
        doubted.0.values_mut().flatten().for_each(|asked| asked.answer = Answer::Never);
        doubted
    }

    /// Subscriptions that match a topic, those of groups included, and that may have been in force
    /// at some moment between two steps.
    pub(super) fn possible(
        &self,
        topic: &str,
        (from, to): (Step, Step),
    ) -> Vec<(&'static str, SubscriptionOptions)> {
        let matching = self.0.iter().filter(|(filter, _)| filter_matches(unshared(filter), topic));
        let mut found = Vec::new();
        for (filter, asked) in matching {
            for (at, subscribe) in asked.iter().enumerate() {
                let Some(options) = subscribe.options.filter(|_| subscribe.sent <= to) else { continue };
                let is_over = |later: &Asked| matches!(later.answer, Answer::Done(step) if step < from);
                if !asked[at + 1..].iter().any(is_over) {
                    found.push((*filter, options));
                }
            }
        }
        found
    }

    /// The options of a subscription if it was certainly in force from one step to another.
    pub(super) fn certain(&self, filter: &str, (from, to): (Step, Step)) -> Option<SubscriptionOptions> {
        let asked = self.0.get(filter)?;
        let has_begun = |asked: &Asked| matches!(asked.answer, Answer::Done(step) if step < from);
        let at = asked.iter().rposition(has_begun)?;
        let ends = asked.get(at + 1).map_or(Step::MAX, |next| next.sent);
        asked[at].options.filter(|_| ends > to)
    }

    /// The least that a subscription has certainly granted from one step to another, made anew or
    /// not: replacing it loses nothing \[MQTT-3.8.4-3\].
    pub(super) fn lasting(&self, filter: &str, (from, to): (Step, Step)) -> Option<SubscriptionOptions> {
        let asked = self.0.get(filter)?;
        let has_begun = |asked: &Asked| matches!(asked.answer, Answer::Done(step) if step < from);
        let at = asked.iter().rposition(has_begun)?;
        let later = asked[at + 1..].iter().take_while(|later| later.sent <= to);
        later.map(|later| later.options).fold(asked[at].options, |least, options| {
            let (least, options) = (least?, options?);
            let (qos, no_local) = (least.qos.min(options.qos), least.no_local || options.no_local);
            Some(SubscriptionOptions { qos, no_local, ..least })
        })
    }

    /// All filters that were ever asked for.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}
