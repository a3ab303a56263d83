//! Python scripts: from nothing to a result, and what a script keeps.

use crate::clock;
use lotmq_host::{
    Engine, EngineOptions, Value,
    python::{Python, PythonError, Script},
};
use std::{path::Path, time::Instant};

const SOURCE: &str = "# Script Name: Stat\ndef avg(a, b):\n    return {'avg': (float(a) + float(b)) / 2}\n";

/// The native code is made in a process with an empty cache, and read from it in every further one.
pub(crate) fn figures() {
    const COUNT: u32 = 1000;
    const SCRIPTS: usize = 20;
    let dir = Path::new("target/python-figures");
    let before = resident();
    let engine =
        Engine::new(&EngineOptions { cache_dir: Some(dir.to_owned()), ..EngineOptions::default() }).unwrap();
    let python = Python::new(&engine);
    let (began, cpu_began) = (Instant::now(), clock::process());
    let first = loop {
        match Script::load(&python, SOURCE, 0) {
            Ok((script, ..)) => break script,
            Err(error) => assert_eq!(error, PythonError::Preparing),
        }
    };
    let found = engine.cache_counts().0 > 0;
    println!(
        "native code {} and the first script: CPU {:?}, wall {:?}, {} KiB more resident",
        if found { "from the cache" } else { "made anew" },
        clock::process() - cpu_began,
        began.elapsed(),
        (resident() - before) / 1024
    );
    let arguments = [Value::Integer(1), Value::Text("4".to_owned())];
    let call = |script: &Script| {
        assert_eq!(script.call("avg", &arguments).result.unwrap(), "{\"avg\":2.5}");
    };
    println!("first call: {:?}", clock::rounds(1, clock::thread, || call(&first))[0]);
    let times = clock::rounds(9, clock::thread, || (0..COUNT).for_each(|_| call(&first)));
    println!("call: {:?}", clock::median(&times) / COUNT);
    let mut scripts = Vec::new();
    let before = resident();
    let times = clock::rounds(SCRIPTS, clock::thread, || {
        let script = Script::load(&python, SOURCE, 0).unwrap().0;
        call(&script);
        scripts.push(script);
    });
    println!("another script, loaded and called: {:?}", clock::median(&times));
    println!("memory of each: {} KiB", (resident() - before) / 1024 / SCRIPTS);
}

/// Private resident memory of this process in bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let kib = |line: &str| line.split_whitespace().nth(1)?.parse::<usize>().ok();
    text.lines().filter(|line| line.starts_with("Private_")).filter_map(kib).sum::<usize>() * 1024
}
