//! Deliveries of the host. Many are in flight at once, and the host learns in order which ones the
//! other side has taken.

use lotmq_guest::route::{AddresseeRef, DeliveryRef, Failure, QoS, Receipt, Rejection, ambient};

use crate::bridge::{Bridge, Stand};
use crate::failures;
use crate::limits::{DELIVER_MS, RIGHT_BEHIND_MS};
use crate::message::Passing;

/// A batch while it is delivered.
pub(crate) struct Batch<'a> {
    deliveries: &'a [DeliveryRef<'a>],
    /// How many were sent, or need not be.
    tried: usize,
    /// Reasons of those that can never pass, by index.
    refused: Vec<(usize, String)>,
    receipt: Receipt,
    /// Failure of the first that is not accepted.
    stopped: Option<Failure>,
    /// When it was sent, if it is the only one.
    sent_at: Option<u64>,
}

/// Hands a batch over. Messages in flight at the end of the time are not sent again; the next call
/// waits for them.
pub(crate) fn deliver(bridge: &mut Bridge, deliveries: &[DeliveryRef<'_>]) -> Result<Receipt, Failure> {
    if let Some(delivery) = deliveries.first()
        && let Some(reason) = bridge.closes.verdict(delivery.sequence, bytes_of(delivery))
    {
        bridge.closes.keep();
        return Ok(Receipt { accepted: 1, rejected: vec![Rejection { index: 0, reason }] });
    }
    let mut batch = Batch::new(deliveries);
    let delivered = batch.deliver(bridge);
    if delivered.is_err() || bridge.failed.is_some() {
        batch.note_end(bridge);
    }
    delivered
}

impl<'a> Batch<'a> {
    pub(crate) fn new(deliveries: &'a [DeliveryRef<'a>]) -> Batch<'a> {
        let receipt = Receipt { accepted: 0, rejected: Vec::new() };
        Batch { deliveries, tried: 0, refused: Vec::new(), receipt, stopped: None, sent_at: None }
    }

    pub(crate) fn deliver(&mut self, bridge: &mut Bridge) -> Result<Receipt, Failure> {
        let began = ambient::monotonic_ms();
        loop {
            self.send(bridge);
            let worked = bridge.work();
            self.settle(bridge);
            let is_late = ambient::monotonic_ms().saturating_sub(began) >= DELIVER_MS;
            if self.is_over() || (is_late && self.receipt.accepted > 0) {
                bridge.failed = worked.err();
                return self.result();
            }
            let waited = match worked {
                Ok(true) => continue,
                Ok(false) => bridge.wait(DELIVER_MS, false).map(|_| ()),
                Err(failure) => Err(failure),
            };
            if let Err(failure) = waited {
                if self.receipt.accepted == 0 {
                    return Err(failure);
                }
                // Accepted messages must not be sent again, so the next call reports the failure.
                bridge.failed = Some(failure);
                return self.result();
            }
        }
    }

    /// Notes whether the connection ended right after a message that was alone in flight.
    pub(crate) fn note_end(&self, bridge: &mut Bridge) {
        if let ([delivery], Some(sent_at)) = (self.deliveries, self.sent_at) {
            let is_soon = ambient::monotonic_ms().saturating_sub(sent_at) <= RIGHT_BEHIND_MS;
            match is_soon && bridge.has_only(delivery.sequence) {
                true => bridge.closes.ended_behind(delivery.sequence),
                false => bridge.closes.ended_beside(delivery.sequence),
            }
        }
        bridge.closes.keep();
    }

    /// Sends as many as there is room for.
    fn send(&mut self, bridge: &mut Bridge) {
        // A single delivery is sent alone, so that the cause of a connection end is known.
        if self.deliveries.len() == 1 && self.tried == 0 && bridge.has_others(self.deliveries[0].sequence) {
            return;
        }
        while let Some(delivery) = self.deliveries.get(self.tried) {
            match begin(bridge, delivery) {
                Ok(true) if self.deliveries.len() == 1 => self.sent_at = Some(ambient::monotonic_ms()),
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
                (None, Some(Stand::Done)) => {
                    let delivery = &self.deliveries[accepted];
                    if delivery.message.qos != QoS::AtMostOnce {
                        bridge.closes.passed(sequence, bytes_of(delivery));
                    }
                    None
                }
                // A message that was not sent had looped and is done.
                (None, None) => None,
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

    fn result(&mut self) -> Result<Receipt, Failure> {
        match self.stopped.take() {
            Some(failure) if self.receipt.accepted == 0 => Err(failure),
            _ => {
                let rejected = std::mem::take(&mut self.receipt.rejected);
                Ok(Receipt { accepted: self.receipt.accepted, rejected })
            }
        }
    }
}

/// Bytes by which messages are compared: those of topic and payload.
pub(crate) fn bytes_of(delivery: &DeliveryRef<'_>) -> u64 {
    (delivery.message.topic.len() + delivery.message.payload.len()) as u64
}

/// Begins with a delivery, unless it is on its way already; whether there was room.
pub(crate) fn begin(bridge: &mut Bridge, delivery: &DeliveryRef<'_>) -> Result<bool, String> {
    if bridge.sent.contains_key(&delivery.sequence) {
        return Ok(true);
    }
    if bridge.closes.was_witness(delivery.sequence, || fingerprint(delivery)) {
        bridge.sent.insert(delivery.sequence, Stand::Done);
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

/// Returns a number that distinguishes deliveries that may share a sequence number after a restart.
pub(crate) fn fingerprint(delivery: &DeliveryRef<'_>) -> u64 {
    Passing::of_host(delivery.message, delivery.properties.as_ref()).fingerprint(delivery.received_ms)
}
