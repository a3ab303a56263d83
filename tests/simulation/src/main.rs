//! Runs seeds: one with its trace, or many until one fails.
//!
//! `lotmq-simulation [--seed N] [--seeds COUNT] [--steps M] [--fault NAME]`; with `--seeds` it starts at `--seed` and prints no trace.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::process::ExitCode;

use lotmq_simulation::{Fault, STEPS, Settings, run};

const USAGE: &str = "usage: lotmq-simulation [--seed N] [--seeds COUNT] [--steps M] [--fault NAME]";

struct Arguments {
    seed: u64,
    seeds: Option<u64>,
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
    let mut arguments =
        Arguments { seed: 0, seeds: None, settings: Settings { steps: STEPS, ..Settings::default() } };
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} lacks its value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{name} {value}: {error}"));
        match name.as_str() {
            "--seed" => arguments.seed = number()?,
            "--seeds" => arguments.seeds = Some(number()?),
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
    for seed in first..first.saturating_add(count) {
        if let Err((failure, _)) = run(seed, &arguments.settings) {
            eprintln!("{failure}");
            return ExitCode::FAILURE;
        }
    }
    println!("{count} seeds from {first} pass, {} steps each", arguments.settings.steps);
    ExitCode::SUCCESS
}
