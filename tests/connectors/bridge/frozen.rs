//! A bridge whose other broker is frozen: its connection stays open, and nobody answers there.

use lotmq_test_support::{Program, eventually};

use super::{bridge, mapping};
use crate::{broker, next, options, send, watch};

fn signal(process: u32, signal: &str) {
    Program::run("kill", &[signal, &process.to_string()]).unwrap();
}

#[test]
fn whether_the_other_broker_is_there_is_asked_over_the_connection_that_is_open() {
    let (far, near) = (options().start(), broker());
    let mut there = watch(&far, "up/#");
    near.command_ok(&bridge(far.address().port(), "", &mapping("Out", "up/#", "up/#", "out")));
    send(&near, "up/a", "1");
    assert_eq!(next(&mut there), "up/a=1");
    assert_eq!(near.command_ok("-checkRouteConnection Up").message(), "Route 'Up' is reachable.");
    signal(far.process_id(), "-STOP");
    let checked = near.command("-checkRouteConnection Up");
    signal(far.process_id(), "-CONT");
    assert!(!checked.success(), "{checked:?}");
    assert!(checked.message().contains("has not answered for 4 s"), "{checked:?}");
    // The connection has stayed, and what answers again is there.
    eventually("it answers again", || near.command("-checkRouteConnection Up").success().then_some(()));
    send(&near, "up/a", "2");
    assert_eq!(next(&mut there), "up/a=2");
}
