//! Things that the broker can be told to do wrong, to prove that the simulation would notice.

use std::cell::Cell;
use std::fmt;

use lotmq_changes::OpKind;

/// Fault that is planted on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// By the core.
    Core(lotmq_core::fault::Fault),
    /// By the guests.
    Guest(GuestFault),
    /// Operations of one kind never reach the store.
    Lost(OpKind),
    /// The disk says that it has synced, and has not.
    LyingDisk,
    /// By a change of owners.
    Handover(HandoverFault),
}

/// Fault of a change of owners of the sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandoverFault {
    /// The log takes changes of the former owner.
    FenceIgnored,
    /// One of the shards is not restored.
    ShardForgotten,
    /// The next owner uses numbers of messages again.
    NumbersRepeated,
}

impl HandoverFault {
    /// All of them.
    const ALL: [Self; 3] = [Self::FenceIgnored, Self::ShardForgotten, Self::NumbersRepeated];
}

/// Fault of guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestFault {
    /// The messages of a run are published twice.
    Doubled,
    /// The messages of a run are not published.
    Lost,
    /// A message that has made too many hops starts one run more.
    OneHopMore,
    /// A mailbox that is full refuses a message without a word.
    RefusalUntold,
    /// A message that a full mailbox has refused is stored for ever.
    RefusedKept,
    /// Runs that a crash has interrupted are not started again.
    RunsForgotten,
    /// Kept values are not restored.
    ValuesForgotten,
    /// Kept values are not stored.
    ValuesUnsaved,
}

impl GuestFault {
    /// All of them.
    const ALL: [Self; 8] = [
        Self::Doubled,
        Self::Lost,
        Self::OneHopMore,
        Self::RefusalUntold,
        Self::RefusedKept,
        Self::RunsForgotten,
        Self::ValuesForgotten,
        Self::ValuesUnsaved,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<GuestFault>> = const { Cell::new(None) };
}

/// Returns the planted fault of this thread's guests.
pub(crate) fn planted() -> Option<GuestFault> {
    PLANTED.get()
}

thread_local! {
    static PLANTED_HANDOVER: Cell<Option<HandoverFault>> = const { Cell::new(None) };
}

/// Returns the planted fault of this thread's changes of owners.
pub(crate) fn planted_handover() -> Option<HandoverFault> {
    PLANTED_HANDOVER.get()
}

/// Kinds of operations without which a promise breaks. Without the others a message comes again
/// that may, or PUBREL does.
const LOST: [OpKind; 15] = [
    OpKind::Enqueue,
    OpKind::Inflight,
    OpKind::PubrecReceived,
    OpKind::Qos2Received,
    OpKind::Qos2Released,
    OpKind::PutSession,
    OpKind::DeleteSession,
    OpKind::PutSubscription,
    OpKind::DeleteSubscription,
    OpKind::PutRetained,
    OpKind::DeleteRetained,
    OpKind::PutKeep,
    OpKind::DeleteKeep,
    OpKind::PutDelayed,
    OpKind::DeleteDelayed,
];

impl Fault {
    /// Every fault.
    pub fn all() -> impl Iterator<Item = Self> {
        let of_core = lotmq_core::fault::Fault::ALL.into_iter().map(Self::Core);
        let of_guests = GuestFault::ALL.into_iter().map(Self::Guest);
        let of_handovers = HandoverFault::ALL.into_iter().map(Self::Handover);
        let of_log = LOST.into_iter().map(Self::Lost).chain([Self::LyingDisk]);
        of_core.chain(of_guests).chain(of_log).chain(of_handovers)
    }

    /// Makes the calling thread do what is wrong by this, or nothing.
    pub(crate) fn plant(fault: Option<Self>) {
        let (mut of_core, mut lost) = (None, None);
        match fault {
            Some(Self::Core(fault)) => of_core = Some(fault),
            Some(Self::Lost(kind)) => lost = Some(kind),
            Some(Self::Guest(_) | Self::LyingDisk | Self::Handover(_)) | None => {}
        }
        PLANTED.set(if let Some(Self::Guest(fault)) = fault { Some(fault) } else { None });
        PLANTED_HANDOVER.set(if let Some(Self::Handover(fault)) = fault { Some(fault) } else { None });
        lotmq_core::fault::plant(of_core);
        lotmq_changes::lose_operations(lost);
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(fault) => write!(f, "{fault:?}"),
            Self::Guest(fault) => write!(f, "Guest{fault:?}"),
            Self::Lost(kind) => write!(f, "Lost{kind:?}"),
            Self::LyingDisk => f.write_str("LyingDisk"),
            Self::Handover(fault) => write!(f, "Handover{fault:?}"),
        }
    }
}
