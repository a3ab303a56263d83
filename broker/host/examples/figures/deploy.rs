//! From text to something that runs: compiling, fetching from the cache, instantiating.

use crate::{
    clock,
    programs::{self, PROGRAMS},
};
use lotmq_host::{Engine, Grants, GuestLimits};
use std::{sync::Arc, time::Instant};

/// The demo's program: several Actions in one text.
const DEMO: &str = include_str!("../../../cli/src/demo/program.lot");

/// Command to live without the disk: front end, code generation, native code, instance.
pub(crate) fn command_to_live() {
    const COUNT: usize = 200;
    let engine = programs::engine(None);
    for program in &PROGRAMS {
        stages(&engine, program.name, program.source, COUNT);
    }
    stages(&engine, "demo program", DEMO, COUNT / 4);
    instantiate(&engine);
}

fn stages(engine: &Engine, name: &str, source: &str, count: usize) {
    let (services, grants) = (Arc::new(programs::Nobody), Arc::new(Grants::action()));
    let mut wall = Vec::new();
    let mut front = Vec::new();
    let mut size = 0;
    let cpu = clock::rounds(count, clock::thread, || {
        let (began, cpu_began) = (Instant::now(), clock::thread());
        let compilation = lot_to_wasm::compile(source, &lot_to_wasm::CompileOptions::default());
        assert!(compilation.succeeded());
        front.push(clock::thread() - cpu_began);
        size = 0;
        for entity in compilation.entities {
            let component = entity.output.unwrap().component;
            size += component.len();
            let guest = programs::load(engine, &component);
            guest.instance(services.clone(), grants.clone(), GuestLimits::default()).unwrap();
        }
        wall.push(began.elapsed());
    });
    wall.sort_unstable();
    front.sort_unstable();
    println!(
        "{name:17} {size:>6} B of component; text to live: CPU {:?} p99 {:?} (front end {:?}), wall {:?} p99 {:?}",
        clock::median(&cpu),
        clock::p99(&cpu),
        clock::median(&front),
        clock::median(&wall),
        clock::p99(&wall)
    );
}

fn instantiate(engine: &Engine) {
    const COUNT: u32 = 1000;
    let guest = programs::load(engine, &programs::compile(PROGRAMS[3].source).0);
    let (services, grants) = (Arc::new(programs::Nobody), Arc::new(Grants::action()));
    let times = clock::rounds(9, clock::thread, || {
        for _ in 0..COUNT {
            guest.instance(services.clone(), grants.clone(), GuestLimits::default()).unwrap();
        }
    });
    println!("instantiate and drop: {:?}", clock::median(&times) / COUNT);
}

/// A restart with 1,000 definitions whose code is cached.
pub(crate) fn from_cache() {
    const COUNT: usize = 1000;
    let dir = tempfile::tempdir().unwrap();
    let engine = programs::engine(Some(dir.path()));
    let components: Vec<_> =
        (0..COUNT).map(|number| programs::compile(&crate::memory::source(number)).0).collect();
    for component in &components {
        programs::load(&engine, component);
    }
    let mut wall = Vec::new();
    let cpu = clock::rounds(5, clock::thread, || {
        let began = Instant::now();
        for component in &components {
            programs::load(&engine, component);
        }
        wall.push(began.elapsed());
    });
    wall.sort_unstable();
    println!(
        "{COUNT} definitions from the cache: CPU {:?}, wall {:?} (without their front end)",
        clock::median(&cpu),
        clock::median(&wall)
    );
    let times = clock::rounds(5, clock::thread, || {
        for number in 0..COUNT {
            programs::compile(&crate::memory::source(number));
        }
    });
    println!("their front end: CPU {:?}", clock::median(&times));
}
