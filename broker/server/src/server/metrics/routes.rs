//! Families about routes.

use std::fmt::Display;
use std::time::Duration;

use jiff::Timestamp;

use super::family::{FamilyRow, Reading, Samples, families};
use lotmq_operations::broker::Broker;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::limits::ROUTE_DELIVERY_BOUNDS;
use lotmq_programs::routes::RouteRunner;
use lotmq_programs::routes::dead_letters::DeadFigures;
use lotmq_programs::routes::http_figures::HttpFigures;
use lotmq_programs::routes::status::RouteStatus;

/// Families about routes.
pub(super) static ROUTES: &[FamilyRow] = families! {
    Counter "lotmq_route_delivered_total" ["tenant", "route", "type"] "Messages of a route that its other side has taken."
        |it, to| each(it, to, |of| Some(of.status.done().0));
    Counter "lotmq_route_received_total" ["tenant", "route", "type"] "Messages that the guest of a route has brought and that were published."
        |it, to| each(it, to, |of| Some(of.status.deliveries.brought));
    Counter "lotmq_route_lost_datagrams_total" ["tenant", "route", "type"] "Datagrams for a route that the system has dropped, because its socket had no room for them."
        |it, to| each(it, to, |of| Some(of.status.deliveries.lost_datagrams));
    Counter "lotmq_route_rejected_total" ["tenant", "route", "type"] "Messages of a route that can never pass, or found no room."
        |it, to| each(it, to, |of| Some(of.status.done().1));
    Counter "lotmq_route_retried_total" ["tenant", "route", "type"] "Messages of a route that did not pass and were to come again, each time."
        |it, to| each(it, to, |of| Some(of.status.deliveries.retried));
    Counter "lotmq_route_policy_refused_total" ["tenant", "route", "type"] "Messages that a route did not take because of its policy topics."
        |it, to| each(it, to, |of| Some(of.status.deliveries.refused_by_policy));
    Counter "lotmq_route_expired_total" ["tenant", "route", "type"] "Messages whose Message Expiry Interval had passed before a bridge could hand them on, or a machine be told."
        |it, to| each(it, to, |of| Some(of.status.deliveries.expired));
    Counter "lotmq_route_batches_total" ["tenant", "route", "type"] "Batches that the guest of a route was handed."
        |it, to| each(it, to, |of| Some(of.status.deliveries.batches));
    Counter "lotmq_route_bytes_total" ["tenant", "route", "type"] "Payload bytes of messages that the other side of a route has taken."
        |it, to| each(it, to, |of| Some(of.status.deliveries.bytes));
    Counter "lotmq_route_reconnects_total" ["tenant", "route", "type"] "Connections of a route after its first."
        |it, to| each(it, to, |of| Some(of.status.deliveries.reconnects));
    Gauge "lotmq_route_waiting" ["tenant", "route", "type"] "Messages that wait for a route."
        |it, to| each(it, to, |of| Some(of.waiting.0));
    Gauge "lotmq_route_waiting_bytes" ["tenant", "route", "type"] "Bytes of the messages that wait for a route, as BUFFER_MAX_BYTES bounds them."
        |it, to| each(it, to, |of| Some(of.waiting.1));
    Gauge "lotmq_route_state" ["tenant", "route", "type", "state"] "1 for the state in which the connection of a route is."
        |it, to| each_by(it, to, |of| vec![(of.status.connection().word(), 1)]);
    Gauge "lotmq_route_seconds_since_success" ["tenant", "route", "type"] "Time since something passed by a route; none before."
        |it, to| each(it, to, |of| of.status.since_success(of.now));
    Gauge "lotmq_route_outbox_bytes" ["tenant", "route", "type"] "Bytes in the outbox of a route, in the store, with what is on its way to the far side."
        |it, to| each(it, to, |of| Some(of.outbox_bytes));
    Gauge "lotmq_route_waiting_max_bytes" ["tenant", "route", "type"] "Most bytes of messages that may wait for a route: its BUFFER_MAX_BYTES."
        |it, to| each(it, to, |of| Some(of.waiting_bytes_max));
    Counter "lotmq_route_outbox_full_total" ["tenant", "route", "type"] "How often the outbox of a route became full, so that publishers waited or messages were shed."
        |it, to| each(it, to, |of| Some(of.status.deliveries.full_times));
    Counter "lotmq_route_shed_total" ["tenant", "route", "type"] "Messages that found no room in the outbox of a route and were dropped, as its OVERLOAD_POLICY says."
        |it, to| each(it, to, |of| Some(of.status.deliveries.shed));
    Gauge "lotmq_route_oldest_seconds" ["tenant", "route", "type"] "Time for which the oldest message of a route has waited."
        |it, to| each(it, to, |of| Some(of.waited.as_secs_f64()));
    Histogram "lotmq_route_delivery_seconds" ["tenant", "route", "type"] "Times from the reception of messages until the other side of a route had them."
        |it, to| for of in &it.routes {
            to.histogram(&[&of.tenant, &of.route, &of.kind], ROUTE_DELIVERY_BOUNDS, &of.status.deliveries.latency);
        };
    Gauge "lotmq_route_failing_tags" ["tenant", "route", "type"] "Tags of a route that have no value, which its status names; none where its guest tells nothing of tags."
        |it, to| each(it, to, |of| of.status.failing_tags());
    Gauge "lotmq_route_dead_letters" ["tenant", "route", "type"] "Messages that a route has given up and that are kept with the reason."
        |it, to| each(it, to, |of| Some(of.dead_letters.waiting.messages));
    Counter "lotmq_route_dead_letters_total" ["tenant", "route", "type"] "Messages that a route has given up and that were kept, since its start."
        |it, to| each(it, to, |of| Some(of.dead_letters.came));
    Counter "lotmq_route_dead_letters_dropped_total" ["tenant", "route", "type"] "Messages that a route has given up and that are not kept any more: the oldest of too many, and those for which there was no room."
        |it, to| each(it, to, |of| Some(of.dead_letters.dropped));
    Gauge "lotmq_route_instances" ["tenant", "route", "type", "state"] "Instances of the guest of a route, by the state of their connections."
        |it, to| each_by(it, to, |of| of.status.instances().map(|(connection, count)| (connection.word(), count)).collect());
    Counter "lotmq_route_http_requests_total" ["tenant", "route", "type"] "Exchanges with HTTP servers that the guest of a route has begun."
        |it, to| each(it, to, |of| (of.http().requests > 0).then_some(of.http().requests));
    Counter "lotmq_route_http_connections_total" ["tenant", "route", "type"] "Connections to HTTP servers that were made for them."
        |it, to| each(it, to, |of| (of.http().requests > 0).then_some(of.http().connections));
    Counter "lotmq_route_http_failures_total" ["tenant", "route", "type", "error"] "Exchanges that have failed, by what the guest was told."
        |it, to| each_by(it, to, |of| of.http().failures().collect());
    Counter "lotmq_route_served_requests_total" ["tenant", "route", "type", "status"] "Requests that a route has served, by the class of their status; none where the client had gone."
        |it, to| each_by(it, to, |of| of.http().served.by_class().collect());
    Gauge "lotmq_route_served_open" ["tenant", "route", "type"] "Requests that have no answer yet."
        |it, to| each(it, to, |of| of.http().served.has_any().then_some(of.http().served.open));
    Counter "lotmq_route_served_refused_total" ["tenant", "route", "type"] "Requests that the host has refused, so that the guest of the route never got them."
        |it, to| each(it, to, |of| of.http().served.has_any().then_some(of.http().served.refused));
    Counter "lotmq_route_served_received_bytes_total" ["tenant", "route", "type"] "Bytes of the bodies of requests."
        |it, to| each(it, to, |of| of.http().served.has_any().then_some(of.http().served.received_bytes));
    Counter "lotmq_route_served_sent_bytes_total" ["tenant", "route", "type"] "Bytes of the bodies of answers."
        |it, to| each(it, to, |of| of.http().served.has_any().then_some(of.http().served.sent_bytes));
};

/// Source of the figures of a route.
pub(super) struct RouteReading {
    tenant: String,
    route: String,
    kind: String,
    status: RouteStatus,
    waiting: (u64, u64),
    outbox_bytes: u64,
    waiting_bytes_max: u64,
    /// Time for which the oldest message has waited.
    waited: Duration,
    dead_letters: DeadFigures,
    now: Timestamp,
}

impl RouteReading {
    /// Those of all tenants, in the order in which they were deployed.
    pub(super) fn all(broker: &Broker) -> Vec<Self> {
        let now = broker.hosting.definitions_now().wall;
        let mut all = Vec::new();
        for tenant in broker.hosting.tenants.all().iter() {
            for route in tenant.programs().guests.routes_in_order() {
                all.push(Self::new(&tenant.name, &route, now));
            }
        }
        all
    }

    fn new(tenant: &str, route: &RouteRunner, now: Timestamp) -> Self {
        let waited_ms = route.oldest_age_ms().unwrap_or(0);
        let version = route.version();
        Self {
            tenant: tenant.to_owned(),
            route: version.definition.name().to_string(),
            kind: version.said().kind.to_string(),
            status: route.status(),
            waiting: route.waiting(),
            waiting_bytes_max: route.outbox_bytes_max(),
            outbox_bytes: route.outbox_waiting().bytes,
            waited: Duration::from_millis(waited_ms),
            dead_letters: route.dead_letters.figures(),
            now,
        }
    }

    fn http(&self) -> &HttpFigures {
        &self.status.deliveries.http
    }
}

/// A sample of each route that has something to tell.
fn each<V: Display>(it: &Reading<'_>, to: &mut Samples<'_>, value: fn(&RouteReading) -> Option<V>) {
    for of in &it.routes {
        if let Some(value) = value(of) {
            to.with(&[&of.tenant, &of.route, &of.kind], value);
        }
    }
}

/// Samples of each route, by what one more label says.
fn each_by<V: Display>(
    it: &Reading<'_>,
    to: &mut Samples<'_>,
    values: fn(&RouteReading) -> Vec<(&'static str, V)>,
) {
    for of in &it.routes {
        for (label, value) in values(of) {
            to.with(&[&of.tenant, &of.route, &of.kind, label], value);
        }
    }
}
