//! The configuration: what is wrong in it, and what a start refuses or warns of.
//!
//! Not here: certificates (`certificates`) and ports that other programs have (`listeners`).

use lotmq_config::{Config, Sources, Surroundings, unknown_variables};
use lotmq_server::preflight;
use lotmq_terminal::output::chain;

use super::finding::Finding;

const CHECK: &str = "configuration";

/// Findings about the sources and about the values that can be used.
pub(super) fn look(sources: &Sources, config: &Config) -> Vec<Finding> {
    let file = sources.file.as_ref().map(|file| file.path.display().to_string());
    let mut findings = Vec::new();
    for mistake in Config::mistakes(sources) {
        let remedy = match (&file, mistake.line) {
            (Some(file), Some(line)) => format!("correct line {line} of {file}"),
            _ => "correct the variable or flag; docs/configuration.md has all keys".to_owned(),
        };
        findings.push(Finding::error(CHECK, mistake.error.to_string(), remedy));
    }
    let place = |key: &str| format!("change `{key}` ({})", config.origin(key));
    let of_others = |key: &str| !key.starts_with("tls.");
    for refused in preflight::refused(config).iter().filter(|refused| of_others(&refused.key)) {
        let message = format!("`{}`: {}", refused.key, refused.reason);
        findings.push(Finding::error(CHECK, message, place(&refused.key)));
    }
    for warned in preflight::warned(config).iter().filter(|warned| of_others(&warned.key)) {
        let message = format!("`{}`: {}", warned.key, warned.reason);
        findings.push(Finding::warning(CHECK, message, place(&warned.key)));
    }
    for (name, nearest) in unknown_variables(&Surroundings::of_process().environment) {
        let message = format!("environment variable {name} means nothing to lotmq");
        let meant =
            if nearest.is_empty() { String::new() } else { format!("; the nearest name is {nearest}") };
        let remedy = format!("remove it, or correct its name{meant}");
        findings.push(Finding::warning(CHECK, message, remedy));
    }
    if findings.is_empty() {
        let file = file.unwrap_or_else(|| "no file, defaults".to_owned());
        findings.push(Finding::ok(CHECK, file));
    }
    findings
}

/// A flag that contradicts the configuration.
pub(super) fn contradiction(error: &anyhow::Error) -> Finding {
    Finding::error(CHECK, chain(error), "change the key that the message names")
}
