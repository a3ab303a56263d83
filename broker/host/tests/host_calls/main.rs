//! Attacks on host functions: a guest of each world whose messages are programs of host calls, well
//! meant and hostile.
//!
//! Nothing that a guest does may make the host panic, give it what was not granted, write more than
//! a run may, or stay behind when its instance is gone. `LOTMQ_HOST_CALLS=10000000` makes it a long
//! run, `LOTMQ_SEED=7` begins there; a program that fails is named by its seed.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "tests, which say what they did"
)]

mod disk;
mod interpreter;
mod line;
mod meanings;
mod programs;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use disk::Disk;
use interpreter::Interpreter;
use line::Line;
use lotmq_disk::Random;
use lotmq_host::auth::{Answer, AuthGuest, AuthSpec};
use lotmq_host::fiber::{Endpoint, HttpService};
use lotmq_host::route::{RouteGuest, RouteInstance, RouteSpec};
use lotmq_host::rule::{About, RuleGuest, RuleOutcome};
use lotmq_host::{
    BorrowedMessage, ComponentSource, Engine, EngineOptions, Event, Grants, GuestId, GuestLimits, NameGrant,
    RunContext, RunOutcome, RunOutput, TopicGrant, Trap, TrapKind, ValueGrant, World,
};
use programs::Programs;
use watch::{Somebody, Watch};

/// Calls in each world of a usual run.
const CALLS: u64 = 40_000;

/// A route makes so many times fewer calls: most of its programs end with a handle that it has not,
/// and it waits for others.
const FEWER_OF_ROUTE: u64 = 20;

/// Programs that one instance runs, unless one ends it.
const PROGRAMS_PER_INSTANCE: u64 = 50;

/// How long a route waits for something before its call is given up, which drops everything it has.
const PATIENCE: Duration = Duration::from_millis(5);

/// Calls of host functions that have come back, and how runs have ended.
#[derive(Default)]
struct Tally {
    calls: u64,
    programs: u64,
    ends: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn ended(&mut self, calls: u32, how: &'static str) {
        self.calls += u64::from(calls);
        self.programs += 1;
        *self.ends.entry(how).or_default() += 1;
    }

    fn trapped(&mut self, trap: &Trap) {
        assert!(!matches!(trap.kind, TrapKind::Pool | TrapKind::Other | TrapKind::Start), "{trap:?}");
        self.ended(0, trap.kind.code());
    }

    fn tell(&self, world: &str) {
        println!("{world}: {} calls in {} programs; {:?}", self.calls, self.programs, self.ends);
        assert!(self.ends.len() > 2, "some runs end by themselves, some by force: {:?}", self.ends);
    }
}

fn number_of(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

fn calls() -> u64 {
    number_of("LOTMQ_HOST_CALLS", CALLS)
}

fn engine() -> Engine {
    Engine::new(&EngineOptions { instances_max: 16, ..EngineOptions::default() }).unwrap()
}

/// Grants from none to all of what there is, by chance.
fn grants(random: &mut Random) -> Arc<Grants> {
    if random.is_one_of(1, 4) {
        return Arc::new(Grants::action());
    }
    let mut is_granted = || random.is_one_of(2, 3);
    let topics = |is_granted| {
        if is_granted { TopicGrant::Filters(Box::new(["open/#".into()])) } else { TopicGrant::None }
    };
    let names = |is_granted| {
        if is_granted {
            NameGrant::Names(Box::new(["GRANTED".into(), "callee".into()]))
        } else {
            NameGrant::None
        }
    };
    Arc::new(Grants {
        write: topics(is_granted()),
        read: topics(is_granted()),
        environment: ValueGrant { read: names(is_granted()), write: names(is_granted()) },
        secrets: ValueGrant { read: names(is_granted()), write: names(is_granted()) },
        actions: names(is_granted()),
        models: names(is_granted()),
        scripts: names(is_granted()),
        routes: names(is_granted()),
        files: ValueGrant { read: names(is_granted()), write: names(is_granted()) },
        state: is_granted(),
        config: is_granted().then(|| "{}".into()),
        ..Grants::default()
    })
}

/// A seed for each instance, so that what fails can be run again alone.
fn seeds() -> impl Iterator<Item = u64> {
    let first = number_of("LOTMQ_SEED", 0);
    first..
}

/// Says which seed it was when the test fails.
struct Named(&'static str, u64);

impl Drop for Named {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("world {}: LOTMQ_SEED={} LOTMQ_HOST_CALLS=1", self.0, self.1);
        }
    }
}

/// Attacks as a guest of the world `action` or `model`.
fn attack_as(world: World) {
    let engine = engine();
    let interpreter = Interpreter::of(world.name());
    let guest = engine.compile(&interpreter.component, world, ComponentSource::Compiler).unwrap();
    let limits =
        GuestLimits { writes: 20, write_bytes: 500, memory_bytes: 4 << 20, ..GuestLimits::default() };
    let mut tally = Tally::default();
    let mut output = RunOutput::new();
    for seed in seeds() {
        let _named = Named(world.name(), seed);
        let mut random = Random::new(seed);
        let watch = Watch::new(&grants(&mut random));
        let mut instance = guest.instance(watch.clone(), Arc::clone(&watch.grants), limits).unwrap();
        let mut programs = Programs::new(&interpreter, random);
        for _ in 0..PROGRAMS_PER_INSTANCE {
            let program = programs.next();
            let message = BorrowedMessage { client_id: "c1", ..BorrowedMessage::new("open/a", &program) };
            let outcome = instance.run(&Event::Message(message), RunContext::new(GuestId(1)), &mut output);
            watch.judge(&output, &limits);
            match outcome {
                RunOutcome::Done(_) => tally.ended(0, "done"),
                RunOutcome::Failed(error) => tally.ended(error.line, "failed"),
                RunOutcome::Trapped(trap) => {
                    tally.trapped(&trap);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        drop(instance);
        assert_eq!(engine.memory_bytes(), 0, "nothing stays behind");
        if tally.calls >= calls() {
            break;
        }
    }
    tally.tell(world.name());
}

#[test]
fn an_action_calls_whatever_it_likes() {
    attack_as(World::Action);
}

#[test]
fn a_model_calls_whatever_it_likes() {
    attack_as(World::Model);
}

#[test]
fn a_rule_calls_whatever_it_likes() {
    let engine = engine();
    let interpreter = Interpreter::of("rule");
    let guest = RuleGuest::compile(&engine, &interpreter.component, ComponentSource::Compiler).unwrap();
    let limits = GuestLimits { writes: 0, write_bytes: 0, ..GuestLimits::default() };
    let mut tally = Tally::default();
    let mut output = RunOutput::new();
    for seed in seeds() {
        let _named = Named("rule", seed);
        let watch = Watch::new(&Arc::new(Grants::action()));
        let mut instance = guest.instance(watch.clone()).unwrap();
        let mut programs = Programs::new(&interpreter, Random::new(seed));
        for _ in 0..PROGRAMS_PER_INSTANCE {
            let request = watch::request(programs.next());
            let subject = programs.random.is_one_of(1, 2).then(|| Arc::new(Somebody) as _);
            let run = RunContext::new(GuestId(1));
            let outcome = instance.check((&request, About::default()), subject, run, &mut output);
            watch.judge(&output, &limits);
            instance.take_reads();
            match outcome {
                RuleOutcome::Said(_) => tally.ended(0, "said"),
                RuleOutcome::Failed(error) => tally.ended(error.line, "failed"),
                RuleOutcome::Trapped(trap) => {
                    tally.trapped(&trap);
                    break;
                }
            }
        }
        if tally.calls >= calls() {
            break;
        }
    }
    tally.tell("rule");
}

/// A server that says everything twice and counts the connections that are open.
fn twice() -> (u16, Arc<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let open = Arc::new(());
    let counted = Arc::clone(&open);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let counted = Arc::clone(&counted);
            thread::spawn(move || {
                let _counted = counted;
                let (mut from, mut to) = (&connection, &connection);
                let mut bytes = [0; 512];
                while let Ok(count @ 1..) = std::io::Read::read(&mut from, &mut bytes) {
                    if (0..2).any(|_| std::io::Write::write_all(&mut to, &bytes[..count]).is_err()) {
                        break;
                    }
                }
            });
        }
    });
    (port, open)
}

/// Endpoints of a guest with network: where everything is said twice, one to listen at, and one
/// that serves HTTP.
fn endpoints(port: u16) -> Arc<HashMap<String, Endpoint>> {
    let others = vec!["127.0.0.1:*".parse().unwrap()];
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port, others, ..Endpoint::default() };
    let listening = Endpoint { host: "127.0.0.1".to_owned(), listens: true, ..Endpoint::default() };
    let serving = Endpoint { http: Some(HttpService::default()), ..listening.clone() };
    let all = [("echo", endpoint), ("listen", listening), ("serve", serving)];
    Arc::new(all.into_iter().map(|(name, endpoint)| (name.to_owned(), endpoint)).collect())
}

fn limits_with_network() -> GuestLimits {
    GuestLimits { memory_bytes: 4 << 20, ..GuestLimits::default() }
}

async fn route(
    guest: &RouteGuest,
    watch: &Arc<Watch>,
    port: u16,
    (disk, line): (&Disk, &Line),
) -> RouteInstance {
    let spec = RouteSpec {
        id: GuestId(1),
        services: watch.clone(),
        grants: Arc::clone(&watch.grants),
        endpoints: endpoints(port),
        folders: disk.folders(&watch.grants),
        serial_lines: line.serial_lines(),
        limits: limits_with_network(),
    };
    guest.instance(spec).await.unwrap()
}

#[tokio::test]
async fn a_route_calls_whatever_it_likes() {
    let engine = engine();
    let interpreter = Interpreter::of("route");
    let guest = RouteGuest::compile(&engine, &interpreter.component, ComponentSource::Compiler).unwrap();
    let (port, open) = twice();
    let (mut tally, mut made_files) = (Tally::default(), 0);
    for seed in seeds() {
        let _named = Named("route", seed);
        let mut random = Random::new(seed);
        let watch = Watch::new(&grants(&mut random));
        let (disk, line) = (Disk::new(), Line::new());
        let mut instance = route(&guest, &watch, port, (&disk, &line)).await;
        let mut programs = Programs::new(&interpreter, random);
        for _ in 0..PROGRAMS_PER_INSTANCE {
            let program = programs.next();
            match tokio::time::timeout(PATIENCE, instance.request("attack", &program)).await {
                Ok(Ok(Ok(calls))) => {
                    let calls = calls.try_into().map_or(0, u32::from_le_bytes);
                    tally.ended(calls.min(u32::try_from(program.len()).unwrap()), "answered");
                }
                Ok(Ok(Err(_))) => tally.ended(0, "refused"),
                Ok(Err(trap)) => {
                    tally.trapped(&trap);
                    break;
                }
                // The call is dropped while it waits.
                Err(_) => {
                    tally.ended(0, "given up");
                    break;
                }
            }
        }
        drop(instance);
        assert_eq!(engine.memory_bytes(), 0, "nothing stays behind");
        line.judge();
        made_files += usize::from(disk.judge(&watch.grants));
        if tally.calls >= calls() / FEWER_OF_ROUTE {
            break;
        }
    }
    all_are_closed(&open).await;
    println!("route: {made_files} instances made files");
    assert!(made_files > 0 || calls() < CALLS, "some have files");
    tally.tell("route");
}

/// Waits until nobody is connected to [`twice`]; tasks of this thread close what instances had.
async fn all_are_closed(open: &Arc<()>) {
    for _ in 0..1_000 {
        if Arc::strong_count(open) <= 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("connections stay behind");
}

#[tokio::test]
async fn an_authentication_guest_calls_whatever_it_likes() {
    let engine = engine();
    let interpreter = Interpreter::of("auth");
    let guest = AuthGuest::compile(&engine, &interpreter.component, ComponentSource::Compiler).unwrap();
    let (port, open) = twice();
    let mut tally = Tally::default();
    for seed in seeds() {
        let _named = Named("auth", seed);
        let mut random = Random::new(seed);
        let watch = Watch::new(&grants(&mut random));
        let spec = AuthSpec {
            id: GuestId(1),
            services: watch.clone(),
            grants: Arc::clone(&watch.grants),
            endpoints: endpoints(port),
            limits: limits_with_network(),
        };
        let mut instance = guest.instance(spec).await.unwrap();
        let mut programs = Programs::new(&interpreter, random);
        for number in 0..PROGRAMS_PER_INSTANCE {
            let program = programs.next();
            let login = watch::login(number);
            match tokio::time::timeout(PATIENCE, instance.step(&login, "M", &program)).await {
                Ok(Ok(Ok(Answer::Challenge(calls)))) => {
                    let calls = calls.try_into().map_or(0, u32::from_le_bytes);
                    tally.ended(calls.min(u32::try_from(program.len()).unwrap()), "challenged");
                }
                Ok(Ok(Ok(_))) => tally.ended(0, "answered"),
                Ok(Ok(Err(_))) => tally.ended(0, "not usable"),
                Ok(Err(trap)) => {
                    tally.trapped(&trap);
                    break;
                }
                Err(_) => {
                    tally.ended(0, "given up");
                    break;
                }
            }
        }
        drop(instance);
        assert_eq!(engine.memory_bytes(), 0, "nothing stays behind");
        if tally.calls >= calls() / FEWER_OF_ROUTE {
            break;
        }
    }
    all_are_closed(&open).await;
    tally.tell("auth");
}
