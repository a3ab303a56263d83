//! Entry point of a fuzzer: its bytes are the decisions of two Clients, and the book of promises
//! judges the broker.

use crate::Settings;
use crate::choices::Choices;
use crate::world::World;

/// Most steps of one input, so that a run stays short.
const STEPS_MAX: usize = 2_000;

/// Two Clients that keep to the standard, over links that break: `bytes` decide what happens when.
///
/// # Panics
/// When something is lost, repeated, out of order, or not as it was promised.
pub fn fuzz_two_clients(bytes: &[u8]) {
    fuzz(bytes, World::step);
}

/// Two Clients that keep to the standard, and one that keeps to no rule but the format: `bytes`
/// decide what happens when, and most are its packets.
///
/// # Panics
/// When something is lost, repeated, out of order, or not as it was promised.
pub fn fuzz_hostile_clients(bytes: &[u8]) {
    fuzz(bytes, World::step_with_rude);
}

fn fuzz(bytes: &[u8], step: impl Fn(&mut World) -> Result<(), String>) {
    let settings = Settings { clients_min: 2, clients_max: 2, ..Settings::default() };
    let mut world = World::new(Choices::from_bytes(bytes), &settings);
    let mut steps = 0;
    let mut done = Ok(());
    while done.is_ok() && !world.is_exhausted() && steps < STEPS_MAX {
        done = step(&mut world);
        steps += 1;
    }
    done.and_then(|()| world.settle()).expect("the broker keeps its promises");
}
