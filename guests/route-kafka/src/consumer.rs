//! Consumer: publishes records of this member's partitions here, and then commits their offsets.
//!
//! It commits nothing before the message is stored here. So unfinished records come again after the
//! end of a connection, and nothing is lost.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, ListOffsetsRequest};
use lotmq_guest::route::diagnostics::{Severity, report};
use lotmq_guest::route::executor::sleep;
use lotmq_guest::route::{Arrival, Failure, ingest};

use crate::cluster::{Cluster, Purpose, Topic, topic_name};
use crate::failures;
use crate::group::{Group, Membership, Told};
use crate::kept::Place;
use crate::limits::{
    AGAIN_MS, ARRIVED_BYTES_MAX, ARRIVED_MAX, FETCH_BYTES_MAX, FETCH_PARTITION_BYTES_MAX, FETCH_WAIT_MS,
    HEARTBEAT_MS, STORE_AGAIN_MS,
};
use crate::message::arrival_of;
use crate::race::{Boxed, first};
use crate::records;

/// Offsets that stand for the first record and for the end.
const FIRST: i64 = -2;
const LAST: i64 = -1;

/// Why reading stops.
enum Stop {
    /// The group is divided anew.
    Rejoin,
    /// A partition is led by another broker now, or that one is away.
    Elsewhere,
}

pub(crate) struct Consumer {
    cluster: Rc<Cluster>,
    group: Group,
    /// Next offset to read of each partition.
    positions: RefCell<BTreeMap<Place, i64>>,
    /// How far it is noted.
    noted: RefCell<BTreeMap<Place, i64>>,
}

impl Consumer {
    pub(crate) fn new(cluster: Rc<Cluster>) -> Rc<Consumer> {
        let group = Group::new(Rc::clone(&cluster));
        Rc::new(Consumer { cluster, group, positions: RefCell::default(), noted: RefCell::default() })
    }

    /// Reads until something fails.
    pub(crate) async fn run(self: Rc<Self>) -> Failure {
        if let Err(failure) = self.heed_missing() {
            return failure;
        }
        loop {
            if let Err(failure) = self.generation().await {
                return failure;
            }
        }
    }

    /// Says which topics are not there, which may change; that one must not be read does not.
    fn heed_missing(&self) -> Result<(), Failure> {
        for topic in self.cluster.config.read() {
            let Some(Topic::Refused(code)) = self.cluster.topic(&topic) else { continue };
            if failures::is_settled_by_people(code) {
                return Err(failures::of_answer(&format!("topic '{topic}'"), code));
            }
            let text = format!("topic '{topic}': {}", failures::described(code));
            report(Severity::Warning, "KAFKA_TOPIC", &text, 0, 0);
        }
        Ok(())
    }

    /// Reads as a member of the group, until it is divided anew.
    async fn generation(&self) -> Result<(), Failure> {
        self.positions.borrow_mut().clear();
        self.noted.borrow_mut().clear();
        let membership = self.group.join().await?;
        let own = self.cluster.config.read();
        let share = membership.share.iter().filter(|(topic, _)| own.contains(topic));
        let places: Vec<Place> = share
            .flat_map(|(topic, partitions)| {
                partitions.iter().map(move |partition| (topic.clone(), *partition))
            })
            .collect();
        let committed =
            if places.is_empty() { BTreeMap::new() } else { self.group.committed(&places).await? };
        let new: Vec<Place> = places.into_iter().filter(|place| !committed.contains_key(place)).collect();
        self.noted.borrow_mut().clone_from(&committed);
        self.positions.borrow_mut().extend(committed);
        self.begin(new).await?;
        loop {
            match self.read(&membership).await? {
                Stop::Elsewhere => {
                    sleep(Duration::from_millis(AGAIN_MS)).await;
                    self.cluster.refresh().await?;
                }
                Stop::Rejoin => {
                    // The group reads records again whose offset cannot be committed any more.
                    let _ = self.note().await?;
                    return Ok(());
                }
            }
        }
    }

    /// Reads all partitions, those of each broker beside those of others.
    async fn read(&self, membership: &Membership) -> Result<Stop, Failure> {
        let mut by_leader: BTreeMap<i32, Vec<Place>> = BTreeMap::new();
        let mut leaderless = false;
        for place in self.positions.borrow().keys() {
            match self.cluster.leader(&place.0, place.1) {
                Some(leader) => by_leader.entry(leader).or_default().push(place.clone()),
                None => leaderless = true,
            }
        }
        let mut tasks: Vec<Boxed<'_, Result<Stop, Failure>>> = vec![Box::pin(self.stay(membership))];
        if leaderless {
            tasks.push(Box::pin(async {
                sleep(Duration::from_millis(HEARTBEAT_MS)).await;
                Ok(Stop::Elsewhere)
            }));
        }
        for (leader, places) in by_leader {
            tasks.push(Box::pin(self.fetch(leader, places)));
        }
        first(tasks).await
    }

    /// Gives signs of life, and sees whether partitions were added.
    async fn stay(&self, membership: &Membership) -> Result<Stop, Failure> {
        let session_ms = u64::from(self.cluster.config.session_ms.unsigned_abs());
        loop {
            sleep(Duration::from_millis(HEARTBEAT_MS.min(session_ms / 3))).await;
            let are_added = |(topic, count): (&String, &usize)| self.cluster.partitions(topic) > *count;
            if membership.divided.iter().any(are_added) {
                return Ok(Stop::Rejoin);
            }
            if matches!(self.group.heartbeat().await?, Told::Rejoin) {
                return Ok(Stop::Rejoin);
            }
        }
    }

    /// Reads partitions of one broker.
    async fn fetch(&self, leader: i32, mut places: Vec<Place>) -> Result<Stop, Failure> {
        loop {
            let link = match self.cluster.link(Purpose::Read, leader).await {
                Ok(link) => link,
                Err(Failure::Fatal(reason)) => return Err(Failure::Fatal(reason)),
                Err(_) => return Ok(Stop::Elsewhere),
            };
            let patience = self.cluster.patience_ms().saturating_add(FETCH_WAIT_MS.unsigned_abs().into());
            let answer = link.call(&self.request(&places), patience).await?;
            match Code::try_from_code(answer.error_code) {
                None => {}
                Some(code) if is_led_elsewhere(code) => return Ok(Stop::Elsewhere),
                Some(code) => return Err(failures::of_answer(&format!("{}: Fetch", link.name()), code)),
            }
            for topic in answer.responses {
                for partition in topic.partitions {
                    let place = (topic.topic.to_string(), partition.partition_index);
                    if let Some(stop) = self.fetched(&place, partition).await? {
                        return Ok(stop);
                    }
                }
            }
            if matches!(self.note().await?, Told::Rejoin) {
                return Ok(Stop::Rejoin);
            }
            // The partition after the last answered one comes first the next time, so that none
            // starves.
            places.rotate_left(1);
        }
    }

    fn request(&self, places: &[Place]) -> FetchRequest {
        let positions = self.positions.borrow();
        let topics = places.iter().filter_map(|place| {
            let partition = FetchPartition::default()
                .with_partition(place.1)
                .with_fetch_offset(*positions.get(place)?)
                .with_partition_max_bytes(FETCH_PARTITION_BYTES_MAX);
            Some(FetchTopic::default().with_topic(topic_name(&place.0)).with_partitions(vec![partition]))
        });
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(FETCH_WAIT_MS)
            .with_min_bytes(1)
            .with_max_bytes(FETCH_BYTES_MAX)
            // Each question is complete in itself.
            .with_session_epoch(-1)
            .with_topics(topics.collect())
    }

    /// Publishes what came of a partition; a reason to stop where it has to be read in another way.
    async fn fetched(&self, place: &Place, answer: PartitionData) -> Result<Option<Stop>, Failure> {
        let position = self.positions.borrow().get(place).copied();
        // One that was not asked for is no answer to anything.
        let Some(position) = position else { return Ok(None) };
        let Some(code) = Code::try_from_code(answer.error_code) else {
            self.take(place, position, answer.records.unwrap_or_default()).await?;
            return Ok(None);
        };
        match code {
            Code::OffsetOutOfRange => {
                let text = format!(
                    "topic '{}', partition {}: offset {position} is not there any more",
                    place.0, place.1
                );
                report(Severity::Warning, "KAFKA_OFFSET", &text, 0, 0);
                self.begin(vec![place.clone()]).await?;
                Ok(None)
            }
            code if is_led_elsewhere(code) => Ok(Some(Stop::Elsewhere)),
            code => {
                Err(failures::of_answer(&format!("topic '{}', partition {}: Fetch", place.0, place.1), code))
            }
        }
    }

    /// Publishes the records of a partition from a position on.
    async fn take(&self, place: &Place, mut position: i64, mut bytes: Bytes) -> Result<(), Failure> {
        let malformed =
            |reason| Failure::Reconnect(format!("topic '{}', partition {}: {reason}", place.0, place.1));
        while let Some(batch) = records::next(&mut bytes).map_err(malformed)? {
            let mut arrivals = Vec::new();
            let mut gathered = 0;
            // A broker sends whole batches, from the one on that the position is in.
            for record in batch.records.iter().filter(|record| record.offset >= position) {
                for inward in self.cluster.config.inward.iter().filter(|inward| inward.topic == place.0) {
                    match arrival_of(record, inward, place.1) {
                        Ok(arrival) => {
                            gathered += arrival.payload.len() + arrival.topic.len();
                            arrivals.push(arrival);
                        }
                        Err(reason) => refused(place, record.offset, &reason),
                    }
                }
                if arrivals.len() >= ARRIVED_MAX || gathered >= ARRIVED_BYTES_MAX {
                    publish(std::mem::take(&mut arrivals)).await?;
                    gathered = 0;
                    self.positions.borrow_mut().insert(place.clone(), record.offset.saturating_add(1));
                }
            }
            publish(arrivals).await?;
            position = position.max(batch.end);
            self.positions.borrow_mut().insert(place.clone(), position);
        }
        Ok(())
    }

    /// Notes at the group how far partitions were read.
    async fn note(&self) -> Result<Told, Failure> {
        let offsets = self.unnoted();
        let told = self.group.commit(&offsets).await?;
        if matches!(told, Told::Fine) {
            self.noted.borrow_mut().extend(offsets);
        }
        Ok(told)
    }

    fn unnoted(&self) -> BTreeMap<Place, i64> {
        let noted = self.noted.borrow();
        let positions = self.positions.borrow();
        let unnoted = positions.iter().filter(|(place, offset)| noted.get(*place) != Some(*offset));
        unnoted.map(|(place, offset)| (place.clone(), *offset)).collect()
    }

    /// Finds the start of partitions without a committed offset: their first record or their end.
    async fn begin(&self, places: Vec<Place>) -> Result<(), Failure> {
        for place in places {
            let offset = self.beginning(&place).await?;
            self.positions.borrow_mut().insert(place, offset);
        }
        Ok(())
    }

    async fn beginning(&self, place: &Place) -> Result<i64, Failure> {
        let timestamp = if self.cluster.config.is_from_first { FIRST } else { LAST };
        let partition =
            ListOffsetsPartition::default().with_partition_index(place.1).with_timestamp(timestamp);
        let topic =
            ListOffsetsTopic::default().with_name(topic_name(&place.0)).with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
        loop {
            if let Some(leader) = self.cluster.leader(&place.0, place.1) {
                let link = self.cluster.link(Purpose::Read, leader).await?;
                let answer = link.call(&request, self.cluster.patience_ms()).await?;
                let found = answer
                    .topics
                    .iter()
                    .flat_map(|topic| &topic.partitions)
                    .find(|found| found.partition_index == place.1);
                let found = found.ok_or_else(|| {
                    Failure::Reconnect(format!("{} has not answered for partition {}", link.name(), place.1))
                })?;
                match Code::try_from_code(found.error_code) {
                    None => return Ok(found.offset.max(0)),
                    Some(code) if failures::of_produce(code) != failures::Refusal::Elsewhere => {
                        return Err(failures::of_answer(&format!("topic '{}': ListOffsets", place.0), code));
                    }
                    Some(_) => {}
                }
            }
            sleep(Duration::from_millis(AGAIN_MS)).await;
            self.cluster.refresh().await?;
        }
    }

    /// Notes how far it has come, and leaves the group.
    pub(crate) async fn leave(&self) {
        self.group.leave(&self.unnoted()).await;
    }
}

/// Whether another broker, or this one a little later, is who to ask.
fn is_led_elsewhere(code: Code) -> bool {
    matches!(
        code,
        Code::NotLeaderOrFollower
            | Code::UnknownTopicOrPartition
            | Code::LeaderNotAvailable
            | Code::ReplicaNotAvailable
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::KafkaStorageError
            | Code::OffsetNotAvailable
    )
}

/// Publishes messages here, when they can be stored; each by itself where one of them may not be.
async fn publish(arrivals: Vec<Arrival>) -> Result<(), Failure> {
    if arrivals.is_empty() {
        return Ok(());
    }
    match stored(&arrivals).await? {
        true => Ok(()),
        false => {
            for arrival in &arrivals {
                if !stored(std::slice::from_ref(arrival)).await? {
                    report(
                        Severity::Error,
                        "KAFKA_REFUSED",
                        &format!("cannot publish to '{}': not allowed", arrival.topic),
                        0,
                        0,
                    );
                }
            }
            Ok(())
        }
    }
}

/// Whether messages were published; false where one of them is not allowed.
async fn stored(arrivals: &[Arrival]) -> Result<bool, Failure> {
    loop {
        match ingest::publish(arrivals) {
            Ok(()) => return Ok(true),
            Err(ingest::IngestError::NotAllowed) => return Ok(false),
            Err(ingest::IngestError::NotStored) => sleep(Duration::from_millis(STORE_AGAIN_MS)).await,
            Err(ingest::IngestError::Closed) => return Err(Failure::Reconnect("the broker ends".to_owned())),
        }
    }
}

fn refused(place: &Place, offset: i64, reason: &str) {
    let text = format!(
        "topic '{}', partition {}: the record at offset {offset} is left out: {reason}",
        place.0, place.1
    );
    report(Severity::Error, "KAFKA_REFUSED", &text, 0, 0);
}
