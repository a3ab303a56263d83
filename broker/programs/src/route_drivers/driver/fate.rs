//! Judgement of a delivery that failed: what becomes of its messages, by the class of the failure.
//!
//! Pure: [`judge`] gets facts and returns a [`BatchFate`]. Not here: how the fate is carried out
//! (`failing`), and the end of the instance (`driver`).

use std::time::Duration;

use lotmq_host::route::Failure;

use crate::limits::{ROUTE_RETRIES_MIN, ROUTE_RETRY_TIME_MIN};
use crate::routes::mailbox::{Addressee, PutBack};
use crate::routes::pause::Pause;

/// Failure of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallFailure {
    /// The guest asks for another try on the same connection.
    Retry,
    /// Some message can never pass.
    Reject,
    /// The guest has lost the connection.
    Reconnect,
    /// Only people can correct it.
    Fatal,
    /// The guest trapped, or contradicted itself: the effect of the call is unknown.
    Broke,
    /// No answer came in time.
    Silent,
}

impl From<&Failure> for CallFailure {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Retry(_) => Self::Retry,
            Failure::Reject(_) => Self::Reject,
            Failure::Reconnect(_) => Self::Reconnect,
            Failure::Fatal(_) => Self::Fatal,
        }
    }
}

/// Takers of some messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recipients {
    /// A tag is among them. The order of what is written to a machine matters, so nothing of it
    /// may be overtaken.
    Tags,
    /// Several: nobody knows which of them caused the failure.
    Several,
    /// One taker, or none, and the route is known to have no other.
    Only,
    /// One taker, which must not delay the others of the route.
    OneOfSeveral,
}

impl Recipients {
    /// Recipients of messages for these takers. `is_one_of_several` is asked about a single taker.
    pub(super) fn of<'a>(
        takers: impl Iterator<Item = &'a Addressee>,
        is_one_of_several: impl FnOnce(&Addressee) -> bool,
    ) -> Self {
        let (mut first, mut differ) = (None, false);
        for to in takers {
            if to.is_tag() {
                return Self::Tags;
            }
            differ |= *first.get_or_insert(to) != to;
        }
        match first {
            Some(_) if differ => Self::Several,
            Some(to) if is_one_of_several(to) => Self::OneOfSeveral,
            Some(_) | None => Self::Only,
        }
    }
}

/// Facts about the messages of a delivery that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchFacts {
    /// Number of messages.
    pub(super) messages: usize,
    /// Takers of all messages.
    pub(super) recipients: Recipients,
    /// Takers of the messages behind the first one.
    pub(super) behind_first: Recipients,
    /// Tries of the first message on this connection, with this one.
    pub(super) tries: u32,
    /// Time since the first of these tries.
    pub(super) tried_for: Duration,
}

impl BatchFacts {
    /// Whether the first message had its tries.
    fn is_exhausted(&self) -> bool {
        self.tries >= ROUTE_RETRIES_MIN && self.tried_for >= ROUTE_RETRY_TIME_MIN
    }
}

/// State of the instance that a delivery failed with.
#[derive(Clone, Copy, Debug)]
pub(super) struct InstanceStatus {
    /// Time stands still: nothing is retried, because nothing would have changed.
    pub(super) is_at_once: bool,
    /// The guest has reported that the far side is away, and stays open for it.
    pub(super) says_away: bool,
    /// Longest pause of a reconnection, if the route has one.
    pub(super) longest_pause: Option<Duration>,
}

/// Fate of the messages of a delivery that failed.
#[derive(Debug, PartialEq)]
pub(super) struct BatchFate {
    pub(super) step: FirstStep,
    pub(super) back: PutBack,
    /// Whether later batches separate these messages by their takers.
    pub(super) separates: bool,
    pub(super) wait: WaitAfter,
}

/// First step, before the remaining messages go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstStep {
    /// Report all messages, of which none goes back.
    ReportAll,
    /// Reject the first message.
    RejectFirst,
    /// Count a try of the first message.
    CountTry,
    /// Note that the instance may have lost the far side with them.
    NoteLoss,
    /// Only put the messages back.
    None,
}

/// Wait of the driver before the next delivery, unless the taker backs off instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitAfter {
    None,
    /// For the next pause between two tries.
    Pause,
    /// Until the far side is back, or for the next pause of a reconnection.
    FarSide,
}

/// Judges a delivery that failed.
pub(super) fn judge(failure: CallFailure, batch: &BatchFacts, status: InstanceStatus) -> BatchFate {
    let reconnecting = || Pause::reconnecting().at_most(status.longest_pause);
    let fate = |step, back| BatchFate { step, back, separates: false, wait: WaitAfter::None };
    match failure {
        CallFailure::Retry | CallFailure::Reconnect | CallFailure::Fatal | CallFailure::Silent
            if status.is_at_once =>
        {
            fate(FirstStep::ReportAll, PutBack::InOrder)
        }
        CallFailure::Retry if status.says_away => BatchFate {
            wait: WaitAfter::FarSide,
            ..fate(FirstStep::NoteLoss, PutBack::InOrder).resting(batch.recipients, reconnecting())
        },
        CallFailure::Retry => {
            let (step, recipients) = match batch.is_exhausted() {
                true => (FirstStep::RejectFirst, batch.behind_first),
                false => (FirstStep::CountTry, batch.recipients),
            };
            let fate = fate(step, PutBack::InOrder).resting(recipients, Pause::retrying());
            BatchFate { wait: WaitAfter::Pause, ..fate }
        }
        CallFailure::Reject | CallFailure::Broke if batch.messages == 1 => {
            fate(FirstStep::RejectFirst, PutBack::InOrder)
        }
        CallFailure::Reject => fate(FirstStep::None, PutBack::Halved),
        CallFailure::Broke => fate(FirstStep::None, PutBack::Singly),
        CallFailure::Fatal => fate(FirstStep::NoteLoss, PutBack::Lost),
        CallFailure::Reconnect => {
            fate(FirstStep::NoteLoss, PutBack::Lost).resting(batch.recipients, reconnecting())
        }
        // The batch may be too large for one call.
        CallFailure::Silent => {
            fate(FirstStep::NoteLoss, PutBack::Halved).resting(batch.recipients, reconnecting())
        }
    }
}

impl BatchFate {
    /// The same, but the taker backs off if it is one of several. Messages for several takers are
    /// separated first.
    fn resting(self, recipients: Recipients, pauses: Pause) -> Self {
        match recipients {
            Recipients::OneOfSeveral => Self { back: PutBack::Resting(pauses), ..self },
            Recipients::Several => Self { separates: true, ..self },
            Recipients::Only | Recipients::Tags => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [CallFailure; 6] = [
        CallFailure::Retry,
        CallFailure::Reject,
        CallFailure::Reconnect,
        CallFailure::Fatal,
        CallFailure::Broke,
        CallFailure::Silent,
    ];

    const STATUS: InstanceStatus = InstanceStatus {
        is_at_once: false,
        says_away: false,
        longest_pause: Some(Duration::from_millis(700)),
    };

    fn batch(messages: usize, recipients: Recipients) -> BatchFacts {
        BatchFacts {
            messages,
            recipients,
            behind_first: Recipients::Only,
            tries: 1,
            tried_for: Duration::ZERO,
        }
    }

    #[test]
    fn fate_follows_failure_and_recipients() {
        use CallFailure::{Broke, Fatal, Reconnect, Reject, Retry, Silent};
        use FirstStep::{CountTry, NoteLoss, RejectFirst};
        use PutBack::{Halved, InOrder, Lost, Resting, Singly};
        use Recipients::{OneOfSeveral, Only, Several, Tags};
        let none = FirstStep::None;
        let reconnecting = || Resting(Pause::reconnecting().at_most(STATUS.longest_pause));
        for (failure, messages, recipients, step, back, separates) in [
            (Retry, 1, Only, CountTry, InOrder, false),
            (Retry, 3, Only, CountTry, InOrder, false),
            (Retry, 3, Tags, CountTry, InOrder, false),
            (Retry, 3, Several, CountTry, InOrder, true),
            (Retry, 3, OneOfSeveral, CountTry, Resting(Pause::retrying()), false),
            (Reject, 1, OneOfSeveral, RejectFirst, InOrder, false),
            (Reject, 1, Tags, RejectFirst, InOrder, false),
            (Reject, 2, OneOfSeveral, none, Halved, false),
            (Reject, 2, Several, none, Halved, false),
            (Reconnect, 1, Only, NoteLoss, Lost, false),
            (Reconnect, 3, Tags, NoteLoss, Lost, false),
            (Reconnect, 3, Several, NoteLoss, Lost, true),
            (Reconnect, 3, OneOfSeveral, NoteLoss, reconnecting(), false),
            // None of the takers has caused a failure that only people can correct.
            (Fatal, 3, Several, NoteLoss, Lost, false),
            (Fatal, 3, OneOfSeveral, NoteLoss, Lost, false),
            (Broke, 1, OneOfSeveral, RejectFirst, InOrder, false),
            (Broke, 2, OneOfSeveral, none, Singly, false),
            (Broke, 2, Tags, none, Singly, false),
            (Silent, 1, Only, NoteLoss, Halved, false),
            (Silent, 3, Tags, NoteLoss, Halved, false),
            (Silent, 3, Several, NoteLoss, Halved, true),
            (Silent, 3, OneOfSeveral, NoteLoss, reconnecting(), false),
        ] {
            let wait = if failure == Retry { WaitAfter::Pause } else { WaitAfter::None };
            let expected = BatchFate { step, back, separates, wait };
            let fate = judge(failure, &batch(messages, recipients), STATUS);
            assert_eq!(fate, expected, "{failure:?} of {messages} for {recipients:?}");
        }
    }

    #[test]
    fn message_is_rejected_after_enough_tries_for_long_enough() {
        let (tries, time) = (ROUTE_RETRIES_MIN, ROUTE_RETRY_TIME_MIN);
        let short = time - Duration::from_millis(1);
        for (tries, tried_for, behind_first, step, back) in [
            (tries - 1, time, Recipients::Only, FirstStep::CountTry, PutBack::InOrder),
            (tries, short, Recipients::Only, FirstStep::CountTry, PutBack::InOrder),
            (tries, time, Recipients::Only, FirstStep::RejectFirst, PutBack::InOrder),
            // The remaining messages are judged by their own takers.
            (
                tries,
                time,
                Recipients::OneOfSeveral,
                FirstStep::RejectFirst,
                PutBack::Resting(Pause::retrying()),
            ),
        ] {
            let facts = BatchFacts { behind_first, tries, tried_for, ..batch(3, Recipients::Only) };
            let fate = judge(CallFailure::Retry, &facts, STATUS);
            assert_eq!((fate.step, fate.back), (step, back), "{tries} in {tried_for:?}");
            for other in ALL.into_iter().filter(|failure| *failure != CallFailure::Retry) {
                assert_ne!(judge(other, &facts, STATUS).step, FirstStep::RejectFirst, "{other:?}");
            }
        }
    }

    #[test]
    fn absent_far_side_rejects_no_message() {
        let status = InstanceStatus { says_away: true, ..STATUS };
        let reconnecting = || PutBack::Resting(Pause::reconnecting().at_most(STATUS.longest_pause));
        for (recipients, back, separates) in [
            (Recipients::Only, PutBack::InOrder, false),
            (Recipients::Tags, PutBack::InOrder, false),
            (Recipients::Several, PutBack::InOrder, true),
            (Recipients::OneOfSeveral, reconnecting(), false),
        ] {
            let facts = BatchFacts { tries: u32::MAX, tried_for: Duration::MAX, ..batch(2, recipients) };
            let expected = BatchFate { step: FirstStep::NoteLoss, back, separates, wait: WaitAfter::FarSide };
            assert_eq!(judge(CallFailure::Retry, &facts, status), expected, "{recipients:?}");
        }
    }

    #[test]
    fn with_a_stepped_clock_nothing_is_retried() {
        let status = InstanceStatus { is_at_once: true, says_away: true, ..STATUS };
        for failure in ALL {
            let fate = judge(failure, &batch(2, Recipients::OneOfSeveral), status);
            let is_judged = matches!(failure, CallFailure::Reject | CallFailure::Broke);
            assert_eq!(fate.step == FirstStep::ReportAll, !is_judged, "{failure:?}");
            assert_eq!(fate.wait, WaitAfter::None, "{failure:?}");
        }
    }

    #[test]
    fn recipients_of_a_batch() {
        let event = |name: &str| Addressee::Event(name.into());
        let tag = Addressee::Tag("m".into(), "t".into());
        for (takers, is_one_of_several, expected) in [
            (vec![], true, Recipients::Only),
            (vec![event("a"), event("a")], false, Recipients::Only),
            (vec![event("a"), event("a")], true, Recipients::OneOfSeveral),
            (vec![event("a"), event("b"), event("a")], false, Recipients::Several),
            (vec![event("a"), event("b"), tag], true, Recipients::Tags),
        ] {
            assert_eq!(Recipients::of(takers.iter(), |_| is_one_of_several), expected, "{takers:?}");
        }
    }
}
