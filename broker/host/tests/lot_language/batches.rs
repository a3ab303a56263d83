//! Runs for many messages in one call: nobody can tell them from runs one by one.

use std::sync::{Arc, LazyLock};

use lot_to_wasm::{CompileOptions, Form};
use lotmq_host::limits::{BATCH_BYTES_MAX, BATCH_MESSAGES_MAX};
use lotmq_host::{
    ActionInstance, BorrowedMessage, ComponentSource, Effect, Event, Executor, ExecutorOptions, Grants,
    Guest, GuestId, GuestLimits, InlineRuns, MailboxOptions, MessageBatch, RunContext, RunOutcome, RunOutput,
    Runner, RunnerSpec, Severity, World,
};

use crate::bench::{Deaf, State, action, engine, on_in};

/// Record of a run: its outcome with its effects, and its warnings. The warnings depend on earlier
/// runs of the same instance.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    did: String,
    warnings: String,
}

fn executor() -> &'static Executor {
    static EXECUTOR: LazyLock<Executor> = LazyLock::new(|| {
        let options = ExecutorOptions { threads: 1, ..ExecutorOptions::default() };
        Executor::start(options, |_| Box::new(Deaf)).unwrap()
    });
    &EXECUTOR
}

/// The guest of the one Action of a text.
fn guest(source: &str) -> Guest {
    let options = CompileOptions { form: Form::Linked, ..CompileOptions::default() };
    let compilation = lot_to_wasm::compile(source, &options);
    assert!(compilation.succeeded(), "{source}\n{:#?}", compilation.all_diagnostics());
    let output = compilation.entities.into_iter().next().unwrap().output.unwrap();
    engine().compile(&output.component, World::Action, ComponentSource::Compiler).unwrap()
}

fn deploy(guest: &Guest) -> Arc<Runner> {
    executor().add(RunnerSpec {
        id: GuestId(1),
        name: "batched".into(),
        tenant: 0,
        guest: guest.clone(),
        services: Arc::new(State::default()),
        grants: Arc::new(Grants::action()),
        limits: GuestLimits::default(),
        mailbox: MailboxOptions::default(),
        is_pure: true,
    })
}

fn told(outcome: &RunOutcome, output: &RunOutput) -> Seen {
    let is_warning =
        |effect: &Effect<'_>| matches!(effect, Effect::Report { severity: Severity::Warning, .. });
    let (warnings, effects): (Vec<_>, Vec<_>) =
        output.effects().map(|(_, effect)| effect).partition(is_warning);
    let did = format!("{outcome:?} {effects:?} {}", output.writes_refused());
    Seen { did, warnings: format!("{warnings:?}") }
}

/// Instance that runs messages one by one, each with the time of a whole run.
struct Alone(ActionInstance);

impl Alone {
    fn new(guest: &Guest) -> Self {
        let (services, grants) = (Arc::new(State::default()), Arc::new(Grants::action()));
        Alone(guest.instance(services, grants, GuestLimits::default()).unwrap())
    }

    fn run(&mut self, (topic, payload): (&str, &[u8])) -> Seen {
        let message = BorrowedMessage { client_id: "c", ..BorrowedMessage::new(topic, payload) };
        let mut output = RunOutput::new();
        let outcome = self.0.run(&Event::Message(message), RunContext::new(GuestId(1)), &mut output);
        told(&outcome, &output)
    }
}

fn one_by_one(source: &str, messages: &[(&str, &[u8])]) -> Vec<Seen> {
    let mut alone = Alone::new(&guest(source));
    messages.iter().map(|message| alone.run(*message)).collect()
}

/// Runs a batch, and the rest of its messages one by one. Returns all records, and the number of
/// runs in the batch.
fn together(source: &str, messages: &[(&str, &[u8])]) -> (Vec<Seen>, usize) {
    let guest = guest(source);
    let mut batch = MessageBatch::default();
    for (topic, payload) in messages {
        batch.push(topic, payload);
    }
    // On a busy machine a slice can be over before the batch is.
    let (runner, mut of_batch) = (0..100)
        .find_map(|_| {
            let runner = deploy(&guest);
            let runs = InlineRuns::default().run_batch(&runner, &batch, 0)?;
            Some((runner, runs))
        })
        .unwrap();
    let mut alone = Alone::new(&guest);
    let mut done = 0;
    let mut output = RunOutput::new();
    let seen = messages
        .iter()
        .map(|message| match of_batch.next_run(&mut output) {
            Some(outcome) => {
                done += 1;
                told(&outcome, &output)
            }
            None => alone.run(*message),
        })
        .collect();
    drop(of_batch);
    assert_eq!(runner.metrics().runs, done as u64, "{source}");
    (seen, done)
}

/// Runs a program for some messages in both ways. How many of the runs were part of the batch.
pub(crate) fn compare(source: &str, messages: &[(&str, &[u8])]) -> usize {
    let (mut together, done) = together(source, messages);
    let mut alone = one_by_one(source, messages);
    if done < messages.len() {
        together.iter_mut().chain(&mut alone).for_each(|seen| seen.warnings.clear());
    }
    assert_eq!(together, alone, "{source}\n{messages:?}");
    done
}

const MESSAGES: [(&str, &[u8]); 8] = [
    ("in", b"1"),
    ("in", b""),
    ("in", b"text"),
    ("in", b"0"),
    ("in", b"\xff\xfe"),
    ("in", b"{\"a\": {\"b\": [1, 2.5]}}"),
    ("in", b"a/b"),
    ("in", b"99999999999999999999"),
];

#[test]
fn runs_of_a_batch_do_what_they_do_alone() {
    let bodies = [
        "PUBLISH TOPIC \"o\" WITH PAYLOAD",
        "PUBLISH TOPIC \"o\" WITH PAYLOAD AND QOS 1 RETAIN\nPUBLISH TOPIC \"p\" WITH 1 WITH QOS2",
        "PUBLISH TOPIC \"o\" WITH PAYLOAD * 2",
        "PUBLISH TOPIC \"o\" WITH 1 / PAYLOAD",
        "IF PAYLOAD > 50 THEN\n    PUBLISH TOPIC \"o\" WITH PAYLOAD",
        "PUBLISH TOPIC \"o\" WITH GET JSON \"a.b\" IN PAYLOAD AS STRING",
        "KEEP TOPIC \"k\" WITH PAYLOAD\nDELETE TOPIC \"l\"\nPUBLISH TOPIC \"o\" WITH LENGTH(PAYLOAD)",
        "PUBLISH TOPIC \"o/\" + PAYLOAD WITH TOPIC POSITION 1\nPUBLISH TOPIC \"p\" WITH PAYLOAD AS INT",
        "PUBLISH TOPIC \"o\" WITH TIMESTAMP \"UNIX-MS\"",
        "PUBLISH TOPIC \"o\" WITH FILTER PAYLOAD USING REGEX \"[a-z]+\"",
        "PUBLISH TOPIC \"o\" WITH FILTER PAYLOAD USING REGEX \"(?<=t)e\"",
    ];
    for body in bodies {
        let source = on_in(body);
        assert_eq!(compare(&source, &MESSAGES), MESSAGES.len(), "{body}");
    }
}

/// Only a run of its own knows the line of a write that a grant or a topic forbids.
#[test]
fn a_run_whose_write_is_refused_is_made_again() {
    let source = on_in("PUBLISH TOPIC \"o\" + PAYLOAD WITH 1");
    let messages: [(&str, &[u8]); 4] = [("in", b"1"), ("in", b"#"), ("in", b"2"), ("in", b"+")];
    assert_eq!(compare(&source, &messages), 2);
    let seen = one_by_one(&source, &messages);
    assert!(seen[1].did.contains("LOT604"), "{seen:?}");
}

/// A batch has bounded room in the guest for effects. Runs that need more, and the runs behind
/// them, run one by one.
#[test]
fn a_run_that_writes_too_much_for_a_batch_runs_alone() {
    let line = "PUBLISH TOPIC \"o\" WITH PAYLOAD\n";
    let long = vec![b'x'; 5_000];
    let messages: [(&str, &[u8]); 4] = [("in", b"short"), ("in", b"short"), ("in", &long), ("in", b"short")];
    for (times, expected) in [(1, 4), (10, 2), (1_000, 0)] {
        let source = on_in(&line.repeat(times));
        assert_eq!(compare(&source, &messages), expected, "{times} times");
    }
}

/// A definition that no message triggers says so for each.
#[test]
fn an_error_of_a_run_is_that_of_its_message() {
    let source = action("ON EVERY 1 HOUR DO", "PUBLISH TOPIC \"o\" WITH 1");
    assert_eq!(compare(&source, &MESSAGES), MESSAGES.len());
    let seen = one_by_one(&source, &MESSAGES);
    assert!(seen.iter().all(|seen| seen.did.starts_with("Failed")), "{seen:?}");
}

/// A run frees its memory for the next run. The messages and the effects of a batch stay.
#[test]
fn long_texts_fit_into_the_memory_of_a_batch() {
    let source = action(
        "ON TOPIC \"in/+\" DO",
        "PUBLISH TOPIC \"out/+\" WITH (PAYLOAD + \"-\" + PAYLOAD) + \"-\" + UPPER(PAYLOAD)",
    );
    let topics: Vec<String> = (0..BATCH_MESSAGES_MAX).map(|number| format!("in/{number}")).collect();
    let payloads: Vec<Vec<u8>> =
        (0..BATCH_MESSAGES_MAX).map(|number| vec![b'a' + (number % 26) as u8; 20 * number]).collect();
    let messages: Vec<(&str, &[u8])> =
        topics.iter().zip(&payloads).map(|(topic, payload)| (topic.as_str(), payload.as_slice())).collect();
    assert_eq!(compare(&source, &messages), messages.len());
}

/// A batch that is given up has had no effect: its messages run one by one, and others pause it for
/// a while.
#[test]
fn a_definition_for_which_batches_are_of_no_use_gets_few() {
    let source = on_in(&"PUBLISH TOPIC \"o\" WITH PAYLOAD\n".repeat(1_000));
    let runner = deploy(&guest(&source));
    let mut runs = InlineRuns::default();
    assert_eq!(runs.batch_max(&runner, 10), 10);
    let mut batch = MessageBatch::default();
    batch.push("in", b"x");
    let mut of_batch = runs.run_batch(&runner, &batch, 0).unwrap();
    assert_eq!(of_batch.next_run(&mut RunOutput::new()), None);
    assert_eq!(runs.batch_max(&runner, 100), 1);
    while runs.batch_max(&runner, 100) == 1 {}
    assert_eq!(runs.batch_max(&runner, 10), 10);
}

#[test]
fn a_batch_is_bounded() {
    let mut batch = MessageBatch::default();
    while batch.has_room_for(11) {
        batch.push("t", &[0; 10]);
    }
    assert_eq!(batch.len(), BATCH_MESSAGES_MAX);
    batch.clear();
    assert!(batch.is_empty());
    assert!(!batch.has_room_for(BATCH_BYTES_MAX + 1));
}
