//! Section `[listener.wss]`.

use super::ClientCertificate;

super::listener! {
    /// MQTT over WebSocket and TLS, at the paths `/mqtt` and `/`. Opened when `tls.certificate` is set.
    WssListener at "listener.wss", |config| config.listener.wss, port 443, json "WebsocketPortTls" "BindIpForWebSocketsTls" => {
        /// Whether clients are asked for a certificate that an authority of `tls.client_ca` has signed.
        client_certificate: ClientCertificate = ClientCertificate::Off;
        /// Clients at once for which messages are compressed (permessage-deflate) if they ask for it, at up to 60 KiB each; further ones are served
        /// without. 0 turns it off.
        compressed_clients: u32 = 1_000, range 0..=1_000_000;
    }
}
