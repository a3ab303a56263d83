//! Messages that must have come when everything has settled.

use lotmq_codec::QoS;

use super::{Book, Kind, Promises, Published, Step};
use crate::checked::{Checked, ensure};
use crate::client::{MessageId, RUDE_PUBLISHER};
use crate::matching::unshared;

impl Promises {
    /// Everything was delivered.
    ///
    /// # Errors
    /// When something is missing.
    pub(crate) fn check_settled(&self) -> Checked {
        for (id, message) in self.messages.iter().enumerate() {
            let Some(from) = self.is_owed(message) else { continue };
            for client in 0..self.clients.len() {
                self.check_received(client, id, message, from)?;
            }
            if !self.is_incomplete {
                self.check_groups(id, message, from)?;
            }
        }
        self.check_replays()
    }

    /// The step from which on who is subscribed must get a message; `None` where nothing is
    /// promised.
    fn is_owed(&self, message: &Published) -> Option<(Step, Step)> {
        let is_promised = message.tag.is_some() && message.qos != QoS::AtMostOnce;
        if !is_promised || message.may_have_expired(self.now_ms) {
            return None;
        }
        match message.kind {
            Kind::Publish => Some((message.sent, message.taken?.0)),
            Kind::Delayed => message.taken.map(|_| (message.sent, self.step)),
            // It is published some time from then on.
            Kind::DueWill(step) => Some((step, self.step)),
            Kind::Effect(cause) => self.is_made(&self.messages[cause]),
            Kind::RefusedEffect(_) | Kind::Will | Kind::DiscardedWill => None,
        }
    }

    /// Returns the steps between which a definition has certainly made its effect of a message. A
    /// crash may cost runs that are not promised.
    fn is_made(&self, cause: &Published) -> Option<(Step, Step)> {
        let is_certain = cause.qos > QoS::AtMostOnce
            && cause.taken.is_some()
            && !self.has_failed
            && (self.runs_are_promised || self.restarted < cause.sent);
        is_certain.then_some((cause.sent, self.step))
    }

    pub(super) fn last(&self, client: usize) -> &Book {
        self.clients[client].last().expect("a Client has a book from the beginning")
    }

    pub(super) fn has_got(&self, client: usize, id: MessageId) -> bool {
        self.last(client).got.get(&id).is_some_and(|receipts| receipts.live + receipts.retained > 0)
    }

    fn check_received(
        &self,
        client: usize,
        id: MessageId,
        message: &Published,
        during: (Step, Step),
    ) -> Checked {
        let is_own = usize::from(message.publisher) == client;
        let filters = &self.last(client).filters;
        for filter in filters.all().filter(|filter| Self::matches(filter, message.topic)) {
            let Some(options) = filters.lasting(filter, during) else { continue };
            if options.qos == QoS::AtMostOnce || (options.no_local && is_own) {
                continue;
            }
            ensure!(self.has_got(client, id), "c{client} lacks {message:?}, which {filter:?} wants");
        }
        Ok(())
    }

    /// One member of a group must have got a message, and no other one, where nobody came to the
    /// group or left it since.
    fn check_groups(&self, id: MessageId, message: &Published, (from, _): (Step, Step)) -> Checked {
        for filter in self.groups_of(message.topic) {
            let Some(members) = self.members(filter, from) else { continue };
            let is_whole = members.iter().all(|(_, options)| *options >= message.qos);
            let receivers = members.iter().filter(|(client, _)| self.has_got(*client, id)).count();
            let wants = members.iter().all(|(_, options)| *options != QoS::AtMostOnce);
            ensure!(
                members.is_empty() || receivers > 0 || !wants,
                "no member of {filter:?} has got {message:?}"
            );
            let is_only_way = |client: usize| {
                let ways = self.last(client).filters.possible(message.topic, (from, self.step));
                ways.iter().all(|(way, _)| *way == filter)
            };
            let all_by_group = members.iter().all(|(client, _)| is_only_way(*client));
            let is_countable = !self.has_failed
                && message.qos == QoS::ExactlyOnce
                && is_whole
                && all_by_group
                && !message.retain
                && !self.may_be_made_again(message);
            ensure!(
                !is_countable || receivers <= 1,
                "{receivers} members of {filter:?} have got {message:?}, [MQTT-4.8.2-4]"
            );
        }
        Ok(())
    }

    /// The members of a group and their QoS, if they have been the same since a step.
    fn members(&self, filter: &'static str, since: Step) -> Option<Vec<(usize, QoS)>> {
        let mut members = Vec::new();
        let topic = unshared(filter).replace(['+', '#'], "x");
        for (client, books) in self.clients.iter().enumerate() {
            let is_possible = |book: &Book| {
                let possible = book.filters.possible(&topic, (since, self.step));
                possible.iter().any(|(way, _)| *way == filter)
            };
            let (last, before) = books.split_last().expect("a Client has a book from the beginning");
            if before.iter().any(is_possible) {
                return None;
            }
            if is_possible(last) {
                members.push((client, last.filters.certain(filter, (since, self.step))?.qos));
            }
        }
        Some(members)
    }

    /// Checks what an observer found retained for a topic: a message, or nothing.
    ///
    /// # Errors
    /// If it was replaced by something else.
    pub(crate) fn check_retained(&self, topic: &'static str, found: Option<&[u8]>) -> Checked {
        let all = self.messages.iter().filter(|message| message.topic == topic && message.retain);
        let all: Vec<_> = all.filter(|message| message.kind != Kind::DiscardedWill).collect();
        let tag = found.and_then(crate::client::Tag::read);
        // Another message has certainly replaced this one.
        let is_replaced = |message: Option<&Published>| {
            let until = message.map_or(0, Published::until);
            all.iter()
                .any(|later| later.taken.is_some() && later.sent > until && later.qos != QoS::AtMostOnce)
        };
        match found {
            // Of one that keeps no book.
            Some(_) if tag.is_some_and(|tag| tag.publisher >= RUDE_PUBLISHER) => {}
            Some(payload) => {
                let message = all.iter().find(|message| message.tag.is_some() && message.tag == tag);
                let Some(message) = message else {
                    return Err(format!("{topic:?} has {payload:02X?}, which nobody retained"));
                };
                let is_of_will = message.kind != Kind::Publish;
                ensure!(
                    is_of_will || !is_replaced(Some(message)),
                    "{topic:?} has {message:?}, which was replaced"
                );
            }
            None => {
                let ends =
                    |message: &&&Published| message.tag.is_none() || message.may_have_expired(self.now_ms);
                let is_empty = self.is_incomplete
                    || !is_replaced(None)
                    || all.iter().filter(ends).any(|empty| !is_replaced(Some(empty)));
                ensure!(is_empty, "{topic:?} has nothing retained");
            }
        }
        Ok(())
    }
}
