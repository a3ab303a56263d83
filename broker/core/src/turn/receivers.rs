//! Receivers of a turn, each with the packets that it gets.

use std::sync::Arc;

use lotmq_codec::ProtocolVersion;
use tracing::error;

use crate::reason::close::CloseReason;
use crate::shares::Share;
use crate::tenant::client::Client;
use crate::tenant::link::Wire;
use crate::turn::fan_out::CopyCount;
use crate::turn::piece::Items;

/// Receivers for which a thread always keeps the memory that their items take.
const ENTRIES_KEPT: usize = 256;

/// Receivers of a turn. Finding one again costs one look into a table by the Client's slot.
#[derive(Default)]
pub(crate) struct Receivers {
    entries: Vec<Receiver>,
    live: usize,
    /// Most receivers of a turn since the last [`Receivers::trim`].
    peak: usize,
    marks: Vec<Mark>,
    serial: u32,
    /// Fan-outs so far in which sessions had to keep the message.
    fan_outs: u64,
}

#[derive(Clone, Copy, Default)]
struct Mark {
    serial: u32,
    entry: u32,
}

/// One receiver, with what it gets in this turn.
#[derive(Default)]
pub(crate) struct Receiver {
    pub client: Option<Arc<Client>>,
    /// Version for which its items are encoded; `None` while it is away, when only what its session
    /// keeps matters.
    pub version: Option<ProtocolVersion>,
    /// Number of the connection that the items are for.
    pub connection: u32,
    /// Largest packet that it takes.
    pub packet_bytes_max: u32,
    /// Whether topics may be sent to it as aliases.
    pub(crate) takes_aliases: bool,
    /// Share that pays for what is stored while it is away; looked up when something is.
    pub share: Option<Arc<Share>>,
    /// Copies that its session keeps of the message that was routed to it last.
    pub(crate) copies: CopyCount,
    pub items: Items,
}

impl Receiver {
    /// Ends the connection after a panic in its delivery: what it was to get is lost, or half
    /// written, and its session sends again what it owes.
    pub(super) fn delivery_panicked(&self) {
        let Some(client) = &self.client else { return };
        error!(client_id = &*client.client_id, "a delivery ended by a panic, its connection is closed");
        if let Some(link) = &client.state.lock().link {
            link.connection.request_close(CloseReason::InternalError);
        }
    }
}

impl Receivers {
    pub(super) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Entry of a Client, a new one at its first mention in the turn.
    pub(crate) fn of(&mut self, client: &Arc<Client>) -> &mut Receiver {
        match self.find(client) {
            Some(entry) => &mut self.entries[entry],
            None => self.add(client),
        }
    }

    /// Number of a fan-out, other than those of all before.
    pub(crate) fn next_fan_out(&mut self) -> u64 {
        self.fan_outs += 1;
        self.fan_outs
    }

    /// Whether a Client was mentioned in the turn.
    pub(super) fn has(&self, client: &Arc<Client>) -> bool {
        self.find(client).is_some()
    }

    fn find(&self, client: &Arc<Client>) -> Option<usize> {
        let mark = self.marks.get(client.slot as usize)?;
        let entry = mark.entry as usize;
        // A slot may belong to another Client since: compare the Client too.
        let is_known = mark.serial == self.serial
            && entry < self.live
            && self.entries[entry].client.as_ref().is_some_and(|known| Arc::ptr_eq(known, client));
        is_known.then_some(entry)
    }

    fn add(&mut self, client: &Arc<Client>) -> &mut Receiver {
        let slot = client.slot as usize;
        if slot >= self.marks.len() {
            if slot >= self.marks.capacity() {
                self.marks.reserve_exact(slot - self.marks.len() + slot / 4 + 4);
            }
            self.marks.resize(slot + 1, Mark::default());
        }
        let added = self.live;
        if added == self.entries.len() {
            self.entries.push(Receiver::default());
        }
        self.live += 1;
        self.marks[slot] =
            Mark { serial: self.serial, entry: u32::try_from(added).expect("fewer Clients than 4 G") };
        let entry = &mut self.entries[added];
        entry.client = Some(Arc::clone(client));
        Wire {
            version: entry.version,
            connection: entry.connection,
            packet_bytes_max: entry.packet_bytes_max,
            takes_aliases: entry.takes_aliases,
        } = client.wire();
        entry
    }

    /// Gives back memory of entries, each of which keeps that of its items for the next turn: after
    /// a turn with a hundred thousand receivers it is 20 MiB.
    pub(super) fn trim(&mut self) {
        let peak = std::mem::take(&mut self.peak).max(self.live).max(ENTRIES_KEPT);
        if self.entries.len() > 2 * peak {
            self.entries.truncate(peak);
            self.entries.shrink_to_fit();
        }
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = &mut Receiver> {
        self.entries[..self.live].iter_mut()
    }

    pub(super) fn finish(&mut self) {
        for entry in &mut self.entries[..self.live] {
            entry.client = None;
            entry.share = None;
            entry.items.clear();
        }
        self.peak = self.peak.max(self.live);
        self.live = 0;
        self.serial = self.serial.wrapping_add(1);
        if self.serial == 0 {
            // Marks of four billion turns ago must not look like this turn's.
            self.marks.fill(Mark::default());
            self.serial = 1;
        }
    }
}
