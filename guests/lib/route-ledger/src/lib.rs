//! Ledger of a route: what became of messages that are delivered again because one before them has not passed.
//!
//! A receipt names messages from the first one on. What was done behind one that failed is remembered here, so that it is not done twice when all comes again from there.

use std::collections::BTreeMap;

use lotmq_guest::route::{Arrival, Delivery, Failure, Receipt, Rejection, ingest, unpublished};

/// What became of a message.
#[derive(Debug, PartialEq)]
pub enum Done {
    /// All of it is done.
    Passed,
    /// It can never pass, and why.
    Rejected(String),
    /// The far side has done it, and this result of it is still to be published.
    Unpublished(Vec<u8>),
}

/// What became of messages whose receipt is still to be given, by their sequence.
#[derive(Debug, Default)]
pub struct Ledger(BTreeMap<u64, Done>);

impl Ledger {
    /// Notes what became of a message.
    pub fn note(&mut self, sequence: u64, done: Done) {
        self.0.insert(sequence, done);
    }

    /// What became of a message when it was delivered before.
    pub fn done(&self, sequence: u64) -> Option<&Done> {
        self.0.get(&sequence)
    }

    /// The result of a message that is still to be published, which is taken out.
    pub fn take_unpublished(&mut self, sequence: u64) -> Option<Vec<u8>> {
        match self.0.remove(&sequence)? {
            Done::Unpublished(result) => Some(result),
            done => {
                self.note(sequence, done);
                None
            }
        }
    }

    /// Publishes the result of a message. What cannot be published now is remembered: the far side has done it.
    ///
    /// # Errors
    /// Why it cannot be published now. That it may never be is noted.
    pub fn publish(&mut self, sequence: u64, result: Arrival) -> Result<(), Failure> {
        let published = ingest::publish(std::slice::from_ref(&result)).map_err(unpublished);
        let (done, ended) = match published {
            Ok(()) => (Done::Passed, Ok(())),
            Err(Failure::Reject(reason)) => (Done::Rejected(format!("'{}': {reason}", result.topic)), Ok(())),
            Err(failure) => (Done::Unpublished(result.payload), Err(failure)),
        };
        self.note(sequence, done);
        ended
    }

    /// What to answer for a batch that was carried out as far as `ended` says: the receipt of what is done, from its first message on.
    ///
    /// # Errors
    /// The failure, where the first one is not done.
    pub fn receipt(&mut self, batch: &[Delivery], ended: Result<(), Failure>) -> Result<Receipt, Failure> {
        let mut receipt = Receipt { accepted: 0, rejected: Vec::new() };
        for delivery in batch {
            match self.0.remove(&delivery.sequence) {
                Some(Done::Passed) => {}
                Some(Done::Rejected(reason)) => {
                    receipt.rejected.push(Rejection { index: receipt.accepted, reason });
                }
                Some(done @ Done::Unpublished(_)) => {
                    self.note(delivery.sequence, done);
                    break;
                }
                None => break,
            }
            receipt.accepted += 1;
        }
        match ended {
            Err(failure) if receipt.accepted == 0 => Err(failure),
            _ => Ok(receipt),
        }
    }
}
