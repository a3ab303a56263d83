//! From an upload to a module that is live: `lotmq-bench uploads [target/release/lotmq]`.
//!
//! Each module is deployed with `lotmq guest deploy`, in pieces and with its digest, by a fresh
//! broker that has compiled nothing yet: that is the time of a first deployment. Replaced by itself
//! it is compiled from the code cache. Times are wall time as who deploys sees it and CPU time of
//! the broker; the broker's own memory is what it has more of at the highest.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use lotmq_test_support::{Broker, BrokerOptions};

use crate::load::cpu_time;
use crate::median;

const ROUNDS: usize = 3;

pub(crate) fn figures(binary: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let golden = root.join("tests/golden/0.2.0");
    let place = std::env::temp_dir().join(format!("lotmq-bench-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    let unpacked = |name: &str| {
        let mut component = Vec::with_capacity(64 << 20);
        let packed = std::fs::read(golden.join(format!("{name}.wasm.zst"))).unwrap();
        zstd_safe::decompress(&mut component, &packed).unwrap();
        let file = place.join(format!("{name}.wasm"));
        std::fs::write(&file, component).unwrap();
        file
    };
    let of_route = |name: &str| root.join(format!("guests/{name}/prebuilt/{name}.wasm"));
    for (world, file) in [
        ("action", unpacked("action-rust")),
        ("route", of_route("route-opcua")),
        ("action", unpacked("action-js")),
        ("action", unpacked("action-python")),
    ] {
        figures_of(binary, world, &file);
    }
    std::fs::remove_dir_all(&place).unwrap();
}

fn figures_of(binary: &str, world: &str, file: &PathBuf) {
    let (mut first, mut cpu, mut again, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let broker = BrokerOptions::new(binary).variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true").start();
        let (used, resident, began) = (cpu_time(&broker), broker.resident_bytes(), Instant::now());
        deploy(binary, &broker, world, file);
        first.push(began.elapsed().as_secs_f64() * 1e3);
        cpu.push((cpu_time(&broker) - used).as_secs_f64() * 1e3);
        memory.push((highest_bytes(&broker).saturating_sub(resident)) as f64 / f64::from(1 << 20));
        let began = Instant::now();
        deploy(binary, &broker, world, file);
        again.push(began.elapsed().as_secs_f64() * 1e3);
    }
    println!(
        "{:20} {:>8} KB: upload to live {:.0} ms, {:.0} ms of CPU, {:.0} MiB more at the highest, the same again {:.0} ms",
        file.file_stem().unwrap_or_default().to_string_lossy(),
        std::fs::metadata(file).unwrap().len() / 1000,
        median(first),
        median(cpu),
        median(memory),
        median(again)
    );
}

fn deploy(binary: &str, broker: &Broker, world: &str, file: &PathBuf) {
    let on = ["--on", "raw/#"];
    let port = broker.port();
    let output = Command::new(binary)
        .args(["guest", "deploy", "--name", "m", "--grant-all", "-p", &port])
        .args(on.iter().filter(|_| world == "action"))
        .arg("--file")
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The most memory that the process has had at once.
fn highest_bytes(broker: &Broker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.process_id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
