//! `kill -9` under load, again and again: what was acknowledged is there, in order, and nothing of
//! QoS 2 comes twice.
//!
//! A real broker, real sockets. `LOTMQ_CRASH_KILLS` and `LOTMQ_CRASH_SEED` make it longer and
//! repeatable: `LOTMQ_CRASH_KILLS=1000 cargo test --package lotmq --test crash survives --
//! --nocapture`. `LOTMQ_CRASH_BINARY` has another build killed.
//!
//! Invariants: every wait has an end; a seed decides how much is sent before a kill, the scheduler
//! of the system decides the rest.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code: a failure is a panic with its place"
)]

mod administrator;
mod clerk;
mod doubter;
mod handing_on;
mod history;
mod link;
mod petitioner;
mod publisher;
mod random;
mod receiver;
mod scene;
mod sounding;

use lotmq_test_support::BrokerOptions;

use random::Random;
use scene::Scene;

/// A broker of this build, or the one that `LOTMQ_CRASH_BINARY` names, with a fault of the store or
/// without.
fn broker(fault: Option<&str>) -> BrokerOptions {
    let other = std::env::var_os("LOTMQ_CRASH_BINARY").map(std::path::PathBuf::from);
    let options = BrokerOptions::new(other.unwrap_or_else(|| env!("CARGO_BIN_EXE_lotmq").into()));
    match fault {
        Some(fault) => options.variable("LOTMQ_STORE_FAULT", fault),
        None => options,
    }
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

#[test]
fn acknowledged_operations_survive_kill_9() {
    let kills = variable("LOTMQ_CRASH_KILLS", 30);
    let seed = variable("LOTMQ_CRASH_SEED", u64::from(std::process::id()));
    println!("seed {seed}, {kills} kills");
    let mut scene = Scene::new(broker(None), Random::new(seed));
    for kill in 1..=kills {
        let acknowledged = scene.run_until_killed();
        if let Err(lost) = scene.verify() {
            panic!("seed {seed}, kill {kill}: {lost}");
        }
        if kill % 50 == 0 {
            println!("kill {kill}: {acknowledged} operations since the last one, nothing lost");
        }
    }
}

#[test]
fn handed_over_messages_survive_kill_9() {
    let rounds = variable("LOTMQ_CRASH_HANDOVERS", 4);
    let seed = variable("LOTMQ_CRASH_SEED", u64::from(std::process::id()));
    println!("seed {seed}, {rounds} rounds");
    let mut random = Random::new(seed);
    let mut broker = broker(None).start();
    for round in 1..=rounds {
        if let Err(lost) = handing_on::round(&mut broker, &mut random) {
            panic!("seed {seed}, round {round}: {lost}");
        }
    }
}

#[test]
fn unacknowledged_messages_of_an_ended_session_survive_kill_9() {
    let mut broker = broker(None).start();
    for round in 1..=variable("LOTMQ_CRASH_HANDOVERS", 4) {
        if let Err(lost) = handing_on::round_of_sent(&mut broker) {
            panic!("round {round}: {lost}");
        }
    }
}

/// The proof that the first test can fail.
#[test]
fn a_store_that_breaks_its_promise_is_found_out() {
    for fault in ["early-report", "lost-batch"] {
        let mut scene = Scene::new(broker(Some(fault)), Random::new(7));
        let found = (0..150).find_map(|_| {
            scene.run_until_killed();
            scene.verify().err()
        });
        let found = found.unwrap_or_else(|| panic!("150 kills with the fault {fault} lost nothing"));
        println!("{fault}: {found}");
    }
}
