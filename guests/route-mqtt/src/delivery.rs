//! Deliveries of the host: many are on their way at once, and the host is told of those that the other side has taken, in order.

use lotmq_guest::route::{AddresseeRef, DeliveryRef, Failure, Receipt, Rejection, ambient};

use crate::bridge::{Bridge, Stand};
use crate::failures;
use crate::limits::DELIVER_MS;
use crate::message::Passing;

/// A batch while it is delivered.
struct Batch<'a> {
    deliveries: &'a [DeliveryRef<'a>],
    /// How many were sent, or need not be.
    tried: usize,
    /// Reasons of those that can never pass, by index.
    refused: Vec<(usize, String)>,
    receipt: Receipt,
    /// Failure of the first that is not accepted.
    stopped: Option<Failure>,
}

/// Hands a batch over. What is on its way when the time is over is waited for by the next call, and not sent again.
pub(crate) fn deliver(bridge: &mut Bridge, deliveries: &[DeliveryRef<'_>]) -> Result<Receipt, Failure> {
    let began = ambient::monotonic_ms();
    let receipt = Receipt { accepted: 0, rejected: Vec::new() };
    let mut batch = Batch { deliveries, tried: 0, refused: Vec::new(), receipt, stopped: None };
    loop {
        batch.send(bridge);
        let worked = bridge.work();
        batch.settle(bridge);
        let is_late = ambient::monotonic_ms().saturating_sub(began) >= DELIVER_MS;
        if batch.is_over() || (is_late && batch.receipt.accepted > 0) {
            bridge.failed = worked.err();
            return batch.result();
        }
        let waited = match worked {
            Ok(true) => continue,
            Ok(false) => bridge.wait(DELIVER_MS, false).map(|_| ()),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = waited {
            if batch.receipt.accepted == 0 {
                return Err(failure);
            }
            // What was taken must not be sent again; the failure is told by the next call.
            bridge.failed = Some(failure);
            return batch.result();
        }
    }
}

impl Batch<'_> {
    /// Sends as many as there is room for.
    fn send(&mut self, bridge: &mut Bridge) {
        while let Some(delivery) = self.deliveries.get(self.tried) {
            match begin(bridge, delivery) {
                Ok(true) => {}
                Ok(false) => return,
                Err(reason) => self.refused.push((self.tried, reason)),
            }
            self.tried += 1;
        }
    }

    /// Accepts those from the first on of which it is known what became of them.
    fn settle(&mut self, bridge: &mut Bridge) {
        let mut accepted = self.receipt.accepted as usize;
        while self.stopped.is_none() && accepted < self.tried {
            let sequence = self.deliveries[accepted].sequence;
            let refused = self.refused.iter().find(|(index, _)| *index == accepted);
            let rejected = match (refused, bridge.sent.remove(&sequence)) {
                (Some((_, reason)), _) => Some(reason.clone()),
                (None, Some(Stand::UnderWay)) => {
                    bridge.sent.insert(sequence, Stand::UnderWay);
                    break;
                }
                (None, Some(Stand::Refused(reason))) => match failures::of_publish(reason) {
                    Failure::Reject(reason) => Some(reason),
                    failure => {
                        self.stopped = Some(failure);
                        break;
                    }
                },
                // What was not sent came round and is done.
                (None, Some(Stand::Done) | None) => None,
            };
            let index = self.receipt.accepted;
            self.receipt.rejected.extend(rejected.map(|reason| Rejection { index, reason }));
            self.receipt.accepted += 1;
            accepted += 1;
        }
    }

    fn is_over(&self) -> bool {
        self.stopped.is_some() || self.receipt.accepted as usize >= self.deliveries.len()
    }

    fn result(self) -> Result<Receipt, Failure> {
        match self.stopped {
            Some(failure) if self.receipt.accepted == 0 => Err(failure),
            _ => Ok(self.receipt),
        }
    }
}

/// Begins with a delivery, unless it is on its way already; whether there was room.
fn begin(bridge: &mut Bridge, delivery: &DeliveryRef<'_>) -> Result<bool, String> {
    if bridge.sent.contains_key(&delivery.sequence) {
        return Ok(true);
    }
    let AddresseeRef::Mapping(mapping) = delivery.to else {
        return Err("a bridge has mappings only".to_owned());
    };
    let flow = bridge.config.of_delivery(mapping).ok_or("the mapping takes no messages of this broker")?;
    let message = Passing::of_host(delivery.message, delivery.properties.as_ref());
    let to = bridge.config.flows[flow].to;
    let Some(message) = bridge.passed_on(flow, &message) else { return Ok(true) };
    if message.topic.is_empty() {
        return Err("the topic would be empty".to_owned());
    }
    bridge.send(delivery.sequence, to, message, delivery.received_ms).map_err(|failure| match failure {
        Failure::Reject(reason)
        | Failure::Retry(reason)
        | Failure::Reconnect(reason)
        | Failure::Fatal(reason) => reason,
    })
}
