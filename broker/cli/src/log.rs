//! Log lines of `serve` and `demo`: to standard error, chosen by `LOTMQ_LOG`.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts logging. `default` holds when `LOTMQ_LOG` is not set or not understood, as in `info` or `warn,lotmq_server=debug`.
pub(crate) fn start(default: &str) {
    let wanted = std::env::var("LOTMQ_LOG").ok().filter(|text| !text.is_empty());
    let filter = wanted.as_deref().map(EnvFilter::try_new).and_then(|parsed| {
        parsed.inspect_err(|error| crate::output::note(&format!("LOTMQ_LOG is ignored: {error}"))).ok()
    });
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(default)))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    debug_assert!(started.is_ok(), "logging is started once");
}
