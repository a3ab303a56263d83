//! Figures of the broker in the text format of Prometheus.
//!
//! Counters come from their table; the gauges beside them are listed here, one line each.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use crate::guests::HasPrograms as _;
use crate::guests::routes::RouteRunner;
use crate::guests::routes::dead_letters::DeadFigures;
use crate::guests::routes::http_figures::HttpFigures;
use crate::guests::routes::standing::{Connection, Standing};
use crate::management::broker::Broker;
use lotmq_core::limits::Limit;
use lotmq_host::MetricChange;

/// Figure that is not in the table of counters.
struct Figure {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    read: fn(&Broker) -> f64,
}

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

macro_rules! figures {
    ($($kind:ident $name:literal $help:literal $read:expr;)*) => {
        &[$(Figure { name: $name, kind: $kind, help: $help, read: $read },)*]
    };
}

/// All of them.
#[expect(clippy::cast_precision_loss, reason = "figures beyond 2^53 need no last digit")]
static FIGURES: &[Figure] = figures! {
    GAUGE "uptime_seconds" "Seconds since the broker started." |broker| broker.sys.uptime().as_secs_f64();
    GAUGE "connections" "Connections that are open." |broker| broker.net.connection_count() as f64;
    GAUGE "sessions" "Sessions, connected or away." |broker| of_tenants(broker, |tenant| tenant.sessions.lock().len());
    GAUGE "subscriptions" "Subscriptions of all sessions." |broker| of_tenants(broker, |tenant| tenant.subscriptions());
    GAUGE "retained_messages" "Retained messages." |broker| of_tenants(broker, |tenant| tenant.retained.read().len());
    GAUGE "output_waiting_bytes" "Bytes that wait for Clients which do not read what they are sent."
        |broker| of_tenants(broker, |tenant| tenant.output_waiting_bytes());
    GAUGE "queued_in_memory" "Messages of queues that are in memory; the others are in the store only."
        |broker| of_tenants(broker, |tenant| tenant.queued_in_memory());
    GAUGE "definitions" "Actions, models, rules, routes and modules that are deployed."
        |broker| of_tenants(broker, |tenant| tenant.programs().guests.definitions());
    GAUGE "logins_waiting" "Logins whose password waits to be checked." |broker| broker.logins.waiting() as f64;
    GAUGE "commands_waiting" "Commands that wait or run." |broker| broker.commands.waiting() as f64;
    GAUGE "resident_memory_bytes" "Memory of the process." |_| crate::process::usage::memory().0 as f64;
    COUNTER "cpu_seconds" "Processor time of the process." |_| crate::process::usage::cpu_time().as_secs_f64();
    COUNTER "store_commits" "Groups written to the store's file." |broker| broker.store.metrics().commits as f64;
    COUNTER "store_commit_failures" "Groups that were not committed." |broker| broker.store.metrics().commit_failures as f64;
    COUNTER "store_batches" "Batches committed." |broker| broker.store.metrics().batches as f64;
    COUNTER "store_records" "Log records committed." |broker| broker.store.metrics().records as f64;
    COUNTER "store_rows" "Row changes committed." |broker| broker.store.metrics().rows as f64;
    COUNTER "store_bytes" "Bytes of what was written to it; its own pages are not counted." |broker| broker.store.metrics().bytes as f64;
    GAUGE "store_commit_seconds" "Mean time of a commit." |broker| broker.store.metrics().commit_us as f64 / 1e6;
    GAUGE "store_waiting_bytes" "Bytes that wait for the disk." |broker| broker.store.metrics().waiting_bytes as f64;
    GAUGE "store_log_bytes" "Bytes of the store's log." |broker| broker.store.metrics().log_bytes as f64;
    GAUGE "store_payload_live_bytes" "Bytes of large messages that wait for sessions, which are not in the log." |broker| broker.store.metrics().payload_live_bytes as f64;
    GAUGE "store_log_live_bytes" "Bytes of what is alive in the log." |broker| broker.store.metrics().log_live_bytes as f64;
    GAUGE "store_deliveries" "Messages that sessions must still get, each counted once for each of them." |broker| broker.store.metrics().deliveries as f64;
    GAUGE "sessions_ending" "Sessions that have ended and whose queues other members of their groups are being given." |broker| broker.context.session_drains.len() as f64;
    GAUGE "store_entries_in_memory" "Deliveries of which the store knows the place without the disk." |broker| broker.store.metrics().entries_in_memory as f64;
    COUNTER "store_reopens" "How often the store was opened again after a failure." |broker| broker.store.metrics().reopens as f64;
    GAUGE "store_failing" "Whether nothing can be stored at the moment: 1 then."
        |broker| f64::from(u8::from(broker.store_failure().is_some()));
    COUNTER "store_recoveries" "How often a commit worked again after failures." |broker| broker.store.metrics().recoveries as f64;
    COUNTER "store_messages_never_written" "Messages that all their receivers acknowledged before they were written, so that they never were."
        |broker| broker.store.metrics().cancelled as f64;
    COUNTER "store_batches_lost" "Batches that were refused and could not be stored later either."
        |broker| broker.store.metrics().batches_lost as f64;
    COUNTER "store_damaged" "Messages of queues and chunks of the log that were damaged when they were read, each time."
        |broker| broker.store.metrics().damaged() as f64;
    GAUGE "store_quarantined_rows" "Rows that are damaged and were put aside." |broker| broker.quarantined.len() as f64;
    GAUGE "listeners_not_opened" "Addresses that the configuration names and that could not be opened."
        |broker| broker.net.not_opened.lock().len() as f64;
    GAUGE "guests_warm" "Definitions that have an instance in memory."
        |broker| broker.executor.lock().as_ref().map_or(0.0, |executor| executor.warm_definitions() as f64);
    COUNTER "guest_cache_hits" "Components whose native code came from the cache." |broker| broker.engine.cache_counts().0 as f64;
    COUNTER "guest_cache_misses" "Components that were compiled to native code." |broker| broker.engine.cache_counts().1 as f64;
    GAUGE "guests_memory_bytes" "Linear memory of all instances of guests, those of rules aside." |broker| broker.engine.memory_bytes() as f64;
    GAUGE "sessions_stored" "Sessions that outlive their connections."
        |broker| of_tenants(broker, |tenant| usize::try_from(tenant.shares.sessions().0).unwrap_or(usize::MAX));
    GAUGE "session_bytes" "Client identifiers, filters and Wills of all sessions, as they are counted."
        |broker| of_tenants(broker, |tenant| usize::try_from(tenant.shares.bytes()).unwrap_or(usize::MAX));
    GAUGE "last_values_topics" "Topics whose last value is remembered."
        |broker| of_tenants(broker, |tenant| usize::try_from(tenant.programs().guests.values.figures().topics).unwrap_or(usize::MAX));
};

#[expect(clippy::cast_precision_loss, reason = "no broker has 2^53 of anything")]
fn of_tenants(broker: &Broker, count: impl Fn(&lotmq_core::tenant::Tenant) -> usize) -> f64 {
    broker.tenants.all().iter().map(|tenant| count(tenant)).sum::<usize>() as f64
}

/// All figures in the text format.
pub(super) fn text(broker: &Broker) -> String {
    let mut text = String::with_capacity(16 << 10);
    for (name, help, value) in broker.counters.all() {
        sample_head(&mut text, &format!("{name}_total"), COUNTER, help.trim());
        line(&mut text, &format!("lotmq_{name}_total {value}"));
    }
    for figure in FIGURES {
        let suffix = if figure.kind == COUNTER { "_total" } else { "" };
        let name = format!("{}{suffix}", figure.name);
        sample_head(&mut text, &name, figure.kind, figure.help);
        line(&mut text, &format!("lotmq_{name} {}", (figure.read)(broker)));
    }
    shards(&mut text, broker);
    limits(&mut text, broker);
    guests(&mut text, broker);
    routes(&mut text, broker);
    text
}

/// Figure of each route.
struct RouteFigure {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    /// Its samples: what is said of them besides the route, and their values.
    read: fn(&OfRoute) -> Vec<(String, String)>,
}

/// What the figures of a route are read from.
struct OfRoute {
    standing: Standing,
    waiting: (u64, u64),
    outbox_bytes: u64,
    /// Time for which the oldest message has waited.
    waited: Duration,
    dead_letters: DeadFigures,
    now: Timestamp,
}

impl OfRoute {
    fn new(broker: &Broker, route: &RouteRunner, now: Timestamp) -> Self {
        let waited_ms = route.oldest_ms().map_or(0, |at| broker.clock.wall_ms().saturating_sub(at));
        Self {
            standing: route.standing(),
            waiting: route.waiting(),
            outbox_bytes: route.outbox_waiting().bytes,
            waited: Duration::from_millis(waited_ms),
            dead_letters: route.dead_letters.figures(),
            now,
        }
    }

    fn http(&self) -> &HttpFigures {
        &self.standing.deliveries.http
    }
}

/// The one sample of a figure.
fn one(value: impl Display) -> Vec<(String, String)> {
    vec![(String::new(), value.to_string())]
}

/// The one sample of a figure that is told only where there is something to tell.
fn one_if(is_told: bool, value: impl Display) -> Vec<(String, String)> {
    if is_told { one(value) } else { Vec::new() }
}

/// Samples by what a label says.
fn by(label: &str, counts: impl Iterator<Item = (&'static str, u64)>) -> Vec<(String, String)> {
    counts.map(|(value, count)| (format!(",{label}=\"{value}\""), count.to_string())).collect()
}

fn in_state(connection: Connection, value: impl Display) -> (String, String) {
    (format!(",state=\"{}\"", connection.word()), value.to_string())
}

macro_rules! route_figures {
    ($($kind:ident $name:literal $help:literal $read:expr;)*) => {
        &[$(RouteFigure { name: $name, kind: $kind, help: $help, read: $read },)*]
    };
}

/// All of them.
static ROUTE_FIGURES: &[RouteFigure] = route_figures! {
    COUNTER "route_delivered_total" "Messages of a route that its other side has taken." |it| one(it.standing.done().0);
    COUNTER "route_rejected_total" "Messages of a route that can never pass, or found no room." |it| one(it.standing.done().1);
    COUNTER "route_retried_total" "Messages of a route that did not pass and were to come again, each time."
        |it| one(it.standing.deliveries.retried);
    COUNTER "route_batches_total" "Batches that the guest of a route was handed." |it| one(it.standing.deliveries.batches);
    COUNTER "route_bytes_total" "Payload bytes of messages that the other side of a route has taken." |it| one(it.standing.deliveries.bytes);
    COUNTER "route_reconnects_total" "Connections of a route after its first." |it| one(it.standing.deliveries.reconnects);
    GAUGE "route_waiting" "Messages that wait for a route." |it| one(it.waiting.0);
    GAUGE "route_waiting_bytes" "Their bytes, with 64 for each message." |it| one(it.waiting.1);
    GAUGE "route_state" "1 for the state in which the connection of a route is." |it| vec![in_state(it.standing.connection(), 1)];
    GAUGE "route_seconds_since_success" "Time since something passed by a route; none before."
        |it| it.standing.since_success(it.now).map(one).unwrap_or_default();
    GAUGE "route_outbox_bytes" "Bytes in the outbox of a route, in the store, with what is on its way to the far side." |it| one(it.outbox_bytes);
    GAUGE "route_oldest_seconds" "Time for which the oldest message of a route has waited." |it| one(it.waited.as_secs_f64());
    COUNTER "route_delivery_seconds_total" "Time from the reception of messages until the other side of a route had them, all together."
        |it| one(Duration::from_millis(it.standing.deliveries.latency_ms).as_secs_f64());
    GAUGE "route_dead_letters" "Messages that a route has given up and that are kept with the reason." |it| one(it.dead_letters.waiting.messages);
    COUNTER "route_dead_letters_total" "Messages that a route has given up and that were kept, since its start." |it| one(it.dead_letters.came);
    COUNTER "route_dead_letters_dropped_total" "Messages that a route has given up and that are not kept any more: the oldest of too many, and those for which there was no room."
        |it| one(it.dead_letters.dropped);
    GAUGE "route_instances" "Instances of the guest of a route, by the state of their connections."
        |it| it.standing.instances().map(|(connection, count)| in_state(connection, count)).collect();
    COUNTER "route_http_requests_total" "Exchanges with HTTP servers that the guest of a route has begun."
        |it| one_if(it.http().requests > 0, it.http().requests);
    COUNTER "route_http_connections_total" "Connections to HTTP servers that were made for them."
        |it| one_if(it.http().requests > 0, it.http().connections);
    COUNTER "route_http_failures_total" "Exchanges that have failed, by what the guest was told." |it| by("error", it.http().failures());
    COUNTER "route_served_requests_total" "Requests that a route has served, by the class of their status; none where the client had gone."
        |it| by("status", it.http().served.by_class());
    GAUGE "route_served_open" "Requests that have no answer yet." |it| one_if(it.http().served.has_any(), it.http().served.open);
    COUNTER "route_served_refused_total" "Requests that the host has refused, so that the guest of the route never got them."
        |it| one_if(it.http().served.has_any(), it.http().served.refused);
    COUNTER "route_served_received_bytes_total" "Bytes of the bodies of requests."
        |it| one_if(it.http().served.has_any(), it.http().served.received_bytes);
    COUNTER "route_served_sent_bytes_total" "Bytes of the bodies of answers."
        |it| one_if(it.http().served.has_any(), it.http().served.sent_bytes);
};

/// Appends the figures of each route; without a head where there are none.
fn routes(text: &mut String, broker: &Broker) {
    let now = broker.definitions_now().wall;
    let mut all = Vec::new();
    for tenant in broker.tenants.all().iter() {
        for route in tenant.programs().guests.routes_in_order() {
            let version = route.version();
            let of = labels(&tenant.name, version.definition.name(), &version.said().kind);
            all.push((of, OfRoute::new(broker, &route, now)));
        }
    }
    for RouteFigure { name, kind, help, read } in ROUTE_FIGURES {
        let mut samples = String::new();
        for (of, route) in &all {
            for (more, value) in read(route) {
                line(&mut samples, &format!("lotmq_{name}{{{of}{more}}} {value}"));
            }
        }
        if !samples.is_empty() {
            sample_head(text, name, kind, help);
            text.push_str(&samples);
        }
    }
}

/// Labels of the samples of a route.
fn labels(tenant: &str, route: &str, kind: &str) -> String {
    let (tenant, route, kind) = (escaped(tenant), escaped(route), escaped(kind));
    format!("tenant=\"{tenant}\",route=\"{route}\",type=\"{kind}\"")
}

/// Appends the counters of limits that were reached; without a listener where there is none.
fn limits(text: &mut String, broker: &Broker) {
    sample_head(text, "limit_reached_total", COUNTER, "How often a limit of the configuration was reached.");
    broker.limits.elsewhere.set(Limit::GuestsMemory, broker.engine.memory_refusals());
    broker.limits.visit(|limit, listener, count| {
        let (name, listener) = (limit.name(), Some(listener).filter(|listener| !listener.is_empty()));
        let of = listener.map_or_else(String::new, |listener| format!(",listener=\"{listener}\""));
        line(text, &format!("lotmq_limit_reached_total{{limit=\"{name}\"{of}}} {count}"));
    });
}

/// Appends the counters and gauges that definitions have of their own; without a head where there are none.
fn guests(text: &mut String, broker: &Broker) {
    let (mut counters, mut gauges) = (String::new(), String::new());
    for tenant in broker.tenants.all().iter() {
        let guests = &tenant.programs().guests;
        for (of, metrics) in guests.metrics.all() {
            let Some(definition) = guests.registry.read().by_id(of).cloned() else { continue };
            let of = format!(
                "tenant=\"{}\",kind=\"{}\",definition=\"{}\"",
                escaped(&tenant.name),
                definition.kind().title(),
                escaped(definition.name())
            );
            for (text, sample, named) in [
                (&mut counters, "guest_counter_total", &metrics.counters),
                (&mut gauges, "guest_gauge", &metrics.gauges),
            ] {
                for (name, value) in named {
                    let value = match value {
                        MetricChange::Add(sum) => sum.to_string(),
                        MetricChange::Set(value) => value.to_string(),
                    };
                    line(text, &format!("lotmq_{sample}{{{of},name=\"{name}\"}} {value}"));
                }
            }
        }
    }
    for (samples, name, kind, help) in [
        (counters, "guest_counter_total", COUNTER, "Counters that definitions have of their own."),
        (gauges, "guest_gauge", GAUGE, "Gauges that definitions have of their own."),
    ] {
        if !samples.is_empty() {
            sample_head(text, name, kind, help);
            text.push_str(&samples);
        }
    }
}

/// A label's value with its special characters escaped.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Appends the figures of each shard.
fn shards(text: &mut String, broker: &Broker) {
    sample_head(text, "shard_connections", GAUGE, "Connections of a shard.");
    for (number, shard) in broker.net.shards.iter().enumerate() {
        let connections = shard.home.connections.load(Ordering::Relaxed);
        line(text, &format!("lotmq_shard_connections{{shard=\"{number}\"}} {connections}"));
    }
    sample_head(text, "shard_busy_ratio", GAUGE, "Share of its time that a shard works.");
    for (number, shard) in broker.net.shards.iter().enumerate() {
        let busy = f64::from(shard.busy_permille()) / 1000.0;
        line(text, &format!("lotmq_shard_busy_ratio{{shard=\"{number}\"}} {busy}"));
    }
    let help = "Longest turn of a shard since it started, in processor time: so long it served nobody else.";
    sample_head(text, "shard_turn_seconds_max", GAUGE, help);
    for (number, shard) in broker.net.shards.iter().enumerate() {
        let longest = shard.home.longest_turn.seconds();
        line(text, &format!("lotmq_shard_turn_seconds_max{{shard=\"{number}\"}} {longest}"));
    }
}

fn sample_head(text: &mut String, name: &str, kind: &str, help: &str) {
    line(text, &format!("# HELP lotmq_{name} {help}"));
    line(text, &format!("# TYPE lotmq_{name} {kind}"));
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "{content}").expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_board_of_routes_shows_metrics_that_there_are() {
        let board = include_str!("../../../../../docs/grafana/routes.json");
        let is_of_name = |c: char| c.is_ascii_lowercase() || c == '_';
        let named: Vec<&str> = board
            .split("lotmq_")
            .skip(1)
            .map(|rest| rest.split(|c| !is_of_name(c)).next().unwrap_or_default())
            .collect();
        assert!(named.len() > 15);
        for name in named {
            assert!(ROUTE_FIGURES.iter().any(|known| known.name == name), "{name}");
        }
    }
}
