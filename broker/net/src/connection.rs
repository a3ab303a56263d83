//! Socket side of a connection: the future that drives it, and its transport for the core.
//!
//! A connection stays on the shard that it was given to. Its task is a single [`Arc`]; it reads at
//! most once per poll. Foreign threads touch only the socket's write side ([`Transport`]). Not
//! here: what is read and when (`lotmq_core::connection`).

pub(super) mod open_connections;

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use lotmq_auth::ClientCertificate;
use lotmq_host::fiber::is_of_own_bridge;
use lotmq_session::Time;
use lotmq_zstd::Offer;
use parking_lot::Mutex;
use tokio::io::Interest;

use super::limits::LAST_WORDS_BYTES_MAX;
use crate::admission::Admission;
use crate::layers::Layers;
use crate::layers::zstd::Zstd;
use crate::look::take_idled;
use crate::relayed::Relayed;
use crate::rest;
use crate::socket::Socket;
use lotmq_core::connection::peer::Certified;
use lotmq_core::connection::peer::Peer;
use lotmq_core::connection::place_claim::PlaceClaim;
use lotmq_core::connection::{Connection, Transport};
use lotmq_core::limits::Limit;
use lotmq_core::owner::input::Input;
use lotmq_core::owner::source::{Received, Source};
use lotmq_core::owner::step::drive;
use lotmq_core::reason::close::CloseReason;
use lotmq_core::shares::address_key;
use lotmq_core::tenant::Tenant;
use lotmq_process::this_turn;

/// Connection by a socket.
pub(crate) type SocketConnection = Connection<SocketSide>;

/// Socket of a connection, with its layers.
pub(crate) struct SocketSide {
    stream: Socket,
    accepted_from: Peer,
    /// Place at the listener that accepted it.
    pub(crate) listener: Admission,
    /// Layers between the socket and MQTT; none for plain TCP. Set before any other thread knows
    /// the connection.
    layers: OnceLock<Box<Mutex<Layers>>>,
    input: Mutex<Input>,
}

/// Connection that was just accepted.
pub(crate) struct Accepted {
    pub(crate) peer: Peer,
    pub(crate) listener: Admission,
}

/// Task of a connection.
pub(crate) struct Drive(pub(crate) Arc<Connection>);

impl Future for Drive {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let connection = &self.0;
        let driven = this_turn::with(|turn| {
            if take_idled() {
                rest::work_comes(turn);
                turn.time_shares.thread_idled();
            }
            drive::<SocketSide>(connection, turn, cx)
        });
        if driven.is_ready() {
            open_connections::with(|open| open.release(connection.place));
        }
        driven
    }
}

static NEXT_NUMBER: AtomicU32 = AtomicU32::new(0);

impl SocketSide {
    /// Makes a connection of the shard `home` that was just accepted, and for which a place was
    /// reserved.
    ///
    /// # Errors
    /// When what its listener wants below MQTT cannot be set up.
    pub(crate) fn connection(
        stream: Socket,
        accepted: Accepted,
        home: (u16, u32),
        now: Time,
    ) -> Result<SocketConnection, CloseReason> {
        let Accepted { peer, listener } = accepted;
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed) % Connection::NUMBER_MAX + 1;
        let terms = Arc::clone(&listener.terms);
        let side = Self {
            stream,
            accepted_from: peer,
            layers: Layers::of(&listener, now)?.map_or_else(OnceLock::new, OnceLock::from),
            listener,
            input: Mutex::default(),
        };
        Ok(Connection::new(number, home, terms, side))
    }

    /// Charges bytes that expanded beyond `inflate_ratio` to the address and the user of the
    /// connection.
    ///
    /// # Errors
    /// [`Limit::InflateRatio`], when these have expanded too much over all their connections.
    fn pay_inflated(&self, bytes: u64) -> Result<(), CloseReason> {
        let address = match self.accepted_from {
            Peer::Tcp(address) | Peer::Proxied(address) => address_key(address.ip()),
            Peer::Unix => 0,
        };
        let (net, limits) = (&self.listener.net, &self.listener.terms.limits);
        let payers = (address, self.listener.account());
        let is_paid = net.inflated.take(payers, bytes, limits.max_packet_size.into(), net.core.clock.now());
        if is_paid { Ok(()) } else { Err(CloseReason::Limit(Limit::InflateRatio)) }
    }

    /// Layers between the socket and MQTT; `None` for plain TCP.
    pub(crate) fn layers(&self) -> Option<&Mutex<Layers>> {
        self.layers.get().map(|layers| &**layers)
    }
}

impl Transport for SocketSide {
    /// Peer of the connection. A web page from elsewhere does not count as local, though the
    /// browser that shows it is; nor does a client behind a reverse proxy.
    fn peer(&self) -> Peer {
        if self.layers().is_some_and(|layers| layers.lock().foreign().is_some()) {
            self.accepted_from.behind_proxy(None)
        } else {
            self.accepted_from
        }
    }

    /// Whether it is a connection of a bridge that runs in this process.
    fn is_of_own_bridge(&self) -> bool {
        matches!(self.accepted_from, Peer::Tcp(peer) if is_of_own_bridge(peer))
    }

    /// Reason why the connection does not count as local although it comes from a loopback address.
    fn why_not_local(&self) -> Option<String> {
        if !self.accepted_from.for_login().is_loopback() {
            return None;
        }
        self.layers()?.lock().foreign().map(ToString::to_string)
    }

    /// User named by the client's certificate, where that is asked for and one was shown.
    fn certified(&self) -> Option<Certified> {
        match self.stream.relayed() {
            Some(relayed) => relayed.certified().cloned(),
            None => self.layers()?.lock().certified(&self.listener),
        }
    }

    fn client_certificate(&self) -> Option<ClientCertificate> {
        match self.stream.relayed() {
            Some(relayed) => relayed.client_certificate(),
            None => self.layers()?.lock().client_certificate(),
        }
    }

    fn server_name(&self) -> Option<String> {
        self.layers()?.lock().server_name()
    }

    /// End of the client certificate's validity, in milliseconds since 1970; `None` where none was
    /// shown.
    fn certificate_ends_ms(&self) -> Option<u64> {
        match self.stream.relayed() {
            Some(relayed) => relayed.certificate_ends_ms(),
            None => self.layers()?.lock().certificate_ends_ms(),
        }
    }

    fn is_certificate_trusted(&self) -> bool {
        if let Some(relayed) = self.stream.relayed() {
            return relayed.is_certificate_trusted();
        }
        let Some((layers, tls)) = self.layers().zip(self.listener.tls.as_ref()) else { return true };
        layers.lock().is_certificate_trusted(tls)
    }

    fn look_for_end(&self, kept: &mut Vec<u8>) -> Result<(), CloseReason> {
        let Some(layers) = self.layers() else {
            return self.stream.waiting(&mut [0]).map(drop).ok_or(CloseReason::PeerClosed);
        };
        let mut bytes = [0; LAST_WORDS_BYTES_MAX];
        let len = layers.lock().look_for_end(&self.stream, &self.listener, &mut bytes)?;
        kept.extend_from_slice(&bytes[..len]);
        Ok(())
    }

    fn check_present(&self) -> Result<(), CloseReason> {
        self.input.lock().look_for_end(self)
    }

    fn keeps_place(&self, claim: &PlaceClaim<'_>) -> Result<(), Limit> {
        self.listener.keep_for(claim)
    }

    fn held_bytes(&self) -> u32 {
        self.listener.held_bytes()
    }

    /// Starts the zstd stream, where the listener allows it and has a place left. Call with CONNECT
    /// read and CONNACK not yet made.
    fn start_zstd(&self, offer: Offer, now: Time) {
        let Some(zstd) = Zstd::granted(offer, &self.listener) else { return };
        self.layers.get_or_init(|| Box::new(Mutex::new(Layers::none(now)))).lock().start_zstd(zstd);
    }

    /// Parameters of the zstd stream that were granted.
    fn zstd(&self) -> Option<Offer> {
        self.layers().and_then(|layers| layers.lock().zstd())
    }

    fn is_wrapped(&self) -> bool {
        self.layers().is_some()
    }

    fn begin(&self, connack_len: usize) -> bool {
        self.layers().is_some_and(|layers| layers.lock().begin(connack_len))
    }

    fn send(&self, bytes: &[IoSlice<'_>]) -> usize {
        let flags = rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT;
        if let [only] = bytes {
            return rustix::net::send(&self.stream, only, flags).unwrap_or(0);
        }
        let mut control = rustix::net::SendAncillaryBuffer::default();
        rustix::net::sendmsg(&self.stream, bytes, &mut control, flags).unwrap_or(0)
    }

    fn poll_send(&self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<Result<usize, CloseReason>> {
        let flags = rustix::net::SendFlags::NOSIGNAL;
        loop {
            let sent =
                self.stream.try_io(Interest::WRITABLE, || Ok(rustix::net::send(&self.stream, bytes, flags)?));
            match sent {
                Ok(len) => return Poll::Ready(Ok(len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Readiness is cleared now: this registers the task for the next edge.
                    match self.stream.poll_write_ready(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => return Poll::Ready(Err(CloseReason::NetworkError)),
                    }
                }
                Err(_) => return Poll::Ready(Err(CloseReason::NetworkError)),
            }
        }
    }

    fn make_idle(&self) -> bool {
        self.layers().is_some_and(|layers| layers.lock().make_idle(&self.stream))
    }

    fn write(&self, chunk: &[IoSlice<'_>]) {
        if let Some(layers) = self.layers() {
            layers.lock().write(&self.stream, chunk);
        }
    }

    fn is_due(&self, waiting: usize, cx: &mut Context<'_>) -> bool {
        self.layers().is_some_and(|layers| layers.lock().is_due(waiting, cx))
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Result<Poll<()>, CloseReason> {
        match self.layers() {
            Some(layers) => layers.lock().poll_flush(&self.stream, cx),
            None => Ok(Poll::Ready(())),
        }
    }

    /// Writes a short packet past everything else: an answer before there is a Client, or the last
    /// word. Lost when the socket is full.
    fn write_directly(&self, packet: &[u8]) {
        if let Some(layers) = self.layers() {
            let mut layers = layers.lock();
            if layers.make_idle(&self.stream) {
                layers.write(&self.stream, &[IoSlice::new(packet)]);
            }
            return;
        }
        let flags = rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT;
        let _ = rustix::net::send(&self.stream, packet, flags);
    }
}

impl Source for SocketSide {
    fn input(&self) -> &Mutex<Input> {
        &self.input
    }

    fn tenant(&self) -> &Arc<Tenant> {
        &self.listener.tenant
    }

    fn is_in_handshake(&self) -> bool {
        self.layers().is_some_and(|layers| layers.lock().is_in_tls_handshake())
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        let ready = self.stream.poll_read_ready(cx).map_err(|_| CloseReason::NetworkError);
        // The layers may have something of which the socket knows nothing.
        if ready.is_pending() && self.layers().is_some_and(|layers| layers.lock().has_more()) {
            return Poll::Ready(Ok(()));
        }
        ready
    }

    fn read(&self, target: &mut [u8]) -> Result<Received, CloseReason> {
        match self.layers() {
            None => {
                let len = self.stream.receive(target)?.unwrap_or(0);
                let overhead = self.stream.relayed().map_or(0, Relayed::take_overhead);
                let overhead = usize::try_from(overhead).unwrap_or(usize::MAX);
                Ok(Received { len, is_more: len == target.len(), overhead })
            }
            Some(layers) => {
                let (received, inflated) = {
                    let mut layers = layers.lock();
                    (layers.read(&self.stream, &self.listener, target)?, layers.take_inflated())
                };
                if inflated > 0 {
                    self.pay_inflated(inflated)?;
                }
                Ok(received)
            }
        }
    }

    fn has_more(&self) -> bool {
        self.stream.waiting(&mut [0]) != Some(0)
            || self.layers().is_some_and(|layers| layers.lock().has_more())
    }

    fn is_gone(&self) -> bool {
        self.stream.waiting(&mut [0]).is_none()
            && !self.layers().is_some_and(|layers| layers.lock().has_more())
    }

    fn hold(&self, bytes: usize) -> Result<(), Limit> {
        let below = self.layers().map_or(0, |layers| layers.lock().held_bytes());
        self.listener.hold(bytes + below)
    }

    fn connect_came(&self) {
        self.listener.connect_came();
    }

    fn check_handshake(&self, now: Time) -> Result<Time, CloseReason> {
        let layers = self.layers().ok_or(CloseReason::ConnectTimeout)?;
        layers.lock().check_alive(&self.listener, now)
    }

    fn failure(&self) -> Option<String> {
        self.layers().and_then(|layers| layers.lock().failure())
    }

    fn leave(&self) {
        self.listener.leave();
    }

    fn close(&self, reason: &CloseReason, is_shared: bool) {
        if let Some(relayed) = self.stream.relayed() {
            relayed.end(reason.close_code());
        }
        if let Some(layers) = self.layers() {
            layers.lock().close(&self.stream, reason);
        }
        if is_shared {
            let _ = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Idle connections cost this and what tokio keeps for them.
    #[test]
    fn a_connection_is_small() {
        // With the counts of an `Arc` and the allocator's own eight bytes it takes 352. 32 of them
        // are messages and bytes in both directions, for `-listClients`.
        assert!(size_of::<SocketConnection>() <= 328, "{} bytes", size_of::<SocketConnection>());
    }
}
