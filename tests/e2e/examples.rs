//! The examples: each is without a warning, formatted, and does what its cases say.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_test_support::Program;

use crate::LOTMQ;
use crate::guest_tutorial::compiles_guests;
use crate::modules::component;

#[test]
fn examples_are_checked_formatted_and_do_what_their_cases_say() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut tested = 0;
    for entry in std::fs::read_dir(&examples).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder.to_str().unwrap();
        let checked = Program::run(LOTMQ, &["check", name]).unwrap();
        let checked = checked.output();
        assert!(checked.contains(": ok ") && !checked.contains("warning"), "{checked}");
        for file in std::fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "lot") {
                Program::run(LOTMQ, &["fmt", "--check", file.to_str().unwrap()]).unwrap().output();
            }
        }
        let ran = Program::run(LOTMQ, &["test", name]).unwrap();
        let ran = ran.output();
        assert!(ran.ends_with(", 0 failed"), "{ran}");
        tested += 1;
    }
    assert_eq!(tested, 6);
}

/// Guests of `sdk/examples` that have cases, with their components.
const GUESTS: [(&str, &[u8]); 8] = [
    ("action-answer", include_bytes!("../../sdk/examples/action-answer/prebuilt/action-answer.wasm")),
    ("action-scale", include_bytes!("../../sdk/examples/action-scale/prebuilt/action-scale.wasm")),
    ("action-uuid", include_bytes!("../../sdk/examples/action-uuid/prebuilt/action-uuid.wasm")),
    ("route-datagrams", include_bytes!("../../sdk/examples/route-datagrams/prebuilt/route-datagrams.wasm")),
    ("route-lines", include_bytes!("../../sdk/examples/route-lines/prebuilt/route-lines.wasm")),
    ("route-points", include_bytes!("../../sdk/examples/route-points/prebuilt/route-points.wasm")),
    ("rule-guard", include_bytes!("../../sdk/examples/rule-guard/prebuilt/rule-guard.wasm")),
    ("route-post", include_bytes!("../../sdk/examples/route-post/prebuilt/route-post.wasm")),
];

/// Program of the cases of an action, which name none.
const NO_PROGRAM: &str =
    "DEFINE ACTION Nothing\nON TOPIC \"nothing\" DO\n    PUBLISH TOPIC \"nothing/else\" WITH 1\n";

/// Puts the cases of a guest into a folder, as `lotmq test` takes them: with the guest as their
/// module, which `lotmq guest test` would build.
fn put_cases(example: &Path, folder: &Path, (name, module): (&str, &[u8])) {
    std::fs::write(folder.join("guest.wasm"), STANDARD.decode(component(module)).unwrap()).unwrap();
    let text = std::fs::read_to_string(example.join("guest.toml")).unwrap();
    let on = text.lines().find(|line| line.starts_with("on = "));
    let text = std::fs::read_to_string(example.join("cases.test.toml")).unwrap();
    let (front, cases) = text.split_at(text.find("[[case]]").unwrap());
    let program = front.lines().find_map(|line| line.strip_prefix("program = \"")?.strip_suffix('"'));
    match program {
        Some(program) => drop(std::fs::copy(example.join(program), folder.join(program)).unwrap()),
        None => std::fs::write(folder.join("cases.lot"), NO_PROGRAM).unwrap(),
    }
    let on = on.map_or_else(String::new, |on| format!(", {on}"));
    let module = format!("[modules]\n{name} = {{ file = \"guest.wasm\"{on} }}\n\n");
    std::fs::write(folder.join("cases.test.toml"), format!("{front}{module}{cases}")).unwrap();
}

#[test]
fn guests_do_what_their_cases_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let examples = root.join("sdk/examples");
    let folders = std::fs::read_dir(&examples).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(folders.filter(|folder| folder.join("cases.test.toml").is_file()).count(), GUESTS.len());
    for (name, module) in GUESTS {
        let folder = tempfile::tempdir().unwrap();
        put_cases(&examples.join(name), folder.path(), (name, module));
        let ran = Program::run(LOTMQ, &["test", folder.path().to_str().unwrap()]).unwrap();
        let told = format!("{name}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.ends_with(", 0 failed") && !ran.stdout.starts_with("0 passed"), "{told}");
    }
}

#[test]
fn the_sdk_for_rust_passes_its_own_tests() {
    if !compiles_guests() {
        return;
    }
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/rust");
    let target = tempfile::tempdir().unwrap();
    let mut cargo = Command::new("cargo");
    cargo.current_dir(sdk).env("CARGO_TARGET_DIR", target.path());
    let tested =
        cargo.args(["test", "--locked", "--lib", "--features", "route,serde_json"]).output().unwrap();
    let told = String::from_utf8_lossy(&tested.stdout);
    let is_well =
        tested.status.success() && told.contains("schedule_keeps_its_periods_and_counts_missed_ones");
    assert!(is_well, "{told}{}", String::from_utf8_lossy(&tested.stderr));
}
