//! The cluster: its brokers, who leads which partition, and the connections to them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, MetadataRequest, MetadataResponse, SaslAuthenticateRequest, SaslHandshakeRequest,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;
use lotmq_guest::route::{Failure, Peer, ambient};
use route_scram::Scram;

use crate::api::Versions;
use crate::config::Config;
use crate::failures;
use crate::limits::{CONNECT_MS, METADATA_MS, PARTITIONS_MAX};
use crate::link::Link;
use crate::sasl::Login;

/// Purpose of a connection. A broker answers requests in sequence, and delays those for records and
/// of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    Write,
    Read,
    Group,
}

/// Metadata of a topic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Topic {
    /// The leaders of its partitions, by their numbers; `None` of one that has none now.
    Known(Vec<Option<i32>>),
    Refused(Code),
}

pub(crate) struct Cluster {
    pub(crate) config: Rc<Config>,
    brokers: RefCell<BTreeMap<i32, Peer>>,
    topics: RefCell<BTreeMap<String, Topic>>,
    /// To any reachable server of the definition.
    first: RefCell<Option<Rc<Link>>>,
    links: RefCell<BTreeMap<(Purpose, i32), Rc<Link>>>,
}

impl Cluster {
    pub(crate) async fn open(config: Config) -> Result<Rc<Cluster>, Failure> {
        let cluster = Rc::new(Cluster {
            config: Rc::new(config),
            brokers: RefCell::default(),
            topics: RefCell::default(),
            first: RefCell::default(),
            links: RefCell::default(),
        });
        cluster.refresh().await?;
        Ok(cluster)
    }

    /// Returns the longest wait for an immediate answer, in milliseconds. It is less than the wait
    /// of the host.
    pub(crate) fn patience_ms(&self) -> u64 {
        self.config.patience_ms / 10 * 9
    }

    /// Returns the longest wait for a connection, and for each answer during its opening. All
    /// servers of the definition must get a turn.
    fn connect_ms(&self) -> u64 {
        let each = self.patience_ms() / u64::try_from(self.config.servers.len()).unwrap_or(1).max(1);
        each.clamp(1, CONNECT_MS)
    }

    /// Milliseconds after which the cluster is asked anew.
    pub(crate) fn interval_ms(&self) -> u64 {
        self.config.patience_ms.min(METADATA_MS)
    }

    /// Asks who is there and who leads what.
    pub(crate) async fn refresh(&self) -> Result<(), Failure> {
        let link = self.any().await?;
        // The cluster may create topics that the route writes to. A missing topic to read is a
        // mistake, or may appear later.
        let written = self.config.written().map(str::to_owned).collect();
        let read = self.config.read();
        self.ask(&link, written, true).await?;
        self.ask(&link, read, false).await
    }

    async fn ask(&self, link: &Link, topics: Vec<String>, is_made: bool) -> Result<(), Failure> {
        let named = |topic: String| MetadataRequestTopic::default().with_name(Some(topic_name(&topic)));
        let topics: Vec<MetadataRequestTopic> = topics.into_iter().map(named).collect();
        let request =
            MetadataRequest::default().with_topics(Some(topics)).with_allow_auto_topic_creation(is_made);
        let answer = link.call(&request, self.patience_ms()).await?;
        let place = |host: &StrBytes, port: i32| Peer {
            host: host.to_string(),
            port: u16::try_from(port).unwrap_or(0),
        };
        let brokers =
            answer.brokers.iter().map(|broker| (broker.node_id.0, place(&broker.host, broker.port)));
        let brokers: BTreeMap<i32, Peer> = brokers.collect();
        self.links.borrow_mut().retain(|(_, node), _| brokers.contains_key(node));
        self.brokers.replace(brokers);
        self.topics.borrow_mut().extend(topics_of(&answer));
        Ok(())
    }

    /// Returns the metadata of a topic.
    pub(crate) fn topic(&self, name: &str) -> Option<Topic> {
        self.topics.borrow().get(name).cloned()
    }

    /// Returns the leader of a partition.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        match self.topics.borrow().get(topic)? {
            Topic::Known(leaders) => *leaders.get(usize::try_from(partition).ok()?)?,
            Topic::Refused(_) => None,
        }
    }

    /// Partitions of a topic; none of one that is not known.
    pub(crate) fn partitions(&self, topic: &str) -> usize {
        match self.topics.borrow().get(topic) {
            Some(Topic::Known(leaders)) => leaders.len(),
            Some(Topic::Refused(_)) | None => 0,
        }
    }

    /// Asks about topics that the definition does not name.
    pub(crate) async fn learn(&self, topics: Vec<String>) -> Result<(), Failure> {
        let link = self.any().await?;
        self.ask(&link, topics, false).await
    }

    /// A connection to any broker.
    pub(crate) async fn any(&self) -> Result<Rc<Link>, Failure> {
        if let Some(link) = self.first.borrow().clone().filter(|link| link.is_good()) {
            return Ok(link);
        }
        let servers =
            self.config.servers.iter().enumerate().map(|(number, place)| (place.clone(), number == 0));
        let named: Vec<Peer> = self.brokers.borrow().values().cloned().collect();
        let mut failure = None;
        for (place, is_endpoint) in servers.chain(named.into_iter().map(|place| (place, false))) {
            match self.connect(&place, is_endpoint).await {
                Ok(link) => {
                    self.first.replace(Some(Rc::clone(&link)));
                    return Ok(link);
                }
                Err(fatal @ Failure::Fatal(_)) => return Err(fatal),
                Err(other) => drop(failure.get_or_insert(other)),
            }
        }
        Err(failure.unwrap_or_else(|| Failure::Reconnect("no broker is known".to_owned())))
    }

    /// A connection to a broker that the cluster has named.
    pub(crate) async fn link(&self, purpose: Purpose, node: i32) -> Result<Rc<Link>, Failure> {
        if let Some(link) = self.links.borrow().get(&(purpose, node)).filter(|link| link.is_good()) {
            return Ok(Rc::clone(link));
        }
        let place = self.brokers.borrow().get(&node).cloned();
        let place = place.ok_or_else(|| Failure::Retry(format!("broker {node} is not known")))?;
        let link = self.connect(&place, false).await?;
        self.links.borrow_mut().insert((purpose, node), Rc::clone(&link));
        Ok(link)
    }

    /// Notes where a broker is that the metadata may not have yet.
    pub(crate) fn know(&self, node: i32, host: &str, port: i32) {
        let place = Peer { host: host.to_owned(), port: u16::try_from(port).unwrap_or(0) };
        self.brokers.borrow_mut().insert(node, place);
    }

    async fn connect(&self, place: &Peer, is_endpoint: bool) -> Result<Rc<Link>, Failure> {
        let link = Link::open(place, is_endpoint, &self.config.client_id, self.connect_ms())?;
        self.negotiate(&link).await?;
        if let Some(login) = &self.config.login {
            self.log_in(&link, login).await?;
        }
        Ok(link)
    }

    /// Asks which versions the broker speaks.
    async fn negotiate(&self, link: &Link) -> Result<(), Failure> {
        // Every broker knows version 0, and later ones say nothing more that matters here.
        let answer = link.call_in(0, &ApiVersionsRequest::default(), self.connect_ms()).await?;
        if let Some(code) = Code::try_from_code(answer.error_code) {
            return Err(failures::of_answer(&format!("{}: ApiVersions", link.name()), code));
        }
        link.speaks(Versions::of(&answer));
        Ok(())
    }

    async fn log_in(&self, link: &Link, login: &Login) -> Result<(), Failure> {
        let name = login.mechanism.name();
        let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(name));
        let answer = link.call(&request, self.connect_ms()).await?;
        if let Some(code) = Code::try_from_code(answer.error_code) {
            let known: Vec<&str> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
            let what =
                format!("{} does not take SASL_MECHANISM {name}, it takes {}", link.name(), known.join(", "));
            return Err(failures::of_answer(&what, code));
        }
        let Some(hash) = login.mechanism.hash() else {
            return self.prove(link, login.plain()).await.map(drop);
        };
        let wrong = |reason: String| Failure::Fatal(format!("{}: {reason}", link.name()));
        let mut scram = Scram::new(hash, &login.username, [ambient::random(), ambient::random()]);
        let challenge = self.prove(link, scram.first().into_bytes()).await?;
        let proof = scram.last(&challenge, &login.password).map_err(wrong)?;
        let answer = self.prove(link, proof.into_bytes()).await?;
        scram.check(&answer).map_err(wrong)
    }

    /// One message of a login, and the answer to it.
    async fn prove(&self, link: &Link, message: Vec<u8>) -> Result<Bytes, Failure> {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(message.into());
        let answer = link.call(&request, self.connect_ms()).await?;
        if let Some(code) = Code::try_from_code(answer.error_code) {
            let more = answer.error_message.map(|text| format!(": {}", text.as_str())).unwrap_or_default();
            return Err(failures::of_answer(&format!("{} refuses the login{more}", link.name()), code));
        }
        link.expires_in(answer.session_lifetime_ms);
        Ok(answer.auth_bytes)
    }
}

/// A name in the words of the protocol.
pub(crate) fn topic_name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

fn topics_of(answer: &MetadataResponse) -> Vec<(String, Topic)> {
    let of_topic = |topic: &kafka_protocol::messages::metadata_response::MetadataResponseTopic| {
        let name = topic.name.as_ref()?.to_string();
        if let Some(code) = Code::try_from_code(topic.error_code) {
            return Some((name, Topic::Refused(code)));
        }
        let numbers =
            topic.partitions.iter().filter_map(|partition| usize::try_from(partition.partition_index).ok());
        let count = numbers.max().map_or(0, |last| last.saturating_add(1));
        if count == 0 || count > PARTITIONS_MAX {
            return Some((name, Topic::Refused(Code::LeaderNotAvailable)));
        }
        let mut leaders = vec![None; count];
        for partition in &topic.partitions {
            if let Some(leader) =
                usize::try_from(partition.partition_index).ok().and_then(|number| leaders.get_mut(number))
            {
                *leader = (partition.leader_id.0 >= 0).then_some(partition.leader_id.0);
            }
        }
        Some((name, Topic::Known(leaders)))
    };
    answer.topics.iter().filter_map(of_topic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};

    #[test]
    fn leaders_are_those_of_the_answer() {
        let partition = |number, leader| {
            MetadataResponsePartition::default().with_partition_index(number).with_leader_id(BrokerId(leader))
        };
        let topic = |partitions, code| {
            MetadataResponseTopic::default()
                .with_name(Some(topic_name("t")))
                .with_partitions(partitions)
                .with_error_code(code)
        };
        for (topic, expected) in [
            (topic(vec![partition(1, 7), partition(0, -1)], 0), Topic::Known(vec![None, Some(7)])),
            (topic(vec![], 0), Topic::Refused(Code::LeaderNotAvailable)),
            (topic(vec![partition(i32::MAX, 1)], 0), Topic::Refused(Code::LeaderNotAvailable)),
            (topic(vec![partition(-1, 1)], 0), Topic::Refused(Code::LeaderNotAvailable)),
            (topic(vec![], 3), Topic::Refused(Code::UnknownTopicOrPartition)),
        ] {
            let answer = MetadataResponse::default().with_topics(vec![topic]);
            assert_eq!(topics_of(&answer), [("t".to_owned(), expected)]);
        }
    }
}
