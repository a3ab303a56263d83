//! Section `[listener.ws]`.

super::listener! {
    /// MQTT over WebSocket, at the paths `/mqtt` and `/`.
    WsListener at "listener.ws", |config| config.listener.ws, port 5000, json "WebsocketPort" "BindIpForWebSockets" => {
        /// Clients at once for which messages are compressed (permessage-deflate) if they ask for it, at up to 60 KiB each; further ones are served
        /// without. 0 turns it off.
        compressed_clients: u32 = 1_000, range 0..=1_000_000;
    }
}
