//! Cost of a call of each host function, the host's side alone: what a program of host calls takes
//! with more of the same call.
//!
//! The guest is the interpreter of the attacks on host functions (`tests/host_calls`), so a new
//! function has its figure as soon as it is in `wit/guest`. A call takes its share of the
//! interpreter, some ten nanoseconds. Beside the broker's part, which is a memory here, nothing is
//! left out: the arguments are lifted, checked and lowered as in any guest.

use std::sync::Arc;
use std::time::Duration;

use lotmq_host::rule::{About, RuleGuest, RuleOutcome};
use lotmq_host::{
    BorrowedMessage, ComponentSource, Engine, EngineOptions, Event, Grants, GuestId, GuestLimits, NameGrant,
    RunContext, RunOutcome, RunOutput, TopicGrant, ValueGrant, World,
};

use crate::clock;
use crate::interpreter::{Argument, HostFunction, Interpreter, TEXTS};
use crate::meanings::Meaning;
use crate::watch::{self, Somebody, Watch};

pub(crate) const ROUNDS: usize = 9;

const RUNS: u32 = 2_000;

/// Calls in the shorter and in the longer program; a run may write and tell more than that.
pub(crate) const CALLS: [u32; 2] = [8, 24];

/// Functions of these interfaces may be called with these texts; others with the empty object.
const TEXTS_OF: [(&str, &[u8]); 8] = [
    ("topic-store@", b"open/a"),
    ("messages@", b"open/a"),
    ("environment@", b"GRANTED"),
    ("secrets@", b"GRANTED"),
    ("actions@", b"callee"),
    ("models@", b"M"),
    ("metrics@", b"GRANTED"),
    ("state@", b"GRANTED"),
];

pub(crate) fn figures() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    of_actions(&engine);
    of_rules(&engine);
}

fn of_actions(engine: &Engine) {
    let interpreter = Interpreter::of(World::Action.name());
    let guest = engine.compile(&interpreter.component, World::Action, ComponentSource::Compiler).unwrap();
    let watch = Watch::new(&everything());
    let limits = GuestLimits { writes: 1_000, write_bytes: 1 << 20, ..GuestLimits::default() };
    println!("CPU time of a call in the world action, median of {ROUNDS} rounds of {RUNS} runs");
    for (number, function) in interpreter.functions.iter().enumerate() {
        let make = || guest.instance(watch.clone(), Arc::clone(&watch.grants), limits).unwrap();
        let (mut instance, mut output) = (make(), RunOutput::new());
        let time = of_a_call(number, function, |program| {
            let event = Event::Message(BorrowedMessage::new("open/a", program));
            // The interpreter answers with the number of its calls, as the line of an error.
            match instance.run(&event, RunContext::new(GuestId(1)), &mut output) {
                RunOutcome::Failed(error) => Some(error.line),
                RunOutcome::Trapped(_) => {
                    instance = make();
                    None
                }
                _ => None,
            }
        });
        tell(&name_of(function), time);
    }
}

fn of_rules(engine: &Engine) {
    let interpreter = Interpreter::of(World::Rule.name());
    let guest = RuleGuest::compile(engine, &interpreter.component, ComponentSource::Compiler).unwrap();
    let watch = Watch::new(&everything());
    println!("CPU time of a call in the world rule, median of {ROUNDS} rounds of {RUNS} runs");
    let only_of_rules =
        |it: &&HostFunction| ["/subject@", "/rule-modules@"].iter().any(|name| it.module.contains(name));
    for function in interpreter.functions.iter().filter(only_of_rules) {
        let place = interpreter.functions.iter().position(|it| std::ptr::eq(it, function));
        let (mut instance, mut output) = (guest.instance(watch.clone()).unwrap(), RunOutput::new());
        let time = of_a_call(place.expect("it is one of them"), function, |program| {
            let request = watch::request(program.to_vec());
            let asks = (&request, About::default());
            let outcome =
                instance.check(asks, Some(Arc::new(Somebody) as _), RunContext::new(GuestId(1)), &mut output);
            instance.take_reads();
            match outcome {
                RuleOutcome::Failed(error) => Some(error.line),
                RuleOutcome::Trapped(_) => {
                    instance = guest.instance(watch.clone()).unwrap();
                    None
                }
                RuleOutcome::Said(_) => None,
            }
        });
        tell(&name_of(function), time);
    }
}

/// Returns the time of one call: the difference between a program with many calls and one with few,
/// for each call. `None` if a run ends early.
fn of_a_call(
    number: usize,
    function: &HostFunction,
    mut run: impl FnMut(&[u8]) -> Option<u32>,
) -> Option<Duration> {
    let [few, many] = CALLS.map(|calls| {
        let program = program(number, function, calls);
        let mut are_made = true;
        let times = clock::rounds(ROUNDS, clock::thread, || {
            for _ in 0..RUNS {
                are_made &= run(&program) == Some(calls);
            }
        });
        are_made.then(|| clock::median(&times) / RUNS)
    });
    few.zip(many).map(|(few, many)| many.saturating_sub(few) / (CALLS[1] - CALLS[0]))
}

fn name_of(HostFunction { module, name, .. }: &HostFunction) -> String {
    let interface = module.rsplit('/').next().and_then(|name| name.split('@').next()).unwrap_or(module);
    format!("{interface}.{name}")
}

pub(crate) fn tell(name: &str, time: Option<Duration>) {
    match time {
        Some(time) => println!("{name:40} {:>6} ns", time.as_nanos()),
        None => println!("{name:40} ends its run"),
    }
}

/// The same call so many times, with arguments that mean something.
fn program(number: usize, function: &HostFunction, calls: u32) -> Vec<u8> {
    let mut call = vec![u8::try_from(number).expect("a world has fewer than 249 functions")];
    let mut left = function.parameters.len();
    for meaning in &function.meanings {
        let (said, numbers): (Vec<u8>, usize) = match meaning {
            Meaning::Text => {
                let text = text_of(&function.module);
                (vec![Argument::Text as u8, text, Argument::Length as u8, text], 2)
            }
            Meaning::List => (vec![Argument::Structure as u8, 0, Argument::Byte as u8, 0], 2),
            Meaning::Memory => (vec![Argument::Result as u8, 1], 1),
            Meaning::Handle => (vec![Argument::Kept as u8, 0], 1),
            Meaning::Number | Meaning::Case(_) => (vec![Argument::Byte as u8, 1], 1),
        };
        call.extend(said);
        left = left.saturating_sub(numbers);
    }
    (0..left).for_each(|_| call.extend([Argument::Byte as u8, 0]));
    call.repeat(calls as usize)
}

fn text_of(module: &str) -> u8 {
    let known = TEXTS_OF.iter().find(|(interface, _)| module.contains(interface));
    let wanted: &[u8] = known.map_or(b"{}", |(_, text)| text);
    let place = TEXTS.iter().position(|text| *text == wanted).expect("the guest has this text");
    u8::try_from(place).expect("32 texts at most")
}

/// All that can be granted.
pub(crate) fn everything() -> Arc<Grants> {
    let names = || NameGrant::Names(Box::new(["GRANTED".into(), "callee".into(), "M".into()]));
    let topics = || TopicGrant::Filters(Box::new(["open/#".into()]));
    let values = || ValueGrant { read: names(), write: names() };
    Arc::new(Grants {
        write: topics(),
        read: topics(),
        environment: values(),
        secrets: values(),
        actions: names(),
        models: names(),
        scripts: names(),
        routes: names(),
        files: values(),
        state: true,
        config: Some("{}".into()),
        ..Grants::default()
    })
}
