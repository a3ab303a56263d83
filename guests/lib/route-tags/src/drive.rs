//! Driver of a connector: polls due tags and publishes their values, and writes messages to tags.

use std::collections::HashMap;

use lotmq_guest::route::{
    Addressee, Arrival, Delivery, Failure, Interest, Receipt, ambient, deliver_each,
    ingest::{self, IngestError},
    metrics, net, unpublished,
};
use route_settings::Configuration;
use serde_json::{Map, Value as Json, json};

use crate::limits::{FAILING_TAGS_MAX, PERIOD_MS, PERIOD_MS_MIN};
use crate::planned::{Planned, Reading};
use crate::poll::{Due, Polls, Step};
use crate::{Tag, TagSettings, Value};

/// Reason why a request has brought nothing.
#[derive(Debug)]
pub enum Fault {
    /// The device refuses what was asked, all of it or some of it.
    Refused(String),
    /// The device cannot answer now; it is asked at the next poll.
    Unavailable(String),
    /// No request was made: the device was silent a short while ago, and that was reported.
    Skipped,
    /// Nobody can be asked any more.
    Lost(Failure),
}

/// A device and the protocol that it speaks.
pub trait Device {
    /// Address of a tag.
    type Address;
    /// Request for some tags at once.
    type Request;

    /// Merges tags into few requests.
    fn plan(&self, tags: &[Tag<Self::Address>], which: &[usize]) -> Vec<Planned<Self::Request>>;

    /// Asks the device.
    ///
    /// # Errors
    /// [`Fault`].
    fn read(
        &mut self,
        planned: &Planned<Self::Request>,
        tags: &[Tag<Self::Address>],
    ) -> Result<Vec<Reading>, Fault>;

    /// Returns values that the device sends by itself. Waits for at most `_wait_ms`, and not once
    /// the host has work. Returns `None` for a device that only answers, as most do.
    fn pushed(
        &mut self,
        _tags: &[Tag<Self::Address>],
        _wait_ms: u32,
    ) -> Option<Result<Vec<Reading>, Failure>> {
        None
    }

    /// Reads what was sent to a tag as a value of it.
    ///
    /// # Errors
    /// The class of failure that it is for the message: it is none.
    fn parse(&mut self, tag: &Tag<Self::Address>, payload: &[u8]) -> Result<Value, Failure> {
        tag.parse(payload).map_err(Failure::Reject)
    }

    /// Writes a value to a tag.
    ///
    /// # Errors
    /// The class of failure that it is for the message.
    fn write(&mut self, tag: &Tag<Self::Address>, value: &Value) -> Result<(), Failure>;
}

/// Tags of a route, from its settings. They are read before the device is reached, so errors in
/// them are reported even if it is offline.
pub struct RouteTags<A> {
    tags: Vec<Tag<A>>,
    /// Period in milliseconds and tags of each mapping.
    mappings: Vec<(u64, Vec<usize>)>,
}

impl<A> RouteTags<A> {
    /// Reads all tags of a configuration.
    ///
    /// # Errors
    /// Returns the first error in a tag, as [`Failure::Fatal`].
    pub fn read(
        configuration: &Configuration,
        address: impl Fn(
            &route_settings::Settings<'_>,
            &route_settings::Settings<'_>,
            &TagSettings,
        ) -> Result<A, Failure>,
    ) -> Result<RouteTags<A>, Failure> {
        let mut tags = Vec::new();
        let mut mappings = Vec::new();
        for mapping in configuration.mappings() {
            let first = tags.len();
            for tag in mapping.tags() {
                let settings = TagSettings::read(&mapping, &tag)?;
                let address = address(&mapping, &tag, &settings)?;
                tags.push(Tag::new(settings, address));
            }
            let period_ms = mapping.number("EVERY_MS").unwrap_or(PERIOD_MS);
            if period_ms < PERIOD_MS_MIN {
                let told =
                    format!("mapping {}: EVERY is at least {PERIOD_MS_MIN} milliseconds", mapping.name());
                return Err(Failure::Fatal(told));
            }
            mappings.push((period_ms, (first..tags.len()).collect()));
        }
        Ok(RouteTags { tags, mappings })
    }

    /// Their addresses.
    pub fn addresses(&self) -> impl Iterator<Item = &A> {
        self.tags.iter().map(|tag| &tag.address)
    }
}

/// A device with the tags that a route has of it.
pub struct Plant<D: Device> {
    device: D,
    tags: Vec<Tag<D::Address>>,
    /// Positions of the tags by mapping and name.
    places: HashMap<(String, String), usize>,
    polls: Polls<D::Request>,
}

impl<D: Device> Plant<D> {
    /// A device that has been reached, with its tags.
    pub fn new(device: D, tags: RouteTags<D::Address>) -> Plant<D> {
        let RouteTags { tags, mappings } = tags;
        let planned = mappings.iter().map(|(period_ms, which)| (*period_ms, device.plan(&tags, which)));
        let polls = Polls::new(planned.collect(), ambient::monotonic_ms());
        let name = |tag: &Tag<_>| (tag.settings.mapping.clone(), tag.settings.name.clone());
        let places = tags.iter().map(name).zip(0..).collect();
        Plant { device, tags, places, polls }
    }

    /// The device.
    pub fn device(&mut self) -> &mut D {
        &mut self.device
    }

    /// The device alone, to part with it.
    pub fn into_device(self) -> D {
        self.device
    }

    /// Reads the first tag and forgets its value: any answer shows that the device is there.
    ///
    /// # Errors
    /// It does not answer.
    pub fn probe(&mut self) -> Result<(), Failure> {
        if self.tags.is_empty() {
            return Ok(());
        }
        let Some(planned) = self.device.plan(&self.tags, &[0]).into_iter().next() else { return Ok(()) };
        match self.device.read(&planned, &self.tags) {
            Ok(_) | Err(Fault::Refused(_)) => Ok(()),
            Err(Fault::Unavailable(reason)) => Err(Failure::Retry(reason)),
            Err(Fault::Skipped) => Err(Failure::Retry("the device was silent a short while ago".to_owned())),
            Err(Fault::Lost(failure)) => Err(failure),
        }
    }

    /// Returns tags without a value, for the host's operation `tags`: their number, and the reasons
    /// of the first ones.
    pub fn failing(&self) -> Vec<u8> {
        let reason = |tag: &Tag<_>| {
            let name = format!("{}/{}", tag.settings.mapping, tag.settings.name);
            tag.failing.clone().map(|reason| (name, Json::String(reason)))
        };
        let count = self.tags.iter().filter(|tag| tag.failing.is_some()).count();
        let reasons: Map<String, Json> = self.tags.iter().filter_map(reason).take(FAILING_TAGS_MAX).collect();
        json!({ "failing": count, "reasons": reasons }).to_string().into_bytes()
    }

    /// Polls due tags and takes values from the device until the time is over, or the host has
    /// other work. For [`Route::run`](lotmq_guest::route::Route::run).
    ///
    /// # Errors
    /// The connection is lost, or tags have begun to fail.
    pub fn run(&mut self, until_ms: u32) -> Result<u32, Failure> {
        let began_ms = ambient::monotonic_ms();
        let mut has_listened = false;
        loop {
            let now_ms = ambient::monotonic_ms();
            let left_ms = u64::from(until_ms).saturating_sub(now_ms.saturating_sub(began_ms));
            let step = self.polls.next(now_ms);
            // Failures that begin during a poll are reported together at its end.
            let failed = if step == Step::Read { None } else { self.polls.take_failed() };
            if let Some(reason) = failed {
                return Err(Failure::Retry(reason));
            }
            let is_over = left_ms == 0 || !net::wait(&[Interest::HostWork], 0).is_empty();
            match step {
                Step::Read if is_over => return Ok(0),
                Step::Read => self.ask()?,
                // Takes received values even if the host never leaves time to wait for them.
                Step::Wait(_) if is_over && has_listened => return Ok(0),
                Step::Wait(wait_ms) => {
                    let patience_ms = if is_over { 0 } else { wait_ms.min(left_ms) };
                    let patience_ms = u32::try_from(patience_ms).unwrap_or(u32::MAX);
                    match self.device.pushed(&self.tags, patience_ms) {
                        None => return Ok(u32::try_from(wait_ms).unwrap_or(u32::MAX)),
                        Some(readings) => self.take(readings?)?,
                    }
                    has_listened = true;
                }
            }
        }
    }

    /// Publishes values that the device has sent.
    fn take(&mut self, readings: Vec<Reading>) -> Result<(), Failure> {
        if readings.iter().any(|(_, value)| value.is_err()) {
            count_failed();
        }
        let due = self.polls.answered(&mut self.tags, readings);
        self.publish(due)
    }

    /// Asks for the tags whose turn it is, and publishes them.
    fn ask(&mut self) -> Result<(), Failure> {
        let Some(planned) = self.polls.request() else { return Ok(()) };
        let which = planned.tags.clone();
        let mut refused = Vec::new();
        match self.device.read(planned, &self.tags) {
            Ok(readings) => {
                refused.extend(readings.iter().filter(|(_, value)| value.is_err()).map(|(tag, _)| *tag));
                let due = self.polls.answered(&mut self.tags, readings);
                self.publish(due)?;
            }
            Err(Fault::Refused(reason)) => {
                // Of several it is not known yet which one it is.
                if let [tag] = which[..] {
                    self.polls.fails(&mut self.tags[tag], reason);
                }
                refused.clone_from(&which);
            }
            Err(Fault::Unavailable(reason)) => {
                for tag in &which {
                    self.polls.fails(&mut self.tags[*tag], reason.clone());
                }
                count_failed();
            }
            Err(Fault::Skipped) => {}
            Err(Fault::Lost(failure)) => return Err(failure),
        }
        if !refused.is_empty() {
            count_failed();
        }
        let Plant { device, tags, polls, .. } = self;
        polls.done(&refused, ambient::monotonic_ms(), |which| device.plan(tags, which));
        Ok(())
    }

    fn publish(&mut self, due: Vec<Due>) -> Result<(), Failure> {
        if due.is_empty() {
            return Ok(());
        }
        let arrivals: Vec<Arrival> = due.iter().map(|due| self.arrival(due)).collect();
        match ingest::publish(&arrivals) {
            Ok(()) => {
                due.into_iter().for_each(|due| self.tags[due.tag].published(due.value));
                Ok(())
            }
            // One topic that is not allowed keeps back all: each for itself then.
            Err(IngestError::NotAllowed) => {
                due.into_iter().zip(arrivals).try_for_each(|(due, arrival)| self.publish_one(due, arrival))
            }
            Err(error) => Err(unpublished(error)),
        }
    }

    fn publish_one(&mut self, due: Due, arrival: Arrival) -> Result<(), Failure> {
        let topic = arrival.topic.clone();
        match ingest::publish(&[arrival]) {
            Ok(()) => self.tags[due.tag].published(due.value),
            Err(IngestError::NotAllowed) => {
                self.polls.fails(&mut self.tags[due.tag], format!("may not publish to '{topic}'"));
            }
            Err(error) => return Err(unpublished(error)),
        }
        Ok(())
    }

    fn arrival(&self, due: &Due) -> Arrival {
        let (topic, qos, retain) = self.tags[due.tag].publication();
        let payload = due.value.0.clone().into_bytes();
        Arrival { topic: topic.to_owned(), payload, qos, retain, properties: None }
    }

    /// Writes what was sent to tags; for [`Route::deliver`](lotmq_guest::route::Route::deliver).
    ///
    /// # Errors
    /// The failure of the first message, where nothing was written.
    pub fn deliver(&mut self, batch: &[Delivery]) -> Result<Receipt, Failure> {
        deliver_each(batch, |delivery| self.write(delivery))
    }

    fn write(&mut self, delivery: &Delivery) -> Result<(), Failure> {
        let Addressee::Tag(name) = &delivery.to else {
            return Err(Failure::Reject("only tags are written".to_owned()));
        };
        let place = self.places.get(&(name.mapping.clone(), name.tag.clone()));
        let tag = place.and_then(|place| self.tags.get(*place));
        let tag =
            tag.ok_or_else(|| Failure::Reject(format!("there is no tag {}/{}", name.mapping, name.tag)))?;
        let told = |reason: String| format!("tag {}/{} is not written: {reason}", name.mapping, name.tag);
        let value = self.device.parse(tag, &delivery.message.payload);
        value.and_then(|value| self.device.write(tag, &value)).map_err(|failure| match failure {
            Failure::Reject(reason) => Failure::Reject(told(reason)),
            Failure::Retry(reason) => Failure::Retry(told(reason)),
            other => other,
        })
    }
}

/// Counts a request that has not brought all of its values.
fn count_failed() {
    // A figure less does no harm.
    let _ = metrics::add("reads_failed", 1);
}
