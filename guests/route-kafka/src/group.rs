//! Membership in a consumer group: joining, signs of life, offsets, and goodbye.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use lotmq_guest::route::executor::{sleep, timeout};
use lotmq_guest::route::{Failure, state};

use crate::assign::{self, Share};
use crate::cluster::{Cluster, Purpose, topic_name};
use crate::failures;
use crate::kept::Place;
use crate::limits::{AGAIN_MS, LEAVE_MS, REBALANCE_MS};
use crate::link::Link;

/// How partitions are divided.
const RANGE: &str = "range";

/// Kind of group.
const CONSUMER: &str = "consumer";

/// Key of the identifier that the group knows this member by.
const KEY: &str = "member";

/// Offset of a partition of which the group has read nothing.
const NOTHING: i64 = -1;

/// Outcome of a question to the coordinator.
#[derive(Debug)]
pub(crate) enum Told {
    Fine,
    /// The group is divided anew, or does not know this member any more.
    Rejoin,
}

/// Assignment of the group to this member.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) share: Share,
    /// Of the one that divides: how many partitions each topic of the group had then.
    pub(crate) divided: BTreeMap<String, usize>,
}

pub(crate) struct Group {
    cluster: Rc<Cluster>,
    id: GroupId,
    state: RefCell<Member>,
}

#[derive(Clone, Default)]
struct Member {
    id: StrBytes,
    generation: i32,
    coordinator: Option<Rc<Link>>,
}

impl Group {
    pub(crate) fn new(cluster: Rc<Cluster>) -> Group {
        let id = GroupId(StrBytes::from_string(cluster.config.group_id.clone()));
        let member = Member { id: kept_member(&id), generation: -1, coordinator: None };
        Group { cluster, id, state: RefCell::new(member) }
    }

    /// Joins, or joins again, and takes the share.
    pub(crate) async fn join(&self) -> Result<Membership, Failure> {
        loop {
            let link = self.coordinator().await?;
            if let Some(membership) = self.try_join(&link).await? {
                return Ok(membership);
            }
        }
    }

    /// The broker that leads the group.
    async fn coordinator(&self) -> Result<Rc<Link>, Failure> {
        if let Some(link) = self.state.borrow().coordinator.clone().filter(|link| link.is_good()) {
            return Ok(link);
        }
        loop {
            let any = self.cluster.any().await?;
            let request = FindCoordinatorRequest::default().with_key(self.id.0.clone());
            let answer = any.call(&request, self.cluster.patience_ms()).await?;
            match Code::try_from_code(answer.error_code) {
                None => {
                    self.cluster.know(answer.node_id.0, &answer.host, answer.port);
                    let link = self.cluster.link(Purpose::Group, answer.node_id.0).await?;
                    self.state.borrow_mut().coordinator = Some(Rc::clone(&link));
                    return Ok(link);
                }
                Some(Code::CoordinatorNotAvailable | Code::CoordinatorLoadInProgress) => pause().await,
                Some(code) => return Err(self.failure("FindCoordinator", code)),
            }
        }
    }

    /// `None` where it has to be tried once more.
    async fn try_join(&self, link: &Link) -> Result<Option<Membership>, Failure> {
        let subscription = subscription(&self.cluster.config.read());
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(RANGE))
            .with_metadata(subscription);
        let request = JoinGroupRequest::default()
            .with_group_id(self.id.clone())
            .with_session_timeout_ms(self.cluster.config.session_ms)
            .with_rebalance_timeout_ms(REBALANCE_MS)
            .with_member_id(self.state.borrow().id.clone())
            .with_protocol_type(StrBytes::from_static_str(CONSUMER))
            .with_protocols(vec![protocol]);
        let most_ms = self.cluster.patience_ms().saturating_add(REBALANCE_MS.unsigned_abs().into());
        let answer = link.call(&request, most_ms).await?;
        if let Some(code) = Code::try_from_code(answer.error_code) {
            if code == Code::MemberIdRequired {
                self.is_known_as(answer.member_id);
                return Ok(None);
            }
            return self.again("JoinGroup", code).await.map(|()| None);
        }
        self.is_known_as(answer.member_id.clone());
        self.state.borrow_mut().generation = answer.generation_id;
        let divided = self.divided(&answer).await?;
        let counts = divided.as_ref().map(|(_, counts)| counts.clone()).unwrap_or_default();
        let share = self.sync(link, divided.map(|(shares, _)| shares).unwrap_or_default()).await?;
        Ok(share.map(|share| Membership { share, divided: counts }))
    }

    /// Shares of all members, and how many partitions there are, where this one has to divide them.
    async fn divided(
        &self,
        answer: &JoinGroupResponse,
    ) -> Result<Option<(BTreeMap<String, Share>, BTreeMap<String, usize>)>, Failure> {
        if answer.leader != answer.member_id {
            return Ok(None);
        }
        let mut members = BTreeMap::new();
        for member in &answer.members {
            let topics = subscribed(member.metadata.clone());
            let topics = topics.ok_or_else(|| {
                Failure::Reconnect(format!("group '{}': a member's subscription is malformed", &*self.id.0))
            })?;
            members.insert(member.member_id.to_string(), topics);
        }
        let topics: std::collections::BTreeSet<String> = members.values().flatten().cloned().collect();
        self.cluster.learn(topics.iter().cloned().collect()).await?;
        let counts =
            topics.into_iter().map(|topic| (topic.clone(), self.cluster.partitions(&topic))).collect();
        Ok(Some((assign::ranges(&members, |topic| self.cluster.partitions(topic)), counts)))
    }

    async fn sync(&self, link: &Link, shares: BTreeMap<String, Share>) -> Result<Option<Share>, Failure> {
        let (member, generation) = self.member();
        let assigned = shares.into_iter().map(|(member, share)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(StrBytes::from_string(member))
                .with_assignment(assignment(&share))
        });
        let request = SyncGroupRequest::default()
            .with_group_id(self.id.clone())
            .with_generation_id(generation)
            .with_member_id(member)
            .with_assignments(assigned.collect());
        let most_ms = self.cluster.patience_ms().saturating_add(REBALANCE_MS.unsigned_abs().into());
        let answer = link.call(&request, most_ms).await?;
        if let Some(code) = Code::try_from_code(answer.error_code) {
            return self.again("SyncGroup", code).await.map(|()| None);
        }
        let share = assigned_share(answer.assignment);
        share.map(Some).ok_or_else(|| {
            Failure::Reconnect(format!("group '{}': the assignment is malformed", &*self.id.0))
        })
    }

    /// Says that this member lives.
    pub(crate) async fn heartbeat(&self) -> Result<Told, Failure> {
        let link = self.coordinator().await?;
        let (member, generation) = self.member();
        let request = HeartbeatRequest::default()
            .with_group_id(self.id.clone())
            .with_generation_id(generation)
            .with_member_id(member);
        let answer = link.call(&request, self.cluster.patience_ms()).await?;
        self.told("Heartbeat", answer.error_code).await
    }

    /// Returns the committed offset of each partition; partitions without one are missing.
    pub(crate) async fn committed(&self, places: &[Place]) -> Result<BTreeMap<Place, i64>, Failure> {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        places.iter().for_each(|(topic, partition)| topics.entry(topic).or_default().push(*partition));
        let topics = topics.into_iter().map(|(topic, partitions)| {
            OffsetFetchRequestTopic::default().with_name(topic_name(topic)).with_partition_indexes(partitions)
        });
        let request =
            OffsetFetchRequest::default().with_group_id(self.id.clone()).with_topics(Some(topics.collect()));
        loop {
            let link = self.coordinator().await?;
            let answer = link.call(&request, self.cluster.patience_ms()).await?;
            let of_partition = answer
                .topics
                .iter()
                .flat_map(|topic| &topic.partitions)
                .map(|partition| partition.error_code);
            let code = std::iter::once(answer.error_code).chain(of_partition).find_map(Code::try_from_code);
            match code {
                None => {
                    let offsets = answer.topics.iter().flat_map(|topic| {
                        let place = move |partition| (topic.name.to_string(), partition);
                        topic
                            .partitions
                            .iter()
                            .map(move |found| (place(found.partition_index), found.committed_offset))
                    });
                    return Ok(offsets.filter(|(_, offset)| *offset > NOTHING).collect());
                }
                Some(Code::UnstableOffsetCommit) => pause().await,
                Some(code) => self.again("OffsetFetch", code).await?,
            }
        }
    }

    /// Notes how far partitions were read.
    pub(crate) async fn commit(&self, offsets: &BTreeMap<Place, i64>) -> Result<Told, Failure> {
        if offsets.is_empty() {
            return Ok(Told::Fine);
        }
        let link = self.coordinator().await?;
        let answer = link.call(&self.commit_of(offsets), self.cluster.patience_ms()).await?;
        let codes =
            answer.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
        self.told("OffsetCommit", codes.into_iter().find(|code| *code != 0).unwrap_or(0)).await
    }

    fn commit_of(&self, offsets: &BTreeMap<Place, i64>) -> OffsetCommitRequest {
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for ((topic, partition), offset) in offsets {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(StrBytes::new()));
            topics.entry(topic).or_default().push(partition);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
        });
        let (member, generation) = self.member();
        OffsetCommitRequest::default()
            .with_group_id(self.id.clone())
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(member)
            .with_topics(topics.collect())
    }

    /// Commits and leaves, so that others go on at once; in a short time or not at all.
    pub(crate) async fn leave(&self, offsets: &BTreeMap<Place, i64>) {
        let (member, generation) = self.member();
        let link = self.state.borrow().coordinator.clone().filter(|link| link.is_good());
        let Some(link) = link.filter(|_| generation >= 0) else { return };
        let goodbye = async {
            if !offsets.is_empty() {
                // The group reads records without a committed offset again.
                let _ = link.call(&self.commit_of(offsets), LEAVE_MS).await;
            }
            let request =
                LeaveGroupRequest::default().with_group_id(self.id.clone()).with_member_id(member.clone());
            if link.call(&request, LEAVE_MS).await.is_ok() {
                self.is_known_as(StrBytes::new());
            }
        };
        // A coordinator that does not answer counts this member as gone by itself.
        let _ = timeout(Duration::from_millis(LEAVE_MS), goodbye).await;
    }

    fn member(&self) -> (StrBytes, i32) {
        let member = self.state.borrow();
        (member.id.clone(), member.generation)
    }

    /// Notes the identifier that the group has given, so that the next connection takes its place.
    fn is_known_as(&self, id: StrBytes) {
        if self.state.borrow().id == id {
            return;
        }
        // Without this state the route joins as a new member, and the group waits until the former
        // one times out.
        let _ = state::set(KEY, format!("{}\n{}", &*self.id.0, &*id).as_bytes());
        self.state.borrow_mut().id = id;
    }

    async fn told(&self, what: &str, code: i16) -> Result<Told, Failure> {
        match Code::try_from_code(code) {
            None => Ok(Told::Fine),
            Some(code) => self.again(what, code).await.map(|()| Told::Rejoin),
        }
    }

    /// Prepares for another try, where that helps.
    async fn again(&self, what: &str, code: Code) -> Result<(), Failure> {
        match code {
            Code::RebalanceInProgress => {}
            Code::UnknownMemberId | Code::IllegalGeneration | Code::FencedInstanceId => {
                self.state.borrow_mut().generation = -1;
                if code != Code::IllegalGeneration {
                    self.is_known_as(StrBytes::new());
                }
            }
            Code::NotCoordinator | Code::CoordinatorNotAvailable => {
                self.state.borrow_mut().coordinator = None;
                pause().await;
            }
            Code::CoordinatorLoadInProgress | Code::RequestTimedOut | Code::NotEnoughReplicas => {
                pause().await
            }
            code => return Err(self.failure(what, code)),
        }
        Ok(())
    }

    fn failure(&self, what: &str, code: Code) -> Failure {
        failures::of_answer(&format!("group '{}': {what}", &*self.id.0), code)
    }
}

async fn pause() {
    sleep(Duration::from_millis(AGAIN_MS)).await;
}

/// The identifier by which this group knew the last connection.
fn kept_member(group: &GroupId) -> StrBytes {
    let kept = state::get(KEY).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let id = kept.rsplit_once('\n').filter(|(of, _)| **of == *group.0).map_or("", |(_, id)| id);
    StrBytes::from_string(id.to_owned())
}

/// Encodes the topics that a member reads, in version 0 of the common consumer format.
fn subscription(topics: &[String]) -> Bytes {
    let mut form = BytesMut::new();
    form.put_i16(0);
    form.put_i32(i32::try_from(topics.len()).unwrap_or(0));
    topics.iter().for_each(|topic| put_text(&mut form, topic));
    form.put_i32(-1);
    form.freeze()
}

/// Topics that a member reads, of any version of the form.
fn subscribed(mut form: Bytes) -> Option<Vec<String>> {
    form.try_get_i16().ok()?;
    let count = form.try_get_i32().ok()?;
    (0..count).map(|_| text(&mut form)).collect()
}

/// A share in version 0 of its form.
fn assignment(share: &Share) -> Bytes {
    let mut form = BytesMut::new();
    form.put_i16(0);
    form.put_i32(i32::try_from(share.len()).unwrap_or(0));
    for (topic, partitions) in share {
        put_text(&mut form, topic);
        form.put_i32(i32::try_from(partitions.len()).unwrap_or(0));
        partitions.iter().for_each(|partition| form.put_i32(*partition));
    }
    form.put_i32(-1);
    form.freeze()
}

/// Decodes an assignment of any version. It is empty if the leader assigned nothing to this member.
fn assigned_share(mut form: Bytes) -> Option<Share> {
    let mut share = Share::new();
    if form.is_empty() {
        return Some(share);
    }
    form.try_get_i16().ok()?;
    for _ in 0..form.try_get_i32().ok()? {
        let topic = text(&mut form)?;
        let count = form.try_get_i32().ok()?;
        let partitions: Vec<i32> = (0..count).map(|_| form.try_get_i32().ok()).collect::<Option<_>>()?;
        share.insert(topic, partitions);
    }
    Some(share)
}

fn put_text(form: &mut BytesMut, text: &str) {
    form.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
    form.put_slice(text.as_bytes());
}

fn text(form: &mut Bytes) -> Option<String> {
    let length = usize::try_from(form.try_get_i16().ok()?).ok()?;
    if form.len() < length {
        return None;
    }
    String::from_utf8(form.split_to(length).to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_the_same_when_they_are_read() {
        let topics = ["t".to_owned(), "u".to_owned()];
        assert_eq!(subscribed(subscription(&topics)), Some(topics.to_vec()));
        let share = Share::from([("t".to_owned(), vec![0, 2]), ("u".to_owned(), vec![])]);
        assert_eq!(assigned_share(assignment(&share)), Some(share));
        assert_eq!(assigned_share(Bytes::new()), Some(Share::new()));
        // Additional fields of later versions do not matter, but missing bytes do.
        let long = [&subscription(&topics)[..], &[1, 2, 3]].concat();
        assert_eq!(subscribed(long.into()), Some(topics.to_vec()));
        assert_eq!(subscribed(Bytes::from_static(&[0, 0, 0x7f, 0xff, 0xff, 0xff, 0])), None);
        assert_eq!(assigned_share(Bytes::from_static(&[0, 0, 0, 0, 0, 1, 0, 1, b't', 0x7f, 0, 0, 0])), None);
    }

    #[test]
    fn a_member_is_known_to_its_own_group_only() {
        state::set(KEY, b"g\nmember-1").unwrap();
        let of = |group: &'static str| kept_member(&GroupId(StrBytes::from_static_str(group))).to_string();
        assert_eq!((&*of("g"), &*of("h")), ("member-1", ""));
    }
}
