//! Random programs, compiled and run in the sandbox, and compared with a second implementation of
//! the language reference.
//!
//! A seed is a program with the events that happen to it ([`generate`]). It is printed as text
//! ([`print`]), compiled, validated and run by the host ([`harness`]), and evaluated as a tree
//! ([`evaluate`]). Effects, results and reports must be the same. The evaluator shares nothing with
//! the compiler, not even its parser: it was written from the reference. If the reference is
//! silent, the test counts the case and compares nothing.
//!
//! `LOTMQ_PROGRAMS=100000` makes it a long run, `LOTMQ_SEED=7` begins there.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "most questions are about a few shapes of a tree, or a few kinds of values"
)]

mod evaluate;
mod generate;
mod harness;
mod json;
mod operators;
mod print;
mod random;
mod shrink;
mod tree;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use lot_to_wasm::Form;

use evaluate::{Fault, Report, evaluate};
use tree::Program;

/// Programs of a usual run.
const PROGRAMS: u64 = 400;

/// One of so many is built as a component of its own, with the runtime in it, which costs as much
/// as a hundred others.
const STANDALONE_EACH: u64 = 1_000;

/// After so many it says how far it is.
const PROGRESS_EACH: u64 = 5_000;

/// Failures to look for before it gives up.
const FAILURES_MAX: usize = 10;

/// Result of the comparison of a program with the reference.
enum Verdict {
    Same,
    /// The reference does not say what it does.
    Unspecified(&'static str),
    Different(String),
}

/// Runs a program in both ways.
fn judge(program: &mut Program, form: Form, fault: Option<Fault>) -> Verdict {
    let text = print::print(program);
    let observed = match harness::run(program, &text, form) {
        Ok(observed) => observed,
        Err(problem) => return Verdict::Different(problem),
    };
    let expected = match evaluate(program, fault) {
        Ok(expected) => expected,
        Err(what) => return Verdict::Unspecified(what),
    };
    for (number, (expected, observed)) in expected.outcomes.iter().zip(&observed.outcomes).enumerate() {
        let expected = expected.as_seen();
        if format!("{expected:?}") != format!("{observed:?}") {
            return Verdict::Different(format!(
                "event {number}:\nexpected {expected:#?}\nobserved {observed:#?}"
            ));
        }
    }
    let names = |reports: &BTreeSet<Report>| {
        reports.iter().map(|(name, code, line)| (name.clone(), (*code).to_owned(), *line)).collect()
    };
    let (expected, open): (BTreeSet<_>, BTreeSet<_>) = (names(&expected.reports), names(&expected.open));
    if observed.reports.symmetric_difference(&expected).all(|report| open.contains(report)) {
        Verdict::Same
    } else {
        Verdict::Different(format!("reports: expected {expected:?}, observed {:?}", observed.reports))
    }
}

/// A failure, made as small as it gets.
fn told(seed: u64, program: Program, form: Form) -> String {
    // A smaller program may be invalid, which is another failure.
    let is_refused = matches!(judge(&mut program.clone(), form, None), Verdict::Different(told) if told.starts_with(harness::REFUSED));
    let differs = |program: &mut Program| match judge(program, form, None) {
        Verdict::Different(told) if told.starts_with(harness::REFUSED) == is_refused => Some(told),
        Verdict::Different(_) | Verdict::Same | Verdict::Unspecified(_) => None,
    };
    let mut small = shrink::smallest(program, |program| differs(program).is_some());
    let difference = differs(&mut small).unwrap_or_default();
    let text = print::print(&mut small);
    format!("seed {seed}, made smaller:\n{text}{:?}\n{difference}", small.events)
}

fn number_of(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn generated_programs_do_what_the_reference_says() {
    let (first, programs) = (number_of("LOTMQ_SEED", 0), number_of("LOTMQ_PROGRAMS", PROGRAMS));
    let mut unspecified: BTreeMap<&str, u64> = BTreeMap::new();
    let mut failures = Vec::new();
    let begun = Instant::now();
    for seed in first..first + programs {
        let form = if seed % STANDALONE_EACH == 0 { Form::Standalone } else { Form::Linked };
        let mut program = generate::program(seed);
        match judge(&mut program, form, None) {
            Verdict::Same => {}
            Verdict::Unspecified(what) => *unspecified.entry(what).or_default() += 1,
            Verdict::Different(_) => {
                failures.push(told(seed, program, form));
                eprintln!("{}", failures[failures.len() - 1]);
            }
        }
        if failures.len() == FAILURES_MAX {
            break;
        }
        let done = seed - first + 1;
        if done % PROGRESS_EACH == 0 {
            eprintln!("{done} programs, {} failures, {:.0?}", failures.len(), begun.elapsed());
        }
    }
    assert!(failures.is_empty(), "{} programs do other things than they should", failures.len());
    let total: u64 = unspecified.values().sum();
    println!(
        "{programs} programs from seed {first} in {:.0?}; {total} do what the reference leaves open: {unspecified:#?}",
        begun.elapsed()
    );
    assert!(total * 2 < programs, "most programs must be compared: {unspecified:#?}");
}

/// Programs for which nobody can tell how many runs there are in one call of their guest.
#[test]
fn generated_programs_do_the_same_in_batches() {
    let (first, programs) = (number_of("LOTMQ_SEED", 0), number_of("LOTMQ_PROGRAMS", PROGRAMS));
    let (mut compared, mut runs, mut runs_of_batches) = (0, 0, 0);
    for seed in first..first + programs {
        let mut program = generate::program(seed);
        let text = print::print(&mut program);
        let compiled = lot_to_wasm::compile(&text, &lot_to_wasm::CompileOptions::default());
        let facts = compiled.entities.first().and_then(|entity| Some(&entity.output.as_ref()?.facts));
        // Chance goes on where it was: a run that is made again gets another draw.
        let is_pure = facts.is_some_and(|facts| facts.is_pure() && !facts.effects.random);
        let messages: Vec<(&str, &[u8])> = program
            .events
            .iter()
            .filter_map(|event| match event {
                tree::Event::Message { topic, payload, .. } => Some((topic.as_str(), payload.as_slice())),
                _ => None,
            })
            .collect();
        if is_pure && compiled.succeeded() && !messages.is_empty() {
            compared += 1;
            runs += messages.len();
            runs_of_batches += crate::batches::compare(&text, &messages);
        }
    }
    println!("{compared} of {programs} programs, {runs_of_batches} of {runs} runs in batches");
    assert!(compared * 50 > programs, "{compared} of {programs}");
    assert!(runs_of_batches * 2 > runs, "{runs_of_batches} of {runs}");
}

#[test]
fn a_mistake_in_either_of_the_two_is_found() {
    for fault in Fault::ALL {
        let finds = |seed: &u64| {
            let mut program = generate::program(*seed);
            matches!(judge(&mut program, Form::Linked, Some(fault)), Verdict::Different(_))
        };
        let found = (0..PROGRAMS).find(finds);
        assert!(found.is_some(), "{fault:?} is not found in {PROGRAMS} programs");
        println!("{fault:?} is found by seed {found:?}");
    }
}
