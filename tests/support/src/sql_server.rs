//! A server of an SQL database, as tests ask it and end it, whoever made it.

use crate::eventually;

/// A server of an SQL database that a test has started.
pub trait SqlServer {
    /// Guard that keeps the server frozen.
    type Frozen;

    /// Runs statements and returns their rows as lines, with bars between the columns.
    ///
    /// # Errors
    /// Returns the error text of the server.
    fn try_sql(&self, statements: &str) -> Result<String, String>;

    /// Ends it at once: nothing is finished, nobody is told.
    ///
    /// # Panics
    /// When it was ended before.
    fn end_at_once(&mut self);

    /// Starts it again at the port and with the data that it has.
    ///
    /// # Panics
    /// When it does not come up.
    fn start_again(&mut self);

    /// Stops it until what this gives is dropped, so that connections stay open and nobody answers.
    ///
    /// # Panics
    /// When it was ended.
    fn freeze(&self) -> Self::Frozen;

    /// Returns the complaints of the server, if they are known.
    fn complaints(&self) -> String {
        String::new()
    }

    /// Runs statements, and gives their rows as lines with bars between the columns.
    ///
    /// # Panics
    /// When the server refuses them.
    fn sql(&self, statements: &str) -> String {
        self.try_sql(statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    /// Waits until a statement gives this.
    ///
    /// # Panics
    /// When it does not within [`WAIT_MAX`](crate::WAIT_MAX).
    fn until(&self, statement: &str, expected: &str) {
        let mut last = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(statement, || {
                last = self.try_sql(statement).unwrap_or_else(|error| error);
                (last == expected).then_some(())
            });
        }));
        assert!(found.is_ok(), "{statement}: {last}, and not {expected}; {}", self.complaints());
    }

    /// Waits until a statement counts so many, for as long as there are ever more.
    ///
    /// # Panics
    /// When there are no more within [`WAIT_MAX`](crate::WAIT_MAX).
    fn until_counted(&self, statement: &str, expected: usize) {
        let count = || self.try_sql(statement).ok()?.parse::<usize>().ok();
        let mut last = None;
        while last != Some(expected) {
            last = eventually("there are more", || {
                let now = count();
                (now > last).then_some(now)
            });
        }
    }
}
