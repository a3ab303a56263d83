//! Callgrind as a child process: how many instructions a scenario takes per message.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Function whose instructions are counted, with all that it calls; of which crate does not matter.
const COUNTED: &str = "*counted_turns*";

/// Counts the instructions of a scenario, per message.
pub(crate) fn count(scenario: &str) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", dir.path().join("out").display()))
        .arg(std::env::current_exe()?)
        .args(["run", scenario])
        .output()
        .context("valgrind does not start; it is a package of the distribution")?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{scenario} failed:\n{stderr}");
    let messages: u32 = stdout.trim().parse().with_context(|| format!("{scenario} printed {stdout:?}"))?;
    let counted = collected(&stderr).with_context(|| format!("callgrind printed no count:\n{stderr}"))?;
    ensure!(messages > 0 && counted > 0.0, "{scenario}: {messages} messages, {counted} instructions");
    Ok(counted / f64::from(messages))
}

/// The count in the last lines of callgrind: `==1== Collected : 12345`.
fn collected(stderr: &str) -> Option<f64> {
    let (_, rest) = stderr.rsplit_once("Collected : ")?;
    rest.split_whitespace().next()?.parse().ok()
}
