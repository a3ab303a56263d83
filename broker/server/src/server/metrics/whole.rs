//! Families about the broker as a whole and its store, besides the counters of `lotmq_core`.

use std::env::consts::{ARCH, OS};

use lotmq_changes::COMMIT_BOUNDS;
use lotmq_core::tenant::Tenant;

use super::family::{FamilyRow, families};
use lotmq_operations::broker::Broker;

/// Families about the broker.
pub(super) static BROKER: &[FamilyRow] = families! {
    Gauge "lotmq_build_info" ["version", "os", "arch"] "1, with the version of the broker and what it is built for."
        |_, to| to.with(&[env!("CARGO_PKG_VERSION"), OS, ARCH], 1);
    Gauge "lotmq_uptime_seconds" [] "Seconds since the broker started."
        |it, to| to.one(it.broker.sys.uptime().as_secs_f64());
    Gauge "lotmq_connections" [] "Connections that are open."
        |it, to| to.one(it.broker.net.connection_count());
    Gauge "lotmq_sessions" [] "Sessions, connected or away."
        |it, to| to.one(of_tenants(it.broker, |tenant| tenant.sessions.lock().len()));
    Gauge "lotmq_subscriptions" [] "Subscriptions of all sessions."
        |it, to| to.one(of_tenants(it.broker, |tenant| tenant.subscriptions()));
    Gauge "lotmq_retained_messages" [] "Retained messages."
        |it, to| to.one(of_tenants(it.broker, |tenant| tenant.retained.read().len()));
    Gauge "lotmq_delayed_messages" [] "Messages that wait until their delay is over."
        |it, to| to.one(it.broker.hosting.context.delayed.messages());
    Gauge "lotmq_output_waiting_bytes" [] "Bytes that wait for Clients which do not read what they are sent."
        |it, to| to.one(of_tenants(it.broker, |tenant| tenant.output_waiting_bytes()));
    Gauge "lotmq_queued_in_memory" [] "Messages of queues that are in memory; the others are in the store only."
        |it, to| to.one(of_tenants(it.broker, |tenant| tenant.queued_in_memory()));
    Gauge "lotmq_logins_waiting" [] "Logins whose password waits to be checked."
        |it, to| to.one(it.broker.logins.waiting());
    Gauge "lotmq_commands_waiting" [] "Commands that wait or run."
        |it, to| to.one(it.broker.commands.waiting());
    Gauge "lotmq_resident_memory_bytes" [] "Memory of the process."
        |_, to| to.one(lotmq_process::usage::memory().0);
    Counter "lotmq_cpu_seconds_total" [] "Processor time of the process."
        |_, to| to.one(lotmq_process::usage::cpu_time().as_secs_f64());
    Gauge "lotmq_sessions_ending" [] "Sessions that have ended and whose queues other members of their groups are being given."
        |it, to| to.one(it.broker.hosting.context.session_drains.len());
    Gauge "lotmq_listeners_not_opened" [] "Addresses that the configuration names and that could not be opened."
        |it, to| to.one(it.broker.net.not_opened.lock().len());
    Gauge "lotmq_sessions_stored" [] "Sessions that outlive their connections."
        |it, to| to.one(of_tenants(it.broker, |tenant| usize::try_from(tenant.shares.sessions().0).unwrap_or(usize::MAX)));
    Gauge "lotmq_session_bytes" [] "Client identifiers, filters and Wills of all sessions, as they are counted."
        |it, to| to.one(of_tenants(it.broker, |tenant| usize::try_from(tenant.shares.bytes()).unwrap_or(usize::MAX)));
};

/// Families about the store.
pub(super) static STORE: &[FamilyRow] = families! {
    Counter "lotmq_store_commits_total" [] "Groups written to the store's file."
        |it, to| to.one(it.broker.core.log.metrics().commits);
    Counter "lotmq_store_commit_failures_total" [] "Groups that were not committed."
        |it, to| to.one(it.broker.core.log.metrics().commit_failures);
    Counter "lotmq_store_batches_total" [] "Batches committed."
        |it, to| to.one(it.broker.core.log.metrics().batches);
    Counter "lotmq_store_records_total" [] "Log records committed."
        |it, to| to.one(it.broker.core.log.metrics().records);
    Counter "lotmq_store_rows_total" [] "Row changes committed."
        |it, to| to.one(it.broker.core.log.metrics().rows);
    Counter "lotmq_store_bytes_total" [] "Bytes of what was written to it; its own pages are not counted."
        |it, to| to.one(it.broker.core.log.metrics().bytes);
    Gauge "lotmq_store_commit_seconds" [] "Mean time of a commit."
        |it, to| to.one(it.broker.core.log.metrics().commit_us as f64 / 1e6);
    Gauge "lotmq_store_waiting_bytes" [] "Bytes that wait for the disk."
        |it, to| to.one(it.broker.core.log.metrics().waiting_bytes);
    Gauge "lotmq_store_log_bytes" [] "Bytes of the store's log."
        |it, to| to.one(it.broker.core.log.metrics().log_bytes);
    Gauge "lotmq_store_payload_live_bytes" [] "Bytes of large messages that wait for sessions, which are not in the log."
        |it, to| to.one(it.broker.core.log.metrics().payload_live_bytes);
    Gauge "lotmq_store_log_live_bytes" [] "Bytes of what is alive in the log."
        |it, to| to.one(it.broker.core.log.metrics().log_live_bytes);
    Gauge "lotmq_store_deliveries" [] "Messages that sessions must still get, each counted once for each of them."
        |it, to| to.one(it.broker.core.log.metrics().deliveries);
    Gauge "lotmq_store_entries_in_memory" [] "Deliveries of which the store knows the place without the disk."
        |it, to| to.one(it.broker.core.log.metrics().entries_in_memory);
    Counter "lotmq_store_reopens_total" [] "How often the store was opened again after a failure."
        |it, to| to.one(it.broker.core.log.metrics().reopens);
    Gauge "lotmq_store_failing" [] "Whether nothing can be stored at the moment, or nothing of clients because only the reserve of the disk is left: 1 then."
        |it, to| to.one(f64::from(u8::from(it.broker.core.refuses_to_store().is_some())));
    Counter "lotmq_store_recoveries_total" [] "How often a commit worked again after failures."
        |it, to| to.one(it.broker.core.log.metrics().recoveries);
    Counter "lotmq_store_messages_never_written_total" [] "Messages that all their receivers acknowledged before they were written, so that they never were."
        |it, to| to.one(it.broker.core.log.metrics().cancelled);
    Counter "lotmq_store_batches_lost_total" [] "Batches that were refused and could not be stored later either."
        |it, to| to.one(it.broker.core.log.metrics().batches_lost);
    Counter "lotmq_store_damaged_total" [] "Messages of queues and chunks of the log that were damaged when they were read, each time."
        |it, to| to.one(it.broker.core.log.metrics().damaged());
    Gauge "lotmq_store_quarantined_rows" [] "Rows that are damaged and were put aside."
        |it, to| to.one(it.broker.quarantined.len());
    Histogram "lotmq_store_commit_duration_seconds" [] "Times that commits to the store's file have taken."
        |it, to| to.histogram(&[], COMMIT_BOUNDS, &it.broker.core.log.commit_times());
};

/// Sum over all tenants.
pub(super) fn of_tenants(broker: &Broker, count: impl Fn(&Tenant) -> usize) -> usize {
    broker.hosting.tenants.all().iter().map(|tenant| count(tenant)).sum()
}
