//! Fault points of single operations: one kind of them never gets into a batch, so that a
//! simulation can show that it would notice. Not in the binary that users build.

use std::cell::Cell;

use super::Op;

/// A kind of operation without which a promise breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are called as those of `Op`")]
pub enum OpKind {
    Enqueue,
    Inflight,
    PubrecReceived,
    Qos2Received,
    Qos2Released,
    PutSession,
    DeleteSession,
    PutSubscription,
    DeleteSubscription,
    PutRetained,
    DeleteRetained,
    PutKeep,
    DeleteKeep,
    PutDelayed,
    DeleteDelayed,
}

thread_local! {
    static LOST: Cell<Option<OpKind>> = const { Cell::new(None) };
}

/// From now on batches of this thread lose operations of this kind, or none.
pub fn lose_operations(kind: Option<OpKind>) {
    LOST.set(kind);
}

/// Whether an operation is lost.
pub(crate) fn is_lost(op: &Op<'_>) -> bool {
    LOST.get().is_some_and(|lost| kind_of(op) == Some(lost))
}

#[allow(clippy::wildcard_enum_match_arm, reason = "of all others none is lost")]
fn kind_of(op: &Op<'_>) -> Option<OpKind> {
    let kind = match op {
        Op::Enqueue { .. } => OpKind::Enqueue,
        Op::Inflight { .. } => OpKind::Inflight,
        Op::PubrecReceived { .. } => OpKind::PubrecReceived,
        Op::Qos2Received { .. } => OpKind::Qos2Received,
        Op::Qos2Released { .. } => OpKind::Qos2Released,
        Op::PutSession(_) => OpKind::PutSession,
        Op::DeleteSession { .. } => OpKind::DeleteSession,
        Op::PutSubscription(_) => OpKind::PutSubscription,
        Op::DeleteSubscription { .. } => OpKind::DeleteSubscription,
        Op::PutRetained(_) => OpKind::PutRetained,
        Op::DeleteRetained { .. } => OpKind::DeleteRetained,
        Op::PutKeep(_) => OpKind::PutKeep,
        Op::DeleteKeep { .. } => OpKind::DeleteKeep,
        Op::PutDelayed(_) => OpKind::PutDelayed,
        Op::DeleteDelayed { .. } => OpKind::DeleteDelayed,
        _ => return None,
    };
    Some(kind)
}
