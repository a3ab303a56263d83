//! Close reasons: why connections end, what the peer is told, and what becomes of its session.

use std::sync::Arc;

use lotmq_auth::Principal;
use lotmq_codec::{DecodeError, Disconnect, FrameError, ReasonCode, encode_disconnect};

use crate::durable::store_failure::StoreFailure;
use crate::limits::Limit;
use crate::reason::recipient::Recipient;
use crate::reason::violation::Violation;
use crate::shared::Core;

/// Reason why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The Client sent DISCONNECT with this reason; only 0x00 discards its Will \[MQTT-3.14.4-3\].
    Disconnected(ReasonCode),
    /// The peer closed the connection without DISCONNECT.
    PeerClosed,
    /// Reading or writing failed.
    NetworkError,
    /// No CONNECT in time.
    ConnectTimeout,
    /// A layer below MQTT failed.
    Transport(TransportFailure),
    /// CONNECT was refused; the answer has been written.
    Refused,
    /// Silent for 1.5 times its Keep Alive.
    KeepAliveTimeout,
    /// The same Client Identifier connected again \[MQTT-3.1.4-3\].
    TakenOver,
    /// The peer broke a rule of the standard.
    Protocol(Box<Violation>),
    /// It reached a limit of its listener.
    Limit(Limit),
    /// An administrator closed it, or the user was removed.
    Administrative,
    /// The member of the login chain that let the Client in has revoked its login.
    Revoked(Box<Revocation>),
    /// The user has another password than the one with which the Client logged in.
    PasswordChanged,
    /// The certificate that the Client showed has ended.
    CertificateExpired,
    /// The login has reached its end: the token, for example, has expired.
    LoginExpired,
    /// The authorities of the listener were replaced, and none of them has signed the certificate
    /// that the Client showed.
    CertificateUntrusted,
    /// Something could not be made durable, and the Client's version has no way to say so.
    StoreFailed(StoreFailure),
    /// A session that must get the message has no room, and the Client's version has no way to say
    /// so \[3.1.1: MQTT-4.8.0-2\].
    QueueFull,
    /// The system has no memory for a packet of the Client.
    OutOfMemory,
    /// A fault of ours while something was written to the Client.
    InternalError,
    /// The broker stops.
    ServerShutdown,
}

/// Revocation of a login by the member of the login chain that let the Client in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Reason Code of DISCONNECT.
    pub reason_code: ReasonCode,
    /// Reason String of DISCONNECT; words of the broker if there is none.
    pub reason: Option<Box<str>>,
}

/// Change that a member of the login chain makes to Clients that it has let in.
#[derive(Clone, Debug, PartialEq)]
pub enum LoginChange {
    /// Their sessions end.
    Revoke(Revocation),
    /// They have this principal.
    Replace(Arc<Principal>),
}

/// Failure below MQTT. The peer is not told of it in MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportFailure {
    /// A handshake did not end in time.
    HandshakeTimeout,
    /// The connection did not begin with a header of the PROXY protocol, where one is wanted.
    ProxyHeader,
    /// The connection came from no proxy that is believed.
    UnknownProxy,
    /// `allow_from` or `deny_from` of the listener keep the address out.
    Address,
    /// The address is banned.
    Banned,
    /// The TLS handshake failed, or a record was damaged.
    Tls,
    /// The opening handshake of WebSocket was refused.
    Upgrade,
    /// A frame of WebSocket broke a rule, as one with text \[MQTT-6.0.0-1\].
    WebSocket,
    /// The zstd stream was damaged, or something came between CONNECT and CONNACK.
    Zstd,
}

impl CloseReason {
    /// Counts the end of a connection.
    pub fn count(&self, core: &Core) {
        let counters = &core.counters;
        core.figures.disconnects.count(self.word());
        counters.connections_closed.add(1);
        self.count_failure(core);
    }

    /// Counts the reason alone, for a connection that was never opened.
    pub fn count_failure(&self, core: &Core) {
        let counters = &core.counters;
        match self {
            Self::Protocol(_) => counters.protocol_errors.add(1),
            Self::ConnectTimeout => counters.connect_timeouts.add(1),
            Self::Refused => counters.connects_refused.add(1),
            Self::Transport(TransportFailure::HandshakeTimeout) => counters.handshake_timeouts.add(1),
            Self::Transport(TransportFailure::ProxyHeader) => counters.proxy_headers_missing.add(1),
            Self::Transport(TransportFailure::UnknownProxy) => counters.proxies_refused.add(1),
            Self::Transport(TransportFailure::Address) => counters.addresses_refused.add(1),
            Self::Transport(TransportFailure::Banned) => counters.banned_refused.add(1),
            Self::Transport(TransportFailure::Tls) => counters.tls_failures.add(1),
            Self::Transport(TransportFailure::Upgrade) => counters.websocket_refused.add(1),
            Self::Transport(TransportFailure::WebSocket) => counters.websocket_failures.add(1),
            Self::Transport(TransportFailure::Zstd) => counters.zstd_failures.add(1),
            Self::Disconnected(_)
            | Self::PeerClosed
            | Self::NetworkError
            | Self::KeepAliveTimeout
            | Self::Limit(_)
            | Self::TakenOver
            | Self::Administrative
            | Self::Revoked(_)
            | Self::PasswordChanged
            | Self::CertificateExpired
            | Self::LoginExpired
            | Self::CertificateUntrusted
            | Self::StoreFailed(_)
            | Self::QueueFull
            | Self::OutOfMemory
            | Self::InternalError
            | Self::ServerShutdown => {}
        }
    }

    /// Reason Code of the DISCONNECT for a 5.0 Client; `None` where nothing can or need be told.
    pub fn reason_code(&self) -> Option<ReasonCode> {
        match self {
            Self::KeepAliveTimeout => Some(ReasonCode::KeepAliveTimeout),
            Self::TakenOver => Some(ReasonCode::SessionTakenOver),
            Self::Protocol(violation) => Some(violation.reason_code()),
            Self::Limit(limit) => Some(limit.reason()),
            Self::Administrative | Self::PasswordChanged => Some(ReasonCode::AdministrativeAction),
            Self::Revoked(revocation) => Some(revocation.reason_code),
            Self::CertificateExpired | Self::LoginExpired | Self::CertificateUntrusted => {
                Some(ReasonCode::NotAuthorized)
            }
            Self::StoreFailed(failure) => Some(failure.reason_code()),
            Self::QueueFull | Self::OutOfMemory => Some(ReasonCode::QuotaExceeded),
            Self::InternalError => Some(ReasonCode::UnspecifiedError),
            Self::ServerShutdown => Some(ReasonCode::ServerShuttingDown),
            Self::Disconnected(_)
            | Self::PeerClosed
            | Self::NetworkError
            | Self::ConnectTimeout
            | Self::Transport(_)
            | Self::Refused => None,
        }
    }

    /// The limit that was reached, if one was.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::Limit(limit) => Some(*limit),
            Self::Protocol(violation) => violation.limit(),
            Self::ConnectTimeout => Some(Limit::ConnectTimeoutSec),
            Self::Transport(TransportFailure::HandshakeTimeout) => Some(Limit::HandshakeTimeoutSec),
            Self::Disconnected(_)
            | Self::PeerClosed
            | Self::NetworkError
            | Self::Transport(_)
            | Self::Refused
            | Self::KeepAliveTimeout
            | Self::TakenOver
            | Self::Administrative
            | Self::Revoked(_)
            | Self::PasswordChanged
            | Self::CertificateExpired
            | Self::LoginExpired
            | Self::CertificateUntrusted
            | Self::StoreFailed(_)
            | Self::QueueFull
            | Self::OutOfMemory
            | Self::InternalError
            | Self::ServerShutdown => None,
        }
    }

    /// Application error code with which a QUIC connection ends: the Reason Code, also for versions
    /// that have none; 0 for a regular end.
    pub fn close_code(&self) -> u8 {
        self.reason_code().map_or(0, |reason| reason as u8)
    }

    /// DISCONNECT for a 5.0 Client \[MQTT-4.13.1-1\]; nobody else has one from a server.
    pub fn disconnect(&self, recipient: Recipient) -> Option<Vec<u8>> {
        let reason = self.reason_code()?;
        let mut packet = Vec::new();
        let encoded = recipient.explain(&mut packet, &self.words(), |out, properties| {
            encode_disconnect(out, recipient.version, &Disconnect { reason, properties })
        });
        encoded.is_ok().then_some(packet)
    }

    /// The reason in words, for the Reason String of DISCONNECT and for logs; empty where the word
    /// says it all.
    pub fn words(&self) -> String {
        let words = match self {
            Self::Protocol(violation) => return violation.to_string(),
            Self::Revoked(revocation) => revocation.reason.as_deref().unwrap_or("the login was revoked"),
            Self::StoreFailed(failure) => return format!("what was sent could not be stored: {failure}"),
            Self::Limit(limit) => limit.sentence(),
            Self::KeepAliveTimeout => "nothing came for one and a half times the keep alive",
            Self::TakenOver => "another connection came with this client identifier",
            Self::Administrative => "closed by an administrator, or the user was removed",
            Self::PasswordChanged => "the user's password was changed; log in with the new one",
            Self::CertificateExpired => "the client certificate has expired",
            Self::LoginExpired => "the login has expired; log in with fresh credentials",
            Self::CertificateUntrusted => "the authority of the client certificate is not trusted any more",
            Self::QueueFull => "a session that must get the message has no room for it",
            Self::OutOfMemory => {
                "the broker has no memory for a packet of this size; send smaller ones, or try again later"
            }
            Self::InternalError => "an error of the broker",
            Self::ServerShutdown => "the broker stops",
            Self::Transport(TransportFailure::ProxyHeader) => "no header of the PROXY protocol came",
            Self::Transport(TransportFailure::UnknownProxy) => "it comes from none of the trusted_proxies",
            Self::Transport(TransportFailure::Address) => {
                "allow_from and deny_from of the listener keep its address out"
            }
            Self::Transport(TransportFailure::Banned) => "its address is banned; see -listBans",
            Self::Transport(TransportFailure::Zstd) => "the zstd stream is damaged",
            Self::Disconnected(_)
            | Self::PeerClosed
            | Self::NetworkError
            | Self::ConnectTimeout
            | Self::Transport(_)
            | Self::Refused => "",
        };
        words.to_owned()
    }

    /// Word of the reason, for `DISCONNECTREASON` and for logs (language reference §7.6).
    pub fn word(&self) -> &'static str {
        match self {
            Self::Disconnected(ReasonCode::Success) => "normal",
            Self::Disconnected(reason) => reason.text(),
            Self::PeerClosed | Self::NetworkError => "network-error",
            Self::ConnectTimeout => "connect-timeout",
            Self::Transport(TransportFailure::HandshakeTimeout) => "handshake-timeout",
            Self::Transport(TransportFailure::ProxyHeader) => "proxy-header-missing",
            Self::Transport(TransportFailure::UnknownProxy) => "proxy-unknown",
            Self::Transport(TransportFailure::Address) => "address-refused",
            Self::Transport(TransportFailure::Banned) => "address-banned",
            Self::Transport(TransportFailure::Tls) => "tls-failed",
            Self::Transport(TransportFailure::Upgrade) => "websocket-refused",
            Self::Transport(TransportFailure::WebSocket) => "websocket-failed",
            Self::Transport(TransportFailure::Zstd) => "zstd-failed",
            Self::Refused => "refused",
            Self::KeepAliveTimeout => "keepalive-timeout",
            Self::TakenOver => "session-taken-over",
            Self::Protocol(_) => "protocol-error",
            Self::Limit(_) => "quota-exceeded",
            Self::Administrative => "administrative",
            Self::Revoked(_) => "login-revoked",
            Self::PasswordChanged => "password-changed",
            Self::CertificateExpired => "certificate-expired",
            Self::LoginExpired => "login-expired",
            Self::CertificateUntrusted => "certificate-untrusted",
            Self::StoreFailed(_) => "store-failed",
            Self::QueueFull => "queue-full",
            Self::OutOfMemory => "out-of-memory",
            Self::InternalError => "internal-error",
            Self::ServerShutdown => "server-shutdown",
        }
    }

    /// Whether connections end like this when nothing is wrong: the Client left and named no
    /// failure, or the broker stops.
    pub fn is_usual(&self) -> bool {
        match self {
            Self::Disconnected(reason) => !reason.is_failure(),
            Self::ServerShutdown => true,
            Self::PeerClosed
            | Self::NetworkError
            | Self::ConnectTimeout
            | Self::Transport(_)
            | Self::Refused
            | Self::KeepAliveTimeout
            | Self::TakenOver
            | Self::Protocol(_)
            | Self::Limit(_)
            | Self::Administrative
            | Self::Revoked(_)
            | Self::PasswordChanged
            | Self::CertificateExpired
            | Self::LoginExpired
            | Self::CertificateUntrusted
            | Self::StoreFailed(_)
            | Self::QueueFull
            | Self::OutOfMemory
            | Self::InternalError => false,
        }
    }

    /// Whether the Will is discarded \[MQTT-3.1.2-8\].
    pub fn discards_will(&self) -> bool {
        matches!(self, Self::Disconnected(ReasonCode::Success))
    }
}

impl From<FrameError> for CloseReason {
    fn from(error: FrameError) -> Self {
        Violation::from(error).into()
    }
}

impl From<DecodeError> for CloseReason {
    fn from(error: DecodeError) -> Self {
        Violation::from(error).into()
    }
}

impl From<Violation> for CloseReason {
    fn from(violation: Violation) -> Self {
        Self::Protocol(Box::new(violation))
    }
}
