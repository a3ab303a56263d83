//! The receivers of a turn, and what each of them gets.

use std::sync::Arc;

use lotmq_codec::ProtocolVersion;
use tracing::error;

use crate::client::shares::Share;
use crate::client::{Client, Wire};
use crate::connection::close::CloseReason;
use crate::turn::piece::Items;

/// Receivers for which a thread always keeps the memory that their items take.
const ENTRIES_KEPT: usize = 256;

/// The receivers of a turn. Finding one again costs one look into a table by the Client's number.
#[derive(Default)]
pub(crate) struct Touched {
    entries: Vec<TouchedClient>,
    live: usize,
    /// Most receivers of a turn since the last [`Touched::trim`].
    peak: usize,
    marks: Vec<Mark>,
    serial: u32,
}

#[derive(Clone, Copy, Default)]
struct Mark {
    serial: u32,
    slot: u32,
}

/// What one receiver gets in this turn.
#[derive(Default)]
pub(crate) struct TouchedClient {
    pub client: Option<Arc<Client>>,
    /// For which version its items are encoded; `None` while it is away, when only what its session keeps matters.
    pub version: Option<ProtocolVersion>,
    /// Number of the connection that they are for.
    pub connection: u32,
    /// Largest packet that it takes.
    pub packet_bytes_max: u32,
    /// Whether topics may be sent to it as aliases.
    pub(crate) takes_aliases: bool,
    /// Whose share pays for what is stored while it is away; looked up when something is.
    pub share: Option<Arc<Share>>,
    pub items: Items,
}

impl TouchedClient {
    /// What it was to get is lost, or half written: its connection ends, and its session sends again what it owes.
    pub(super) fn delivery_panicked(&self) {
        let Some(client) = &self.client else { return };
        error!(client_id = &*client.client_id, "a delivery ended by a panic, its connection is closed");
        if let Some(link) = &client.state.lock().link {
            link.connection.request_close(CloseReason::InternalError);
        }
    }
}

impl Touched {
    pub(super) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The entry of a Client, a new one at its first mention in the turn.
    pub(crate) fn of(&mut self, client: &Arc<Client>) -> &mut TouchedClient {
        match self.find(client) {
            Some(slot) => &mut self.entries[slot],
            None => self.add(client),
        }
    }

    /// Whether a Client was mentioned in the turn.
    pub(super) fn has(&self, client: &Arc<Client>) -> bool {
        self.find(client).is_some()
    }

    fn find(&self, client: &Arc<Client>) -> Option<usize> {
        let mark = self.marks.get(client.number as usize)?;
        let slot = mark.slot as usize;
        // A number may belong to another Client since: compare the Client too.
        let is_known = mark.serial == self.serial
            && slot < self.live
            && self.entries[slot].client.as_ref().is_some_and(|known| Arc::ptr_eq(known, client));
        is_known.then_some(slot)
    }

    fn add(&mut self, client: &Arc<Client>) -> &mut TouchedClient {
        let number = client.number as usize;
        if number >= self.marks.len() {
            if number >= self.marks.capacity() {
                self.marks.reserve_exact(number - self.marks.len() + number / 4 + 4);
            }
            self.marks.resize(number + 1, Mark::default());
        }
        let slot = self.live;
        if slot == self.entries.len() {
            self.entries.push(TouchedClient::default());
        }
        self.live += 1;
        self.marks[number] =
            Mark { serial: self.serial, slot: u32::try_from(slot).expect("fewer Clients than 4 G") };
        let entry = &mut self.entries[slot];
        entry.client = Some(Arc::clone(client));
        Wire {
            version: entry.version,
            connection: entry.connection,
            packet_bytes_max: entry.packet_bytes_max,
            takes_aliases: entry.takes_aliases,
        } = client.wire();
        entry
    }

    /// Each entry keeps the memory of its items for the next turn: that of a single turn with a hundred thousand receivers is 20 MiB.
    pub(super) fn trim(&mut self) {
        let peak = std::mem::take(&mut self.peak).max(self.live).max(ENTRIES_KEPT);
        if self.entries.len() > 2 * peak {
            self.entries.truncate(peak);
            self.entries.shrink_to_fit();
        }
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = &mut TouchedClient> {
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
