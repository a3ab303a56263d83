//! The lines that a process writes, collected by a thread, so that a test can wait for one.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::WAIT_MAX;

/// Lines so far, and whether more can come. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    shared: Arc<(Mutex<Collected>, Condvar)>,
}

#[derive(Debug, Default)]
struct Collected {
    lines: Vec<String>,
    is_over: bool,
}

impl Lines {
    /// Collects what `stream` gives until it ends.
    pub fn collect(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let own = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                own.change(|collected| collected.lines.push(line));
            }
            own.change(|collected| collected.is_over = true);
        });
        lines
    }

    /// Waits for the end of the stream, as after the end of its process.
    ///
    /// # Panics
    /// When it does not come within [`WAIT_MAX`].
    pub fn wait_for_end(&self) {
        self.wait_for("the end", |_| None::<()>);
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// All lines so far as one text.
    pub fn text(&self) -> String {
        self.all().join("\n")
    }

    /// Waits for the first line that `find` gives a value for; `None` when the stream ends without
    /// one.
    ///
    /// # Panics
    /// When neither happens within [`WAIT_MAX`].
    pub fn wait_for<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + WAIT_MAX;
        let mut collected = self.lock();
        loop {
            if let Some(found) = collected.lines.iter().find_map(|line| find(line)) {
                return Some(found);
            }
            if collected.is_over {
                return None;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(left > Duration::ZERO, "no line with {what} among:\n{}", collected.lines.join("\n"));
            collected = self.shared.1.wait_timeout(collected, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a line that contains `text`.
    ///
    /// # Panics
    /// When the stream ends, or [`WAIT_MAX`] is over, without one.
    pub fn expect(&self, text: &str) -> String {
        let found = self.wait_for(text, |line| line.contains(text).then(|| line.to_owned()));
        found.unwrap_or_else(|| panic!("no line with `{text}` among:\n{}", self.text()))
    }

    fn change(&self, change: impl FnOnce(&mut Collected)) {
        change(&mut self.lock());
        self.shared.1.notify_all();
    }

    /// A waiting test that panicked leaves the lines as they are.
    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
