//! Runs seeds: one with its trace, or many until one fails.
//!
//! `lotmq-simulation [--seed N] [--seeds COUNT] [--steps M] [--fault NAME] [--failures MOST]`; with
//! `--seeds` it starts at `--seed`, prints no trace, and goes on until so many seeds have failed.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::process::ExitCode;
use std::time::Duration;

use lotmq_simulation::{Fault, Report, STEPS, Settings, run};

const USAGE: &str =
    "usage: lotmq-simulation [--seed N] [--seeds COUNT] [--steps M] [--fault NAME] [--failures MOST]";

struct Arguments {
    seed: u64,
    seeds: Option<u64>,
    /// Seeds that fail before it ends.
    failures: u64,
    settings: Settings,
}

fn main() -> ExitCode {
    // No library for this: the crate must reach none that does input or output.
    if std::env::args().any(|argument| argument == "--help") {
        println!("{USAGE}\nwith --seeds it starts at --seed and prints no trace; faults are {}", names());
        return ExitCode::SUCCESS;
    }
    match arguments(std::env::args().skip(1)) {
        Ok(arguments) if arguments.seeds.is_none() => one(arguments.seed, &arguments.settings),
        Ok(arguments) => many(&arguments),
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let settings = Settings { steps: STEPS, ..Settings::default() };
    let mut arguments = Arguments { seed: 0, seeds: None, failures: 1, settings };
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} lacks its value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{name} {value}: {error}"));
        match name.as_str() {
            "--seed" => arguments.seed = number()?,
            "--seeds" => arguments.seeds = Some(number()?),
            "--failures" => arguments.failures = number()?,
            "--steps" => {
                arguments.settings.steps = usize::try_from(number()?).map_err(|error| error.to_string())?
            }
            "--fault" => {
                let known = Fault::all().find(|fault| fault.to_string() == value);
                arguments.settings.fault =
                    Some(known.ok_or_else(|| format!("no such fault; there are {}", names()))?);
            }
            _ => return Err(format!("unknown argument {name}")),
        }
    }
    Ok(arguments)
}

fn names() -> String {
    Fault::all().map(|fault| fault.to_string()).collect::<Vec<_>>().join(", ")
}

fn one(seed: u64, settings: &Settings) -> ExitCode {
    match run(seed, &Settings { trace: true, ..settings.clone() }) {
        Ok(report) => {
            report.trace.iter().for_each(|line| println!("{line}"));
            println!("seed {seed} passes: {} steps, {:#?}", settings.steps, report.counts);
            ExitCode::SUCCESS
        }
        Err((failure, trace)) => {
            trace.iter().for_each(|line| println!("{line}"));
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn many(arguments: &Arguments) -> ExitCode {
    let (first, count) = (arguments.seed, arguments.seeds.unwrap_or(1));
    let (mut total, mut failures) = (Report::default(), 0);
    let mut done = 0;
    for seed in first..first.saturating_add(count) {
        done += 1;
        match run(seed, &arguments.settings) {
            Ok(report) => {
                total.simulated += report.simulated;
                report
                    .counts
                    .into_iter()
                    .for_each(|(what, times)| *total.counts.entry(what).or_default() += times);
            }
            Err((failure, _)) => {
                eprintln!("{failure}");
                failures += 1;
                if failures >= arguments.failures {
                    break;
                }
            }
        }
    }
    println!("{done} seeds from {first}, {} steps each: {failures} fail", arguments.settings.steps);
    println!("{:#?}", total.counts);
    told(total.simulated);
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says how much time has passed in the simulation, and how much faster than time that was.
fn told(simulated: Duration) {
    let simulated = simulated.as_secs();
    match processor_seconds() {
        Some(seconds) if seconds > 0.0 => {
            let ratio = simulated as f64 / seconds;
            println!("{simulated} s simulated in {seconds:.1} s of processor time: {ratio:.0} x");
        }
        Some(_) | None => println!("{simulated} s simulated"),
    }
}

/// Processor time of this process, whose only thread this is, in seconds; `None` where the system
/// does not say.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanoseconds: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}
