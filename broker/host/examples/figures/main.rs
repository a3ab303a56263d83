//! Figures of the host alone, on this machine, with Actions of the Language of Things: `cargo run
//! --release -p lotmq-host --example figures -- [runs [forward
//! …]|kernels|calls|fibers|compile|python|cache|memory|all]`.
//!
//! `peak FILE` says what it takes to compile the LoT text of a file. Times are CPU time, medians of
//! several rounds: other load on the machine shows, but less than in wall time.
//! `docs/performance.md` has the figures and their meaning.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "a program for people, and parts of tests"
)]

mod calls;
mod clock;
mod deploy;
#[allow(dead_code, reason = "the attacks use more of it")]
#[path = "../../tests/host_calls/disk.rs"]
mod disk;
mod fiber_calls;
#[allow(dead_code, reason = "the attacks use more of it")]
#[path = "../../tests/host_calls/interpreter.rs"]
mod interpreter;
mod kernels;
#[allow(dead_code, reason = "the attacks use more of it")]
#[path = "../../tests/host_calls/line.rs"]
mod line;
#[path = "../../tests/host_calls/meanings.rs"]
mod meanings;
mod memory;
mod native;
mod peak;
mod programs;
mod python;
mod runs;
mod said;
#[allow(dead_code, reason = "the attacks use more of it")]
#[path = "../../tests/host_calls/watch.rs"]
mod watch;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|want| want == name || want == "all");
    if let [first, path] = wanted.as_slice()
        && first == "peak"
    {
        return peak::figures(path);
    }
    // First, because what the other figures leave behind would count.
    if is_wanted("memory") {
        memory::figures();
    }
    if is_wanted("runs") {
        runs::figures(&wanted);
    }
    if is_wanted("kernels") {
        kernels::figures();
    }
    if is_wanted("calls") {
        calls::figures();
    }
    if is_wanted("fibers") {
        fiber_calls::figures();
    }
    if is_wanted("compile") {
        deploy::command_to_live();
    }
    if is_wanted("python") {
        python::figures();
    }
    if is_wanted("cache") {
        deploy::from_cache();
    }
}
