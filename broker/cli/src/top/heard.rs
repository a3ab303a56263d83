//! Topics by the messages that come on them.

use std::collections::BTreeMap;
use std::time::Duration;

use lotmq_client::{
    Client, ClientError, Message, PropertyBuf, QoS, ReasonCode, RetainHandling, SubscriptionOptions,
};

use super::rates::{Measure, Rated, RatedColumn};

/// Columns of topics.
pub(super) const COLUMNS: &[RatedColumn] = &[
    RatedColumn { title: "MSG/s", counted: "", told: "messagesPerSecond", measure: Measure::Rate },
    RatedColumn { title: "BYTES/s", counted: "", told: "bytesPerSecond", measure: Measure::Bytes },
];

/// Topics that are told apart in one interval; messages on further ones are counted together.
const TOPICS_MAX: usize = 100_000;

/// Name of what is beyond them.
const FURTHER: &str = "(further topics)";

/// Messages of one interval, by topic.
#[derive(Default)]
pub(super) struct Heard {
    topics: BTreeMap<String, (u64, u64)>,
}

impl Heard {
    /// Subscribes to what is to be heard: live messages, not those that are retained.
    pub(super) fn subscribe(client: &mut Client, filter: &str) -> Result<ReasonCode, ClientError> {
        let options = SubscriptionOptions {
            qos: QoS::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::DoNotSend,
        };
        let granted = client.subscribe(&[(filter, options)], PropertyBuf::new().properties())?;
        Ok(granted.first().copied().unwrap_or(ReasonCode::UnspecifiedError))
    }

    /// Counts a message. One that was retained has come before.
    pub(super) fn take(&mut self, message: &Message) {
        if message.retain {
            return;
        }
        let is_known = self.topics.contains_key(&message.topic);
        let topic = if is_known || self.topics.len() < TOPICS_MAX { &*message.topic } else { FURTHER };
        let (messages, bytes) = self.topics.entry(topic.to_owned()).or_default();
        *messages += 1;
        *bytes += message.payload.len() as u64;
    }

    /// Rates of all topics.
    #[expect(clippy::cast_precision_loss, reason = "counts of one interval are small")]
    pub(super) fn rated(self, elapsed: Duration) -> Vec<Rated> {
        let seconds = elapsed.as_secs_f64().max(1e-3);
        let rate = |count: u64| count as f64 / seconds;
        self.topics
            .into_iter()
            .map(|(topic, (messages, bytes))| {
                Rated::new(topic, String::new(), vec![rate(messages), rate(bytes)], COLUMNS)
            })
            .collect()
    }
}
