//! Section `[listener.mqtts]`.

use super::ClientCertificate;

super::listener! {
    /// MQTT over TLS 1.2 and 1.3. Opened when `tls.certificate` is set.
    MqttsListener at "listener.mqtts", |config| config.listener.mqtts, port 8883, json "TlsPort" "BindIPForMQTTwithTls" => {
        /// Time in seconds from the connection to the end of the TLS handshake; that of `[limits]` until it is set.
        handshake_timeout_sec: Option<u32> = None, range 1..=3_600;
        /// Whether clients are asked for a certificate that an authority of `tls.client_ca` has signed.
        client_certificate: ClientCertificate = ClientCertificate::Off;
    }
}
