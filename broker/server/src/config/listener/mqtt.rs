//! Section `[listener.mqtt]`.

super::listener! {
    /// MQTT over plain TCP.
    MqttListener at "listener.mqtt", |config| config.listener.mqtt, port 1883, json "Port" "BindIPForMQTT" => {}
}
