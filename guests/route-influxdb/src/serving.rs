//! Message handling of an open route: one request for neighbouring points, and one for each
//! question.

use lotmq_guest::route::{Addressee, Arrival, Delivery, Failure, Receipt, Rejection, ingest, unpublished};
use serde_json::Value as Json;

use crate::config::{Answer, Config, Event};
use crate::far::Far;
use crate::limits::{RESULT_BYTES_MAX, WRITE_BYTES};
use crate::question::rows;

/// An open route.
pub(crate) struct Serving {
    pub(crate) far: Far,
    config: Config,
}

/// Points that go together.
#[derive(Default)]
struct Points {
    text: String,
    /// How many messages they are of, with those among them that have none, and why.
    messages: usize,
    rejected: Vec<(usize, String)>,
}

impl Serving {
    pub(crate) fn open(config: Config) -> Serving {
        Serving { far: Far::new(&config), config }
    }

    /// Handles a batch in order. A point that is written twice exists once, because its time comes
    /// from the message.
    pub(crate) fn deliver(&self, batch: &[Delivery]) -> Result<Receipt, Failure> {
        let mut receipt = Receipt { accepted: 0, rejected: Vec::new() };
        while let Some(rest) = batch.get(receipt.accepted as usize..).filter(|rest| !rest.is_empty()) {
            if let Err(failure) = self.carry_out(rest, &mut receipt) {
                return if receipt.accepted == 0 { Err(failure) } else { Ok(receipt) };
            }
        }
        Ok(receipt)
    }

    /// Carries out what goes with the next request.
    fn carry_out(&self, batch: &[Delivery], receipt: &mut Receipt) -> Result<(), Failure> {
        let points = self.points(batch);
        let (messages, rejected) = if points.messages > 0 {
            let written = if points.text.is_empty() { Ok(()) } else { self.far.write(points.text) };
            match written {
                Ok(()) => (points.messages, points.rejected),
                // One that is alone is to blame; of several the host finds out by halves which is.
                Err(Failure::Reject(reason)) if points.messages == 1 => (1, vec![(0, reason)]),
                Err(failure) => return Err(failure),
            }
        } else {
            match self.ask(&batch[0]) {
                Ok(()) => (1, Vec::new()),
                Err(Failure::Reject(reason)) => (1, vec![(0, reason)]),
                Err(failure) => return Err(failure),
            }
        };
        let first = receipt.accepted;
        let at = |index: usize| first + u32::try_from(index).unwrap_or(u32::MAX);
        receipt
            .rejected
            .extend(rejected.into_iter().map(|(index, reason)| Rejection { index: at(index), reason }));
        receipt.accepted = at(messages);
        Ok(())
    }

    /// Returns the points of the first messages that fit into one request; none if the first one is
    /// a question.
    fn points(&self, batch: &[Delivery]) -> Points {
        let mut points = Points::default();
        for delivery in batch {
            let written = match self.event(delivery) {
                Ok(Event::Write(point)) => point.write(delivery, self.config.precision, &mut points.text),
                Ok(Event::Ask { .. }) => break,
                Err(reason) => Err(reason),
            };
            points.rejected.extend(written.err().map(|reason| (points.messages, reason)));
            points.messages += 1;
            if points.text.len() >= WRITE_BYTES {
                break;
            }
        }
        points
    }

    fn ask(&self, delivery: &Delivery) -> Result<(), Failure> {
        let Ok(Event::Ask { question, template, answer }) = self.event(delivery) else { return Ok(()) };
        let question = question.filled(template.values(delivery)).map_err(Failure::Reject)?;
        let found = rows(&self.far.ask(&question)?).map_err(Failure::Reject)?;
        let Some(Answer { topic, qos, retain }) = answer else { return Ok(()) };
        let payload = Json::Array(found).to_string().into_bytes();
        if payload.len() > RESULT_BYTES_MAX {
            return Err(Failure::Reject(format!(
                "the result has {} bytes, more than {RESULT_BYTES_MAX}",
                payload.len()
            )));
        }
        let (topic, qos, retain) = (topic.filled(delivery), *qos, *retain);
        ingest::publish(&[Arrival { topic, payload, qos, retain, properties: None }]).map_err(unpublished)
    }

    /// The event that a message is for.
    fn event(&self, delivery: &Delivery) -> Result<&Event, String> {
        let Addressee::Event(name) = &delivery.to else {
            return Err("a route of type INFLUXDB takes messages for its events only".to_owned());
        };
        self.config.events.get(name).ok_or_else(|| format!("there is no event {name}"))
    }
}
