//! Witness: a smaller message that is sent alone before a suspect one. The suspect has ended every
//! connection, and the broker has acknowledged nothing so far.
//!
//! If the broker acknowledges the witness, it accepts messages, so the suspect is too large. The
//! suspect follows on the same connection, and is given up if that ends again. If both have the
//! same topic, the suspect would arrive out of order, so it is given up at once.

use lotmq_guest::route::{DeliveryRef, Failure, QoS, Receipt, Rejection};

use crate::bridge::{Bridge, Stand};
use crate::delivery::{self, Batch, begin, bytes_of, fingerprint};
use crate::limits::DELIVER_MS;

/// Hands a batch over: as it is, or its first message behind a witness.
pub(crate) fn deliver(bridge: &mut Bridge, deliveries: &[DeliveryRef<'_>]) -> Result<Receipt, Failure> {
    let Some(witness) = of(bridge, deliveries) else { return delivery::deliver(bridge, deliveries) };
    let delivered = deliver_behind(bridge, deliveries, witness);
    if delivered.is_err() || bridge.failed.is_some() {
        bridge.closes.keep();
    }
    delivered
}

/// Returns the index of the witness for the first delivery; `None` if it needs none, or there is
/// none. The witness is the first of its topic, so it overtakes only other topics.
fn of(bridge: &Bridge, deliveries: &[DeliveryRef<'_>]) -> Option<usize> {
    let (suspect, others) = deliveries.split_first()?;
    if others.is_empty() || !bridge.closes.wants_witness(suspect.sequence) {
        return None;
    }
    let topic = |delivery: &DeliveryRef<'_>| delivery.message.topic.to_owned();
    let is_witness = |index: usize| {
        let it = &others[index];
        it.message.qos != QoS::AtMostOnce
            && bytes_of(it) < bytes_of(suspect)
            && bridge.far_of(it).is_some()
            && bridge.far_of(it) == bridge.far_of(suspect)
            && !others[..index].iter().any(|before| topic(before) == topic(it))
    };
    let witnesses = || (0..others.len()).filter(|index| is_witness(*index));
    let apart = witnesses().find(|index| topic(&others[*index]) != topic(suspect));
    apart.or_else(|| witnesses().next()).map(|index| index + 1)
}

/// Hands the first of these deliveries over behind its witness.
fn deliver_behind(
    bridge: &mut Bridge,
    deliveries: &[DeliveryRef<'_>],
    witness: usize,
) -> Result<Receipt, Failure> {
    let (suspect, witness) = (&deliveries[0], &deliveries[witness]);
    match hear(bridge, witness) {
        Ok(true) => {}
        Ok(false) => return Batch::new(deliveries).deliver(bridge),
        Err(failure) => {
            // The broker takes others no better.
            bridge.closes.ended_beside(suspect.sequence);
            return Err(failure);
        }
    }
    bridge.closes.is_witness(witness.sequence, fingerprint(witness), bytes_of(witness));
    let ended = if witness.message.topic == suspect.message.topic {
        None
    } else {
        let mut alone = Batch::new(&deliveries[..1]);
        let delivered = alone.deliver(bridge);
        let Err(failure) = delivered else { return delivered };
        alone.note_end(bridge);
        Some(failure)
    };
    match (bridge.closes.verdict(suspect.sequence, bytes_of(suspect)), ended) {
        (Some(reason), ended) => {
            bridge.failed = ended;
            Ok(Receipt { accepted: 1, rejected: vec![Rejection { index: 0, reason }] })
        }
        (None, Some(failure)) => Err(failure),
        (None, None) => Batch::new(deliveries).deliver(bridge),
    }
}

/// Sends the witness and waits for its acknowledgement. Returns false if it is no witness, because
/// it goes nowhere or is refused.
fn hear(bridge: &mut Bridge, witness: &DeliveryRef<'_>) -> Result<bool, Failure> {
    let mut has_begun = false;
    loop {
        if !has_begun && !bridge.has_others(witness.sequence) {
            match begin(bridge, witness) {
                Ok(has_room) => has_begun = has_room,
                Err(_) => return Ok(false),
            }
        }
        let has_worked = bridge.work()?;
        match bridge.sent.get(&witness.sequence) {
            Some(Stand::Done) => return Ok(true),
            Some(Stand::Refused(_)) => return Ok(false),
            None if has_begun => return Ok(false),
            Some(Stand::UnderWay) | None => {}
        }
        if !has_worked {
            bridge.wait(DELIVER_MS, false)?;
        }
    }
}
