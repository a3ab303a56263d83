//! `docs/metrics.md`: every family.

use std::fmt::Write as _;

use super::sections;
use crate::server::limits::DEFINITIONS_FIGURED_MAX;

const INTRODUCTION: &str = "\
<!-- generated from broker/server/src/server/metrics by `UPDATE=1 cargo test -p tidy`; do not edit -->
# Metrics

`GET /metrics` on the health port (9100) tells them in the text format of Prometheus, to this machine only until `admin.bind` is set ([configuration](configuration.md)):

```yaml
scrape_configs:
  - job_name: lotmq
    static_configs:
      - targets: [\"127.0.0.1:9100\"]
rule_files: [\"lotmq-alerts.yml\"]
```

Beside this page, and written from the same table: [a board for Grafana](grafana/broker.json) with every family ([another one](grafana/routes.json) is about routes alone), and [rules of alerts](prometheus/alerts.yml).
`lotmq top` shows clients, topics and definitions by rate without either.

Counters begin at 0 when the broker starts. A family with labels has no samples until there is something to tell. The number of samples is bounded: listeners, reasons, scopes and limits are words of the
broker, and at most so many definitions are told apart:";

/// The whole page.
#[must_use]
pub fn page() -> String {
    let mut page = format!(
        "{INTRODUCTION} {DEFINITIONS_FIGURED_MAX}, those that were deployed first; all others are one, `definition=\"other\"` without tenant and kind.\n\
         Sums that were there before a family with labels stay beside it: `lotmq_publish_received_total` is the sum of `lotmq_messages_received_total`.\n"
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
