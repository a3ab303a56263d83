//! Section `[listener.ws]`.

use super::{ListenerPlan, Transport};
use crate::web::WebOrigins;

super::listener! {
    /// MQTT over WebSocket, at the paths `/mqtt` and `/`.
    WsListener at "listener.ws", |config| config.listener.ws, port 5000, json "WebsocketPort" "BindIpForWebSockets" => {
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

impl Transport for WsListener {
    fn fill(&self, plan: &mut ListenerPlan) {
        plan.addresses = self.bind.at(self.port);
        plan.proxy_protocol = self.proxy_protocol;
        plan.trusted_proxies = self.trusted_proxies.clone();
        plan.websocket = Some(self.compressed_clients);
        plan.origins = self.origins.clone();
    }
}
