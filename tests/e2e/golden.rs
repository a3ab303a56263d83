//! Guests that were built with earlier releases: each is loaded and does what it did, whatever has
//! changed since.
//!
//! `tests/golden` has one of each language for each version of the guest package; it says how they
//! were made.

use std::path::{Path, PathBuf};
use std::process::Command;

use lotmq_client::{Publication, QoS};
use lotmq_test_support::WAIT_MAX;

use crate::{LOTMQ, broker};

/// All golden components, packed.
fn golden() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let versions = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let files = versions.filter(|path| path.is_dir()).flat_map(|folder| std::fs::read_dir(folder).unwrap());
    files.map(|entry| entry.unwrap().path()).collect()
}

/// Takes the golden components of a language, at least one, through an upload and two messages.
fn is_loaded_and_runs(language: &str) {
    let name = format!("action-{language}.wasm.zst");
    let golden: Vec<_> = golden().into_iter().filter(|path| path.ends_with(&name)).collect();
    assert!(!golden.is_empty());
    let broker = broker();
    let place = tempfile::tempdir().unwrap();
    for (number, packed) in golden.into_iter().enumerate() {
        let file = place.path().join(format!("{number}.wasm"));
        let mut component = Vec::with_capacity(32 << 20);
        zstd_safe::decompress(&mut component, &std::fs::read(&packed).unwrap()).unwrap();
        std::fs::write(&file, component).unwrap();
        let port = broker.port().to_string();
        let deployed = Command::new(LOTMQ)
            .args([
                "guest",
                "deploy",
                "--name",
                "heater",
                "--on",
                "raw/#",
                "--grant-all",
                "-p",
                &port,
                "--file",
            ])
            .arg(&file)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&deployed.stdout);
        assert!(deployed.status.success(), "{packed:?}: {told}{}", String::from_utf8_lossy(&deployed.stderr));
        // Not before: a large one may compile for longer than a Client may be silent.
        let mut client = broker.root("reader");
        client.subscribe_to("scaled/#", QoS::AtMostOnce).unwrap();
        client.subscribe_to("$SYS/Coreflux/Modules/heater/Error", QoS::AtMostOnce).unwrap();
        client.publish(&Publication::new("raw/press", "215")).unwrap();
        let message = client.receive(WAIT_MAX).unwrap().unwrap();
        assert_eq!((&*message.topic, &*message.payload), ("scaled/press", &b"21.5"[..]), "{packed:?}");
        client.publish(&Publication::new("raw/press", "hot")).unwrap();
        let message = client.receive(WAIT_MAX).unwrap().unwrap();
        let told = String::from_utf8_lossy(&message.payload);
        assert!(told.contains("'hot' is not a number"), "{packed:?}: {} {told}", message.topic);
    }
}

#[test]
fn golden_guests_in_rust_are_loaded_and_run() {
    is_loaded_and_runs("rust");
}

#[test]
fn golden_guests_in_javascript_are_loaded_and_run() {
    is_loaded_and_runs("js");
}

#[test]
fn golden_guests_in_python_are_loaded_and_run() {
    is_loaded_and_runs("python");
}
