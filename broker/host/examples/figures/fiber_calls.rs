//! Cost of a call of the functions that only routes and authentication guests have, whose calls may
//! wait: network, files, serial ports, arrivals, principals.
//!
//! The other side, a server of TCP, UDP and HTTP, has threads of its own that do not count. Work of
//! the broker on other threads, as for files, counts.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread;

use lotmq_host::auth::{Answer, AuthGuest, AuthInstance, AuthSpec};
use lotmq_host::fiber::{Endpoint, HttpService};
use lotmq_host::route::{RouteGuest, RouteInstance, RouteSpec};
use lotmq_host::{ComponentSource, Engine, EngineOptions, GuestId, GuestLimits, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::calls::{CALLS, ROUNDS, everything, tell};
use crate::clock;
use crate::disk::Disk;
use crate::interpreter::Interpreter;
use crate::line::Line;
use crate::said::{Answers, Case, Does, Said};
use crate::watch::{self, Watch};

const RUNS: u32 = 200;

/// Of programs whose calls open something each: ports of this machine are few, and kept for a
/// minute.
const RUNS_THAT_OPEN: u32 = 20;

/// `would-block` of the errors of `net`, and of `serial`.
const NOTHING: [u8; 2] = [5, 6];

/// Milliseconds that nothing takes.
const PATIENCE: Said = Said::Number(30_000);

const HTTP_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

const HTTP_REQUEST: [Said; 8] = [
    Said::Text("out"),
    Said::Text("M"),
    Said::Text("/"),
    Said::List(0),
    Said::Text("open/a"),
    PATIENCE,
    Said::Number(4_096),
    Said::Result,
];

const CONNECT: Does = Does::Call("net", "[static]tcp.connect", &[Said::Text("echo"), PATIENCE, Said::Result]);
const CLOSE: Does = Does::Call("net", "[resource-drop]tcp", &[Said::Handle]);
const CLOSE_FILE: Does = Does::Call("files", "[resource-drop]file", &[Said::Handle]);
const END_PORT: Does = Does::Call("serial", "[method]port.end", &[Said::Handle]);
const CLOSE_PORT: Does = Does::Call("serial", "[resource-drop]port", &[Said::Handle]);
const OPEN_FILE: Does = Does::Call(
    "files",
    "[static]file.open",
    &[Said::Text("folder"), Said::Text("callee"), Said::Number(1), Said::Result],
);
const OPEN_PORT: Does =
    Does::Call("serial", "[static]port.open", &[Said::Text("echo"), PATIENCE, Said::Result]);

const fn case(
    name: &'static str,
    before: &'static [Does],
    again: &'static [Does],
    after: &'static [Does],
    answers: Answers,
) -> Case {
    Case { name, before, again, after, answers, has_threads: false }
}

const fn with_threads(
    name: &'static str,
    before: &'static [Does],
    again: &'static [Does],
    after: &'static [Does],
) -> Case {
    Case { name, before, again, after, answers: Answers::Ok, has_threads: true }
}

const ROUTE_CASES: &[Case] = &[
    case("net: connect, and close", &[], &[CONNECT, Does::Keep, CLOSE], &[], Answers::Ok),
    case(
        "net: write 9 bytes",
        &[CONNECT, Does::Keep],
        &[Does::Call("net", "[method]tcp.write", &[Said::Handle, Said::Text("127.0.0.1"), Said::Result])],
        &[CLOSE],
        Answers::Ok,
    ),
    case(
        "net: read, nothing there",
        &[CONNECT, Does::Keep],
        &[Does::Call("net", "[method]tcp.read", &[Said::Handle, Said::Number(512), Said::Result])],
        &[CLOSE],
        Answers::Nothing(NOTHING[0]),
    ),
    case(
        "net: wait for one that is ready",
        &[CONNECT, Does::Keep, Does::Write(0, Said::Number(1)), Does::Write(4, Said::Handle)],
        &[Does::Call("net", "wait", &[Said::List(1), PATIENCE, Said::Result])],
        &[CLOSE],
        Answers::Any,
    ),
    case(
        "net: send a datagram of 9 bytes",
        &[
            Does::Call("net", "[static]udp.connect", &[Said::Text("echo"), PATIENCE, Said::Result]),
            Does::Keep,
        ],
        &[Does::Call(
            "net",
            "[method]udp.send",
            &[
                Said::Handle,
                Said::Text("127.0.0.1"),
                Said::Number(0),
                Said::Number(0),
                Said::Number(0),
                Said::Number(0),
                Said::Result,
            ],
        )],
        &[Does::Call("net", "[resource-drop]udp", &[Said::Handle])],
        Answers::Ok,
    ),
    case(
        "net: accept, nobody there",
        &[Does::Call("net", "[static]listener.bind", &[Said::Text("listen"), Said::Result]), Does::Keep],
        &[Does::Call("net", "[method]listener.accept", &[Said::Handle, Said::Result])],
        &[Does::Call("net", "[resource-drop]listener", &[Said::Handle])],
        Answers::Nothing(NOTHING[0]),
    ),
    case(
        "ingest: publish one message",
        &[
            Does::Write(0, Said::Text("open/a")),
            Does::Write(8, Said::Text("127.0.0.1")),
            Does::Write(16, Said::Number(1)),
            Does::Write(20, Said::Number(0)),
        ],
        &[Does::Call("ingest", "publish", &[Said::List(1), Said::Result])],
        &[],
        Answers::Ok,
    ),
    case(
        "retained: read two messages",
        &[],
        &[Does::Call(
            "retained",
            "read",
            &[Said::Text("#"), Said::Number(0), Said::Number(0), Said::Number(0), Said::Result],
        )],
        &[],
        Answers::Any,
    ),
    case(
        "http: a call, its answer, its end",
        &[],
        &[
            Does::Call("http", "[static]exchange.start", &HTTP_REQUEST),
            Does::Keep,
            Does::Write(0, Said::Handle),
            Does::Call("http", "wait", &[Said::List(1), PATIENCE, Said::Result]),
            Does::Call("http", "[method]exchange.head", &[Said::Handle, Said::Result]),
            Does::Call("http", "[method]exchange.read", &[Said::Handle, Said::Number(512), Said::Result]),
            Does::Call("http", "[resource-drop]exchange", &[Said::Handle]),
        ],
        &[],
        Answers::Ok,
    ),
    case(
        "http-server: accept, nobody there",
        &[
            Does::Call(
                "http-server",
                "[static]server.serve",
                &[Said::Text("serve"), Said::Number(1_000), PATIENCE, Said::Result],
            ),
            Does::Keep,
        ],
        &[Does::Call("http-server", "[method]server.accept", &[Said::Handle, Said::Result])],
        &[Does::Call("http-server", "[resource-drop]server", &[Said::Handle])],
        Answers::Nothing(NOTHING[0]),
    ),
    with_threads("files: open, and close", &[], &[OPEN_FILE, Does::Keep, CLOSE_FILE], &[]),
    with_threads(
        "files: write 9 bytes",
        &[OPEN_FILE, Does::Keep],
        &[Does::Call(
            "files",
            "[method]file.write",
            &[Said::Handle, Said::Number(0), Said::Text("127.0.0.1"), Said::Result],
        )],
        &[CLOSE_FILE],
    ),
    with_threads(
        "files: read 9 bytes",
        &[OPEN_FILE, Does::Keep],
        &[Does::Call(
            "files",
            "[method]file.read",
            &[Said::Handle, Said::Number(0), Said::Number(9), Said::Result],
        )],
        &[CLOSE_FILE],
    ),
    with_threads(
        "files: stat of a path",
        &[OPEN_FILE, Does::Keep],
        &[Does::Call("files", "stat", &[Said::Text("folder"), Said::Text("callee"), Said::Result])],
        &[CLOSE_FILE],
    ),
    with_threads("serial: open, and close", &[], &[OPEN_PORT, Does::Keep, CLOSE_PORT], &[]),
    case(
        "serial: read, nothing there",
        &[
            OPEN_PORT,
            Does::Keep,
            Does::Call("serial", "[method]port.begin", &[Said::Handle, PATIENCE, Said::Result]),
            Does::Call("serial", "[method]port.read", &[Said::Handle, Said::Number(512), Said::Result]),
        ],
        &[Does::Call("serial", "[method]port.read", &[Said::Handle, Said::Number(512), Said::Result])],
        &[END_PORT, CLOSE_PORT],
        Answers::Nothing(NOTHING[1]),
    ),
    case(
        "state: get",
        &[],
        &[Does::Call("state", "get", &[Said::Text("GRANTED"), Said::Result])],
        &[],
        Answers::Any,
    ),
    case(
        "logging: log",
        &[],
        &[Does::Call("logging", "log", &[Said::Number(2), Said::Text("GRANTED")])],
        &[],
        Answers::Any,
    ),
];

/// Whom, and a principal with a name and nothing else: 136 bytes of memory, which are nearly all
/// zero.
const PRINCIPAL: [Does; 31] = {
    let mut writes = [Does::Write(0, Said::Number(2)); 31];
    writes[1] = Does::Write(8, Said::Text("GRANTED"));
    writes[2] = Does::Write(16, Said::Text("GRANTED"));
    let (mut place, mut at) = (3, 24);
    while place < writes.len() {
        writes[place] = Does::Write(at, Said::Number(0));
        (place, at) = (place + 1, at + 4);
    }
    writes
};

const REVOKED: [Said; 6] = [
    Said::Number(2),
    Said::Text("GRANTED"),
    Said::Number(0x87),
    Said::Number(0),
    Said::Number(0),
    Said::Number(0),
];

const AUTH_CASES: &[Case] = &[
    case(
        "principals: revoke by user",
        &[],
        &[Does::Call("principals", "revoke", &REVOKED)],
        &[],
        Answers::Any,
    ),
    case(
        "principals: update by user",
        &PRINCIPAL,
        &[Does::Call("principals", "update", &[Said::Structure])],
        &[],
        Answers::Any,
    ),
];

/// A guest whose calls may wait.
enum Caller {
    Route(
        RouteInstance,
        #[expect(dead_code, reason = "removes its folders")] Disk,
        #[expect(dead_code, reason = "closes its port")] Line,
    ),
    Auth(AuthInstance),
}

impl Caller {
    /// Runs the program and returns its answer.
    async fn run(&mut self, program: &[u8]) -> Vec<u8> {
        match self {
            Self::Route(instance, ..) => instance.request("calls", program).await.unwrap().unwrap(),
            Self::Auth(instance) => {
                match instance.step(&watch::login(1), "M", program).await.unwrap().unwrap() {
                    Answer::Challenge(data) => data,
                    _ => Vec::new(),
                }
            }
        }
    }
}

pub(crate) fn figures() {
    println!("CPU time of a call in the worlds route and auth, median of {ROUNDS} rounds");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let (echo, http) = (server(b""), server(HTTP_ANSWER));
    let endpoints = endpoints(echo, http);
    let route = Interpreter::of(World::Route.name());
    let guest = RouteGuest::compile(&engine, &route.component, ComponentSource::Compiler).unwrap();
    for case in ROUTE_CASES {
        measure(&runtime, &route, case, async || {
            let (watch, disk, line) = (Watch::new(&everything()), Disk::new(), Line::new());
            let spec = RouteSpec {
                id: GuestId(1),
                services: watch.clone(),
                grants: Arc::clone(&watch.grants),
                endpoints: Arc::clone(&endpoints),
                folders: disk.folders(&watch.grants),
                serial_lines: line.serial_lines(),
                limits: GuestLimits::default(),
            };
            Caller::Route(guest.instance(spec).await.unwrap(), disk, line)
        });
    }
    let auth = Interpreter::of(World::Auth.name());
    let guest = AuthGuest::compile(&engine, &auth.component, ComponentSource::Compiler).unwrap();
    for case in AUTH_CASES {
        measure(&runtime, &auth, case, async || {
            let watch = Watch::new(&everything());
            let spec = AuthSpec {
                id: GuestId(1),
                services: watch.clone(),
                grants: Arc::clone(&watch.grants),
                endpoints: Arc::clone(&endpoints),
                limits: GuestLimits::default(),
            };
            Caller::Auth(guest.instance(spec).await.unwrap())
        });
    }
}

fn measure(runtime: &Runtime, guest: &Interpreter, case: &Case, make: impl AsyncFn() -> Caller) {
    if case.answers != Answers::Any {
        let proved = runtime.block_on(async { make().await.run(&case.proof(guest)).await });
        assert!(case.is_proved_by(&proved), "{}: {proved:?}", case.name);
    }
    let mut caller = runtime.block_on(make());
    let runs = if case.opens() { RUNS_THAT_OPEN } else { RUNS };
    let clock = if case.has_threads { clock::process } else { clock::thread };
    let [few, many] = CALLS.map(|times| {
        let (program, calls) = (case.program(guest, times), case.calls(times));
        let rounds = clock::rounds(ROUNDS, clock, || {
            for _ in 0..runs {
                let made = runtime.block_on(caller.run(&program));
                assert_eq!(made.try_into().map(u32::from_le_bytes), Ok(calls), "{}", case.name);
            }
        });
        clock::median(&rounds) / runs
    });
    tell(case.name, Some(many.saturating_sub(few) / (CALLS[1] - CALLS[0])));
}

fn endpoints(echo: u16, http: u16) -> Arc<HashMap<String, Endpoint>> {
    let at = |port| Endpoint { host: "127.0.0.1".to_owned(), port, ..Endpoint::default() };
    let listening = Endpoint { listens: true, ..at(0) };
    let serving = Endpoint { http: Some(HttpService::default()), ..listening.clone() };
    let all = [("echo", at(echo)), ("out", at(http)), ("listen", listening), ("serve", serving)];
    Arc::new(all.into_iter().map(|(name, endpoint)| (name.to_owned(), endpoint)).collect())
}

/// A server on a thread of its own, which says the same to whatever comes in one piece.
fn server(says: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection, says));
            }
        });
    });
    port
}

async fn answer(mut connection: TcpStream, says: &[u8]) {
    let mut bytes = [0; 4_096];
    while let Ok(1..) = connection.read(&mut bytes).await {
        if connection.write_all(says).await.is_err() {
            return;
        }
    }
}
