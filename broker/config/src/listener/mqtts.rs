//! Section `[listener.mqtts]`.

use super::{AddressFilter, ClientCertificate, ListenerPlan, Transport, UserFromCertificate, UserPattern};

super::listener! {
    /// MQTT over TLS 1.2 and 1.3. Opened when `tls.certificate` is set; a port that is set without
    /// one is an error.
    MqttsListener at "listener.mqtts", |config| config.listener.mqtts, port 8883, json "TlsPort" "BindIPForMQTTwithTls" => {
        /// Whether clients are asked for a certificate that an authority of `tls.client_ca` has
        /// signed.
        client_certificate: ClientCertificate = ClientCertificate::Off;
        /// Whether the certificate of a client identifies its user. The broker then ignores user
        /// name and password of its CONNECT. There must be an account of that name. A client that
        /// the authority certifies under the name is that user, `root` included.
        user_from_certificate: UserFromCertificate = UserFromCertificate::Off;
        /// Form of the name in the certificate, with `*` for the user: `*.devices.plant.example`.
        /// A certificate names nobody unless exactly one of its names has this form. Without a
        /// pattern the whole name is the user.
        certificate_user_pattern: Option<UserPattern> = None;
        /// Most clients at once that use the zstd stream transport of lotmq, at up to 960 KiB each.
        /// Further ones are served without it. 0 turns it off. See docs/zstd-transport.md.
        zstd_clients: u32 = 0, range 0..=100_000;
    }
}

impl Transport for MqttsListener {
    fn fill(&self, plan: &mut ListenerPlan) {
        plan.addresses = self.bind.at(self.port);
        plan.proxy_protocol = self.proxy_protocol;
        plan.trusted_proxies = self.trusted_proxies.clone();
        plan.client_addresses =
            AddressFilter { allowed: self.allow_from.clone(), denied: self.deny_from.clone() };
        plan.tls = Some(self.client_certificate);
        plan.user_from_certificate = self.user_from_certificate;
        plan.certificate_user_pattern = self.certificate_user_pattern.clone();
        plan.zstd_clients_max = self.zstd_clients;
    }
}
