//! Memory per loaded Action: a thousand, each run once, then idle.

use crate::{programs, runs::Counter};
use lotmq_host::{Executor, ExecutorOptions};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    sync::atomic::Ordering,
    thread,
    time::Duration,
};

const COUNT: usize = 1000;

/// The text of the Action of a number, different from all others.
pub(crate) fn source(number: usize) -> String {
    format!(
        "DEFINE ACTION Alarm{number}\nON TOPIC \"s/+/t{number}\" DO\n    IF PAYLOAD > {number} THEN\n        PUBLISH TOPIC \"alarm{number}/\" + TOPIC POSITION 2 WITH PAYLOAD\n"
    )
}

pub(crate) fn figures() {
    let dir = tempfile::tempdir().unwrap();
    // The code comes from the cache, as after a restart, so that the compiler's own memory does not
    // count. The published payload is 5000, which every threshold lets through.
    let engine = programs::engine(Some(dir.path()));
    let components: Vec<_> = (0..COUNT).map(|number| programs::compile(&source(number)).0).collect();
    for component in &components {
        programs::load(&engine, component);
    }
    let counter = Counter::default();
    let options = ExecutorOptions { threads: 1, ..ExecutorOptions::default() };
    let of_sink = counter.clone();
    let executor = Executor::start(options, move |_| Box::new(of_sink.clone())).unwrap();
    let before = resident();
    let runners: Vec<_> = components
        .iter()
        .zip(0..)
        .map(|(component, number)| executor.add(programs::spec(number, programs::load(&engine, component))))
        .collect();
    let loaded = resident();
    let program = programs::Program { payload: b"5000", ..programs::PROGRAMS[3] };
    for runner in &runners {
        runner.post(program.posted(), 0, 0).unwrap();
    }
    while counter.runs.load(Ordering::Relaxed) < COUNT as u64 {
        thread::sleep(Duration::from_millis(20));
    }
    let run = resident();
    while executor.warm_definitions() > 0 {
        thread::sleep(Duration::from_millis(20));
    }
    let idle = resident_at_rest();
    let sizes: Vec<u64> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
    if let Some(copy) = std::env::var_os("KEEP_CODE") {
        let small = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let small = small.filter(|path| path.extension().is_some_and(|suffix| suffix == "native"));
        fs::copy(small.min_by_key(|path| fs::metadata(path).unwrap().len()).unwrap(), copy).unwrap();
    }
    let code = (sizes.iter().sum::<u64>() - sizes.iter().max().unwrap()) / COUNT as u64;
    println!("{COUNT} actions of {} B, native code with its tables {code} B each", components[7].len());
    for (state, now) in [("loaded", &loaded), ("just run", &run), ("run once and idle", &idle)] {
        println!("  {state}: {:.1} KiB each", per_action(before.values().sum(), now.values().sum()));
        for (kind, kib) in now {
            let part = per_action(before.get(kind).copied().unwrap_or(0), *kib);
            if part.abs() >= 0.05 {
                println!("    {kind}: {part:.1}");
            }
        }
    }
}

fn per_action(before: i64, now: i64) -> f64 {
    (now - before) as f64 / COUNT as f64
}

/// Once nothing is given back any more: a thousand instances are dropped one after the other, by a
/// thread of its own.
fn resident_at_rest() -> BTreeMap<String, i64> {
    let mut before = resident();
    loop {
        thread::sleep(Duration::from_secs(2));
        let now = resident();
        if now.values().sum::<i64>() >= before.values().sum() {
            return now;
        }
        before = now;
    }
}

/// KiB that are resident, by kind of mapping.
fn resident() -> BTreeMap<String, i64> {
    // Line by line: the whole text would be megabytes itself.
    let smaps = BufReader::new(fs::File::open("/proc/self/smaps").unwrap());
    let mut kinds = BTreeMap::new();
    let mut kind = String::new();
    for line in smaps.lines() {
        let line = line.unwrap();
        if let Some(rss) = line.strip_prefix("Rss:") {
            let kib: i64 = rss.split_whitespace().next().unwrap().parse().unwrap();
            *kinds.entry(kind.clone()).or_default() += kib;
        } else if line.split_whitespace().next().is_some_and(|word| word.contains('-')) {
            kind = kind_of(&line);
        }
    }
    kinds
}

/// The heap and the areas of its threads, code of guests, other anonymous memory, files.
fn kind_of(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (range, rights, path) = (words[0], words[1], words.get(5).copied().unwrap_or(""));
    let (start, end) = range.split_once('-').unwrap();
    let bytes = u64::from_str_radix(end, 16).unwrap() - u64::from_str_radix(start, 16).unwrap();
    match path {
        "[heap]" => "heap".to_owned(),
        "" if rights.starts_with("r-x") => "code".to_owned(),
        "" if rights.starts_with("r--") => "code's tables".to_owned(),
        "" => format!("anonymous, {} MiB areas", bytes.next_power_of_two().max(1 << 20) >> 20),
        other if other.starts_with("/memfd") => "memfd".to_owned(),
        _ => "files and others".to_owned(),
    }
}
