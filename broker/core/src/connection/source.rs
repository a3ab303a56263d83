//! The owner's side of a transport: what reading a connection, judging its silence and ending it need of what carries its bytes.
//!
//! Called without dispatch: who drives a connection knows the kind of its transport (see [`drive`](super::step::drive)).

use std::task::{Context, Poll};

use lotmq_session::Time;

use super::Transport;
use crate::connection::close::CloseReason;
use crate::limits::Limit;

/// Result of one read.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Bytes written to the target.
    pub len: usize,
    /// Whether more is likely to be there.
    pub is_more: bool,
}

/// Transport in the hands of the connection's owner.
pub trait Source: Transport {
    /// Whether what comes next belongs to a handshake whose keys have to be computed, as that of TLS.
    fn is_in_handshake(&self) -> bool;

    /// Ready when something may be there to read, or the connection is broken; the owner is called when that has changed.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>>;

    /// Reads bytes of MQTT, of what carries them at most once. None when nothing has come.
    ///
    /// # Errors
    /// The end of the connection, whoever ended it.
    fn read(&self, target: &mut [u8]) -> Result<Received, CloseReason>;

    /// Counts what is kept of what has come and not been handled: these bytes above the transport, and what it keeps itself.
    ///
    /// # Errors
    /// The limit, when all connections keep too much, and this one more than its share.
    fn hold(&self, bytes: usize) -> Result<(), Limit>;

    /// CONNECT has come, and whatever was exchanged to find out who comes.
    fn connect_came(&self);

    /// Judges a connection without CONNECT whose time has come: until when it may go on.
    ///
    /// # Errors
    /// When its time is over.
    fn check_handshake(&self, now: Time) -> Result<Time, CloseReason>;

    /// What lies below MQTT says of why the connection ends, for people.
    fn failure(&self) -> Option<String>;

    /// The connection is about to end: others may have its place, and what it kept is counted no more.
    fn leave(&self);

    /// Ends the connection for this reason, in the words of what lies below MQTT. The peer notices it now, also where the memory of the connection
    /// `is_shared` with threads that still look at it.
    fn close(&self, reason: &CloseReason, is_shared: bool);
}
