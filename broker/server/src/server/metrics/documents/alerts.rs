//! `docs/prometheus/alerts.yml`: rules of alerts for Prometheus.

use std::fmt::Write as _;

/// Alert: what has to hold, for how long, and what it means.
struct AlertRow {
    name: &'static str,
    severity: &'static str,
    lasts: &'static str,
    expression: &'static str,
    summary: &'static str,
    description: &'static str,
}

macro_rules! alerts {
    ($($severity:ident $name:ident for $lasts:literal $expression:literal $summary:literal $description:literal;)*) => {
        &[$(AlertRow {
            name: stringify!($name),
            severity: stringify!($severity),
            lasts: $lasts,
            expression: $expression,
            summary: $summary,
            description: $description,
        },)*]
    };
}

/// All of them, the gravest first.
static ALERTS: &[AlertRow] = alerts! {
    critical LotmqStoreFailing for "1m" "lotmq_store_failing == 1"
        "Nothing can be stored"
        "The disk is full or fails; messages that promise durability are refused. /health and lotmq status say why.";
    critical LotmqBatchesLost for "0m" "increase(lotmq_store_batches_lost_total[15m]) > 0"
        "Changes were lost"
        "Batches that the store had refused could not be stored later either.";
    critical LotmqListenerNotOpened for "1m" "lotmq_listeners_not_opened > 0"
        "A listener is not open"
        "An address of the configuration is in use or not there; clients that want it are turned away by the system. lotmq status names it.";
    critical LotmqCertificateExpired for "0m" "lotmq_certificate_expiry_timestamp_seconds <= time()"
        "The certificate of listener {{ $labels.listener }} has expired"
        "Clients refuse it. Write a new one into its file; it is read without a restart.";
    warning LotmqCertificateExpires for "1h" "lotmq_certificate_expiry_timestamp_seconds - time() < 14 * 86400"
        "The certificate of listener {{ $labels.listener }} expires within two weeks"
        "Write a new one into its file; it is read without a restart. lotmq status says until when it is good.";
    warning LotmqStoreDamaged for "0m" "increase(lotmq_store_damaged_total[1h]) > 0 or lotmq_store_quarantined_rows > 0"
        "The store has damaged data"
        "Look at the disk, and at lotmq store check.";
    warning LotmqRouteAway for "15m" "max by (job, instance, tenant, route) (lotmq_route_state{state!=\"Connected\"}) == 1"
        "Route {{ $labels.route }} is away"
        "It has not been connected for 15 minutes, or was stopped; what waits for it is in lotmq_route_waiting. lotmq routes says why.";
    warning LotmqRouteBehind for "15m" "lotmq_route_oldest_seconds > 900"
        "Messages wait for route {{ $labels.route }} for {{ $value | humanizeDuration }}"
        "The far side takes less than comes.";
    warning LotmqTagsWithoutValue for "1m" "lotmq_route_failing_tags > 0"
        "{{ $value }} tags of route {{ $labels.route }} have no value"
        "Its device refuses them, or a unit behind it is silent. lotmq routes names the first and its reason.";
    warning LotmqDeadLetters for "0m" "increase(lotmq_route_dead_letters_total[15m]) > 0 or increase(lotmq_route_dead_letters_dropped_total[15m]) > 0"
        "Route {{ $labels.route }} gives messages up"
        "lotmq cmd -listDeadLetters shows them with the reason.";
    warning LotmqProgramErrors for "0m" "increase(lotmq_definition_errors_total[10m]) > 0"
        "{{ $labels.kind }} {{ $labels.definition }} fails"
        "Its topic Error, the log and lotmq watch say where.";
    warning LotmqMailboxDrops for "0m" "increase(lotmq_definition_dropped_total[10m]) > 0"
        "{{ $labels.kind }} {{ $labels.definition }} misses messages"
        "Its mailbox was full: more comes than it can do.";
    warning LotmqQueueDrops for "0m" "increase(lotmq_queue_full_dropped_total[10m]) > 0 or increase(lotmq_publish_dropped_total[10m]) > 0"
        "Messages are dropped on their way to clients"
        "Queues of sessions that are away are full, or clients do not read what they are sent. lotmq top clients shows them.";
    warning LotmqMemoryNearLimit for "10m" "process_resident_memory_bytes / on (job, instance) lotmq_memory_limit_bytes > 0.8"
        "The broker has {{ $value | humanizePercentage }} of the memory"
        "Of the machine, or of the container where that has less.";
    warning LotmqDescriptorsNearLimit for "10m" "process_open_fds / process_max_fds > 0.8 and on (job, instance) lotmq_build_info"
        "{{ $value | humanizePercentage }} of the file descriptors are open"
        "Each connection takes one. LimitNOFILE of the service, or ulimit -n, raises the limit.";
    warning LotmqLoginsRefused for "5m" "sum by (job, instance) (rate(lotmq_logins_refused_total[5m])) > 1"
        "{{ $value | humanize }} logins a second are refused"
        "Passwords are guessed, or devices have an old one. The audit and $SYS/Coreflux/Comms/Logins name them.";
};

/// The whole file.
#[must_use]
pub fn alert_rules() -> String {
    let mut text = "\
# generated from broker/server/src/server/metrics by `UPDATE=1 cargo test -p tidy`; do not edit
groups:
  - name: lotmq
    rules:
"
    .to_owned();
    for alert in ALERTS {
        let _ = write!(
            text,
            "      - alert: {}\n        expr: {}\n        for: {}\n        labels:\n          severity: {}\n        annotations:\n          summary: {}\n          description: {}\n",
            alert.name,
            quoted(alert.expression),
            alert.lasts,
            alert.severity,
            quoted(alert.summary),
            quoted(alert.description),
        );
    }
    text
}

/// Text in single quotes, as YAML takes it without escapes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
