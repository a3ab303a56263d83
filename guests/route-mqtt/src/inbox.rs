//! Unfinished messages: those to publish in this broker, and those that wait for another one.
//!
//! Each has a token. When all its copies are done, its origin gets the acknowledgement.

use std::collections::{BTreeMap, VecDeque};

use lotmq_guest::route::Arrival;

use crate::limits::{ARRIVED_BYTES_MAX, ARRIVED_MAX};
use crate::link::Receipt;
use crate::message::{Passing, host_qos};

/// Origin of a message, which gets the acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Origin {
    /// The other broker of this number.
    Far(usize, Option<Receipt>),
    /// The delivery of this sequence number.
    Delivery(u64),
}

/// A message on its way to another broker.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) token: u64,
    pub(crate) to: usize,
    pub(crate) message: Passing<'static>,
}

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    next_token: u64,
    /// Origins, and how many of their copies are not done.
    open: BTreeMap<u64, (Origin, usize)>,
    tokens: Vec<u64>,
    arrivals: Vec<Arrival>,
    forwards: VecDeque<Forward>,
    bytes: usize,
}

impl Inbox {
    /// Whether a message more is taken.
    pub(crate) fn has_room(&self) -> bool {
        self.arrivals.len() + self.forwards.len() < ARRIVED_MAX && self.bytes < ARRIVED_BYTES_MAX
    }

    /// Begins with a message of which there will be so many copies.
    pub(crate) fn open(&mut self, origin: Origin, copies: usize) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        self.open.insert(token, (origin, copies));
        token
    }

    /// Adds a copy that is to be published here.
    pub(crate) fn publish(&mut self, token: u64, message: Passing<'_>) {
        self.bytes += message.bytes();
        let Passing { topic, payload, qos, retain, properties, bridges } = message;
        self.tokens.push(token);
        self.arrivals.push(Arrival {
            topic: topic.into_owned(),
            payload: payload.into_owned(),
            qos: host_qos(qos),
            retain,
            properties: Some(Passing::all_properties(properties, bridges.as_deref())),
        });
    }

    /// Adds a copy that goes to another broker.
    pub(crate) fn forward(&mut self, forward: Forward) {
        self.bytes += forward.message.bytes();
        self.forwards.push_back(forward);
    }

    /// Returns the messages to publish here.
    pub(crate) fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// Takes what was published, with the tokens.
    pub(crate) fn take_arrivals(&mut self) -> Vec<(u64, Arrival)> {
        let bytes = |arrival: &Arrival| arrival.topic.len() + arrival.payload.len() + 64;
        self.bytes = self.bytes.saturating_sub(self.arrivals.iter().map(bytes).sum());
        std::mem::take(&mut self.tokens).into_iter().zip(std::mem::take(&mut self.arrivals)).collect()
    }

    /// The next copy for another broker.
    pub(crate) fn first_forward(&self) -> Option<&Forward> {
        self.forwards.front()
    }

    /// Takes that copy, which was sent.
    pub(crate) fn take_forward(&mut self) {
        if let Some(forward) = self.forwards.pop_front() {
            self.bytes = self.bytes.saturating_sub(forward.message.bytes());
        }
    }

    /// Notes that a copy is done; gives the origin when it was the last.
    pub(crate) fn done(&mut self, token: u64) -> Option<Origin> {
        let (_, copies) = self.open.get_mut(&token)?;
        *copies = copies.saturating_sub(1);
        if *copies > 0 {
            return None;
        }
        self.open.remove(&token).map(|(origin, _)| origin)
    }

    /// Gives up what is left of a message; gives the origin.
    pub(crate) fn give_up(&mut self, token: u64) -> Option<Origin> {
        self.open.remove(&token).map(|(origin, _)| origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_told_behind_the_last_copy() {
        let mut inbox = Inbox::default();
        let origin = Origin::Far(0, Some(Receipt { id: 7, qos: 1 }));
        let token = inbox.open(origin, 2);
        inbox.publish(token, Passing { topic: "a".into(), ..Passing::default() });
        inbox.forward(Forward { token, to: 1, message: Passing::default() });
        assert_eq!(inbox.take_arrivals().len(), 1);
        assert_eq!(inbox.done(token), None);
        inbox.take_forward();
        assert_eq!(inbox.done(token), Some(origin));
        assert_eq!((inbox.done(token), inbox.bytes), (None, 0));
    }

    #[test]
    fn it_is_bounded() {
        let mut inbox = Inbox::default();
        for _ in 0..ARRIVED_MAX {
            assert!(inbox.has_room());
            inbox.publish(0, Passing::default());
        }
        assert!(!inbox.has_room());
        inbox.take_arrivals();
        inbox.publish(0, Passing { payload: vec![0; ARRIVED_BYTES_MAX].into(), ..Passing::default() });
        assert!(!inbox.has_room());
    }
}
