//! Combinations of the matrix of rights.

use lotmq_client::ProtocolVersion;

use super::sources::SourceKind;

/// Operation of a user, or event of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Publish,
    LiteralSubscription,
    WildcardSubscription,
    SharedSubscription,
    WillAtConnect,
    WillWhenDue,
    RetainedReplay,
    Queue,
    TakeOver,
    TopicAlias,
    SysTopic,
    Command,
    Guest,
}

impl Operation {
    const ALL: [Self; 13] = [
        Self::Publish,
        Self::LiteralSubscription,
        Self::WildcardSubscription,
        Self::SharedSubscription,
        Self::WillAtConnect,
        Self::WillWhenDue,
        Self::RetainedReplay,
        Self::Queue,
        Self::TakeOver,
        Self::TopicAlias,
        Self::SysTopic,
        Self::Command,
        Self::Guest,
    ];

    /// Whether the Client has to acknowledge by itself.
    pub(super) fn has_manual_acks(self) -> bool {
        matches!(self, Self::Queue | Self::TakeOver)
    }
}

/// The right of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Allowed,
    Denied,
    /// Allowed when the session begins, and denied later.
    Revoked,
}

/// State of the session between its beginning and the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moment {
    /// Its Client stays connected.
    Live,
    /// Its Client is away meanwhile.
    Offline,
    /// Its Client is away, and the broker is killed and started again.
    Restart,
}

impl Moment {
    pub(super) const ALL: [Self; 3] = [Self::Live, Self::Offline, Self::Restart];
}

/// One combination, apart from the source of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Case {
    pub(super) operation: Operation,
    pub(super) verdict: Verdict,
    pub(super) moment: Moment,
    /// Whether it is MQTT 5.0, and not 3.1.1.
    pub(super) is_v5: bool,
}

impl Case {
    /// All combinations.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let of_verdict = |operation| {
            [Verdict::Allowed, Verdict::Denied, Verdict::Revoked].map(move |verdict| (operation, verdict))
        };
        Operation::ALL.into_iter().flat_map(of_verdict).flat_map(|(operation, verdict)| {
            let of = move |moment| [false, true].map(move |is_v5| Self { operation, verdict, moment, is_v5 });
            Moment::ALL.into_iter().flat_map(of)
        })
    }

    /// Client Identifier, level of its topics and name of its variable.
    pub(super) fn id(&self) -> String {
        let Self { operation, verdict, moment, is_v5 } = self;
        format!("{operation:?}_{verdict:?}_{moment:?}_{}", if *is_v5 { 5 } else { 3 })
    }

    pub(super) fn version(&self) -> ProtocolVersion {
        if self.is_v5 { ProtocolVersion::V5 } else { ProtocolVersion::V3_1_1 }
    }

    /// Whether the user may do it when the session begins.
    pub(super) fn begins_allowed(&self) -> bool {
        self.verdict != Verdict::Denied
    }

    /// Whether the user may do it in the end.
    pub(super) fn ends_allowed(&self) -> bool {
        self.verdict == Verdict::Allowed
    }

    pub(super) fn is_live(&self) -> bool {
        self.moment == Moment::Live
    }

    /// Reason why the combination is not run.
    pub(super) fn left_out(&self, source: SourceKind) -> Option<&'static str> {
        LEFT_OUT.iter().find(|reason| (reason.is_such)(self, source)).map(|reason| reason.because)
    }
}

/// Combinations that make no sense.
pub(super) struct LeftOut {
    pub(super) is_such: fn(&Case, SourceKind) -> bool,
    pub(super) because: &'static str,
}

/// All reasons to leave a combination out.
pub(super) const LEFT_OUT: &[LeftOut] = &[
    LeftOut {
        is_such: |case, _| case.operation == Operation::WillWhenDue && case.verdict == Verdict::Denied,
        because: "a Will that is denied is refused at CONNECT, so it is never due",
    },
    LeftOut {
        is_such: |case, _| case.operation == Operation::WillWhenDue && !case.is_v5 && !case.is_live(),
        because: "a Will of 3.1.1 has no delay, so it is due when the connection ends",
    },
    LeftOut {
        is_such: |case, _| case.operation == Operation::TopicAlias && !case.is_v5,
        because: "3.1.1 has no Topic Alias",
    },
    LeftOut {
        is_such: |case, _| case.operation == Operation::TakeOver && !case.is_live(),
        because: "a session without a connection is resumed, as those of the queue are",
    },
    LeftOut {
        is_such: |case, source| {
            let is_will = case.operation == Operation::WillWhenDue;
            is_will
                && case.verdict == Verdict::Revoked
                && case.is_live()
                && !case.is_v5
                && source == SourceKind::Token
        },
        because: "3.1.1 has no AUTH: a new token comes with a CONNECT, which replaces the Will",
    },
];
