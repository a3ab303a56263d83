//! Section `[listener.wss]`.

use super::{AddressFilter, ClientCertificate, ListenerPlan, Transport, UserFromCertificate, UserPattern};
use crate::web::WebOrigins;

super::listener! {
    /// MQTT over WebSocket and TLS, at the paths `/mqtt` and `/`. Opened when `tls.certificate` is
    /// set; a port that is set without one is an error.
    WssListener at "listener.wss", |config| config.listener.wss, port 443, json "WebsocketPortTls" "BindIpForWebSocketsTls" => {
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
        /// Clients at once that get compressed messages (permessage-deflate) if they ask for it.
        /// Each takes up to 60 KiB. Further ones get no compression. 0 turns it off.
        compressed_clients: u32 = 1_000, range 0..=1_000_000;
        /// Origins of web pages that count as programs of this machine if a browser on it shows
        /// them. Write them as the browser sends them, such as `http://localhost:3000`. Other pages
        /// count as clients of another machine: they need user name and password, and not the
        /// password of a new broker. So does a client whose handshake names another host than this
        /// machine, or has a field that a proxy adds.
        origins: WebOrigins = WebOrigins::default();
    }
}

impl Transport for WssListener {
    fn fill(&self, plan: &mut ListenerPlan) {
        plan.addresses = self.bind.at(self.port);
        plan.proxy_protocol = self.proxy_protocol;
        plan.trusted_proxies = self.trusted_proxies.clone();
        plan.client_addresses =
            AddressFilter { allowed: self.allow_from.clone(), denied: self.deny_from.clone() };
        plan.tls = Some(self.client_certificate);
        plan.user_from_certificate = self.user_from_certificate;
        plan.certificate_user_pattern = self.certificate_user_pattern.clone();
        plan.websocket = Some(self.compressed_clients);
        plan.origins = self.origins.clone();
    }
}
