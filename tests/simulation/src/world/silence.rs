//! How long Clients may be silent: whoever says nothing for one and a half times its Keep Alive is
//! closed \[MQTT-3.1.2-22\].
//!
//! Judged when time is to pass and the broker has done all that it has to, for as long as a
//! connection lives.

use std::collections::BTreeMap;

use super::World;
use crate::checked::{Checked, ensure};
use crate::machine::ConnectionId;

/// How much later than due a connection may be closed, in milliseconds: packets are dated by ticks,
/// and deadlines are looked at with ticks.
const SLACK_MS: u64 = 1_500;

/// Connections with a Keep Alive.
#[derive(Debug, Default)]
pub(super) struct Silences(BTreeMap<ConnectionId, Silence>);

#[derive(Debug)]
struct Silence {
    /// How long it may be silent, in milliseconds.
    patience_ms: u64,
    /// When the broker has read something of it last, or has let it be silent once more.
    since_ms: u64,
    /// The bytes read last may be part of a long packet. This is worth one interval more when the
    /// first one is over.
    may_have_more: bool,
}

impl Silences {
    /// The broker reads what has come on a connection.
    pub(super) fn heard(&mut self, id: ConnectionId, now_ms: u64, has_long_messages: bool) {
        if let Some(silence) = self.0.get_mut(&id) {
            (silence.since_ms, silence.may_have_more) = (now_ms, has_long_messages);
        }
    }

    /// The broker has closed a connection.
    pub(super) fn ends(&mut self, id: ConnectionId) {
        self.0.remove(&id);
    }
}

impl World {
    /// A Client's connection has begun, with its Keep Alive.
    pub(super) fn may_be_silent(&mut self, who: usize) {
        let client = &self.clients[who].client;
        let (Some(id), Some(hello)) = (client.connection, &client.hello) else { return };
        if hello.keep_alive > 0 {
            let patience_ms = u64::from(hello.keep_alive) * 1_500;
            let (since_ms, may_have_more) = (self.time.now_ms(), self.has_long_messages);
            self.silences.0.insert(id, Silence { patience_ms, since_ms, may_have_more });
        }
    }

    /// Nobody is open who has been silent for too long.
    pub(super) fn check_silences(&mut self) -> Checked {
        let Some(machine) = &self.machine else { return Ok(()) };
        let now_ms = self.time.now_ms();
        for (id, silence) in &mut self.silences.0 {
            let Silence { patience_ms, since_ms, .. } = *silence;
            // Unread bytes may be its next packet: then it is the broker that does not listen.
            let is_read = machine.wire(*id).is_some_and(|wire| wire.lock().is_read());
            if !is_read || now_ms <= since_ms + patience_ms + SLACK_MS {
                continue;
            }
            // The broker has noticed it by now: the next interval began at the latest at this time.
            let has_more = std::mem::take(&mut silence.may_have_more);
            silence.since_ms = now_ms;
            ensure!(
                has_more,
                "{id} is open at {now_ms} ms, though it was silent since {since_ms} ms and may be for {patience_ms}, [MQTT-3.1.2-22]"
            );
        }
        Ok(())
    }
}
