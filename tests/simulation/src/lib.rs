//! A deterministic simulation of the broker's heart: the real core on the real store, with several
//! Clients, links that delay, cut up and break, a clock that jumps, and a disk that fails and loses
//! its power.
//!
//! One number is a whole run: equal seeds give equal traces. `machine` is one life of a broker, all
//! of whose threads are run by hand; [`lotmq_disk`] is what it stores on; `client` are Clients that
//! keep to the standard, and one that does not; `promises` is the book of what Clients were told,
//! which judges what they get; `world` makes the steps. Sessions may get a new owner while Clients
//! publish: a second core on the same log (`machine::handover`). No sockets, no threads, no clock.
//!
//! A fuzzer may make the decisions instead of a seed: [`fuzz_two_clients`],
//! [`fuzz_hostile_clients`].
#![allow(clippy::cast_possible_truncation, reason = "numbers of a simulation are small")]

mod checked;
mod choices;
mod client;
mod clock;
mod fault;
mod fenced_log;
mod fuzz;
mod guests;
mod hostile;
mod link;
mod machine;
mod matching;
mod promises;
mod surface;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use choices::Choices;
pub use fault::Fault;
pub use fuzz::{fuzz_hostile_clients, fuzz_two_clients};
use world::World;

/// Steps of a run unless told otherwise.
pub const STEPS: usize = 1_000;

/// Settings of a run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Steps before everything settles.
    pub steps: usize,
    /// Something that is done wrong on purpose.
    pub fault: Option<Fault>,
    /// Whether to keep the trace.
    pub trace: bool,
    /// Fewest Clients that keep to the standard.
    pub clients_min: usize,
    /// Most of them; below 200.
    pub clients_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { steps: STEPS, fault: None, trace: false, clients_min: 2, clients_max: 5 }
    }
}

/// A run that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// The step that went wrong; all steps when it was seen at the end.
    pub step: usize,
    /// How many steps it was to have.
    pub steps: usize,
    /// Description of the failure.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, step, steps, what } = self;
        write!(
            formatter,
            "seed {seed} fails at step {step}: {what}\nreplay: cargo run -p lotmq-simulation -- --seed {seed} --steps {steps}"
        )
    }
}

/// Report of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How often what happened.
    pub counts: BTreeMap<&'static str, usize>,
    /// How much time has passed in it.
    pub simulated: Duration,
    /// Events of the run, if they were wanted.
    pub trace: Vec<String>,
}

/// Runs one seed.
///
/// # Errors
/// [`Failure`], with the trace if it was wanted.
pub fn run(seed: u64, settings: &Settings) -> Result<Report, (Failure, Vec<String>)> {
    Fault::plant(settings.fault);
    let mut world = World::new(Choices::from_seed(seed), settings);
    let steps = settings.steps;
    for step in 0..=steps {
        let done = if step < steps { world.step() } else { world.settle() };
        if let Err(what) = done {
            return Err((Failure { seed, step, steps, what }, world.take_trace()));
        }
    }
    Ok(Report { counts: world.take_counts(), simulated: world.simulated(), trace: world.take_trace() })
}
