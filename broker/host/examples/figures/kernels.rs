//! Computation beside hand-written Rust: what a run takes beyond one of the same trigger, payload
//! and publish that computes nothing.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use lotmq_host::{
    BorrowedMessage, Engine, Event, Grants, GuestId, GuestLimits, RunContext, RunOutcome, RunOutput,
};
use serde::Deserialize;

use crate::{clock, programs};

const ROUNDS: usize = 9;

struct Kernel {
    name: &'static str,
    source: &'static str,
    /// The same without what is measured.
    base: &'static str,
    payload: Vec<u8>,
    /// Expected payload of the published message.
    result: &'static str,
    native: fn(&[u8]) -> String,
    runs: u32,
}

/// Prints the figures.
pub(crate) fn figures() {
    let engine = programs::engine(None);
    println!("computation beyond the call, CPU time, median of {ROUNDS} rounds, taken in turn");
    for kernel in kernels() {
        let mut run = Instance::new(&engine, kernel.source);
        let mut base = Instance::new(&engine, kernel.base);
        assert_eq!(run.once(&kernel.payload), kernel.result, "{}", kernel.name);
        assert_eq!((kernel.native)(&kernel.payload), kernel.result, "{}", kernel.name);
        let mut times: [Vec<Duration>; 3] = Default::default();
        for _ in 0..ROUNDS {
            times[0].push(timed(kernel.runs, || run.run(&kernel.payload)));
            times[1].push(timed(kernel.runs, || base.run(&kernel.payload)));
            times[2].push(timed(kernel.runs, || {
                black_box((kernel.native)(black_box(&kernel.payload)));
            }));
        }
        let [run, base, native] = times.map(|mut times| {
            times.sort_unstable();
            clock::median(&times)
        });
        let beyond = run.saturating_sub(base);
        let ratio = beyond.as_secs_f64() / native.as_secs_f64();
        let [run, beyond, native] = [run, beyond, native].map(|time| time.as_nanos());
        println!(
            "{:30} run {run:>6} ns, of it computation {beyond:>6} ns; Rust {native:>5} ns: {ratio:.2} x",
            kernel.name
        );
    }
}

fn timed(runs: u32, mut work: impl FnMut()) -> Duration {
    let began = clock::thread();
    (0..runs).for_each(|_| work());
    clock::thread().saturating_sub(began) / runs
}

struct Instance {
    instance: lotmq_host::ActionInstance,
    output: RunOutput,
}

impl Instance {
    fn new(engine: &Engine, source: &str) -> Self {
        let guest = programs::load(engine, &programs::compile(source).0);
        let grants = Arc::new(Grants::action());
        let instance = guest.instance(Arc::new(programs::Nobody), grants, GuestLimits::default()).unwrap();
        Self { instance, output: RunOutput::new() }
    }

    fn run(&mut self, payload: &[u8]) {
        let message = BorrowedMessage { client_id: "sensor", ..BorrowedMessage::new("s", payload) };
        let outcome =
            self.instance.run(&Event::Message(message), RunContext::new(GuestId(1)), &mut self.output);
        assert!(matches!(outcome, RunOutcome::Done(_)), "{outcome:?}");
    }

    fn once(&mut self, payload: &[u8]) -> String {
        self.run(payload);
        let published = self.output.effects().find_map(|(_, effect)| match effect {
            lotmq_host::Effect::Publish { payload, .. } => Some(String::from_utf8(payload.to_vec()).unwrap()),
            lotmq_host::Effect::Keep { .. }
            | lotmq_host::Effect::Forget { .. }
            | lotmq_host::Effect::Report { .. }
            | lotmq_host::Effect::Log { .. }
            | lotmq_host::Effect::Metric { .. } => None,
        });
        published.unwrap()
    }
}

fn kernels() -> [Kernel; 4] {
    [
        Kernel {
            name: "loop of 1,000 on DOUBLE",
            source: "DEFINE ACTION Sum\nON TOPIC \"s\" DO\n    SET \"s\" WITH PAYLOAD AS DOUBLE\n    SET \"i\" WITH 0.0\n    LOOP\n        \
                     SET \"s\" WITH {s} * 0.5 + {i}\n        SET \"i\" WITH {i} + 1.0\n    UNTIL {i} == 1000.0\n    PUBLISH TOPIC \"x\" WITH {s}\n",
            base: "DEFINE ACTION Sum\nON TOPIC \"s\" DO\n    SET \"s\" WITH PAYLOAD AS DOUBLE\n    PUBLISH TOPIC \"x\" WITH {s}\n",
            payload: b"61.5".to_vec(),
            result: "1996",
            native: |payload| {
                let mut sum: f64 = str::from_utf8(payload).unwrap().parse().unwrap();
                let mut i = 0.0;
                loop {
                    sum = sum * 0.5 + i;
                    i += 1.0;
                    if i == 1000.0 {
                        break;
                    }
                }
                sum.to_string()
            },
            runs: 2_000,
        },
        Kernel {
            name: "loop of 1,000 on INT",
            source: "DEFINE ACTION Sum\nON TOPIC \"s\" DO\n    SET \"s\" WITH 7\n    SET \"i\" WITH 0\n    LOOP\n        \
                     SET \"s\" WITH {i} * 3 - {s}\n        SET \"i\" WITH {i} + 1\n    UNTIL {i} == 1000\n    PUBLISH TOPIC \"x\" WITH {s}\n",
            base: "DEFINE ACTION Sum\nON TOPIC \"s\" DO\n    SET \"s\" WITH 7\n    PUBLISH TOPIC \"x\" WITH {s}\n",
            payload: b"7".to_vec(),
            result: "1507",
            native: |payload| {
                let mut sum = i64::from(black_box(payload)[0] - b'0');
                let mut i = 0;
                loop {
                    sum = i * 3 - sum;
                    i += 1;
                    if i == 1000 {
                        break;
                    }
                }
                sum.to_string()
            },
            runs: 2_000,
        },
        Kernel {
            name: "GET JSON of 4 paths in 1 KiB",
            source: "DEFINE ACTION Four\nON TOPIC \"s\" DO\n    SET \"a\" WITH GET JSON \"id\" IN PAYLOAD\n    SET \"b\" WITH GET JSON \"state.mode\" IN PAYLOAD\n    \
                     SET \"c\" WITH GET JSON \"values.17\" IN PAYLOAD\n    SET \"d\" WITH GET JSON \"tail\" IN PAYLOAD\n    \
                     PUBLISH TOPIC \"x\" WITH {a} + \" \" + {b} + \" \" + {c} + \" \" + {d}\n",
            base: "DEFINE ACTION Four\nON TOPIC \"s\" DO\n    PUBLISH TOPIC \"x\" WITH \"press7 auto 17 end\"\n",
            payload: document(),
            result: "press7 auto 17 end",
            native: |payload| {
                #[derive(Deserialize)]
                struct Document<'a> {
                    id: &'a str,
                    #[serde(borrow)]
                    state: State<'a>,
                    values: Vec<i64>,
                    tail: &'a str,
                }
                #[derive(Deserialize)]
                struct State<'a> {
                    mode: &'a str,
                }
                let Document { id, state, values, tail } = serde_json::from_slice(payload).unwrap();
                format!("{id} {} {} {tail}", state.mode, values[17])
            },
            runs: 20_000,
        },
        Kernel {
            name: "5-way SWITCH on text, 1,000 x",
            source: "DEFINE ACTION Switch\nON TOPIC \"s\" DO\n    SET \"n\" WITH 0.0\n    SET \"i\" WITH 0.0\n    LOOP\n        SWITCH PAYLOAD\n            \
                     CASE \"stopped\" THEN\n                SET \"n\" WITH {n} + 1.0\n            CASE \"starting\" THEN\n                SET \"n\" WITH {n} + 2.0\n            \
                     CASE \"running\" THEN\n                SET \"n\" WITH {n} + 3.0\n            CASE \"stopping\" THEN\n                SET \"n\" WITH {n} + 4.0\n            \
                     CASE \"failed\" THEN\n                SET \"n\" WITH {n} + 5.0\n        SET \"i\" WITH {i} + 1.0\n    UNTIL {i} == 1000.0\n    PUBLISH TOPIC \"x\" WITH {n}\n",
            base: "DEFINE ACTION Switch\nON TOPIC \"s\" DO\n    PUBLISH TOPIC \"x\" WITH 4000\n",
            payload: b"stopping".to_vec(),
            result: "4000",
            native: |payload| {
                let mut n = 0.0;
                for _ in 0..1000 {
                    // Each time anew, as the program asks each time.
                    n += match black_box(payload) {
                        b"stopped" => 1.0,
                        b"starting" => 2.0,
                        b"running" => 3.0,
                        b"stopping" => 4.0,
                        b"failed" => 5.0,
                        _ => 0.0,
                    };
                }
                n.to_string()
            },
            runs: 1_000,
        },
    ]
}

/// An object of 1 KiB.
fn document() -> Vec<u8> {
    let mut text = r#"{"id":"press7","site":"north hall, line 4","state":{"since":"2026-01-15T10:30:00Z","mode":"auto"},"values":["#.to_owned();
    for number in 0..120 {
        let _ = write!(text, "{}{number}", if number == 0 { "" } else { "," });
    }
    text.push_str("],\"sensors\":{");
    for number in 0..20 {
        let _ = write!(text, "{}\"s{number}\":{{\"t\":{number}.5}}", if number == 0 { "" } else { "," });
    }
    text.push_str("},\"note\":\"");
    while text.len() < 1024 - 14 {
        text.push('.');
    }
    text.push_str("\",\"tail\":\"end\"}");
    text.into_bytes()
}
