//! Section `[listener.mqtt]`.

use super::{AddressFilter, ListenerPlan, Transport};

super::listener! {
    /// MQTT over plain TCP.
    MqttListener at "listener.mqtt", |config| config.listener.mqtt, port 1883, json "Port" "BindIPForMQTT" => {
        /// Most clients at once that use the zstd stream transport of lotmq, at up to 960 KiB each.
        /// Further ones are served without it. 0 turns it off. See docs/zstd-transport.md.
        zstd_clients: u32 = 0, range 0..=100_000;
    }
}

impl Transport for MqttListener {
    fn fill(&self, plan: &mut ListenerPlan) {
        plan.addresses = self.bind.at(self.port);
        plan.proxy_protocol = self.proxy_protocol;
        plan.trusted_proxies = self.trusted_proxies.clone();
        plan.client_addresses =
            AddressFilter { allowed: self.allow_from.clone(), denied: self.deny_from.clone() };
        plan.zstd_clients_max = self.zstd_clients;
    }
}
