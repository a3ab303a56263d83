//! `$SYS/broker/…` under the names of mosquitto, for monitoring tools. Commands reference §6.
//!
//! Counters are the broker's; they are a tenant's own while there is one tenant.

use super::figures::Figures;

use crate::broker::Broker;
use crate::system_state::dropped;
use lotmq_core::tenant::Tenant;
use lotmq_process::clock::utc_text;
use lotmq_process::usage;

/// All topics below `$SYS/broker/` with their payloads.
pub(super) fn topics(broker: &Broker, tenant: &Tenant) -> Vec<(String, String)> {
    let figures = Figures::of(broker, tenant);
    let counters = &broker.core.counters;
    let store = broker.core.log.metrics();
    let retained = tenant.retained.read().len();
    let away = figures.total.saturating_sub(figures.connected);
    let (heap, heap_maximum) = usage::memory();
    let mut topics = vec![
        ("version", format!("lotmq {}", env!("CARGO_PKG_VERSION"))),
        ("uptime", format!("{} seconds", broker.sys.uptime().as_secs())),
        ("timestamp", utc_text(broker.core.clock.wall_ms())),
    ];
    let numbers: [(&str, u64); 25] = [
        ("clients/total", figures.total as u64),
        ("clients/connected", figures.connected as u64),
        ("clients/active", figures.connected as u64),
        ("clients/disconnected", away as u64),
        ("clients/inactive", away as u64),
        ("clients/expired", counters.sessions_expired.get()),
        ("clients/maximum", figures.maximum as u64),
        ("messages/received", counters.packets_received.get()),
        ("messages/sent", counters.packets_sent.get()),
        ("messages/stored", store.deliveries + retained as u64),
        ("messages/inflight", figures.inflight as u64),
        ("publish/messages/received", counters.publish_received.get()),
        ("publish/messages/sent", counters.publish_sent.get()),
        ("publish/messages/dropped", dropped(counters)),
        ("publish/bytes/received", counters.publish_bytes_received.get()),
        ("publish/bytes/sent", counters.publish_bytes_sent.get()),
        ("bytes/received", counters.bytes_received.get()),
        ("bytes/sent", counters.bytes_sent.get()),
        ("subscriptions/count", tenant.subscriptions() as u64),
        ("shared_subscriptions/count", tenant.shared_subscriptions() as u64),
        ("retained messages/count", retained as u64),
        ("store/messages/count", store.deliveries + retained as u64),
        ("store/messages/bytes", store.live_bytes()),
        ("heap/current", heap),
        ("heap/maximum", heap_maximum),
    ];
    topics.extend(numbers.map(|(name, value)| (name, value.to_string())));
    let mut all: Vec<(String, String)> =
        topics.into_iter().map(|(name, payload)| (format!("$SYS/broker/{name}"), payload)).collect();
    all.extend(broker.sys.loads(|loads| {
        loads
            .topics()
            .map(|(name, value)| (format!("$SYS/broker/{name}"), format!("{value:.2}")))
            .collect::<Vec<_>>()
    }));
    all
}
