//! Deferred starts of definitions, until all of several events were posted.
//!
//! Effects of the first definition must not overtake the other events on their way to mailboxes
//! further down.

use std::sync::Arc;

use super::Runner;

/// Definitions that start on their posted events when this is dropped.
#[derive(Debug, Default)]
pub struct RunnerStarts(Vec<Arc<Runner>>);

impl RunnerStarts {
    /// Adds one that is ready.
    pub(super) fn add(&mut self, runner: Option<Arc<Runner>>) {
        self.0.extend(runner);
    }
}

impl Drop for RunnerStarts {
    fn drop(&mut self) {
        self.0.drain(..).for_each(|runner| runner.enqueue());
    }
}
