//! `docs/grafana/broker.json`: a board for Grafana with a panel for each family.

use serde_json::{Value, json};

use super::super::family::FamilyKind;
use super::{DocumentedFamily, sections};

/// Panels in a line, and how wide and high each is; Grafana has 24 columns.
const PANELS_IN_LINE: usize = 3;
const WIDTH: usize = 24 / PANELS_IN_LINE;
const HEIGHT: usize = 7;

/// Families that the open section at the top shows; the others are in sections that open with a
/// click.
const OVERVIEW: [&str; 12] = [
    "lotmq_connections",
    "lotmq_messages_received_total",
    "lotmq_messages_sent_total",
    "lotmq_delivery_duration_seconds",
    "lotmq_store_commit_duration_seconds",
    "lotmq_disconnects_total",
    "lotmq_logins_refused_total",
    "lotmq_denials_total",
    "lotmq_definition_errors_total",
    "lotmq_definition_seconds_total",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
];

/// The whole file.
#[must_use]
pub fn board() -> String {
    let sections = sections();
    let mut numbers = 1..;
    let all: Vec<&DocumentedFamily> = sections.iter().flat_map(|(_, families)| families).collect();
    let overview: Vec<&DocumentedFamily> =
        OVERVIEW.iter().filter_map(|name| all.iter().find(|family| family.name == *name)).copied().collect();
    let mut panels = vec![section("Overview", 0, false, &mut numbers)];
    panels.extend(placed(&overview, 1, &mut numbers));
    for ((title, families), line) in sections.iter().zip(1 + height(overview.len())..) {
        let mut row = section(title, line, true, &mut numbers);
        let families: Vec<&DocumentedFamily> = families.iter().collect();
        row["panels"] = placed(&families, line + 1, &mut numbers).into();
        panels.push(row);
    }
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    let board = json!({
        "title": "lotmq",
        "description": "Generated from broker/server/src/server/metrics by `UPDATE=1 cargo test -p tidy`.",
        "uid": "lotmq-broker",
        "tags": ["lotmq"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": { "from": "now-1h", "to": "now" },
        "templating": { "list": [
            { "name": "datasource", "type": "datasource", "query": "prometheus" },
            {
                "name": "instance",
                "type": "query",
                "datasource": source,
                "query": "label_values(lotmq_build_info, instance)",
                "refresh": 2,
                "includeAll": true,
                "multi": true,
                "allValue": ".*",
                "current": { "text": "All", "value": "$__all" },
            },
        ] },
        "panels": panels,
    });
    let mut text = serde_json::to_string_pretty(&board).expect("a value is always JSON");
    text.push('\n');
    text
}

fn height(panels: usize) -> usize {
    panels.div_ceil(PANELS_IN_LINE) * HEIGHT
}

fn section(title: &str, line: usize, is_closed: bool, numbers: &mut impl Iterator<Item = u32>) -> Value {
    json!({
        "id": numbers.next(),
        "type": "row",
        "title": title,
        "collapsed": is_closed,
        "gridPos": { "x": 0, "y": line, "w": 24, "h": 1 },
        "panels": [],
    })
}

/// Panels of families, from this line on.
fn placed(
    families: &[&DocumentedFamily],
    line: usize,
    numbers: &mut impl Iterator<Item = u32>,
) -> Vec<Value> {
    let panel = |(place, family): (usize, &&DocumentedFamily)| {
        let (x, y) = (place % PANELS_IN_LINE * WIDTH, line + place / PANELS_IN_LINE * HEIGHT);
        json!({
            "id": numbers.next(),
            "type": "timeseries",
            "title": title(family),
            "description": family.help,
            "datasource": { "type": "prometheus", "uid": "${datasource}" },
            "gridPos": { "x": x, "y": y, "w": WIDTH, "h": HEIGHT },
            "fieldConfig": { "defaults": { "unit": unit(family), "min": 0 }, "overrides": [] },
            "targets": targets(family),
        })
    };
    families.iter().enumerate().map(panel).collect()
}

/// Name of a family in words.
fn title(family: &DocumentedFamily) -> String {
    let name = family.name.strip_prefix("lotmq_").unwrap_or(&family.name);
    name.strip_suffix("_total").unwrap_or(name).replace('_', " ")
}

/// Unit of what is shown, as Grafana names it.
fn unit(family: &DocumentedFamily) -> &'static str {
    let name = family.name.strip_suffix("_total").unwrap_or(&family.name);
    match family.kind {
        FamilyKind::Counter if name.contains("_bytes") => "Bps",
        FamilyKind::Counter if name.ends_with("_seconds") => "percentunit",
        FamilyKind::Counter => "cps",
        FamilyKind::Gauge if name == "process_start_time_seconds" => "dateTimeAsIso",
        FamilyKind::Gauge if name.contains("_bytes") => "bytes",
        FamilyKind::Gauge if name.ends_with("_ratio") => "percentunit",
        FamilyKind::Gauge | FamilyKind::Histogram if name.contains("_seconds") => "s",
        FamilyKind::Gauge | FamilyKind::Histogram => "short",
    }
}

fn targets(family: &DocumentedFamily) -> Vec<Value> {
    let DocumentedFamily { name, labels, .. } = family;
    let by = |more: &str| {
        let labels: Vec<&str> = ["instance"].into_iter().chain(labels.iter().copied()).collect();
        format!("{}{more}", labels.join(", "))
    };
    let legend: Vec<String> =
        ["instance"].iter().chain(*labels).map(|label| format!("{{{{{label}}}}}")).collect();
    let legend = legend.join(" ");
    let of = "{instance=~\"$instance\"}";
    let target = |expression: String, legend: String| json!({ "expr": expression, "legendFormat": legend });
    let mut targets = match family.kind {
        FamilyKind::Counter => {
            vec![target(format!("sum by ({}) (rate({name}{of}[$__rate_interval]))", by("")), legend)]
        }
        // Since 1970 in milliseconds, as Grafana has times.
        FamilyKind::Gauge if name == "process_start_time_seconds" => {
            vec![target(format!("{name}{of} * 1000 and on (job, instance) lotmq_build_info"), legend)]
        }
        FamilyKind::Gauge => vec![target(format!("{name}{of}"), legend)],
        FamilyKind::Histogram => [("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99")]
            .map(|(share, word)| {
                let rates = format!("sum by ({}) (rate({name}_bucket{of}[$__rate_interval]))", by(", le"));
                target(format!("histogram_quantile({share}, {rates})"), format!("{legend} {word}"))
            })
            .into(),
    };
    for (target, reference) in targets.iter_mut().zip(["A", "B", "C"]) {
        target["refId"] = reference.into();
    }
    targets
}
