//! The database of an open route, where the calls of the host find it.

use std::cell::RefCell;

use lotmq_guest::route::{Delivery, Failure, Receipt};

use crate::{Database, Tasks};

/// Place of the open database of a guest, with what its route does there.
pub struct Opened<D>(RefCell<Option<(D, Tasks)>>);

impl<D> Opened<D> {
    /// A route that is not open.
    #[must_use]
    pub const fn none() -> Opened<D> {
        Opened(RefCell::new(None))
    }
}

impl<D: Database> Opened<D> {
    /// Opens the route.
    pub fn set(&self, database: D, tasks: Tasks) {
        self.0.replace(Some((database, tasks)));
    }

    /// Closes the route; gives its database.
    pub fn take(&self) -> Option<D> {
        self.0.take().map(|(database, _)| database)
    }

    /// Hands a batch over.
    ///
    /// # Errors
    /// Nothing of the batch is done, and why.
    pub fn deliver(&self, batch: &[Delivery]) -> Result<Receipt, Failure> {
        self.with(|database, tasks| crate::delivery::deliver(database, tasks, batch))
    }

    /// Answers a request.
    ///
    /// # Errors
    /// Why it cannot be answered.
    pub fn request(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, Failure> {
        self.with(|database, tasks| crate::request::request(database, tasks, operation, body))
    }

    fn with<T>(&self, work: impl FnOnce(&mut D, &Tasks) -> Result<T, Failure>) -> Result<T, Failure> {
        match &mut *self.0.borrow_mut() {
            Some((database, tasks)) => work(database, tasks),
            None => Err(Failure::Reconnect("it is not open".to_owned())),
        }
    }
}
