//! SUBACK: the answer to a SUBSCRIBE once its subscriptions are stored, or taken back because they
//! cannot be.
//!
//! Not here: how a filter becomes a subscription (`protocol`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::vec::IntoIter;

use lotmq_codec::{PacketId, ReasonCode, encode_suback};
use lotmq_router::TopicError;

use crate::connection::Connection;
use crate::durable::store_failure::StoreFailure;
use crate::limits::{Limit, SHARE_TIME};
use crate::reason::Discouraged;
use crate::reason::close::CloseReason;
use crate::tenant::client::Client;
use crate::tenant::replay::Replays;
use crate::tenant::subscription::Options;
use crate::turn::Turn;

/// Filters of one SUBSCRIBE whose refusals are explained in words; further ones get only the code.
const EXPLAINED_MAX: usize = 4;

/// Answer to a SUBSCRIBE, with the retained messages that follow it.
pub struct Granted {
    /// Packet Identifier of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Reason Code of each filter, in their order.
    pub codes: Vec<ReasonCode>,
    /// Refusals of filters, by their place in the packet.
    pub refusals: Vec<(usize, FilterRefusal)>,
    /// Subscriptions that are on their way to the store.
    pub added: Vec<Added>,
    /// Retained messages that follow the answer.
    pub replays: Replays,
}

/// Subscriptions that the store refused, while they are being reverted.
pub struct TakingBack {
    left: IntoIter<Added>,
    granted: Granted,
    failure: StoreFailure,
}

/// Subscription that was made, with the one it replaced.
pub struct Added {
    /// The filter.
    pub filter: Box<str>,
    /// The options as granted.
    pub options: Options,
    /// The options of the one that it replaced.
    pub former: Option<Options>,
    /// Its place in the packet.
    pub at: usize,
}

impl Granted {
    /// Sends SUBACK, then the retained messages \[MQTT-3.3.1-9\].
    pub fn answer(self, client: &Arc<Client>, connection: &Connection, turn: &mut Turn) {
        // A part of the packet may not have been stored.
        let Some(recipient) = client.recipient_on(connection).filter(|_| !connection.is_to_close()) else {
            return;
        };
        turn.control(client, connection, |out| {
            recipient.explain_acknowledgement(out, &self.words(), |out, properties| {
                encode_suback(out, recipient.version, self.packet_id, properties, &self.codes)
            });
        });
        client.replay(self.replays, turn);
    }

    /// Reverts these subscriptions because the store failed before it had them: a 5.0 Client is
    /// told that it does not have them. Anybody else is closed, and so is one that has asked for
    /// more changes meanwhile: which of them hold would be hard to say.
    pub(crate) fn take_back(mut self, failure: StoreFailure) -> TakingBack {
        let left = std::mem::take(&mut self.added).into_iter();
        self.replays = Replays::default();
        TakingBack { left, granted: self, failure }
    }

    /// Reason String: why filters were refused, each named by its number when there are several;
    /// empty when none was.
    fn words(&self) -> String {
        let is_alone = self.codes.len() == 1;
        let explained = self.refusals.iter().take(EXPLAINED_MAX);
        let mut words: Vec<String> = explained
            .map(|(number, refusal)| match is_alone {
                true => refusal.to_string(),
                false => format!("filter {number}: {refusal}"),
            })
            .collect();
        if self.refusals.len() > EXPLAINED_MAX {
            words.push(format!("and {} more", self.refusals.len() - EXPLAINED_MAX));
        }
        words.join("; ")
    }
}

impl TakingBack {
    /// Reverts subscriptions while there is time; answers after the last one. Otherwise returns the
    /// remaining ones.
    pub(crate) fn go_on(
        mut self,
        client: &Arc<Client>,
        connection: &Connection,
        turn: &mut Turn,
    ) -> Option<Self> {
        let others = connection.changes_waiting.load(Ordering::Relaxed) - 1;
        let recipient = client.recipient_on(connection);
        if others > 0 || !recipient.is_some_and(|recipient| recipient.version.has_properties()) {
            connection.changes_waiting.fetch_sub(1, Ordering::Relaxed);
            connection.request_close(CloseReason::StoreFailed(self.failure));
            return None;
        }
        let stretch = turn.core.clock.stretch(SHARE_TIME);
        let refusal = FilterRefusal::NotStored(self.failure);
        while let Some(added) = self.left.next() {
            client.take_back(&added.filter, added.options, added.former, turn);
            self.granted.codes[added.at] = refusal.reason_code();
            self.granted.refusals.push((added.at + 1, refusal));
            if stretch.is_over(&*turn.core.clock) && self.left.len() > 0 {
                return Some(self);
            }
        }
        connection.changes_waiting.fetch_sub(1, Ordering::Relaxed);
        self.granted.answer(client, connection, turn);
        None
    }
}

/// Reason why one filter gets no subscription.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum FilterRefusal {
    /// It is no Topic Filter.
    #[error(transparent)]
    Invalid(#[from] TopicError),
    /// It has code points that are not accepted here.
    #[error(transparent)]
    Discouraged(#[from] Discouraged),
    /// A limit is reached.
    #[error("{}", _0.sentence())]
    Limit(Limit),
    /// Rules deny it.
    #[error("no permission to subscribe to this topic filter")]
    NotAllowed,
    /// It would have to be stored, and cannot be.
    #[error("the subscription could not be stored: {0}")]
    NotStored(StoreFailure),
}

impl FilterRefusal {
    /// The Reason Code that its Client is told.
    pub(crate) fn reason_code(self) -> ReasonCode {
        match self {
            Self::Invalid(_) | Self::Limit(Limit::TopicBytes | Limit::TopicLevels) => {
                ReasonCode::TopicFilterInvalid
            }
            Self::Discouraged(place) => place.reason_code(),
            Self::Limit(limit) => limit.reason(),
            Self::NotAllowed => ReasonCode::NotAuthorized,
            Self::NotStored(failure) => failure.reason_code(),
        }
    }
}
