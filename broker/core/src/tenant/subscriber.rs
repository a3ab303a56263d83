//! Subscribers: what the index keeps with each subscription, and how they merge to receivers of a
//! topic.

use std::sync::Arc;

use lotmq_codec::QoS;

use crate::fault::{Fault, is_planted};
use crate::tenant::client::Client;
use crate::tenant::subscription::{Identifiers, Options};

/// Subscriptions of one tenant, by session number.
pub(crate) type Index = lotmq_router::SubscriptionIndex<u64, Subscriber>;

/// A group of a shared subscription.
pub(crate) type SharedGroup = lotmq_router::SharedGroup<u64, Subscriber>;

/// A subscriber and the options of one of its subscriptions.
#[derive(Clone)]
pub struct Subscriber {
    pub(crate) client: Arc<Client>,
    pub(crate) options: Options,
}

impl Subscriber {
    /// Whether the session keeps messages of this subscription while its Client is away: those of
    /// QoS 0 are not for who is away.
    pub(crate) fn keeps(&self) -> bool {
        self.options.qos != QoS::AtMostOnce && self.client.is_durable()
    }

    /// Target for this subscription alone.
    pub fn target(&self) -> Target {
        let identifiers = self.options.identifier.map_or_else(Identifiers::default, Identifiers::one);
        Target {
            client: Arc::clone(&self.client),
            qos: self.options.qos,
            no_local: self.options.no_local,
            retain_as_published: self.options.retain_as_published,
            identifiers,
            own: None,
        }
    }
}

/// Receiver of a topic, its overlapping subscriptions already merged \[MQTT-3.3.4-2\].
#[derive(Clone)]
pub struct Target {
    /// The receiver.
    pub client: Arc<Client>,
    /// The highest granted QoS.
    pub qos: QoS,
    /// No Local of every matching subscription \[MQTT-3.8.3-3\]; see `own` where they differ.
    pub no_local: bool,
    pub(crate) retain_as_published: bool,
    /// Subscription Identifiers of all matching subscriptions \[MQTT-3.3.4-4\].
    pub identifiers: Identifiers,
    /// Options for the Client's own messages, where some of its matching subscriptions have No
    /// Local and others do not.
    pub own: Option<Box<Target>>,
}

impl Target {
    /// Merges another subscription of the same Client: one copy at the highest QoS with all
    /// identifiers \[MQTT-3.3.4-2, -3\].
    ///
    /// For the Client's own messages only those without No Local count \[MQTT-3.8.3-3\].
    pub(crate) fn merge(&mut self, other: Self) {
        if self.no_local != other.no_local || self.own.is_some() {
            let own = match self.own.take() {
                Some(mut own) => {
                    if !other.no_local {
                        own.add(&other);
                    }
                    own
                }
                None if other.no_local => Box::new(self.clone()),
                None => Box::new(other.clone()),
            };
            self.no_local = false;
            self.own = Some(own);
        }
        self.add(&other);
    }

    fn add(&mut self, other: &Self) {
        self.qos = self.qos.max(other.qos);
        self.retain_as_published |= other.retain_as_published;
        for identifier in other.identifiers.as_slice() {
            self.identifiers.add(*identifier);
        }
    }

    /// Target for a message published by `source`; `None` if it does not go to this Client.
    pub(crate) fn for_source(&self, source: Option<&Arc<Client>>) -> Option<&Self> {
        if (!self.no_local && self.own.is_none()) || is_planted(Fault::NoLocalIgnored) {
            return Some(self);
        }
        if !source.is_some_and(|source| Arc::ptr_eq(source, &self.client)) {
            return Some(self);
        }
        self.own.as_deref()
    }
}
