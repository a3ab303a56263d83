//! A connection within the process: bytes that have arrived, and those that the broker writes, as
//! far as there is room for them.
//!
//! The holder of the [`Wire`] is the peer: a simulation, or a program that runs beside a broker
//! without listeners.

use std::collections::VecDeque;
use std::io::{IoSlice, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use lotmq_session::Time;
use lotmq_zstd::Offer;
use parking_lot::Mutex;

use super::input::Input;
use super::source::{Received, Source};
use crate::connection::Transport;
use crate::connection::peer::{Certified, Peer};
use crate::connection::place_claim::PlaceClaim;
use crate::limits::Limit;
use crate::reason::close::CloseReason;
use crate::tenant::Tenant;

/// Both directions of a connection within the process, as its peer sees them.
#[derive(Default)]
pub struct Wire {
    /// Bytes that have arrived and were not read.
    arrived: VecDeque<u8>,
    /// Nothing follows them.
    is_ended: bool,
    /// Bytes that the broker has written, until the world takes them.
    pub written: Vec<u8>,
    /// How many more it may write.
    pub room: usize,
    /// The broker has closed it.
    pub is_closed: bool,
    /// Address that it comes from; `None` for this machine's.
    pub address: Option<IpAddr>,
    /// User that the peer is known to be without a password.
    pub certified: Option<Certified>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wire {
    /// Bytes arrive.
    pub fn arrive(&mut self, bytes: &[u8]) {
        self.arrived.extend(bytes);
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    /// Whether everything that has arrived was read.
    pub fn is_read(&self) -> bool {
        self.arrived.is_empty()
    }

    /// The peer has gone.
    pub fn end(&mut self) {
        self.is_ended = true;
        self.reader.take().into_iter().for_each(Waker::wake);
        self.writer.take().into_iter().for_each(Waker::wake);
    }

    /// There is so much room.
    pub fn has_room(&mut self, room: usize) {
        self.room = room;
        if room > 0 {
            self.writer.take().into_iter().for_each(Waker::wake);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let len = if self.is_ended { 0 } else { bytes.len().min(self.room) };
        self.written.extend_from_slice(&bytes[..len]);
        self.room -= len;
        len
    }
}

/// The broker's end of a [`Wire`].
pub struct InMemory {
    wire: Arc<Mutex<Wire>>,
    input: Mutex<Input>,
    tenant: Arc<Tenant>,
}

impl InMemory {
    /// End of this wire, whose Client is one of `tenant`.
    pub fn new(wire: &Arc<Mutex<Wire>>, tenant: &Arc<Tenant>) -> Self {
        Self { wire: Arc::clone(wire), input: Mutex::default(), tenant: Arc::clone(tenant) }
    }
}

impl Transport for InMemory {
    fn peer(&self) -> Peer {
        let address = self.wire.lock().address.unwrap_or(Ipv4Addr::LOCALHOST.into());
        Peer::Tcp(SocketAddr::from((address, 40_000)))
    }

    fn why_not_local(&self) -> Option<String> {
        None
    }

    fn certified(&self) -> Option<Certified> {
        self.wire.lock().certified.clone()
    }

    fn certificate_ends_ms(&self) -> Option<u64> {
        None
    }

    fn look_for_end(&self, _: &mut Vec<u8>) -> Result<(), CloseReason> {
        let wire = self.wire.lock();
        if wire.is_ended && wire.arrived.is_empty() { Err(CloseReason::PeerClosed) } else { Ok(()) }
    }

    fn check_present(&self) -> Result<(), CloseReason> {
        self.input.lock().look_for_end(self)
    }

    fn keeps_place(&self, _: &PlaceClaim<'_>) -> Result<(), Limit> {
        Ok(())
    }

    fn held_bytes(&self) -> u32 {
        0
    }

    fn start_zstd(&self, _: Offer, _: Time) {}

    fn zstd(&self) -> Option<Offer> {
        None
    }

    fn is_wrapped(&self) -> bool {
        false
    }

    fn begin(&self, _: usize) -> bool {
        false
    }

    fn send(&self, bytes: &[IoSlice<'_>]) -> usize {
        let mut wire = self.wire.lock();
        let mut sent = 0;
        for slice in bytes {
            let len = wire.write(slice);
            sent += len;
            if len < slice.len() {
                break;
            }
        }
        sent
    }

    fn poll_send(&self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<Result<usize, CloseReason>> {
        let mut wire = self.wire.lock();
        if wire.is_ended {
            return Poll::Ready(Err(CloseReason::NetworkError));
        }
        let len = wire.write(bytes);
        if len == 0 {
            wire.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(len))
    }

    fn make_idle(&self) -> bool {
        false
    }

    fn write(&self, _: &[IoSlice<'_>]) {}

    fn is_due(&self, _: usize, _: &mut Context<'_>) -> bool {
        false
    }

    fn poll_flush(&self, _: &mut Context<'_>) -> Result<Poll<()>, CloseReason> {
        Ok(Poll::Ready(()))
    }

    fn write_directly(&self, packet: &[u8]) {
        self.wire.lock().write(packet);
    }
}

impl Source for InMemory {
    fn input(&self) -> &Mutex<Input> {
        &self.input
    }

    fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    fn is_in_handshake(&self) -> bool {
        false
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        let mut wire = self.wire.lock();
        if wire.arrived.is_empty() && !wire.is_ended {
            wire.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn read(&self, target: &mut [u8]) -> Result<Received, CloseReason> {
        let mut wire = self.wire.lock();
        let len = target.len().min(wire.arrived.len());
        if len == 0 && wire.is_ended {
            return Err(CloseReason::PeerClosed);
        }
        wire.arrived.read_exact(&mut target[..len]).expect("so many bytes have arrived");
        Ok(Received { len, is_more: !wire.arrived.is_empty(), overhead: 0 })
    }

    fn has_more(&self) -> bool {
        let wire = self.wire.lock();
        !wire.arrived.is_empty() || wire.is_ended
    }

    fn is_gone(&self) -> bool {
        let wire = self.wire.lock();
        wire.arrived.is_empty() && wire.is_ended
    }

    fn hold(&self, _: usize) -> Result<(), Limit> {
        Ok(())
    }

    fn connect_came(&self) {}

    fn check_handshake(&self, _: Time) -> Result<Time, CloseReason> {
        Err(CloseReason::ConnectTimeout)
    }

    fn failure(&self) -> Option<String> {
        None
    }

    fn leave(&self) {}

    fn close(&self, _: &CloseReason, _: bool) {
        self.wire.lock().is_closed = true;
    }
}
