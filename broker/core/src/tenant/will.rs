//! Will Messages: kept with the session, published when the connection ends without a proper
//! DISCONNECT.

use lotmq_auth::{AskedMessage, Decide as _, Identity, Question};
use lotmq_codec::{PropertyBuf, PropertyId, QoS, Will};
use lotmq_router::{DelayedTopicError, delayed_target, parse_delayed};

use crate::tenant::Tenant;
use crate::tenant::system_topics;

/// Refusal of a Will because of its topic: Topic Name invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WillTopicRefused {
    /// The topic is one of the broker's own.
    #[error("will topic is below $SYS/")]
    System,
    /// The topic is below `$delayed/` and names no delay.
    #[error("will topic: {0}")]
    Delayed(#[from] DelayedTopicError),
}

/// The Will of a connection.
#[derive(Clone, Debug)]
pub struct WillMessage {
    /// The topic that it is published to.
    pub topic: Box<str>,
    /// Its properties as they are published: without the delay.
    pub properties: Box<[u8]>,
    /// Its payload.
    pub payload: Box<[u8]>,
    /// Its QoS.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
    /// Seconds between the end of the connection and the message \[MQTT-3.1.3-9\].
    pub delay_seconds: u32,
    /// Seconds that the message lives once published.
    pub expiry_seconds: Option<u32>,
}

impl WillMessage {
    /// Takes the Will out of the CONNECT of `client_id`.
    ///
    /// # Errors
    /// For a topic of the broker's own that does not hold the state of this Client, and for one
    /// below `$delayed/` that names no delay.
    pub fn new(will: &Will<'_>, client_id: &str) -> Result<Self, WillTopicRefused> {
        if system_topics::is_system(will.topic) && !system_topics::is_state_of(will.topic, client_id) {
            return Err(WillTopicRefused::System);
        }
        parse_delayed(will.topic).transpose()?;
        let mut properties = PropertyBuf::new();
        properties.extend(will.properties, |id| id != PropertyId::WillDelayInterval);
        Ok(Self {
            topic: will.topic.into(),
            properties: properties.properties().raw().into(),
            payload: will.payload.into(),
            qos: will.qos,
            retain: will.retain,
            delay_seconds: will.properties.will_delay_interval(),
            expiry_seconds: will.properties.message_expiry_interval(),
        })
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> u64 {
        (self.topic.len() + self.properties.len() + self.payload.len()) as u64
    }

    /// Whether its Client may publish it now.
    pub fn is_allowed(&self, tenant: &Tenant, identity: &Identity, now_ms: u64) -> bool {
        let question = Question::publish(identity, delayed_target(&self.topic)).with_payload(&self.payload);
        let question = question.with_message(AskedMessage {
            qos: self.qos.bits(),
            retain: self.retain,
            properties: &self.properties,
            expires_at_ms: self.expires_at_ms(now_ms),
        });
        tenant.permissions.decide(&question).is_allowed()
    }

    /// Expiry time of a message that is published now.
    pub(crate) fn expires_at_ms(&self, now_ms: u64) -> Option<u64> {
        self.expiry_seconds.map(|seconds| now_ms + u64::from(seconds) * 1000)
    }
}
