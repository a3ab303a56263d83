//! Fault points: places where the core does something wrong when a simulation has asked for it, to
//! prove that it would be noticed. Without the feature `fault-points` nobody can ask, and the
//! answer is constant.

/// Fault that tests plant in the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A turn's messages for one session leave in reverse order.
    DeliveryOrder,
    /// A repeated QoS 2 PUBLISH of an open exchange is routed again.
    RepetitionRouted,
    /// PUBREL does not end the exchange, so a new message with its identifier is taken for a
    /// repeat.
    PubrelIgnored,
    /// Packets that are sent again have DUP 0.
    DupForgotten,
    /// One message more is in flight than the Client's Receive Maximum allows.
    ReceiveMaximumExceeded,
    /// No Local is ignored.
    NoLocalIgnored,
    /// Expired messages are sent all the same.
    ExpiredSent,
    /// UNSUBSCRIBE is answered and not done.
    UnsubscribeIgnored,
    /// A second member of a shared subscription gets the message, too.
    SharedTwice,
    /// Silent Clients are not closed.
    KeepAliveIgnored,
    /// A Will is published after a normal DISCONNECT.
    WillNotDiscarded,
    /// Sessions do not expire.
    ExpiryIgnored,
    /// Answers do not wait for the batch that they promise.
    AnswerBeforeCommit,
    /// A batch that failed counts as committed: a ledger that forgets failures.
    FailureForgotten,
    /// Copies of a message for one Client share the memory of their identifiers.
    CopiesShareIdentifier,
    /// A retained message of QoS 2 has an identifier that a crash forgets.
    ReplayNotStored,
    /// A message of QoS 2 leaves before its identifier is on the disk.
    IdentifierNotStored,
    /// A change reaches the store before an earlier one of another thread to the same session.
    ChangeOvertakes,
    /// The answer to a repeated QoS 2 PUBLISH does not wait for what the first one waits for.
    RepetitionAnswered,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 19] = [
        Self::DeliveryOrder,
        Self::RepetitionRouted,
        Self::PubrelIgnored,
        Self::DupForgotten,
        Self::ReceiveMaximumExceeded,
        Self::NoLocalIgnored,
        Self::ExpiredSent,
        Self::UnsubscribeIgnored,
        Self::SharedTwice,
        Self::KeepAliveIgnored,
        Self::WillNotDiscarded,
        Self::ExpiryIgnored,
        Self::AnswerBeforeCommit,
        Self::FailureForgotten,
        Self::CopiesShareIdentifier,
        Self::ReplayNotStored,
        Self::IdentifierNotStored,
        Self::ChangeOvertakes,
        Self::RepetitionAnswered,
    ];
}

#[cfg(feature = "fault-points")]
mod planted {
    use std::cell::Cell;

    use super::Fault;

    thread_local! {
        static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// From now on the core does this wrong on the calling thread, or nothing.
    pub fn plant(fault: Option<Fault>) {
        PLANTED.set(fault);
    }

    pub(crate) fn is_planted(fault: Fault) -> bool {
        PLANTED.get() == Some(fault)
    }
}

#[cfg(feature = "fault-points")]
pub(crate) use planted::is_planted;
#[cfg(feature = "fault-points")]
pub use planted::plant;

/// Whether something is to be done wrong.
#[cfg(not(feature = "fault-points"))]
pub(crate) const fn is_planted(_: Fault) -> bool {
    false
}
