//! Families about messages, connections and logins, by listener, QoS and reason.

use std::sync::atomic::Ordering;

use lotmq_auth::ANSWER_BOUNDS;
use lotmq_core::figures::ListenerSums;
use lotmq_core::limits::{DELIVERY_BOUNDS, LOGIN_BOUNDS, Limit};

use super::family::{FamilyRow, Reading, Samples, families};

/// Families about messages, connections and logins.
pub(super) static TRAFFIC: &[FamilyRow] = families! {
    Counter "lotmq_messages_received_total" ["qos"] "Application Messages received from Clients, by QoS."
        |it, to| by_qos(to, it.sums.received);
    Counter "lotmq_messages_sent_total" ["qos"] "Application Messages sent to Clients, by QoS."
        |it, to| by_qos(to, it.sums.sent);
    Histogram "lotmq_delivery_duration_seconds" []
        "Times from the first read of a turn until its messages were written to their receivers, each counted for each receiver; one turn in eight is measured. What had waited in a session is not among them."
        |it, to| to.histogram(&[], DELIVERY_BOUNDS, &it.sums.delivery);
    Gauge "lotmq_listener_connections" ["listener"] "Connections that are open."
        |it, to| by_listener(it, to, |of| of.opened.saturating_sub(of.closed));
    Counter "lotmq_listener_connections_opened_total" ["listener"] "Connections that began."
        |it, to| by_listener(it, to, |of| of.opened);
    Counter "lotmq_listener_bytes_received_total" ["listener"] "Bytes read from Clients."
        |it, to| by_listener(it, to, |of| of.bytes_received);
    Counter "lotmq_listener_bytes_sent_total" ["listener"] "Bytes handed to Clients."
        |it, to| by_listener(it, to, |of| of.bytes_sent);
    Counter "lotmq_listener_messages_received_total" ["listener"] "Application Messages received from Clients."
        |it, to| by_listener(it, to, |of| of.messages_received);
    Counter "lotmq_listener_messages_sent_total" ["listener"] "Application Messages sent to Clients."
        |it, to| by_listener(it, to, |of| of.messages_sent);
    Gauge "lotmq_certificate_expiry_timestamp_seconds" ["listener"] "When the certificate that a listener with TLS shows ends, in seconds since 1970."
        |it, to| for (listener, at_ms) in it.broker.net.certificates.ends() {
            to.with(&[listener], at_ms / 1000);
        };
    Histogram "lotmq_login_duration_seconds" [] "Times from CONNECT until it was accepted or refused."
        |it, to| to.histogram(&[], LOGIN_BOUNDS, &it.sums.login);
    Counter "lotmq_logins_refused_total" ["reason"] "Logins refused, by the Reason Code of MQTT 5.0."
        |it, to| by_word(to, it.broker.core.figures.refused_logins.all());
    Counter "lotmq_login_module_results_total" ["module", "result"] "Logins that a login module decided or passed on, by the result."
        by_login_module;
    Histogram "lotmq_login_module_answer_seconds" ["module"] "Times until a guest that a login chain asks has answered, its queue included."
        |it, to| for (module, figures) in it.broker.login_members.figures() {
            to.histogram(&[module], ANSWER_BOUNDS, &figures.answer_times());
        };
    Counter "lotmq_disconnects_total" ["reason"] "Connections that ended, by the reason, as DISCONNECTREASON has it."
        |it, to| by_word(to, it.broker.core.figures.disconnects.all());
    Counter "lotmq_denials_total" ["scope"] "Topics that rules denied, by the scope of the rule."
        |it, to| by_word(to, it.broker.core.figures.denials.all());
    Counter "lotmq_limit_reached_total" ["limit", "listener"] "How often a limit of the configuration was reached."
        limits;
    Gauge "lotmq_shard_connections" ["shard"] "Connections of a shard."
        |it, to| for (number, shard) in it.broker.net.shards.iter().enumerate() {
            to.with(&[&number.to_string()], shard.home.connections.load(Ordering::Relaxed));
        };
    Gauge "lotmq_shard_busy_ratio" ["shard"] "Share of its time that a shard works."
        |it, to| for (number, shard) in it.broker.net.shards.iter().enumerate() {
            to.with(&[&number.to_string()], f64::from(shard.busy_permille()) / 1000.0);
        };
    Gauge "lotmq_shard_turn_seconds_max" ["shard"] "Longest turn of a shard since it started, in processor time: so long it served nobody else."
        |it, to| for (number, shard) in it.broker.net.shards.iter().enumerate() {
            to.with(&[&number.to_string()], shard.home.longest_turn.seconds());
        };
};

fn by_qos(to: &mut Samples<'_>, counts: [u64; 3]) {
    for (qos, count) in ["0", "1", "2"].into_iter().zip(counts) {
        to.with(&[qos], count);
    }
}

fn by_listener(it: &Reading<'_>, to: &mut Samples<'_>, value: fn(&ListenerSums) -> u64) {
    for (listener, sums) in it.broker.core.figures.by_listener(&it.sums) {
        to.with(&[listener], value(&sums));
    }
}

fn by_login_module(it: &Reading<'_>, to: &mut Samples<'_>) {
    for (module, figures) in it.broker.login_members.figures() {
        let counts = figures.counts();
        for (result, count) in [
            ("allowed", counts.allowed),
            ("denied", counts.denied),
            ("continued", counts.continued),
            ("failed", counts.failed),
        ] {
            to.with(&[module, result], count);
        }
    }
}

fn by_word(to: &mut Samples<'_>, counts: Vec<(&'static str, u64)>) {
    for (word, count) in counts {
        to.with(&[word], count);
    }
}

/// Samples of limits that were reached; without a listener where there is none.
fn limits(it: &Reading<'_>, to: &mut Samples<'_>) {
    let limits = &it.broker.core.limits;
    limits.elsewhere.set(Limit::GuestsMemory, it.broker.hosting.engine.memory_refusals());
    limits.elsewhere.set(Limit::CodeMappings, it.broker.hosting.engine.code_mappings().refused);
    limits.elsewhere.set(Limit::CodeMemory, it.broker.hosting.engine.code_memory().refused);
    limits.visit(|limit, listener, count| to.with(&[limit.name(), listener], count));
}
