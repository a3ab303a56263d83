//! Sections `[listener.<name>]`: where clients connect, one for each transport.
//!
//! This file is the registry of transports: one is its section's file and its row among the
//! [`transports!`]. Structures, keys, limits and what is opened derive from that. Not here: how it
//! carries bytes (`net` of the server).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::auth::LoginModules;
use super::key::Need;
use super::networks::Networks;
use super::origin::ValueOrigin;
use super::setting::words;
use super::web::WebOrigins;
use super::{Config, Key};

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
                /// Addresses to listen on: one, or a list. An address that the machine does not
                /// have is skipped with a warning.
                bind: $crate::setting::BindAddresses = $crate::setting::BindAddresses::loopback(), json $bind;
                /// Whether every connection begins with a header of the PROXY protocol (version 1
                /// or 2), as load balancers send it. Such a header may claim any address. Use it
                /// for ports that nobody else can reach, or with `trusted_proxies`.
                proxy_protocol: bool = false;
                /// Addresses and networks of proxies whose header the broker believes. It closes
                /// connections of others before it reads a byte. Without any, it believes everybody
                /// who reaches the port.
                trusted_proxies: $crate::networks::Networks = $crate::networks::Networks::default();
                /// Addresses and networks whose clients may connect. Without any, all may. The
                /// broker closes connections of others before TLS and before it reads a byte. With
                /// `proxy_protocol`, the address in the header counts.
                allow_from: $crate::networks::Networks = $crate::networks::Networks::default();
                /// Addresses and networks whose clients may not connect, even if `allow_from`
                /// contains them. With `proxy_protocol`, the address in the header counts.
                deny_from: $crate::networks::Networks = $crate::networks::Networks::default();
                /// Login modules of this listener, in place of those in `auth.modules`.
                auth_modules: Option<$crate::auth::LoginModules> = None;
                $($own)*
            }
        }
    };
}

use listener;

mod address_filter;
mod limits;
mod mqtt;
mod mqtts;
mod quic;
mod unix;
mod user_pattern;
mod ws;
mod wss;

pub use address_filter::AddressFilter;
pub use limits::{ListenerLimits, OwnLimits};
pub use user_pattern::UserPattern;

/// Section of a transport.
trait Transport {
    /// Says what is opened for it, which begins with its name and limits.
    fn fill(&self, plan: &mut ListenerPlan);
}

macro_rules! transports {
    ($($module:ident: $section:ident $doc:literal $(, $without:ident $addresses:ident)?;)+) => {
        $(pub use $module::$section;)+

        /// All listeners.
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct Listener {
            $(#[doc = $doc] pub $module: $section,)+
            /// Limits that each of them sets.
            pub limits: LimitsOfListeners,
        }

        /// Limits that each listener sets itself.
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct LimitsOfListeners {
            $(#[doc = concat!("Those of `[listener.", stringify!($module), "]`.")] pub $module: OwnLimits,)+
        }

        /// The keys of each listener, then those of its limits.
        pub(crate) const KEYS: &[&[Key]] =
            &[$($module::KEYS, limits::keys_of! { $module $(, $without $addresses)? }),+];

        impl Config {
            /// The login modules of each listener that sets its own, with the path of the key.
            pub(crate) fn login_modules_of_listeners(&self) -> [(&'static str, Option<&LoginModules>); 6] {
                [$((
                    concat!("listener.", stringify!($module), ".auth_modules"),
                    self.listener.$module.auth_modules.as_ref(),
                )),+]
            }

            /// Plans of all listeners, whether they are to be opened or not.
            fn plans(&self) -> Vec<ListenerPlan> {
                vec![$({
                    let mut plan =
                        ListenerPlan::new(stringify!($module), self.listener.limits.$module.or(&self.limits));
                    self.listener.$module.fill(&mut plan);
                    let own = self.listener.$module.auth_modules.as_ref();
                    plan.login_modules = own.unwrap_or(&self.auth.modules).clone();
                    plan
                }),+]
            }
        }
    };
}

transports! {
    mqtt: MqttListener "Plain TCP.";
    mqtts: MqttsListener "TLS.";
    ws: WsListener "WebSocket.";
    wss: WssListener "WebSocket over TLS.";
    unix: UnixListener "Unix socket.", without addresses;
    quic: QuicListener "QUIC.";
}

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
    /// User name that the broker takes from a client certificate.
    UserFromCertificate {
        /// Nothing: it logs in as everybody does.
        Off = "off",
        /// Its common name (CN) is the name of a user, who needs no password.
        CommonName = "common-name",
        /// Its whole subject, as in `CN=device-1,O=Example`, is that name.
        Subject = "subject",
        /// Its DNS name, of the Subject Alternative Names (RFC 5280 §4.2.1.6), is that name.
        DnsName = "san-dns",
        /// Its e-mail address, of those names, is that name.
        Email = "san-email",
        /// Its URI, of those names, is that name.
        Uri = "san-uri",
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
    /// Transport of its connections.
    pub carrier: Carrier,
    /// Whether connections begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Proxies that are believed what that says; with none, all are.
    pub trusted_proxies: Networks,
    /// Addresses of clients that may connect.
    pub client_addresses: AddressFilter,
    /// Present for TLS: who must show a certificate.
    pub tls: Option<ClientCertificate>,
    /// User name that the broker takes from a client certificate.
    pub user_from_certificate: UserFromCertificate,
    /// Form of that name; `None` if the whole name is the user.
    pub certificate_user_pattern: Option<UserPattern>,
    /// Login modules that are asked, in order.
    pub login_modules: LoginModules,
    /// Present for WebSocket: most clients for which messages are compressed.
    pub websocket: Option<u32>,
    /// Web pages that count as programs of this machine.
    pub origins: WebOrigins,
    /// Most clients with the zstd stream transport.
    pub zstd_clients_max: u32,
    /// Limits of its connections.
    pub limits: ListenerLimits,
}

/// Transport of a listener's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Carrier {
    /// TCP, at the addresses.
    Tcp,
    /// A Unix socket; there are no addresses. `None` when it is off.
    Unix(Option<UnixSocket>),
    /// QUIC, at the addresses.
    Quic {
        /// Time without any packet after which a connection is lost.
        idle_timeout: Duration,
    },
}

/// Path and permissions of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnixSocket {
    /// Its file.
    pub path: PathBuf,
    /// Permissions of its file.
    pub mode: u32,
}

impl ListenerPlan {
    /// Plan of a listener of TCP without addresses, and with nothing that is optional.
    fn new(name: &'static str, limits: ListenerLimits) -> Self {
        Self {
            name,
            addresses: Vec::new(),
            carrier: Carrier::Tcp,
            proxy_protocol: false,
            trusted_proxies: Networks::default(),
            client_addresses: AddressFilter::default(),
            tls: None,
            user_from_certificate: UserFromCertificate::Off,
            certificate_user_pattern: None,
            login_modules: LoginModules::default(),
            websocket: None,
            origins: WebOrigins::default(),
            zstd_clients_max: 0,
            limits,
        }
    }

    /// Whether it is turned on.
    fn is_on(&self) -> bool {
        !self.addresses.is_empty() || matches!(self.carrier, Carrier::Unix(Some(_)))
    }

    /// The key of this name in its section.
    fn key(&self, name: &str) -> Option<&'static Key> {
        Key::find(&format!("listener.{}.{name}", self.name))
    }
}

impl Config {
    /// The listeners that are to be opened. Those with TLS are when there is a certificate.
    #[must_use]
    pub fn listeners(&self) -> Vec<ListenerPlan> {
        let has_certificate = self.tls.certificate.is_some();
        let mut plans = self.plans();
        plans.retain(|plan| plan.is_on() && (plan.tls.is_none() || has_certificate));
        plans
    }

    /// Returns the keys that listeners need: a certificate if a TLS port is set, and an authority
    /// if clients must show a certificate.
    pub(crate) fn needs_of_listeners(&self) -> Vec<Need> {
        let (no_certificate, no_authority) = (self.tls.certificate.is_none(), self.tls.client_ca.is_none());
        let plans: Vec<ListenerPlan> = self.plans().into_iter().filter(|plan| plan.tls.is_some()).collect();
        let mut needs = Vec::new();
        for plan in &plans {
            let Some(port) = plan.key("port") else { continue };
            // By default, and in what clients of Coreflux store as a whole, ports say only where
            // TLS would be.
            let is_wanted = !matches!(self.origin(port.path), ValueOrigin::Default | ValueOrigin::Stored);
            needs.push((port.path, "tls.certificate", no_certificate && is_wanted && plan.is_on()));
        }
        for plan in &plans {
            let (Some(asked), Some(user)) =
                (plan.key("client_certificate"), plan.key("user_from_certificate"))
            else {
                continue;
            };
            if let Some(pattern) = plan.key("certificate_user_pattern") {
                let has_no_name = plan.user_from_certificate == UserFromCertificate::Off;
                let has_pattern = plan.certificate_user_pattern.is_some();
                needs.push((pattern.path, user.path, has_pattern && has_no_name));
            }
            let asks = plan.tls.is_some_and(|asked| asked != ClientCertificate::Off);
            let takes_user = plan.user_from_certificate != UserFromCertificate::Off;
            needs.push((asked.path, "tls.client_ca", asks && no_authority));
            needs.push((user.path, asked.path, takes_user && !asks));
        }
        needs
    }
}
