//! Owner's side of a transport: reading from it, judging its silence, and ending it.
//!
//! Called without dispatch: who drives a connection knows the kind of its transport (see
//! [`drive`](super::step::drive)).

use std::sync::Arc;
use std::task::{Context, Poll};

use lotmq_session::Time;
use parking_lot::Mutex;

use super::input::Input;
use crate::connection::Transport;
use crate::limits::Limit;
use crate::reason::close::CloseReason;
use crate::tenant::Tenant;

/// Result of one read.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Bytes written to the target.
    pub len: usize,
    /// Whether more is likely to be there.
    pub is_more: bool,
    /// Bytes that the layers below MQTT have taken beyond those that they became: frames, records,
    /// input without output.
    pub overhead: usize,
}

/// Transport in the hands of the connection's owner.
pub trait Source: Transport {
    /// Input of the connection. Locked by the owner, and for a look by who checks its Client's
    /// password, always before a Client's state and never after.
    fn input(&self) -> &Mutex<Input>;

    /// Tenant of the Client that comes here.
    fn tenant(&self) -> &Arc<Tenant>;

    /// Whether the next input belongs to a handshake whose keys have to be computed, as that of
    /// TLS.
    fn is_in_handshake(&self) -> bool;

    /// Ready when something may be there to read, or the connection is broken; the owner is called
    /// when that has changed.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>>;

    /// Reads bytes of MQTT, with at most one read of the socket. No bytes when nothing has come.
    ///
    /// # Errors
    /// The end of the connection, whoever ended it.
    fn read(&self, target: &mut [u8]) -> Result<Received, CloseReason>;

    /// Whether something lies there to be read, also where the owner has not been told yet.
    fn has_more(&self) -> bool;

    /// Whether the peer has ended the connection, and nothing lies there to be read.
    fn is_gone(&self) -> bool;

    /// Counts unhandled input that is kept: these bytes above the transport, and those that it
    /// keeps itself.
    ///
    /// # Errors
    /// The limit, when all connections keep too much, and this one more than its share.
    fn hold(&self, bytes: usize) -> Result<(), Limit>;

    /// Notes that CONNECT has come, with any exchange of AUTH packets.
    fn connect_came(&self);

    /// Judges a connection without CONNECT at its deadline; returns the next deadline.
    ///
    /// # Errors
    /// When its time is over.
    fn check_handshake(&self, now: Time) -> Result<Time, CloseReason>;

    /// Explanation by a layer below MQTT of why the connection ends, for people.
    fn failure(&self) -> Option<String>;

    /// Gives up the connection's place and its share of kept input, because it is about to end.
    fn leave(&self);

    /// Ends the connection for this reason, in the protocol below MQTT. The peer notices it now,
    /// also where the memory of the connection `is_shared` with threads that still look at it.
    fn close(&self, reason: &CloseReason, is_shared: bool);
}
