//! Sections `[listener.<name>]`: where clients connect.

use super::key::section;
use super::setting::BindAddresses;

/// All listeners.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Listener {
    /// Plain TCP.
    pub mqtt: MqttListener,
}

section! {
    /// MQTT over plain TCP.
    MqttListener at "listener.mqtt", |config| config.listener.mqtt => {
        /// TCP port. 0 takes any free one, which `lotmq serve` prints.
        port: u16 = 1883, json "Port", range 0..=65_535;
        /// Addresses to listen on: one, or a list. An address that the machine does not have is skipped with a warning.
        bind: BindAddresses = BindAddresses::loopback(), json "BindIPForMQTT";
    }
}
