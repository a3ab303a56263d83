//! Section `[listener.quic]`.

use std::time::Duration;

use super::{
    AddressFilter, Carrier, ClientCertificate, ListenerPlan, Transport, UserFromCertificate, UserPattern,
};
use crate::auth::LoginModules;
use crate::key::section;
use crate::networks::Networks;
use crate::setting::{BindAddresses, Port};

section! {
    /// MQTT over QUIC, ALPN `mqtt`, one bidirectional stream per connection. Opened when its port
    /// and `tls.certificate` are set. Clients must prove their address, which takes another round
    /// trip, while an eighth of `half_open` is taken.
    QuicListener at "listener.quic", |config| config.listener.quic => {
        /// UDP port, usually 14567. 0 takes any free one, which `lotmq serve` prints; `off` opens
        /// none.
        port: Port = Port::Off;
        /// Addresses to listen on: one, or a list. An address that the machine does not have is
        /// skipped with a warning.
        bind: BindAddresses = BindAddresses::loopback();
        /// Time in seconds without any packet of the client after which the connection is lost.
        /// After a third of it the broker asks whether the client is still there, so a longer Keep
        /// Alive of MQTT does no harm.
        idle_timeout_sec: u32 = 600, range 1..=86_400;
        /// Whether clients are asked for a certificate that an authority of `tls.client_ca` has
        /// signed.
        client_certificate: ClientCertificate = ClientCertificate::Off;
        /// Whether the certificate of a client identifies its user. The broker then ignores user
        /// name and password of its CONNECT. There must be an account of that name. A client that
        /// the authority certifies under the name is that user, `root` included.
        user_from_certificate: UserFromCertificate = UserFromCertificate::Off;
        /// Addresses and networks whose clients may connect. Without any, all may. The broker
        /// refuses connections of others before TLS.
        allow_from: Networks = Networks::default();
        /// Addresses and networks whose clients may not connect, even if `allow_from` contains
        /// them.
        deny_from: Networks = Networks::default();
        /// Form of the name in the certificate, with `*` for the user: `*.devices.plant.example`.
        /// A certificate names nobody unless exactly one of its names has this form. Without a
        /// pattern the whole name is the user.
        certificate_user_pattern: Option<UserPattern> = None;
        /// Login modules of this listener, in place of those in `auth.modules`.
        auth_modules: Option<LoginModules> = None;
    }
}

impl Transport for QuicListener {
    fn fill(&self, plan: &mut ListenerPlan) {
        plan.addresses = self.bind.at(self.port);
        plan.carrier = Carrier::Quic { idle_timeout: Duration::from_secs(self.idle_timeout_sec.into()) };
        plan.tls = Some(self.client_certificate);
        plan.user_from_certificate = self.user_from_certificate;
        plan.client_addresses =
            AddressFilter { allowed: self.allow_from.clone(), denied: self.deny_from.clone() };
        plan.certificate_user_pattern = self.certificate_user_pattern.clone();
    }
}
