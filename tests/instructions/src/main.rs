//! Instructions of the broker's data path per message, counted by callgrind and compared with
//! committed figures.
//!
//! `lotmq-instructions run SCENARIO` runs one scenario and prints its messages; `check` runs each
//! of them in `valgrind --tool=callgrind`, which counts only below [`Broker::counted_turns`], and
//! fails when a count is more than 2 % above `figures.txt`; `update` writes that file anew. The
//! counts do not depend on the machine or its load. They do depend on the compiler, which the
//! workspace names, and on the profile `release`.

mod broker;
mod callgrind;
mod client;
mod figures;
mod hooks;
mod rules;
mod scenario;

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::figures::Figures;
use crate::scenario::{SCENARIOS, Scenario};

const USAGE: &str = "usage: lotmq-instructions check | update | run SCENARIO";

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["run", name] => {
            let scenario = find(name)?;
            print(&(scenario.run)()?.to_string());
        }
        ["check"] => return check(),
        ["update"] => count_all()?.write()?,
        _ => bail!("{USAGE}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn find(name: &str) -> Result<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name).with_context(|| {
        let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        format!("no scenario is named {name}; there are {}", names.join(", "))
    })
}

fn count_all() -> Result<Figures> {
    let mut counted = Figures::default();
    for scenario in &SCENARIOS {
        counted.add(scenario.name, callgrind::count(scenario.name)?);
    }
    Ok(counted)
}

/// Compares each scenario with its figure.
fn check() -> Result<ExitCode> {
    let (committed, counted) = (Figures::read()?, count_all()?);
    let comparison = committed.compare(&counted);
    comparison.lines.iter().for_each(|line| print(line));
    if comparison.is_passed {
        return Ok(ExitCode::SUCCESS);
    }
    print("A change on purpose: scripts/instructions update, and say why in the commit.");
    Ok(ExitCode::FAILURE)
}

#[allow(clippy::print_stdout, reason = "the output of a tool")]
fn print(line: &str) {
    println!("{line}");
}
