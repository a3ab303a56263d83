//! Ledger of a route: results of messages that are delivered again because an earlier one failed.
//!
//! A receipt covers messages from the first one on. The ledger remembers messages that were done
//! after a failed one, so that they are not done twice.

use std::collections::BTreeMap;

use lotmq_guest::route::{Arrival, Delivery, Failure, Receipt, Rejection, ingest, unpublished};

/// Result of a message.
#[derive(Debug, PartialEq)]
pub enum Done {
    /// All of it is done.
    Passed,
    /// It can never pass, and why.
    Rejected(String),
    /// The far side has done it, and this result of it is still to be published.
    Unpublished(Vec<u8>),
}

/// Results of messages without a receipt so far, by sequence number.
#[derive(Debug, Default)]
pub struct Ledger(BTreeMap<u64, Done>);

impl Ledger {
    /// Notes what became of a message.
    pub fn note(&mut self, sequence: u64, done: Done) {
        self.0.insert(sequence, done);
    }

    /// Returns the result of an earlier delivery of a message.
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

    /// Publishes the result of a message. Keeps the result if that fails for now, because the far
    /// side has done its work.
    ///
    /// # Errors
    /// Returns why it cannot be published now. A permanent rejection is noted and is no error.
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

    /// Returns the receipt for a batch that `ended` this way: all messages that are done, from the
    /// first one on.
    ///
    /// # Errors
    /// Returns the failure if the first message is not done.
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

#[cfg(test)]
mod tests {
    use lotmq_guest::route::{Addressee, Message, QoS};

    use super::*;

    fn batch(sequences: impl IntoIterator<Item = u64>) -> Vec<Delivery> {
        let delivery = |sequence| Delivery {
            sequence,
            to: Addressee::Event("e".to_owned()),
            message: Message {
                topic: "t".to_owned(),
                payload: Vec::new(),
                qos: QoS::AtLeastOnce,
                retain: false,
                client_id: String::new(),
            },
            properties: None,
            received_ms: 0,
            placeholders: Vec::new(),
        };
        sequences.into_iter().map(delivery).collect()
    }

    #[test]
    fn what_is_done_behind_a_failure_is_remembered_and_nothing_longer() {
        let mut ledger = Ledger::default();
        ledger.note(1, Done::Passed);
        ledger.note(2, Done::Rejected("no".to_owned()));
        ledger.note(4, Done::Passed);
        ledger.note(5, Done::Unpublished(b"result".to_vec()));
        let away = || Err(Failure::Retry("away".to_owned()));
        let receipt = ledger.receipt(&batch(1..=5), away()).unwrap();
        assert_eq!((receipt.accepted, receipt.rejected.len(), receipt.rejected[0].index), (2, 1, 1));
        assert_eq!(ledger.done(1), None);
        assert!(ledger.receipt(&batch(3..=5), away()).is_err(), "nothing from the first one on");
        ledger.note(3, Done::Passed);
        let receipt = ledger.receipt(&batch(3..=5), Ok(())).unwrap();
        assert_eq!((receipt.accepted, receipt.rejected.len()), (2, 0), "a result is still to be published");
        assert_eq!(ledger.take_unpublished(5), Some(b"result".to_vec()));
        assert_eq!((ledger.take_unpublished(5), ledger.done(5)), (None, None));
    }

    #[test]
    fn a_result_that_is_published_has_passed() {
        let mut ledger = Ledger::default();
        let result = Arrival {
            topic: "r".to_owned(),
            payload: b"x".to_vec(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: None,
        };
        ledger.publish(7, result).unwrap();
        assert_eq!(ledger.done(7), Some(&Done::Passed));
    }
}
