//! The command itself: runs all checks, prints the findings, and ends with the worst of them.

use clap::Args;
use lotmq_config::Config;
use lotmq_terminal::{Exit, output};
use serde_json::json;

use super::finding::{Finding, FindingLevel};
use super::running::RunningBroker;
use super::{certificates, configuration, disk, exposure, listeners, machine, permissions};
use crate::config_show::PlaceArgs;
use crate::serve::ServeArgs;

/// Check machine, configuration and data of a broker, and say what to do about each problem.
///
/// As in: lotmq doctor --config lotmq.toml, or beside the service: sudo -u lotmq lotmq doctor. The
/// broker may run or be stopped. It looks at the configuration, limits of the system, memory,
/// clock, disk, permissions, ports and certificates, and shows which listener is open to whom. It
/// changes nothing. To measure the disk it writes a file of 4 KiB to the data directory, and
/// removes it.
///
/// Exit codes: 0 nothing is wrong, 1 warnings, 2 errors, or wrong usage.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Print JSON: one object for each finding, one line each, and one with the numbers
    #[arg(long)]
    json: bool,
    /// Look at what lotmq serve --lan opens
    #[arg(long)]
    lan: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

pub(crate) fn doctor(args: &DoctorArgs) -> anyhow::Result<Exit> {
    let findings = findings(args)?;
    for finding in &findings {
        output::tell(&if args.json { finding.json().to_string() } else { finding.text() })?;
    }
    let count = |level: FindingLevel| findings.iter().filter(|finding| finding.level == level).count();
    let (warnings, errors) = (count(FindingLevel::Warning), count(FindingLevel::Error));
    output::tell(&if args.json {
        json!({"ok": count(FindingLevel::Ok), "warnings": warnings, "errors": errors}).to_string()
    } else {
        format!("{} ok, {warnings} warnings, {errors} errors", count(FindingLevel::Ok))
    })?;
    Ok(match findings.iter().map(|finding| finding.level).max() {
        None | Some(FindingLevel::Ok) => Exit::Success,
        Some(FindingLevel::Warning) => Exit::Failure,
        Some(FindingLevel::Error) => Exit::Usage,
    })
}

fn findings(args: &DoctorArgs) -> anyhow::Result<Vec<Finding>> {
    let serve = ServeArgs { place: args.place.clone(), lan: args.lan, ..ServeArgs::default() };
    let flags = match serve.settings() {
        Ok(flags) => flags,
        Err(error) => return Ok(vec![configuration::contradiction(&error)]),
    };
    let sources = args.place.sources(flags)?;
    let mut config = Config::without_mistakes(&sources);
    config.data = sources.data.clone();
    let running = RunningBroker::of(&config.data.path);
    let mut findings = configuration::look(&sources, &config);
    findings.push(running.finding(&config.data.path));
    findings.extend(running.health(&config));
    findings.extend(machine::look(&config, running.process()));
    findings.extend(disk::look(&config));
    findings.extend(permissions::look(&config, sources.file.as_ref()));
    findings.extend(certificates::look(&config));
    findings.extend(listeners::look(&config, &running));
    findings.extend(exposure::look(&config));
    Ok(findings)
}
