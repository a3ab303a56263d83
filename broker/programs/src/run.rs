//! Run of a definition that has ended: what led to it and how it ended, for who carries out its
//! effects and records it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lotmq_host::RunOutcome;

use lotmq_core::tenant::Tenant;

/// Message that started a run, for records.
#[derive(Clone, Copy, Default)]
pub struct Started<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) client_id: &'a str,
}

/// Run that has ended.
pub struct Run<'a> {
    pub tenant: &'a Arc<Tenant>,
    /// Hops of the message that started it.
    pub hops: u8,
    /// Message that started it.
    pub trigger: Option<Started<'a>>,
    pub outcome: &'a RunOutcome,
    pub timing: Option<(Instant, Duration)>,
    /// Name of the run where a command waits for it; empty otherwise.
    pub trace_id: &'a str,
}
