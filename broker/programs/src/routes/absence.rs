//! Time for which a route is not connected, and the reason. Messages given up meanwhile do not
//! change the reason.

use jiff::{SignedDuration, Timestamp};

/// Absence of the far side of a route; without a beginning it is there.
#[derive(Clone, Debug, Default)]
pub(super) struct Absence {
    since: Option<Timestamp>,
    reason: Option<String>,
    /// Whether the guest is still being compiled, so that nobody has tried to connect.
    is_for_code: bool,
}

impl Absence {
    /// One that begins now, for a reason that is not known yet.
    pub(super) fn beginning(now: Timestamp) -> Self {
        Self { since: Some(now), ..Self::default() }
    }

    /// Notes that the far side is not there now.
    pub(super) fn lasts(&mut self, now: Timestamp) {
        self.since.get_or_insert(now);
    }

    /// Notes why.
    pub(super) fn is_for(&mut self, reason: &str) {
        self.reason = Some(reason.to_owned());
    }

    /// Notes that the guest is still being compiled.
    pub(super) fn is_for_code(&mut self, reason: &str) {
        self.is_for(reason);
        self.is_for_code = true;
    }

    /// Whether the guest is still being compiled.
    pub(super) fn waits_for_code(&self) -> bool {
        self.is_for_code
    }

    pub(super) fn since(&self) -> Option<Timestamp> {
        self.since
    }

    pub(super) fn time(&self, now: Timestamp) -> Option<SignedDuration> {
        self.since.map(|since| now.duration_since(since))
    }

    /// Why it is so, where that was told.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}
