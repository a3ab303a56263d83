//! Section `[listener.ws]`.

use super::{AddressFilter, ListenerPlan, Transport};
use crate::web::WebOrigins;

super::listener! {
    /// MQTT over WebSocket, at the paths `/mqtt` and `/`.
    WsListener at "listener.ws", |config| config.listener.ws, port 5000, json "WebsocketPort" "BindIpForWebSockets" => {
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

impl Transport for WsListener {
    fn fill(&self, plan: &mut ListenerPlan) {
        plan.addresses = self.bind.at(self.port);
        plan.proxy_protocol = self.proxy_protocol;
        plan.trusted_proxies = self.trusted_proxies.clone();
        plan.client_addresses =
            AddressFilter { allowed: self.allow_from.clone(), denied: self.deny_from.clone() };
        plan.websocket = Some(self.compressed_clients);
        plan.origins = self.origins.clone();
    }
}
