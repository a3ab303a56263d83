//! The cases that are compared, and their table.

use crate::{load, median};
use lotmq_test_support::{Broker, BrokerOptions};
use std::time::Duration;

/// Case: a way for messages from `a/<n>` to `b/<n>`.
struct Case {
    name: &'static str,
    /// Actions to deploy; none for a plain pair.
    program: String,
    /// Topics to which publishers send.
    to: &'static str,
}

/// Runs every case with every program, `rounds` times in turn, and prints medians. Only cases with
/// `only` in their names.
pub(crate) fn compare(binaries: &[&str], time: Duration, rounds: usize, only: &str) {
    let mut cases = cases();
    cases.retain(|case| case.name.contains(only));
    let runs: Vec<(&str, &Case)> =
        cases.iter().flat_map(|case| binaries.iter().map(move |binary| (*binary, case))).collect();
    let mut figures: Vec<Vec<load::Figures>> = runs.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for ((binary, case), figures) in runs.iter().zip(&mut figures) {
            let broker = BrokerOptions::new(binary).start();
            if !case.program.is_empty() {
                broker.command_ok(&format!("-addAction {}", case.program));
            }
            figures.push(load::run(&broker, case.to, time));
            check(&broker, case);
        }
    }
    println!("{:36} {:>10} {:>14}  program", "case", "msg/s", "msg/CPU-second");
    for ((binary, case), figures) in runs.iter().zip(figures) {
        let rate = median(figures.iter().map(|run| run.per_second).collect());
        let per_cpu = median(figures.iter().map(|run| run.per_cpu_second).collect());
        println!("{:36} {rate:>10.0} {per_cpu:>14.0}  {binary}", case.name);
    }
}

/// Nothing may have been dropped on the way.
fn check(broker: &Broker, case: &Case) {
    for metric in ["lotmq_guest_events_dropped_total", "lotmq_guest_errors_total"] {
        if let Some(count) = broker.metric(metric).filter(|count| *count > 0.0) {
            println!("{}: {metric} {count}", case.name);
        }
    }
}

fn cases() -> Vec<Case> {
    let action = |name, body: &str| Case {
        name,
        program: format!("DEFINE ACTION Carry\nON TOPIC \"a/+\" DO\n{body}"),
        to: "a",
    };
    let idle = (0..1000).map(|number| {
        format!("DEFINE ACTION Idle{number}\nON TOPIC \"idle/+/t{number}\" DO\n    PUBLISH TOPIC \"c/{number}\" WITH PAYLOAD\n\n")
    });
    vec![
        Case { name: "pair: no action", program: String::new(), to: "b" },
        Case { name: "pair: 1,000 actions that do not match", program: idle.collect(), to: "b" },
        action("forward", "    PUBLISH TOPIC \"b/+\" WITH PAYLOAD\n"),
        action("threshold", "    IF PAYLOAD > 50 THEN\n        PUBLISH TOPIC \"b/+\" WITH PAYLOAD\n"),
        action(
            "alarm",
            "    IF PAYLOAD > 30 THEN\n        PUBLISH TOPIC \"b/\" + TOPIC POSITION 2 WITH PAYLOAD\n",
        ),
        // A loop is not bounded by its facts, so this one runs on executors.
        action(
            "alarm in a loop, on an executor",
            "    LOOP\n        IF PAYLOAD > 30 THEN\n            PUBLISH TOPIC \"b/\" + TOPIC POSITION 2 WITH PAYLOAD\n    UNTIL TRUE\n",
        ),
    ]
}
