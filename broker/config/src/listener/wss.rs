//! Section `[listener.wss]`.

use super::{ClientCertificate, ListenerPlan, Transport, UserFromCertificate};
use crate::web::WebOrigins;

super::listener! {
    /// MQTT over WebSocket and TLS, at the paths `/mqtt` and `/`. Opened when `tls.certificate` is
    /// set; a port that is set without one is an error.
    WssListener at "listener.wss", |config| config.listener.wss, port 443, json "WebsocketPortTls" "BindIpForWebSocketsTls" => {
        /// Whether clients are asked for a certificate that an authority of `tls.client_ca` has
        /// signed.
        client_certificate: ClientCertificate = ClientCertificate::Off;
        /// Whether the certificate that a client shows says which user it is. User name and
        /// password of its CONNECT count for nothing then; there must be an account of that name,
        /// and whoever the authority certifies as it is that user, `root` included.
        user_from_certificate: UserFromCertificate = UserFromCertificate::Off;
        /// Clients at once for which messages are compressed (permessage-deflate) if they ask for
        /// it, at up to 60 KiB each; further ones are served without. 0 turns it off.
        compressed_clients: u32 = 1_000, range 0..=1_000_000;
        /// Web pages that count as programs of this machine when a browser on it shows them: their
        /// origins, exactly as the browser sends them, as `http://localhost:3000`. Other pages may
        /// connect too, but as from elsewhere: with user name and password, and never with the
        /// password of a new broker. So may everything whose handshake names another host than this
        /// machine or has a field that a proxy adds.
        origins: WebOrigins = WebOrigins::default();
    }
}

impl Transport for WssListener {
    fn fill(&self, plan: &mut ListenerPlan) {
        plan.addresses = self.bind.at(self.port);
        plan.proxy_protocol = self.proxy_protocol;
        plan.trusted_proxies = self.trusted_proxies.clone();
        plan.tls = Some(self.client_certificate);
        plan.user_from_certificate = self.user_from_certificate;
        plan.websocket = Some(self.compressed_clients);
        plan.origins = self.origins.clone();
    }
}
