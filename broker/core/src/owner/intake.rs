//! Intake of a connection: from the bytes of its transport to whole packets, and the phase of the
//! connection.
//!
//! A connection owns no buffer while it is idle: it reads into the memory of the thread's [`Turn`],
//! and what is left of a packet is kept here. Not here: when it reads (`step`), and what packets
//! mean (`protocol`).

use std::sync::atomic::Ordering;

use lotmq_codec::{FixedHeader, FrameError, PacketType, fixed_header};
use lotmq_session::Time;
use tracing::warn;

use super::Driven;
use crate::arena::Span;
use crate::limits::{Limit, READ_BYTES_MAX, WrittenLine, allocation};
use crate::owner::input::Input;
use crate::owner::source::{Received, Source};
use crate::protocol;
use crate::protocol::phase::Phase;
use crate::reason::close::{CloseReason, TransportFailure};
use crate::reason::foreign::Foreign;
use crate::reason::violation::Violation;
use crate::turn::Turn;

impl<T: Source> Driven<'_, T> {
    /// Handles input that had come already.
    pub(super) fn consume_waiting(&self, input: &mut Input, turn: &mut Turn) -> Result<(), CloseReason> {
        let span = turn.arena.adopt(std::mem::take(&mut input.partial));
        self.consume(input, turn, span)?;
        self.source.hold(input.held_bytes()).map_err(CloseReason::Limit)
    }

    /// Reads once. True when more may be waiting in the socket.
    pub(super) fn read(&self, input: &mut Input, turn: &mut Turn) -> Result<bool, CloseReason> {
        if let Some(missing) = self.missing(input)? {
            return self.read_large(input, turn, missing);
        }
        let carried = input.partial.len();
        if !turn.arena.has_room_to_read(carried) {
            turn.flush();
        }
        let kept = turn.arena.carry(&input.partial);
        let Received { len, is_more, overhead } = self.source.read(turn.arena.read_target())?;
        self.pay_overhead(input, overhead, len, turn)?;
        if len == 0 {
            pay_for_frames(input, turn);
            return Ok(is_more);
        }
        self.count_read(len, turn);
        let fresh = turn.arena.read_done(len);
        input.partial.clear();
        let all = if kept.is_empty() { fresh } else { kept.joined(fresh) };
        self.consume(input, turn, all)?;
        Ok(is_more)
    }

    /// Charges what the layers below MQTT took beyond the `len` bytes of MQTT: behind CONNECT to
    /// the rate of the client, before to a fixed allowance.
    ///
    /// # Errors
    /// [`Limit::ConnectOverheadBytes`], when the connection has used up this allowance.
    fn pay_overhead(
        &self,
        input: &mut Input,
        overhead: usize,
        len: usize,
        turn: &Turn,
    ) -> Result<(), CloseReason> {
        if overhead == 0 {
            return Ok(());
        }
        if let Some(sum) = input.phase.overhead_before_login() {
            *sum = sum.saturating_add(u32::try_from(overhead).unwrap_or(u32::MAX));
            if *sum > self.connection.listener.limits.connect_overhead_bytes {
                return Err(CloseReason::Limit(Limit::ConnectOverheadBytes));
            }
        } else if let Phase::Open(open) = &mut input.phase
            && let Some(rate) = open.rate_mut()
        {
            rate.spend_overhead(overhead, len, turn.now());
        }
        Ok(())
    }

    /// Counts bytes that were read.
    fn count_read(&self, len: usize, turn: &mut Turn) {
        turn.counts.bytes_received += len as u64;
        self.connection.received.bytes.add(len as u64);
        turn.figures().listener(self.connection.listener.number).bytes_received.add(len as u64);
    }

    /// How many bytes a packet still lacks that is too large for the shared read area.
    fn missing(&self, input: &Input) -> Result<Option<usize>, CloseReason> {
        let Some(header) = fixed_header(&input.partial, self.packet_limit(input))
            .map_err(|error| self.violation(input, error))?
        else {
            return Ok(None);
        };
        let len = header.packet_len();
        Ok((len > READ_BYTES_MAX).then(|| len - input.partial.len()))
    }

    /// Reads into the connection's own buffer, which grows only with the bytes that have come.
    fn read_large(&self, input: &mut Input, turn: &mut Turn, missing: usize) -> Result<bool, CloseReason> {
        let have = input.partial.len();
        let room = missing.min(READ_BYTES_MAX);
        let packet_len = have + missing;
        allocation::grow(&mut input.partial, room, packet_len)
            .map_err(|_| self.has_no_memory(packet_len, turn))?;
        input.partial.resize(have + room, 0);
        let Received { len, is_more, overhead } = self.source.read(&mut input.partial[have..])?;
        self.pay_overhead(input, overhead, len, turn)?;
        self.count_read(len, turn);
        input.partial.truncate(have + len);
        if len == missing {
            self.consume_waiting(input, turn)?;
        } else {
            pay_for_frames(input, turn);
        }
        Ok(is_more)
    }

    /// Logs at most once a second that a packet of so many bytes finds no memory, and returns the
    /// reason for which its connection ends.
    fn has_no_memory(&self, bytes: usize, turn: &Turn) -> CloseReason {
        let connection = self.connection;
        if let Some(WrittenLine { suppressed }) = turn.context.core.memory_lines.next(turn.now().as_millis())
        {
            warn!(conn = connection.number, peer = %connection.peer(), bytes, suppressed, "no memory for a packet, the connection is closed");
        }
        CloseReason::OutOfMemory
    }

    /// Handles the whole packets in `rest`, until the stretch is over, and keeps what is left for
    /// later.
    fn consume(&self, input: &mut Input, turn: &mut Turn, mut rest: Span) -> Result<(), CloseReason> {
        if matches!(input.phase, Phase::New { .. })
            && let Some(foreign) = Foreign::detect(turn.arena.get(rest))
        {
            return Err(Violation::from(foreign).into());
        }
        if let Phase::Open(open) = &mut input.phase {
            protocol::finish(self.connection, open, turn)?;
        }
        let mut is_cut = input.has_unfinished();
        while !rest.is_empty() && !is_cut {
            let header = fixed_header(turn.arena.get(rest), self.packet_limit(input))
                .map_err(|error| self.violation(input, error))?;
            let whole = header.filter(|header| header.packet_len() <= rest.len());
            let Some(header) = whole else { break };
            if matches!(input.phase, Phase::LoggingIn(_)) || must_rest(input, turn.now()) {
                break;
            }
            if must_wait_for_store(input, turn, header) {
                is_cut = true;
                break;
            }
            let len = header.packet_len();
            allocation::check_room(len).map_err(|_| self.has_no_memory(len, turn))?;
            turn.counts.packets_received += u64::from(!input.repeats_packet());
            let was_open = matches!(input.phase, Phase::Open(_));
            self.handle(input, turn, header, rest.slice(0, len))?;
            if input.repeats_packet() {
                is_cut = true;
                break;
            }
            rest = rest.slice(len, rest.len() - len);
            if !was_open && !rest.is_empty() {
                self.check_silent()?;
            }
            turn.work.steps += 1;
            is_cut = input.has_unfinished() || (!rest.is_empty() && turn.must_packets_wait());
        }
        if !is_cut && !input.has_waiting() {
            pay_for_frames(input, turn);
        }
        self.connection.is_cut.store(is_cut, Ordering::Relaxed);
        if is_cut {
            turn.time_shares.wait(self.connection.place);
            turn.call_flusher();
        }
        if !rest.is_empty() {
            let room = allocation::grow(&mut input.partial, rest.len(), rest.len());
            room.map_err(|_| self.has_no_memory(rest.len(), turn))?;
            input.partial.extend_from_slice(turn.arena.get(rest));
        } else if input.partial.capacity() > 0 {
            input.partial = Vec::new();
        }
        Ok(())
    }

    /// Refuses input that came behind CONNECT before CONNACK has left, from where the zstd stream
    /// counts: nobody can say whether it is compressed.
    pub(super) fn check_silent(&self) -> Result<(), CloseReason> {
        match self.source.zstd() {
            Some(_) => Err(CloseReason::Transport(TransportFailure::Zstd)),
            None => Ok(()),
        }
    }

    fn handle(
        &self,
        input: &mut Input,
        turn: &mut Turn,
        header: FixedHeader,
        packet: Span,
    ) -> Result<(), CloseReason> {
        match &mut input.phase {
            Phase::Open(open) => {
                open.keep_alive.handle_packet(turn.now());
                let is_repeated = open.repeats_packet();
                if let Some(rate) = open.rate_mut().filter(|_| !is_repeated) {
                    rate.spend(header.packet_type() == PacketType::Publish, packet.len(), turn.now());
                }
                protocol::handle(self.connection, open, turn, header, packet)
            }
            Phase::New { .. } => {
                input.phase =
                    protocol::connect::begin(self.source.tenant(), self.connection, turn, header, packet)?;
                self.is_known(input);
                Ok(())
            }
            Phase::Authenticating(_) => {
                let Phase::Authenticating(before) = std::mem::replace(&mut input.phase, Phase::Closed) else {
                    unreachable!("it was just looked at")
                };
                input.phase = before.go_on(self.connection, turn, header, packet)?;
                self.is_known(input);
                Ok(())
            }
            Phase::LoggingIn(_) | Phase::Closed => Ok(()),
        }
    }

    /// Ends the anonymous phase of the connection, which an exchange of AUTH packets prolongs.
    pub(super) fn is_known(&self, input: &Input) {
        let is_in_exchange = match &input.phase {
            Phase::Authenticating(_) => true,
            Phase::LoggingIn(login) => login.is_in_exchange(),
            Phase::New { .. } | Phase::Open(_) | Phase::Closed => false,
        };
        if !is_in_exchange {
            self.source.connect_came();
        }
    }

    fn packet_limit(&self, input: &Input) -> u32 {
        let limits = &self.connection.listener.limits;
        match input.phase {
            Phase::New { .. } | Phase::Authenticating(_) => limits.max_packet_size.min(limits.connect_bytes),
            Phase::LoggingIn(_) | Phase::Open(_) | Phase::Closed => limits.max_packet_size,
        }
    }

    /// Violation of a packet with this header: before a login, packets have a limit of their own.
    #[cold]
    fn violation(&self, input: &Input, error: FrameError) -> Violation {
        let is_known = !matches!(input.phase, Phase::New { .. } | Phase::Authenticating(_));
        let max = self.connection.listener.limits.max_packet_size;
        if let FrameError::TooLarge { len, limit } = error
            && !is_known
            && limit < max
        {
            return Violation::TooLargeBeforeLogin { len, limit };
        }
        error.into()
    }
}

/// Charges frames that no packet came with as messages. Call when all whole packets have been
/// handled.
fn pay_for_frames(input: &mut Input, turn: &Turn) {
    if let Phase::Open(open) = &mut input.phase
        && let Some(rate) = open.rate_mut()
    {
        rate.pay_for_frames(turn.now());
    }
}

/// RETAIN bit in the first byte of a PUBLISH.
const RETAIN: u8 = 0b0001;
const QOS: u8 = 0b0110;

/// Whether the next packet waits, because its Client exceeds its rate; the state remembers it then.
fn must_rest(input: &mut Input, now: Time) -> bool {
    if input.repeats_packet() {
        // It has been counted.
        return false;
    }
    let Phase::Open(open) = &mut input.phase else { return false };
    let Some(rate) = open.rate_mut() else { return false };
    rate.has_waiting = rate.is_in_debt(now);
    rate.has_waiting
}

/// Whether the next packet waits until the disk has caught up: a message that is retained, or a
/// large one that may have to be stored, of a Client that has stored nothing before. It is read
/// from no more then, as others that store much.
fn must_wait_for_store(input: &mut Input, turn: &Turn, header: FixedHeader) -> bool {
    let looked_at = if header.packet_len() > READ_BYTES_MAX { RETAIN | QOS } else { RETAIN };
    // First what nearly every packet ends with.
    if header.first_byte & looked_at == 0 || header.packet_type() != PacketType::Publish {
        return false;
    }
    let Phase::Open(open) = &mut input.phase else { return false };
    if open.feeds_store {
        return false;
    }
    open.feeds_store = turn.must_rest_for_store(&open.client);
    open.feeds_store
}
