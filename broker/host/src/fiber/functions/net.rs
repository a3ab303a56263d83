//! `net`: connections by the name of an endpoint. Capability: the endpoints of the instance, and
//! the addresses that the operator allows. Bounds: sockets per instance, bytes per read and write,
//! time per connect.

use crate::{
    Severity,
    fiber::{
        bindings::lotmq::guest::net::{self, Host, HostListener, HostTcp, HostUdp, Interest, IoError, Peer},
        dial::{CONNECT_TIME_MAX, Dialer, Place, deadline},
        endpoint::{Endpoint, host_name},
        handles::TableHandle,
        listener::GuestListener,
        services::{ListeningPlace, Reception},
        socket_place::{self, SocketPlace},
        state::FiberState,
        tcp::{Tcp, TlsWay},
        udp::Udp,
    },
};
use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{timeout, timeout_at};
use wasmtime::component::Resource;

/// Connections, sockets and listeners of one instance. A database driver needs one, a bridge two, a
/// cluster one for each of its brokers; a server has as many clients.
const SOCKETS_MAX: u32 = 64;

/// Code of a warning that a connection was turned away.
const ACCEPT_LIMIT: &str = "ACCEPT_LIMIT";

/// Bytes of one read or write.
const TRANSFER_BYTES_MAX: usize = 64 * 1024;

/// Connections of one instance with a zstd stream, each with nearly a megabyte of the host's
/// memory. A bridge between two brokers has two.
const ZSTD_STREAMS_MAX: u32 = 2;

/// Bytes of the name of a protocol in a handshake. RFC 7301 §3.1.
const ALPN_BYTES_MAX: usize = 255;

/// Interests of one `wait`: two for each socket, and the host's work.
const INTERESTS_MAX: usize = 256;

impl TableHandle for net::Tcp {
    type Value = Tcp;
}

impl TableHandle for net::Udp {
    type Value = Udp;
}

impl TableHandle for net::Listener {
    type Value = GuestListener;
}

impl Host for FiberState {
    async fn wait(&mut self, interests: Vec<Interest>, timeout_ms: u32) -> Vec<u32> {
        let time = Duration::from_millis(timeout_ms.into());
        self.waits(async |state| {
            let ready = timeout(time, poll_fn(|context| state.poll_interests(&interests, context))).await;
            ready.unwrap_or_else(|_| state.has_waited(time))
        })
        .await
    }
}

impl HostTcp for FiberState {
    async fn connect(&mut self, endpoint: String, timeout_ms: u32) -> Result<Resource<net::Tcp>, IoError> {
        let endpoint = self.far_endpoint(&endpoint)?;
        let place = Place { host: endpoint.host.clone(), port: endpoint.port };
        self.connect_tcp(endpoint, place, timeout_ms).await
    }

    async fn connect_to(
        &mut self,
        endpoint: String,
        place: Peer,
        timeout_ms: u32,
    ) -> Result<Resource<net::Tcp>, IoError> {
        let found = self.endpoint(&endpoint)?;
        let Peer { host, port } = place;
        let name = host_name(&host).ok_or_else(|| IoError::Denied("that is no host name".to_owned()))?;
        if !found.others.iter().any(|pattern| pattern.covers(&name, port)) {
            return Err(IoError::Denied(format!("endpoint '{endpoint}' does not allow {name}:{port}")));
        }
        let there = Endpoint { host: name.clone(), port, server_name: None, ..found };
        self.connect_tcp(there, Place { host: name, port }, timeout_ms).await
    }

    fn read(&mut self, tcp: Resource<net::Tcp>, max: u32) -> Result<Vec<u8>, IoError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX).min(TRANSFER_BYTES_MAX);
        self.tcp(&tcp)?.read(max)
    }

    fn write(&mut self, tcp: Resource<net::Tcp>, bytes: Vec<u8>) -> Result<u32, IoError> {
        let part = bytes.get(..TRANSFER_BYTES_MAX).unwrap_or(&bytes);
        let written = self.tcp(&tcp)?.write(part)?;
        u32::try_from(written).map_err(|error| IoError::Other(error.to_string()))
    }

    async fn start_tls(&mut self, tcp: Resource<net::Tcp>, timeout_ms: u32) -> Result<(), IoError> {
        self.begin_tls(&tcp, TlsWay::Plain, timeout_ms).await
    }

    async fn start_tls_in_tds(&mut self, tcp: Resource<net::Tcp>, timeout_ms: u32) -> Result<(), IoError> {
        self.begin_tls(&tcp, TlsWay::InTds, timeout_ms).await
    }

    async fn start_tls_for(
        &mut self,
        tcp: Resource<net::Tcp>,
        protocol: String,
        timeout_ms: u32,
    ) -> Result<(), IoError> {
        if !(1..=ALPN_BYTES_MAX).contains(&protocol.len()) {
            return Err(IoError::Denied(format!("a protocol has a name of 1 to {ALPN_BYTES_MAX} bytes")));
        }
        self.begin_tls(&tcp, TlsWay::For(protocol), timeout_ms).await
    }

    fn start_zstd(&mut self, tcp: Resource<net::Tcp>, received: Vec<u8>) -> Result<(), IoError> {
        if received.len() > TRANSFER_BYTES_MAX {
            return Err(IoError::Denied(format!("more than {TRANSFER_BYTES_MAX} bytes have come")));
        }
        if self.zstd_streams >= ZSTD_STREAMS_MAX {
            return Err(IoError::LimitReached);
        }
        self.tcp(&tcp)?.start_zstd(received)?;
        self.zstd_streams += 1;
        Ok(())
    }

    fn shutdown(&mut self, tcp: Resource<net::Tcp>) -> Result<(), IoError> {
        self.tcp(&tcp)?.shutdown()
    }

    fn peer(&mut self, tcp: Resource<net::Tcp>) -> Result<Peer, IoError> {
        self.tcp(&tcp)?.peer()
    }

    fn drop(&mut self, tcp: Resource<net::Tcp>) -> wasmtime::Result<()> {
        self.zstd_streams -= u32::from(self.tcp(&tcp).is_ok_and(|tcp| tcp.has_zstd()));
        self.close(tcp)
    }
}

impl HostUdp for FiberState {
    async fn connect(&mut self, endpoint: String, timeout_ms: u32) -> Result<Resource<net::Udp>, IoError> {
        let endpoint = self.far_endpoint(&endpoint)?;
        self.check_room()?;
        let place = Place { host: endpoint.host, port: endpoint.port };
        let deadline = deadline(timeout_ms);
        let dialer = self.dialer();
        let udp = self.waits(async |_| Udp::connect(&dialer, &place, deadline).await).await?;
        self.keep(udp)
    }

    async fn bind(&mut self, name: String) -> Result<Resource<net::Udp>, IoError> {
        let endpoint = self.own_endpoint(&name)?;
        self.check_room()?;
        let dialer = self.dialer();
        let udp = self.waits(async |_| Udp::bind(&endpoint, &dialer).await).await?;
        self.listens(&name, Reception::Datagrams, udp.local_address());
        self.keep(udp)
    }

    fn send(&mut self, udp: Resource<net::Udp>, bytes: Vec<u8>, to: Option<Peer>) -> Result<(), IoError> {
        self.udp(&udp)?.send(&bytes, to)
    }

    fn receive(&mut self, udp: Resource<net::Udp>) -> Result<(Vec<u8>, Peer), IoError> {
        self.udp(&udp)?.receive()
    }

    fn local_port(&mut self, udp: Resource<net::Udp>) -> Result<u16, IoError> {
        self.udp(&udp)?.local_port()
    }

    fn drop(&mut self, udp: Resource<net::Udp>) -> wasmtime::Result<()> {
        self.close(udp)
    }
}

impl HostListener for FiberState {
    fn bind(&mut self, name: String) -> Result<Resource<net::Listener>, IoError> {
        let endpoint = self.own_endpoint(&name)?;
        self.check_room()?;
        let listener = GuestListener::bind(&endpoint, &self.dialer())?;
        self.listens(&name, Reception::Connections, listener.local_address());
        self.keep(listener)
    }

    fn accept(&mut self, listener: Resource<net::Listener>) -> Result<Resource<net::Tcp>, IoError> {
        self.check_room()?;
        let mut tcp = self.listener(&listener)?.accept()?;
        match SocketPlace::take(self.memory.account(), &self.socket_sums.accepted, &*self.services) {
            Ok(place) => tcp.takes(place),
            Err(reason) => {
                drop(tcp);
                let told = socket_place::turned_away(reason);
                self.services.report(&self.run, Severity::Warning, ACCEPT_LIMIT, &told);
                return Err(IoError::WouldBlock);
            }
        }
        self.keep(tcp)
    }

    fn local_port(&mut self, listener: Resource<net::Listener>) -> Result<u16, IoError> {
        self.listener(&listener)?.local_port()
    }

    fn drop(&mut self, listener: Resource<net::Listener>) -> wasmtime::Result<()> {
        self.close(listener)
    }
}

/// Why there is no endpoint of a name: the section that would be it has no place.
fn no_endpoint(name: &str) -> String {
    let is_of_section =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_of_section {
        return format!("{}_CONFIG: HOST is not set, nor ALLOW_HOSTS or LISTEN", name.to_ascii_uppercase());
    }
    format!("there is no endpoint '{name}': the one of section NAME_CONFIG is called name")
}

impl FiberState {
    pub(super) fn endpoint(&self, name: &str) -> Result<Endpoint, IoError> {
        self.endpoints.get(name).cloned().ok_or_else(|| IoError::Denied(no_endpoint(name)))
    }

    /// An endpoint to connect to.
    pub(super) fn far_endpoint(&self, name: &str) -> Result<Endpoint, IoError> {
        let endpoint = self.endpoint(name)?;
        if endpoint.listens || endpoint.host.is_empty() {
            return Err(IoError::Denied(format!("endpoint '{name}' is none to connect to")));
        }
        Ok(endpoint)
    }

    /// An endpoint to listen at.
    fn own_endpoint(&self, name: &str) -> Result<Endpoint, IoError> {
        let endpoint = self.endpoint(name)?;
        let reason = match &endpoint {
            Endpoint { listens: false, .. } => "is none to listen at",
            Endpoint { http: Some(_), .. } => "serves HTTP, which the host does",
            Endpoint { .. } => return Ok(endpoint),
        };
        Err(IoError::Denied(format!("endpoint '{name}' {reason}")))
    }

    /// Tells the broker that it listens at an endpoint of this name.
    pub(super) fn listens(&self, endpoint: &str, reception: Reception, address: io::Result<SocketAddr>) {
        if let Ok(address) = address {
            self.services.listens(&self.run, ListeningPlace { endpoint, address, reception });
        }
    }

    async fn begin_tls(
        &mut self,
        tcp: &Resource<net::Tcp>,
        way: TlsWay,
        timeout_ms: u32,
    ) -> Result<(), IoError> {
        let time = Duration::from_millis(timeout_ms.into()).min(CONNECT_TIME_MAX);
        self.waits(async |state| {
            let tcp = state.tcp(tcp)?;
            timeout(time, tcp.start_tls(&way)).await.unwrap_or(Err(IoError::TimedOut))
        })
        .await
    }

    pub(super) fn dialer(&self) -> Dialer {
        Dialer {
            services: Arc::clone(&self.services),
            lookups: Arc::clone(&self.lookups),
            run: self.run,
            account: self.memory.account(),
            opened: Arc::clone(&self.socket_sums.opened),
        }
    }

    async fn connect_tcp(
        &mut self,
        endpoint: Endpoint,
        place: Place,
        timeout_ms: u32,
    ) -> Result<Resource<net::Tcp>, IoError> {
        self.check_room()?;
        let (deadline, dialer) = (deadline(timeout_ms), self.dialer());
        let connect = async {
            let stream = dialer.connect(&place, deadline).await?;
            Tcp::connected(stream, endpoint).await
        };
        let tcp = self
            .waits(async |_| timeout_at(deadline, connect).await.unwrap_or(Err(IoError::TimedOut)))
            .await?;
        self.keep(tcp)
    }

    pub(super) fn check_room(&self) -> Result<(), IoError> {
        if self.sockets < SOCKETS_MAX { Ok(()) } else { Err(IoError::LimitReached) }
    }

    pub(super) fn keep<H: TableHandle>(&mut self, socket: H::Value) -> Result<Resource<H>, IoError> {
        let resource = self.table.push(socket).map_err(|error| IoError::Other(error.to_string()))?;
        self.sockets += 1;
        Ok(resource)
    }

    pub(super) fn close<H: TableHandle>(&mut self, socket: Resource<H>) -> wasmtime::Result<()> {
        self.table.delete(socket)?;
        self.sockets -= 1;
        Ok(())
    }

    fn tcp(&mut self, tcp: &Resource<net::Tcp>) -> Result<&mut Tcp, IoError> {
        self.table.get_mut(tcp).map_err(|error| IoError::Other(error.to_string()))
    }

    fn udp(&mut self, udp: &Resource<net::Udp>) -> Result<&mut Udp, IoError> {
        self.table.get_mut(udp).map_err(|error| IoError::Other(error.to_string()))
    }

    fn listener(&mut self, listener: &Resource<net::Listener>) -> Result<&mut GuestListener, IoError> {
        self.table.get_mut(listener).map_err(|error| IoError::Other(error.to_string()))
    }

    /// Positions of the interests that are ready; all are asked, so that all wake this task later.
    fn poll_interests(&mut self, interests: &[Interest], context: &mut Context<'_>) -> Poll<Vec<u32>> {
        let mut ready = Vec::new();
        for (position, interest) in (0_u32..).zip(interests.iter().take(INTERESTS_MAX)) {
            let polled = match interest {
                Interest::Readable(tcp) => self.tcp(tcp).map(|tcp| tcp.poll_readable(context)),
                Interest::Writable(tcp) => self.tcp(tcp).map(|tcp| tcp.poll_writable(context)),
                Interest::Acceptable(listener) => {
                    self.listener(listener).map(|listener| listener.poll_acceptable(context))
                }
                Interest::Receivable(udp) => self.udp(udp).map(|udp| udp.poll_receivable(context)),
                Interest::Sendable(udp) => self.udp(udp).map(|udp| udp.poll_sendable(context)),
                Interest::Signalled(signal) => super::signal::poll(self, signal, context),
                Interest::HostWork => Ok(self.work.poll(context)),
            };
            if polled.is_ok_and(|polled| polled.is_ready()) {
                ready.push(position);
            }
        }
        if ready.is_empty() { Poll::Pending } else { Poll::Ready(ready) }
    }
}
