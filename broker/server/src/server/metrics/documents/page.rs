//! `docs/metrics.md`: every family.

use std::fmt::Write as _;

use super::sections;
use crate::server::limits::DEFINITIONS_FIGURED_MAX;

const INTRODUCTION: &str = "\
<!-- generated from broker/server/src/server/metrics by `UPDATE=1 cargo test -p tidy`; do not edit -->
# Metrics

`GET /metrics` on the health port (9100) returns the metrics in the text format of Prometheus. It answers this machine only, until `admin.bind` is set ([configuration](configuration.md)):

```yaml
scrape_configs:
  - job_name: lotmq
    static_configs:
      - targets: [\"127.0.0.1:9100\"]
rule_files: [\"lotmq-alerts.yml\"]
```

- [A board for Grafana](grafana/broker.json) has every family. [Another one](grafana/routes.json) is about routes alone.
- [Alert rules](prometheus/alerts.yml) for Prometheus are there, too.
- `lotmq top` shows clients, topics and definitions by rate, without either.

Counters begin at 0 when the broker starts. A family with labels has no samples before its first event. Some sums are older than a family with labels and stay:
`lotmq_publish_received_total` is the sum of `lotmq_messages_received_total`.

The number of samples is bounded. Listeners, reasons, scopes and limits are words of the broker. Definitions have samples of their own up to a number:";

/// The whole page.
#[must_use]
pub fn page() -> String {
    let mut page = format!(
        "{INTRODUCTION} the first {DEFINITIONS_FIGURED_MAX} that were deployed. All others count together as `definition=\"other\"`, without tenant and kind.\n"
    );
    for (title, families) in sections() {
        let _ = write!(page, "\n## {title}\n\n| family | kind | labels | meaning |\n|---|---|---|---|\n");
        for family in families {
            let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} |",
                family.name,
                family.kind.word(),
                labels.join(", "),
                family.help
            );
        }
    }
    page
}
