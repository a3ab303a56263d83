//! One step of a connection by its owner: handles requests, reads once, handles whole packets, and
//! ends the connection if that is due.
//!
//! A thread with a task for each connection calls [`drive`] when the task is woken. All later work
//! wakes the task again: the transport when bytes have come, other threads
//! ([`Connection::call_owner`]), the turn when there is time.
//!
//! Not here: packets (`intake`), their meaning (`protocol`), wake-ups by time (`open`).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tracing::error;

use super::Driven;
use super::end::end;
use crate::connection::Connection;
use crate::limits::Throttle;
use crate::owner::input::Input;
use crate::owner::source::Source;
use crate::protocol;
use crate::protocol::phase::Phase;
use crate::reason::close::CloseReason;
use crate::turn::Turn;

/// Takes one step of a connection as its owner, and arranges for `cx` to be woken when there is
/// more to do. Ready when the connection has ended.
///
/// # Panics
/// When the connection has another kind of transport.
pub fn drive<T: Source>(connection: &Arc<Connection>, turn: &mut Turn, cx: &mut Context<'_>) -> Poll<()> {
    let transport: &dyn Any = &connection.transport;
    let source: &T = transport.downcast_ref().expect("the owner knows what carries its connections");
    Driven { connection, source }.drive(turn, cx)
}

impl<T: Source> Driven<'_, T> {
    fn drive(&self, turn: &mut Turn, cx: &mut Context<'_>) -> Poll<()> {
        let mut input = self.source.input().lock();
        // A fault of ours in what one Client sends must not leave it with a connection that nobody
        // reads.
        let stepped = catch_unwind(AssertUnwindSafe(|| self.step(&mut input, turn, cx)));
        turn.time_shares.worked(&*turn.core.clock);
        match stepped.unwrap_or_else(|_| Err(self.reading_panicked())) {
            Ok(()) => Poll::Pending,
            Err(reason) => {
                let phase = std::mem::replace(&mut input.phase, Phase::Closed);
                self.source.leave();
                drop(input);
                end(self.connection, self.source, phase, reason, turn);
                Poll::Ready(())
            }
        }
    }

    fn reading_panicked(&self) -> CloseReason {
        error!(conn = self.connection.number, peer = %self.connection.peer(), "reading ended by a panic, the connection is closed");
        CloseReason::InternalError
    }

    fn step(&self, input: &mut Input, turn: &mut Turn, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        self.connection.attend(cx);
        if matches!(input.phase, Phase::New { .. }) && self.source.is_in_handshake() {
            turn.time_shares.expect_handshake(self.connection.place);
        }
        let Some(stretch) = turn.time_shares.admit(self.connection.place, &*turn.core.clock) else {
            self.connection.has_to_wait.store(true, Ordering::Relaxed);
            turn.call_flusher();
            return self.end_before_its_time(input);
        };
        self.connection.has_to_wait.store(false, Ordering::Relaxed);
        turn.work.stretch = stretch;
        self.flush(cx)?;
        self.answer_attention(input, turn, cx)?;
        if matches!(input.phase, Phase::LoggingIn(_)) && !self.finish_login(input, turn)? {
            return Ok(());
        }
        if let Phase::Open(open) = &mut input.phase {
            protocol::reauthenticate::finish(self.connection, open, turn)?;
        }
        if self.must_pause(input, turn, cx)
            || (self.end_throttling(input, turn)? && self.must_pause(input, turn, cx))
        {
            return Ok(());
        }
        if self.connection.is_cut.load(Ordering::Relaxed) {
            return self.go_on(input, turn);
        }
        match self.source.poll_readable(cx) {
            Poll::Pending => {
                self.connection.heard_out(|| self.source.has_more());
                return Ok(());
            }
            Poll::Ready(ready) => ready?,
        }
        let more = self.read(input, turn)?;
        self.source.hold(input.held_bytes()).map_err(CloseReason::Limit)?;
        self.flush(cx)?;
        // Give others their turn after one read; readiness that is still there must not be waited
        // for.
        if more || input.has_waiting() || self.source.poll_readable(cx).is_ready() {
            cx.waker().wake_by_ref();
        } else if !self.connection.is_cut.load(Ordering::Relaxed) {
            self.connection.heard_out(|| self.source.has_more());
        }
        Ok(())
    }

    /// Ends a connection that has to wait, if nothing has come on it and nothing can come any more:
    /// its place is for others.
    ///
    /// # Errors
    /// The end of the connection.
    fn end_before_its_time(&self, input: &Input) -> Result<(), CloseReason> {
        if !matches!(input.phase, Phase::New { .. }) {
            return Ok(());
        }
        match self.connection.take_close() {
            Some(reason) => Err(reason),
            None if input.partial.is_empty() && self.source.is_gone() => Err(CloseReason::PeerClosed),
            None => Ok(()),
        }
    }

    /// Writes output of the layers below MQTT, as in a handshake.
    fn flush(&self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        self.source.poll_flush(cx).map(drop)
    }

    /// Carries out the requests of other threads.
    fn answer_attention(
        &self,
        input: &mut Input,
        turn: &mut Turn,
        cx: &mut Context<'_>,
    ) -> Result<(), CloseReason> {
        if !self.connection.take_wanted() && !self.connection.output_waits.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some(reason) = self.connection.take_close() {
            return Err(reason);
        }
        if let Phase::Open(open) = &mut input.phase {
            if self.connection.take_rights() {
                protocol::reauthenticate::rights_changed(self.connection, open, turn);
            }
            open.client.drain_output(self.connection, turn, cx)?;
        }
        Ok(())
    }

    /// Whether reading from the Client must pause: it does not read its own output, exceeds its
    /// rate, or sends more than the disk or the guests take.
    ///
    /// In all cases the owner is called when that has changed.
    fn must_pause(&self, input: &mut Input, turn: &mut Turn, cx: &Context<'_>) -> bool {
        let Phase::Open(open) = &mut input.phase else { return false };
        if let Some(rate) = open.rate_mut() {
            match rate.throttle(turn.now()) {
                Throttle::None => {}
                Throttle::GoesOn => return true,
                Throttle::Begins { until, limit } => {
                    self.connection.listener.reached.note(limit, &open.client.client_id, turn.now());
                    turn.throttle(self.connection, until);
                    return true;
                }
            }
        }
        if self.connection.output_waits.load(Ordering::Acquire)
            && let Some(limit) = open.client.congested_by(self.connection)
        {
            self.connection.listener.reached.note(limit, &open.client.client_id, turn.now());
            return true;
        }
        (open.feeds_guests && turn.context.guest_runner.hold_back(turn, self.connection, &open.client, cx))
            || (open.feeds_store && turn.wait_for_store(self.connection, &open.client))
    }

    /// Goes on with a CONNECT whose password has been checked. False while the check is under way,
    /// or its session cannot be had.
    fn finish_login(&self, input: &mut Input, turn: &mut Turn) -> Result<bool, CloseReason> {
        if matches!(&input.phase, Phase::LoggingIn(login) if !login.is_decided()) {
            return Ok(false);
        }
        let Phase::LoggingIn(login) = std::mem::replace(&mut input.phase, Phase::Closed) else {
            return Err(CloseReason::InternalError);
        };
        input.phase = protocol::connect::finish(self.connection, login, turn)?;
        self.is_known(input);
        if !matches!(input.phase, Phase::Open(_)) {
            return Ok(false);
        }
        if !input.partial.is_empty() {
            self.check_silent()?;
            self.consume_waiting(input, turn)?;
        }
        Ok(true)
    }

    /// Goes on with the packets that came before a Client was throttled. True when there were any.
    fn end_throttling(&self, input: &mut Input, turn: &mut Turn) -> Result<bool, CloseReason> {
        let Phase::Open(open) = &mut input.phase else { return Ok(false) };
        let Some(rate) = open.rate_mut() else { return Ok(false) };
        if !std::mem::take(&mut rate.has_waiting) {
            return Ok(false);
        }
        self.consume_waiting(input, turn)?;
        Ok(true)
    }

    /// Goes on with the packets for which there was no time.
    fn go_on(&self, input: &mut Input, turn: &mut Turn) -> Result<(), CloseReason> {
        let gone_on = self.consume_waiting(input, turn);
        if !self.connection.is_cut.load(Ordering::Relaxed) {
            // Readiness of the socket is looked at in another turn: this one was long.
            self.connection.call_owner();
        }
        gone_on
    }
}
