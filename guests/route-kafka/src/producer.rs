//! Producer: writes messages to the partitions of topics in order, each acknowledged by all
//! replicas and none twice.
//!
//! One batch of a partition is in flight at a time. It has the number of this producer and of its
//! first record. So the broker recognizes a repeated batch, even if a lost connection took the
//! answer ([`kept`](crate::kept)). The host gets the progress from the first message on.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse, ProducerId};
use lotmq_guest::route::executor::sleep;
use lotmq_guest::route::{Addressee, Delivery, Failure, Receipt, Rejection, ambient};

use crate::cluster::{Cluster, Purpose, Topic, topic_name};
use crate::config::Outward;
use crate::failures::{self, Refusal};
use crate::kept::{self, Kept, Pending, Place};
use crate::limits::{AGAIN_MS, BATCH_BYTES_MAX, DELIVER_MS, TRY_MS};
use crate::message::record_of;
use crate::partition;
use crate::race::{Boxed, all};
use crate::records::{self, Record, Writer};

/// All replicas that are in step.
const ACKS_ALL: i16 = -1;

/// Number of a producer and its epoch where brokers know none: older than 0.11, or of another make.
const NOBODY: (i64, i16) = (-1, -1);

#[derive(Debug)]
pub(crate) struct Producer {
    /// Number and epoch, once a broker has given them.
    identity: Option<(i64, i16)>,
    /// Number of the next record of each partition that was written to under this identity.
    next: BTreeMap<Place, i32>,
    kept: Kept,
}

/// A message on its way to a partition.
#[derive(Debug)]
struct Item {
    index: usize,
    digest: u64,
    record: Record,
}

/// Result of a message.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Written,
    Rejected(String),
}

/// Messages of one call of the host.
#[derive(Debug)]
struct Call {
    outcomes: Vec<Option<Outcome>>,
    queues: BTreeMap<Place, VecDeque<Item>>,
    /// Most records of a batch, of partitions that did not take more.
    most: BTreeMap<Place, usize>,
    /// Why some have no partition now.
    homeless: Option<Failure>,
}

/// A batch of one partition on its way.
struct Sent {
    place: Place,
    pending: Pending,
    batch: bytes::Bytes,
}

impl Producer {
    pub(crate) fn new() -> Producer {
        Producer { identity: None, next: BTreeMap::new(), kept: Kept::load() }
    }

    /// Writes as many messages as possible now. Returns the number of finished ones from the first
    /// on.
    pub(crate) async fn deliver(
        &mut self,
        cluster: &Cluster,
        deliveries: &[Delivery],
    ) -> Result<Receipt, Failure> {
        let began = ambient::monotonic_ms();
        let first = deliveries.first().map_or(0, |delivery| delivery.sequence);
        self.kept.written.retain(|sequence, _| *sequence >= first);
        let mut call = self.sorted(cluster, deliveries).await?;
        let mut ended = call.homeless.take();
        while !call.queues.is_empty() {
            let worked = self.round(cluster, &mut call, began).await;
            let took = ambient::monotonic_ms().saturating_sub(began);
            match worked {
                Err(failure) => {
                    ended = Some(failure);
                    break;
                }
                Ok(Some(reason)) if took >= TRY_MS.min(cluster.patience_ms() / 3) => {
                    ended = Some(Failure::Retry(reason));
                    break;
                }
                Ok(Some(_)) => {
                    sleep(Duration::from_millis(AGAIN_MS)).await;
                    if let Err(failure) = cluster.refresh().await {
                        ended = Some(failure);
                        break;
                    }
                }
                Ok(None) if took >= DELIVER_MS.min(cluster.patience_ms() / 3) => break,
                Ok(None) => {}
            }
        }
        self.told(call, deliveries, ended)
    }

    /// Returns the receipt for the host: finished messages from the first one on. Remembers later
    /// finished ones, to skip them when they come again.
    fn told(
        &mut self,
        call: Call,
        deliveries: &[Delivery],
        ended: Option<Failure>,
    ) -> Result<Receipt, Failure> {
        let mut receipt = Receipt { accepted: 0, rejected: Vec::new() };
        let mut is_first = true;
        for (outcome, delivery) in call.outcomes.into_iter().zip(deliveries) {
            is_first &= outcome.is_some();
            match outcome {
                Some(Outcome::Rejected(reason)) if is_first => {
                    receipt.rejected.push(Rejection { index: receipt.accepted, reason });
                }
                Some(Outcome::Written) if !is_first => {
                    self.kept.written.insert(delivery.sequence, kept::fingerprint(delivery));
                }
                // One that can never pass is found out again.
                Some(_) | None => {}
            }
            receipt.accepted += u32::from(is_first);
        }
        if !self.kept.written.is_empty() {
            self.kept.save();
        }
        match ended {
            Some(failure) if receipt.accepted == 0 => Err(failure),
            // The rest comes again at once, and fails then by itself.
            Some(_) | None => Ok(receipt),
        }
    }

    /// Sorts messages by their partitions, in order.
    async fn sorted(&self, cluster: &Cluster, deliveries: &[Delivery]) -> Result<Call, Failure> {
        let mut call = Call {
            outcomes: vec![None; deliveries.len()],
            queues: BTreeMap::new(),
            most: BTreeMap::new(),
            homeless: None,
        };
        let mut asked = false;
        for (index, delivery) in deliveries.iter().enumerate() {
            let digest = kept::fingerprint(delivery);
            if self.kept.written.get(&delivery.sequence) == Some(&digest) {
                call.outcomes[index] = Some(Outcome::Written);
                continue;
            }
            let Some(outward) = outward_of(cluster, delivery) else {
                call.outcomes[index] =
                    Some(Outcome::Rejected("the mapping takes no messages of this broker".to_owned()));
                continue;
            };
            if !matches!(cluster.topic(&outward.topic), Some(Topic::Known(_)))
                && !std::mem::replace(&mut asked, true)
            {
                cluster.refresh().await?;
            }
            match cluster.topic(&outward.topic) {
                Some(Topic::Known(leaders)) => {
                    let record = record_of(delivery, outward);
                    // Without a key the order of each topic here is kept, and no record shows it.
                    let key = record.key.as_deref().unwrap_or(delivery.message.topic.as_bytes());
                    let place = (outward.topic.clone(), partition::of_key(key, leaders.len()));
                    call.queues.entry(place).or_default().push_back(Item { index, digest, record });
                }
                other => drop(call.homeless.get_or_insert_with(|| homeless(&outward.topic, other.as_ref()))),
            }
        }
        Ok(call)
    }

    /// Sends one batch of each partition and processes the answers. Returns a reason if a partition
    /// has to wait.
    async fn round(
        &mut self,
        cluster: &Cluster,
        call: &mut Call,
        began: u64,
    ) -> Result<Option<String>, Failure> {
        let mut waits = None;
        let sent = self.batches(cluster, call, &mut waits).await?;
        self.kept.save();
        let mut requests: Vec<Boxed<'_, Result<ProduceResponse, Failure>>> = Vec::new();
        for (leader, batches) in &sent {
            match cluster.link(Purpose::Write, *leader).await {
                Ok(link) => {
                    let left =
                        cluster.patience_ms().saturating_sub(ambient::monotonic_ms().saturating_sub(began));
                    let request = request_of(batches, left);
                    requests.push(Box::pin(async move { link.call(&request, left.max(1)).await }));
                }
                Err(fatal @ Failure::Fatal(_)) => return Err(fatal),
                Err(Failure::Reconnect(reason) | Failure::Retry(reason) | Failure::Reject(reason)) => {
                    waits.get_or_insert(reason);
                }
            }
        }
        let mut failure = None;
        let mut sent: BTreeMap<Place, Pending> =
            sent.into_values().flatten().map(|sent| (sent.place, sent.pending)).collect();
        for answer in all(requests).await {
            match answer {
                Ok(answer) => failure = failure.or(self.answered(call, &mut sent, &answer, &mut waits)),
                Err(other) => failure = failure.or(Some(other)),
            }
        }
        failure.map_or(Ok(waits), Err)
    }

    /// The next batch of each partition that has a leader, by leader.
    async fn batches(
        &mut self,
        cluster: &Cluster,
        call: &mut Call,
        waits: &mut Option<String>,
    ) -> Result<BTreeMap<i32, Vec<Sent>>, Failure> {
        self.heed_kept(call);
        let identity = self.identity(cluster).await?;
        let mut sent: BTreeMap<i32, Vec<Sent>> = BTreeMap::new();
        for (place, queue) in &mut call.queues {
            let Some(leader) = cluster.leader(&place.0, place.1) else {
                waits.get_or_insert_with(|| format!("partition {} of '{}' has no leader", place.1, place.0));
                continue;
            };
            let pending = match self.kept.pending.get(place) {
                Some(pending) => *pending,
                None => {
                    let most = call.most.get(place).copied().unwrap_or(usize::MAX);
                    let count = count_of(queue, most);
                    let base_sequence =
                        if identity == NOBODY { -1 } else { self.next.get(place).copied().unwrap_or(0) };
                    let (producer_id, epoch) = identity;
                    Pending {
                        producer_id,
                        epoch,
                        base_sequence,
                        count: count as u32,
                        digest: digest_of(queue, count),
                    }
                }
            };
            if identity != NOBODY {
                self.kept.pending.insert(place.clone(), pending);
            }
            let records: Vec<Record> =
                queue.iter().take(pending.count as usize).map(|item| item.record.clone()).collect();
            let Pending { producer_id, epoch, base_sequence, .. } = pending;
            let writer = Writer { producer_id, epoch, base_sequence };
            let batch =
                records::written(&records, cluster.config.codec, writer).map_err(Failure::Reconnect)?;
            sent.entry(leader).or_default().push(Sent { place: place.clone(), pending, batch });
        }
        Ok(sent)
    }

    /// Forgets batches that may have been written and do not come again unchanged. Their sequence
    /// numbers must not be reused for others.
    fn heed_kept(&mut self, call: &Call) {
        let identity = self.identity;
        let mut is_used_up = false;
        self.kept.pending.retain(|place, pending| {
            let Some(queue) = call.queues.get(place) else { return true };
            let count = pending.count as usize;
            let is_same = queue.len() >= count && digest_of(queue, count) == pending.digest;
            is_used_up |= !is_same && identity == Some((pending.producer_id, pending.epoch));
            is_same
        });
        if is_used_up {
            self.begin_anew();
        }
    }

    fn begin_anew(&mut self) {
        self.identity = None;
        self.next.clear();
    }

    async fn identity(&mut self, cluster: &Cluster) -> Result<(i64, i16), Failure> {
        if let Some(identity) = self.identity {
            return Ok(identity);
        }
        let link = cluster.any().await?;
        let identity = if link.knows::<InitProducerIdRequest>() {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(i32::MAX)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1);
            let answer = link.call(&request, cluster.patience_ms()).await?;
            match Code::try_from_code(answer.error_code) {
                None => (answer.producer_id.0, answer.producer_epoch),
                Some(code) if failures::is_settled_by_people(code) => {
                    return Err(failures::of_answer("InitProducerId", code));
                }
                Some(code) => {
                    return Err(Failure::Retry(format!("InitProducerId: {}", failures::described(code))));
                }
            }
        } else {
            NOBODY
        };
        self.next.clear();
        self.identity = Some(identity);
        Ok(identity)
    }

    /// Heeds the answer of one broker.
    fn answered(
        &mut self,
        call: &mut Call,
        sent: &mut BTreeMap<Place, Pending>,
        answer: &ProduceResponse,
        waits: &mut Option<String>,
    ) -> Option<Failure> {
        let mut failure = None;
        for topic in &answer.responses {
            for partition in &topic.partition_responses {
                let place = (topic.name.to_string(), partition.index);
                // One that was not sent is no answer to anything.
                let Some(pending) = sent.remove(&place) else { continue };
                failure = failure.or(self.answered_of(call, &place, pending, partition, waits));
            }
        }
        failure
    }

    fn answered_of(
        &mut self,
        call: &mut Call,
        place: &Place,
        pending: Pending,
        answer: &PartitionProduceResponse,
        waits: &mut Option<String>,
    ) -> Option<Failure> {
        let Some(code) = Code::try_from_code(answer.error_code) else {
            self.written(call, place, pending);
            return None;
        };
        let more =
            answer.error_message.as_ref().map(|text| format!(": {}", text.as_str())).unwrap_or_default();
        let reason =
            format!("topic '{}', partition {}: {}{more}", place.0, place.1, failures::described(code));
        match failures::of_produce(code) {
            Refusal::Known => self.written(call, place, pending),
            Refusal::Never => return Some(Failure::Fatal(reason)),
            Refusal::Elsewhere | Refusal::Later => drop(waits.get_or_insert(reason)),
            Refusal::Anew => {
                self.kept.pending.remove(place);
                self.begin_anew();
                waits.get_or_insert(reason);
            }
            Refusal::Smaller => {
                self.kept.pending.remove(place);
                let wrong: Vec<(usize, String)> = answer
                    .record_errors
                    .iter()
                    .map(|error| (error.batch_index, error.batch_index_error_message.as_ref()))
                    .filter_map(|(index, text)| {
                        Some((
                            usize::try_from(index).ok()?,
                            text.map_or_else(
                                || reason.clone(),
                                |text| format!("{reason}: {}", text.as_str()),
                            ),
                        ))
                    })
                    .collect();
                call.refused(place, pending.count as usize, wrong, &reason);
            }
        }
        None
    }

    fn written(&mut self, call: &mut Call, place: &Place, pending: Pending) {
        self.kept.pending.remove(place);
        if self.identity == Some((pending.producer_id, pending.epoch)) {
            self.next.insert(place.clone(), following(pending.base_sequence, pending.count));
        }
        call.done(place, pending.count as usize, Outcome::Written);
    }
}

impl Call {
    /// Ends the first messages of a partition.
    fn done(&mut self, place: &Place, count: usize, outcome: Outcome) {
        let Some(queue) = self.queues.get_mut(place) else { return };
        for item in queue.drain(..count.min(queue.len())) {
            self.outcomes[item.index] = Some(outcome.clone());
        }
        if queue.is_empty() {
            self.queues.remove(place);
        }
    }

    /// Rejects the messages of a batch that the broker reported, or its only message. Else halves
    /// the batch.
    fn refused(&mut self, place: &Place, count: usize, wrong: Vec<(usize, String)>, reason: &str) {
        if count <= 1 {
            let reason = wrong.into_iter().next().map_or_else(|| reason.to_owned(), |(_, reason)| reason);
            return self.done(place, count, Outcome::Rejected(reason));
        }
        let Some(queue) = self.queues.get_mut(place) else { return };
        let mut wrong: Vec<(usize, String)> = wrong.into_iter().filter(|(index, _)| *index < count).collect();
        if wrong.is_empty() {
            self.most.insert(place.clone(), count / 2);
            return;
        }
        // From the last on, so that the numbers of the others stay.
        wrong.sort();
        for (index, reason) in wrong.into_iter().rev() {
            if let Some(item) = queue.remove(index) {
                self.outcomes[item.index] = Some(Outcome::Rejected(reason));
            }
        }
        if queue.is_empty() {
            self.queues.remove(place);
        }
    }
}

fn outward_of<'a>(cluster: &'a Cluster, delivery: &Delivery) -> Option<&'a Outward> {
    match &delivery.to {
        Addressee::Mapping(mapping) => cluster.config.outward.get(mapping),
        Addressee::Event(_) | Addressee::Tag(_) | Addressee::Table(_) => None,
    }
}

/// Why a topic has no partitions now.
fn homeless(topic: &str, known: Option<&Topic>) -> Failure {
    match known {
        Some(Topic::Refused(code)) if failures::is_settled_by_people(*code) => {
            failures::of_answer(&format!("topic '{topic}'"), *code)
        }
        Some(Topic::Refused(code)) => {
            Failure::Retry(format!("topic '{topic}': {}", failures::described(*code)))
        }
        Some(Topic::Known(_)) | None => Failure::Retry(format!("topic '{topic}' is not known")),
    }
}

/// How many make the next batch: of at most so many bytes, unless the first alone has more.
fn count_of(queue: &VecDeque<Item>, most: usize) -> usize {
    let mut bytes = 0;
    let fits = |item: &&Item| {
        bytes += records::bytes_of(&item.record);
        bytes <= BATCH_BYTES_MAX
    };
    queue.iter().take_while(fits).count().clamp(1, most.max(1))
}

fn digest_of(queue: &VecDeque<Item>, count: usize) -> u64 {
    queue
        .iter()
        .take(count)
        .fold(kept::NOTHING, |digest, item| kept::joined(digest, &item.digest.to_be_bytes()))
}

/// The number of the record behind so many, which begins anew at the end of the numbers.
fn following(base: i32, count: u32) -> i32 {
    let next = i64::from(base) + i64::from(count);
    i32::try_from(next % (i64::from(i32::MAX) + 1)).unwrap_or(0)
}

fn request_of(batches: &[Sent], left_ms: u64) -> ProduceRequest {
    let mut topics: BTreeMap<&str, Vec<PartitionProduceData>> = BTreeMap::new();
    for Sent { place: (topic, partition), batch, .. } in batches {
        let data = PartitionProduceData::default().with_index(*partition).with_records(Some(batch.clone()));
        topics.entry(topic).or_default().push(data);
    }
    let topics = topics.into_iter().map(|(topic, data)| {
        TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(data)
    });
    ProduceRequest::default()
        .with_acks(ACKS_ALL)
        .with_timeout_ms(i32::try_from(left_ms).unwrap_or(i32::MAX))
        .with_topic_data(topics.collect())
}

#[cfg(test)]
mod tests;
