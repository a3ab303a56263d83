//! How a run ended.

use crate::{RunError, Value};

/// Outcome of a run. Its [`RunOutput`](crate::RunOutput) has the effects that it wrote until then,
/// in every case but one.
#[derive(Debug, Clone, PartialEq)]
pub enum RunOutcome {
    /// To its end. The outputs of a call in the order in which the Action declares them; empty for
    /// other events.
    Done(Vec<Value>),
    /// With an error of the guest's own. The instance lives on.
    Failed(RunError),
    /// By force: the instance was thrown away.
    Trapped(Trap),
    /// The slice of an inline run was over before the run; nothing of it has happened and the
    /// instance was thrown away. The event must be posted to the definition's mailbox, where it
    /// runs anew. The [`RunOutput`](crate::RunOutput) is empty.
    SliceExpired,
}

/// Why a guest was stopped by force.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Trap {
    /// Cause of the trap.
    pub kind: TrapKind,
    /// One sentence for people, with the limit that was reached.
    pub message: String,
    /// Innermost function of the guest that has a name, where known.
    pub function: Option<String>,
}

impl Trap {
    /// Of an instance that would be entered again after a trap.
    pub(crate) fn stopped_before() -> Trap {
        Trap { kind: TrapKind::Start, message: "the instance was stopped before".to_owned(), function: None }
    }
}

/// Cause for which the host stopped a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrapKind {
    /// It ran longer than its limit.
    Time,
    /// It ended because it was refused more memory.
    Memory,
    /// It recursed too deep.
    Stack,
    /// It gave up: a panic or an abort.
    Unreachable,
    /// It reached outside its memory or tables.
    OutOfBounds,
    /// It divided by zero, or a number did not fit.
    Arithmetic,
    /// It called a host function in a way that the contract forbids, such as one that is not
    /// provided.
    HostCall,
    /// It could not be instantiated: its start function failed, or it needs more than it may have.
    Start,
    /// No instance was free in the engine's pool. Not the guest's fault.
    Pool,
    /// Anything else.
    Other,
}

impl TrapKind {
    /// All of them.
    pub const ALL: [TrapKind; 10] = [
        TrapKind::Time,
        TrapKind::Memory,
        TrapKind::Stack,
        TrapKind::Unreachable,
        TrapKind::OutOfBounds,
        TrapKind::Arithmetic,
        TrapKind::HostCall,
        TrapKind::Start,
        TrapKind::Pool,
        TrapKind::Other,
    ];

    /// Stable code for replies, `Error` topics and metrics.
    pub fn code(self) -> &'static str {
        match self {
            TrapKind::Time => "GUEST_TIME",
            TrapKind::Memory => "GUEST_MEMORY",
            TrapKind::Stack => "GUEST_STACK",
            TrapKind::Unreachable => "GUEST_PANIC",
            TrapKind::OutOfBounds => "GUEST_BOUNDS",
            TrapKind::Arithmetic => "GUEST_ARITHMETIC",
            TrapKind::HostCall => "GUEST_HOST_CALL",
            TrapKind::Start => "GUEST_START",
            TrapKind::Pool => "GUEST_POOL",
            TrapKind::Other => "GUEST_TRAP",
        }
    }
}

impl From<Trap> for RunError {
    fn from(trap: Trap) -> Self {
        RunError { code: trap.kind.code().to_owned(), message: trap.message, line: 0, column: 0 }
    }
}
