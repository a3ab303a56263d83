//! Figures of a member of the login chain, for operators.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lotmq_histogram::{DurationCounts, Histogram};
use parking_lot::Mutex;

/// Bounds of the times in which members that are waited for answer.
pub const ANSWER_BOUNDS: &[Duration] = &[
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// Buckets of [`ANSWER_BOUNDS`].
const ANSWER_BUCKETS: usize = ANSWER_BOUNDS.len() + 1;

/// Times in which a member has answered.
pub type AnswerTimes = DurationCounts<ANSWER_BUCKETS>;

/// Counters of one member since the start, over all listeners.
#[derive(Debug)]
pub struct MemberFigures {
    asked: AtomicU64,
    allowed: AtomicU64,
    denied: AtomicU64,
    continued: AtomicU64,
    failed: AtomicU64,
    last_error: Mutex<Option<String>>,
    /// Of a member that is waited for; nothing for others.
    answers: Histogram<ANSWER_BUCKETS>,
}

impl Default for MemberFigures {
    fn default() -> Self {
        MemberFigures {
            asked: AtomicU64::default(),
            allowed: AtomicU64::default(),
            denied: AtomicU64::default(),
            continued: AtomicU64::default(),
            failed: AtomicU64::default(),
            last_error: Mutex::default(),
            answers: Histogram::new(ANSWER_BOUNDS),
        }
    }
}

/// Values of the counters at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberCounts {
    /// Logins about which the member was asked.
    pub asked: u64,
    /// Logins that it allowed.
    pub allowed: u64,
    /// Logins that it denied.
    pub denied: u64,
    /// Logins that it left to the next member.
    pub continued: u64,
    /// Logins about which it could not decide, which were refused.
    pub failed: u64,
}

/// Result of a login as figures count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberResult {
    Allowed,
    Denied,
    Continued,
    Failed,
}

impl MemberFigures {
    /// The counters now.
    pub fn counts(&self) -> MemberCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MemberCounts {
            asked: load(&self.asked),
            allowed: load(&self.allowed),
            denied: load(&self.denied),
            continued: load(&self.continued),
            failed: load(&self.failed),
        }
    }

    /// Reason of the last failure; `None` if there was none.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    /// Times in which the member has answered, its queue included. Empty for a member that answers
    /// at once.
    pub fn answer_times(&self) -> AnswerTimes {
        self.answers.read()
    }

    pub(crate) fn note_answer(&self, took_ms: u64) {
        self.answers.observe(Duration::from_millis(took_ms), 1);
    }

    pub(crate) fn count_asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, result: MemberResult) {
        let counter = match result {
            MemberResult::Allowed => &self.allowed,
            MemberResult::Denied => &self.denied,
            MemberResult::Continued => &self.continued,
            MemberResult::Failed => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_error(&self, reason: &str) {
        *self.last_error.lock() = Some(reason.to_owned());
    }
}
