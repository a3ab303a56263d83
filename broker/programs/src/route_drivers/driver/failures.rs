//! Texts and ends of a drive that failures of a guest become.

use std::sync::Arc;

use lotmq_host::Trap;
use lotmq_host::route::Failure;

use super::Ended;
use crate::route_modules::ModuleFigures;

/// Counts a trap; returns what it was, with the code that is explained.
pub(super) fn trapped(figures: Option<&Arc<ModuleFigures>>, trap: &Trap) -> String {
    if let Some(figures) = figures {
        figures.trapped();
    }
    format!("{} ({})", trap.message, trap.kind.code())
}

pub(super) fn ended(failure: Failure) -> Ended {
    match failure {
        Failure::Fatal(reason) => Ended::Fatal(reason),
        Failure::Retry(reason) | Failure::Reconnect(reason) | Failure::Reject(reason) => Ended::Away(reason),
    }
}

/// Converts the end of an instance that is not open yet.
pub(super) fn not_opened(ended: Ended) -> Ended {
    match ended {
        Ended::Away(reason) | Ended::Broke(reason) => Ended::NotOpened(reason),
        Ended::NotOpened(_) | Ended::Fatal(_) | Ended::Changed => ended,
    }
}

pub(super) fn text_of(failure: Failure) -> String {
    match failure {
        Failure::Retry(reason)
        | Failure::Reconnect(reason)
        | Failure::Reject(reason)
        | Failure::Fatal(reason) => reason,
    }
}
