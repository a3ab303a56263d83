//! Listeners: what all connections of one have in common. Not here: its sockets
//! (`listening_socket`), and who accepts at them (`accept`).

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lotmq_auth::{AnonymousLogin, LoginChain, Source};
use lotmq_config::{AddressFilter, ListenerPlan, Networks, UserFromCertificate, UserPattern, WebOrigins};

use super::Net;
use super::certificates::ListenerTls;
use super::gate::{Addresses, Gate};
use super::half_open::HalfOpen;
use super::limits::half_open_part;
use super::subject;
use lotmq_core::connection::ListenerTerms;
use lotmq_core::connection::peer::{Certified, Peer};
use lotmq_core::connection::refused::Refusals;
use lotmq_core::limits::AddressRates;
use lotmq_core::limits::unfinished::Unfinished;
use lotmq_core::reason::close::{CloseReason, TransportFailure};
use lotmq_core::tenant::Tenant;

/// Listener, with all that its connections have in common.
pub struct Listener {
    pub(crate) net: Arc<Net>,
    /// Terms for the core.
    pub(crate) terms: Arc<ListenerTerms>,
    /// Half-open connections.
    pub(crate) half_open: HalfOpen,
    /// Bytes kept of their handshakes and CONNECT packets.
    pub(crate) half_open_bytes: Unfinished,
    /// Bytes kept of the input of all other connections.
    pub(crate) partial_bytes: Unfinished,
    /// Gate for its connections.
    pub(crate) gate: Gate,
    /// Tenant of all Clients that come there.
    pub tenant: Arc<Tenant>,
    /// Addresses that connections come from.
    pub(crate) addresses: Addresses,
    /// Present when its connections are encrypted.
    pub(crate) tls: Option<Arc<ListenerTls>>,
    /// Part of a client's certificate that names the user.
    user_from_certificate: UserFromCertificate,
    /// Form of the name in that part.
    certificate_user_pattern: Option<UserPattern>,
    /// Whether connections begin with a header of the PROXY protocol.
    pub(crate) proxy_protocol: bool,
    /// Proxies whose header is trusted; with none, all are.
    pub(crate) trusted_proxies: Networks,
    /// Addresses of clients that may connect.
    pub(crate) client_addresses: AddressFilter,
    /// Whether MQTT comes in frames of WebSocket.
    pub(crate) is_websocket: bool,
    /// Web pages that count as programs of this machine.
    pub(crate) origins: WebOrigins,
    /// Most connections with compressed messages, or with the zstd stream, at once.
    pub(crate) compressed_max: u32,
    /// Number of such connections.
    pub(crate) compressed: AtomicU32,
}

/// Plan of a new listener, with the parts that the configuration does not have.
pub struct ListenerSetup<'a> {
    /// Plan of the configuration.
    pub plan: &'a ListenerPlan,
    /// Policy for logins without a user name.
    pub anonymous: AnonymousLogin,
    /// Members that are asked about a login.
    pub login_chain: Arc<LoginChain>,
    /// Tenant of all Clients that come there.
    pub tenant: Arc<Tenant>,
    /// Certificates, if TLS lies between its sockets and MQTT.
    pub tls: Option<Arc<ListenerTls>>,
}

impl Listener {
    /// Makes a listener that has no socket yet.
    pub fn new(net: &Arc<Net>, setup: ListenerSetup<'_>) -> Self {
        let ListenerSetup { plan, anonymous, login_chain, tenant, tls } = setup;
        Self {
            net: Arc::clone(net),
            terms: Arc::new(ListenerTerms {
                name: plan.name,
                number: net.core.figures.listener(plan.name),
                core: Arc::clone(&net.core),
                limits: plan.limits.clone(),
                reached: net.core.limits.add(plan.name),
                anonymous,
                login_chain,
                refusals: Refusals::default(),
                login_rates: AddressRates::default(),
                is_encrypted: plan.tls.is_some(),
            }),
            half_open: HalfOpen::default(),
            half_open_bytes: Unfinished::default(),
            partial_bytes: Unfinished::default(),
            gate: Gate::default(),
            tenant,
            addresses: Addresses::default(),
            tls,
            user_from_certificate: plan.user_from_certificate,
            certificate_user_pattern: plan.certificate_user_pattern.clone(),
            proxy_protocol: plan.proxy_protocol,
            trusted_proxies: plan.trusted_proxies.clone(),
            client_addresses: plan.client_addresses.clone(),
            is_websocket: plan.websocket.is_some(),
            origins: plan.origins.clone(),
            compressed_max: plan.websocket.unwrap_or(plan.zstd_clients_max),
            compressed: AtomicU32::new(0),
        }
    }

    /// User that a client's certificate names, where the listener asks for it.
    pub(crate) fn user_of_certificate(&self, der: &[u8]) -> Option<Certified> {
        subject::read(self.user_from_certificate, self.certificate_user_pattern.as_ref(), der)
    }

    /// Whether the header of the PROXY protocol from `peer` is trusted.
    pub(crate) fn trusts_proxy(&self, peer: Peer) -> bool {
        self.trusted_proxies.is_empty()
            || matches!(peer, Peer::Tcp(address) if self.trusted_proxies.contains(address.ip()))
    }

    /// Returns the reason for which a connection from `address` may not go on. Behind proxies, the
    /// address of their header decides instead.
    pub(crate) fn refuses(&self, address: IpAddr) -> Option<TransportFailure> {
        if self.proxy_protocol { None } else { self.refuses_client(Some(address)) }
    }

    /// Returns the reason for which a client at `address` may not go on; `None` as address is one
    /// that a proxy does not know.
    pub(crate) fn refuses_client(&self, address: Option<IpAddr>) -> Option<TransportFailure> {
        let filter = &self.client_addresses;
        if !address.map_or_else(|| filter.admits_unknown(), |address| filter.admits(address)) {
            return Some(TransportFailure::Address);
        }
        let bans = self.tenant.users.bans();
        let source = Source::of(address.filter(|_| bans.has_any())?);
        bans.of_address(source, self.net.core.clock.lifetime_ms()).map(|_| TransportFailure::Banned)
    }

    /// Counts and logs a connection that was closed at once for this reason.
    pub(crate) fn refuse(&self, peer: &dyn Display, failure: TransportFailure) {
        let reason = CloseReason::Transport(failure);
        reason.count_failure(&self.net.core);
        self.terms.refused(peer, (reason.word(), &reason.words()));
    }

    /// Time from accept to the end of the handshakes before MQTT.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        Duration::from_secs(self.terms.limits.handshake_timeout_sec.into())
    }

    /// Time that the handshakes before MQTT may take.
    pub(crate) fn handshake_patience(&self) -> Duration {
        self.handshake_timeout().min(self.terms.connect_timeout())
    }

    /// Time until the first check of a new connection.
    pub(crate) fn first_look(&self) -> Duration {
        if self.has_layers() { self.handshake_patience() } else { self.terms.connect_timeout() }
    }

    /// Most of its connections that may be without CONNECT at once.
    pub(crate) fn half_open_max(&self) -> u32 {
        self.terms.limits.half_open.min(half_open_part(self.terms.limits.connections))
    }

    /// Whether its connections have layers between socket and MQTT.
    pub(crate) fn has_layers(&self) -> bool {
        self.tls.is_some() || self.is_websocket
    }
}

/// Place of a connection among those with compressed messages; dropping it gives the place back.
pub(crate) struct CompressedPlace(Arc<Listener>);

impl CompressedPlace {
    /// Takes a place for a connection of `listener`; `None` when all are taken.
    pub(crate) fn take(listener: &Arc<Listener>) -> Option<Self> {
        let place = Self(Arc::clone(listener));
        (listener.compressed.fetch_add(1, Ordering::Relaxed) < listener.compressed_max).then_some(place)
    }
}

impl Drop for CompressedPlace {
    fn drop(&mut self) {
        self.0.compressed.fetch_sub(1, Ordering::Relaxed);
    }
}
