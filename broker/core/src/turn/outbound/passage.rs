//! Passage of a turn's messages to one receiver: what there is room for.
//!
//! Not here: what becomes of a message that finds none (`outbound`).

use crate::arena::{Arena, Span};
use crate::limits::{Limit, SHARED_BYTES_MIN};
use crate::tenant::link::Link;

/// Passage to one receiver: how much may be written, and what has become of it.
pub(super) struct Passage {
    pub(super) must_buffer: bool,
    /// Bytes of messages that its listener lets it add to those that wait.
    pub(super) own_room: usize,
    /// Bytes of messages that may be added to those that wait.
    pub(super) room: usize,
    /// Limit that is reached where the room is too little.
    pub(super) limit: Limit,
    /// Whether the broker decides how many messages may be in flight.
    pub(super) is_window_ours: bool,
    /// Whether the turn has written enough, so that everything that can wait does.
    pub(super) is_late: bool,
    pub(super) plain_passes: bool,
    /// Whether more is waiting that could leave as well.
    pub(super) goes_on: bool,
    /// The message that left last.
    pub(super) last_message: Option<u32>,
    pub(super) until_stored: Vec<u64>,
}

impl Passage {
    pub(super) fn new(link: &Link, is_late: bool) -> Self {
        let (must_buffer, own_room) = (link.must_buffer(), link.own_room());
        let room = if must_buffer { own_room.min(link.room_of_all()) } else { own_room };
        Self {
            must_buffer,
            own_room,
            room,
            limit: if room < own_room { Limit::AllOutputBytes } else { Limit::OutputBytes },
            is_window_ours: !link.version.has_properties(),
            is_late,
            plain_passes: true,
            goes_on: false,
            last_message: None,
            until_stored: Vec::new(),
        }
    }

    /// Whether so many bytes may be written, or wait for the socket.
    pub(super) fn takes(&self, bytes: usize) -> bool {
        !self.must_buffer || bytes <= self.room
    }

    /// Whether packets of QoS 0 may be written, or wait; what of a large one the socket does not
    /// take counts for all Clients.
    pub(super) fn takes_plain(&mut self, link: &Link, packet: [Span; 2], arena: &Arena) -> bool {
        let [head, payload] = packet;
        let Some(large) = packet.into_iter().find(|span| span.len() >= SHARED_BYTES_MIN) else {
            return self.takes(head.len());
        };
        if self.must_buffer && head.len() > self.own_room {
            self.limit = Limit::OutputBytes;
            return false;
        }
        let is_kept = arena.elsewhere(large).is_some_and(|(_, shared)| shared.is_kept());
        let takes = (is_kept && !link.is_all_full()) || head.len() + payload.len() <= link.room_of_all();
        if !takes {
            self.limit = Limit::AllOutputBytes;
        }
        takes
    }

    /// Notes bytes that leave, or wait.
    pub(super) fn note(&mut self, bytes: usize) {
        self.own_room = self.own_room.saturating_sub(bytes);
        self.room = self.room.saturating_sub(bytes);
    }
}
