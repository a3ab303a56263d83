//! Sections `[listener.<name>]`: where clients connect.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Config;
use super::networks::Networks;
use super::setting::words;
use super::web::WebOrigins;

/// All listeners.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Listener {
    /// Plain TCP.
    pub mqtt: MqttListener,
    /// TLS.
    pub mqtts: MqttsListener,
    /// WebSocket.
    pub ws: WsListener,
    /// WebSocket over TLS.
    pub wss: WssListener,
    /// Unix socket.
    pub unix: UnixListener,
    /// QUIC.
    pub quic: QuicListener,
    /// What each of them sets of the limits.
    pub limits: LimitsOfListeners,
}

/// Declares the section of a listener on a TCP port: what all of them have, then what it has alone.
macro_rules! listener {
    (
        $(#[doc = $doc:literal])+
        $section:ident at $prefix:literal, |$config:ident| $place:expr, port $port:literal, json $json:literal $bind:literal => {
            $($own:tt)*
        }
    ) => {
        $crate::key::section! {
            $(#[doc = $doc])+
            $section at $prefix, |$config| $place => {
                /// TCP port. 0 takes any free one, which `lotmq serve` prints; `off` opens none.
                port: $crate::setting::Port = $crate::setting::Port::Number($port), json $json;
                /// Addresses to listen on: one, or a list. An address that the machine does not have is skipped with a warning.
                bind: $crate::setting::BindAddresses = $crate::setting::BindAddresses::loopback(), json $bind;
                /// Whether every connection begins with a header of the PROXY protocol (version 1 or 2), as load balancers send it. For ports that
                /// nobody else can reach, or with `trusted_proxies`: whoever is believed may claim any address.
                proxy_protocol: bool = false;
                /// Proxies that are believed what their header says: their addresses, and networks of them. Others are closed before their first byte is
                /// read. Without any, everybody is believed who reaches the port.
                trusted_proxies: $crate::networks::Networks = $crate::networks::Networks::default();
                $($own)*
            }
        }
    };
}

use listener;

pub(crate) mod limits;
pub(crate) mod mqtt;
pub(crate) mod mqtts;
pub(crate) mod quic;
pub(crate) mod unix;
pub(crate) mod ws;
pub(crate) mod wss;

pub use limits::{LimitsOfListeners, ListenerLimits, OwnLimits};
pub use mqtt::MqttListener;
pub use mqtts::MqttsListener;
pub use quic::QuicListener;
pub use unix::UnixListener;
pub use ws::WsListener;
pub use wss::WssListener;

words! {
    /// Whether clients must show a certificate.
    ClientCertificate {
        /// None is asked for.
        Off = "off",
        /// One that is shown must be good; none is allowed.
        Optional = "optional",
        /// Without a good one there is no connection.
        Required = "required",
    }
}

words! {
    /// What a client's certificate says of its user.
    UserFromCertificate {
        /// Nothing: it logs in as everybody does.
        Off = "off",
        /// Its common name (CN) is the name of a user, who needs no password.
        CommonName = "common-name",
        /// Its whole subject, as in `CN=device-1,O=Example`, is that name.
        Subject = "subject",
    }
}

/// A listener that is to be opened, whatever its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerPlan {
    /// As in the configuration: `mqtts`.
    pub name: &'static str,
    /// Where; port 0 lets the system choose.
    pub addresses: Vec<SocketAddr>,
    /// Present for a Unix socket, which has no addresses.
    pub unix: Option<UnixSocket>,
    /// Whether connections begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Proxies that are believed what that says; with none, all are.
    pub trusted_proxies: Networks,
    /// Present for TLS: who must show a certificate.
    pub tls: Option<ClientCertificate>,
    /// What a client's certificate says of its user.
    pub user_from_certificate: UserFromCertificate,
    /// Present for WebSocket: most clients for which messages are compressed.
    pub websocket: Option<u32>,
    /// Web pages that count as programs of this machine.
    pub origins: WebOrigins,
    /// Most clients with the zstd stream transport.
    pub zstd_clients_max: u32,
    /// What its connections are held to.
    pub limits: ListenerLimits,
}

/// Where a Unix socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnixSocket {
    /// Its file.
    pub path: PathBuf,
    /// Permissions of its file.
    pub mode: u32,
}

impl Config {
    /// The listeners that are to be opened, but for that of QUIC.
    #[must_use]
    pub fn listeners(&self) -> Vec<ListenerPlan> {
        let has_certificate = self.tls.certificate.is_some();
        let with_tls = has_certificate.then(|| [self.plan_mqtts(), self.plan_wss()]);
        [self.plan_mqtt(), self.plan_ws()]
            .into_iter()
            .chain(with_tls.into_iter().flatten())
            .filter(|plan| !plan.addresses.is_empty())
            .chain(self.plan_unix())
            .collect()
    }

    fn plan_mqtt(&self) -> ListenerPlan {
        let section = &self.listener.mqtt;
        let mut plan = self.plan("mqtt", section.bind.at(section.port), &self.listener.limits.mqtt);
        plan.proxy_protocol = section.proxy_protocol;
        plan.trusted_proxies = section.trusted_proxies.clone();
        plan.zstd_clients_max = section.zstd_clients;
        plan
    }

    fn plan_mqtts(&self) -> ListenerPlan {
        let section = &self.listener.mqtts;
        let mut plan = self.plan("mqtts", section.bind.at(section.port), &self.listener.limits.mqtts);
        plan.proxy_protocol = section.proxy_protocol;
        plan.trusted_proxies = section.trusted_proxies.clone();
        plan.tls = Some(section.client_certificate);
        plan.user_from_certificate = section.user_from_certificate;
        plan.zstd_clients_max = section.zstd_clients;
        plan
    }

    fn plan_ws(&self) -> ListenerPlan {
        let section = &self.listener.ws;
        let mut plan = self.plan("ws", section.bind.at(section.port), &self.listener.limits.ws);
        plan.proxy_protocol = section.proxy_protocol;
        plan.trusted_proxies = section.trusted_proxies.clone();
        plan.websocket = Some(section.compressed_clients);
        plan.origins = section.origins.clone();
        plan
    }

    fn plan_wss(&self) -> ListenerPlan {
        let section = &self.listener.wss;
        let mut plan = self.plan("wss", section.bind.at(section.port), &self.listener.limits.wss);
        plan.proxy_protocol = section.proxy_protocol;
        plan.trusted_proxies = section.trusted_proxies.clone();
        plan.tls = Some(section.client_certificate);
        plan.user_from_certificate = section.user_from_certificate;
        plan.websocket = Some(section.compressed_clients);
        plan.origins = section.origins.clone();
        plan
    }

    /// The listener of QUIC, if it is to be opened, and the time without any packet after which its connections are lost.
    #[must_use]
    pub fn quic_listener(&self) -> Option<(ListenerPlan, Duration)> {
        let section = &self.listener.quic;
        let mut plan = self.plan("quic", section.bind.at(section.port), &self.listener.limits.quic);
        plan.tls = Some(section.client_certificate);
        plan.user_from_certificate = section.user_from_certificate;
        let idle_timeout = Duration::from_secs(section.idle_timeout_sec.into());
        (self.tls.certificate.is_some() && !plan.addresses.is_empty()).then_some((plan, idle_timeout))
    }

    fn plan_unix(&self) -> Option<ListenerPlan> {
        let section = &self.listener.unix;
        let path = section.path.clone()?;
        let mut plan = self.plan("unix", Vec::new(), &self.listener.limits.unix);
        plan.unix = Some(UnixSocket { path, mode: section.mode.bits() });
        Some(plan)
    }

    fn plan(&self, name: &'static str, addresses: Vec<SocketAddr>, own: &OwnLimits) -> ListenerPlan {
        ListenerPlan {
            name,
            addresses,
            unix: None,
            proxy_protocol: false,
            trusted_proxies: Networks::default(),
            tls: None,
            user_from_certificate: UserFromCertificate::Off,
            websocket: None,
            origins: WebOrigins::default(),
            zstd_clients_max: 0,
            limits: own.or(&self.limits),
        }
    }
}
