//! Starts of definitions that wait until all of several events were posted.
//!
//! What the first of them publishes must not overtake the others on their way to the mailboxes
//! further down.

use std::sync::Arc;

use super::Runner;

/// Definitions that begin with what was posted to them when this is dropped.
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
