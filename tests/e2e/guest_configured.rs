//! The configuration of a guest: checked before it is sent, with the lines of `guest.toml`, and
//! kept or replaced in a broker.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use crate::guest_tutorial::{compiles_guests, page, run};
use crate::modules::{compiled, with_manifest};
use crate::{LOTMQ, broker};

fn guest(folder: &Path, arguments: &str) -> (String, Option<i32>) {
    let script = format!("cd '{}'; '{LOTMQ}' guest {arguments} 2>&1", folder.display());
    // A build has no time limit.
    let finished = Command::new("sh").args(["-c", &script]).output().unwrap();
    (String::from_utf8_lossy(&finished.stdout).into_owned(), finished.status.code())
}

#[test]
fn configuration_is_checked_against_the_guest_schema_before_upload() {
    let (broker, place) = (broker(), tempfile::tempdir().unwrap());
    let schema = r#"{"asks":[],"configuration":{"properties":{"rate":{"type":"integer"}}}}"#;
    let component = BASE64.decode(with_manifest(&compiled(UP), schema)).unwrap();
    std::fs::write(place.path().join("up.wasm"), component).unwrap();
    let deploy = format!("deploy --file up.wasm --name up --on raw/# --grant-all -p {}", broker.port());
    let (told, code) = guest(place.path(), &format!("{deploy} --config '{{\"rate\": \"fast\"}}'"));
    assert!(told.contains("--config: rate is 'fast', which is not ") && code == Some(2), "{told}");
    assert_eq!(broker.command("-moduleInfo up").code(), "MODULE_NOT_FOUND");
    let (told, code) = guest(place.path(), &format!("{deploy} --config '{{\"rate\": 5}}'"));
    assert_eq!(code, Some(0), "{told}");
}

const UP: &str = "DEFINE ACTION Up\nON TOPIC \"raw/+\" DO\n    PUBLISH TOPIC \"up\" WITH 1\n";

/// Writes the `guest.toml` of a new guest, with the configuration that is to be tried.
fn configured(folder: &Path, config: &str) {
    let toml = format!(
        "# What the guest is.\nname = \"heater\"\ntype = \"action\"\nlang = \"rust\"\non = [\"raw/#\"]\n\n# As the page has it.\n[config]\n{config}"
    );
    std::fs::write(folder.join("guest.toml"), toml).unwrap();
}

#[test]
fn a_changed_configuration_is_kept_or_taken_as_the_author_says() {
    if !compiles_guests() {
        return;
    }
    let (broker, place) = (broker(), tempfile::tempdir().unwrap());
    let (_, folder) = run(&broker, place.path(), "lotmq guest new heater\ncd heater");
    let source = std::fs::read_to_string(folder.join("src/lib.rs")).unwrap();
    let schema = r##"manifest!("write:scaled/#", configuration = r#"{"additionalProperties": false, "required": ["unit"],
        "properties": {"unit": {"enum": ["bar", "mbar"]}, "factor": {"type": "number", "default": 0.1}}}"#);"##;
    std::fs::write(folder.join("src/lib.rs"), source.replace("manifest!(\"write:scaled/#\");", schema))
        .unwrap();
    configured(&folder, "units = \"bar\"\nfactor = \"tenth\"\n");
    let deploy = format!("deploy --grant-all -p {}", broker.port());
    let page = page("modules.md");
    let (_, shown) = page.split_once("```text\nguest.toml").unwrap();
    let shown = format!("guest.toml{}", shown.split_once("\n```").unwrap().0);
    assert_eq!(shown.lines().count(), 3, "{shown}");
    for arguments in ["build", &deploy] {
        let (told, code) = guest(&folder, arguments);
        for problem in shown.lines() {
            assert!(told.contains(problem) && code == Some(1), "{problem}: {code:?} {told}");
        }
    }
    assert_eq!(broker.command("-moduleInfo heater").code(), "MODULE_NOT_FOUND");
    let deployed = |config: &str, option: &str| {
        configured(&folder, config);
        let (told, code) = guest(&folder, &format!("{deploy} {option}"));
        assert_eq!(code, Some(0), "{told}");
        (broker.command_ok("-asset-config-load heater").data().clone(), told)
    };
    let (config, told) = deployed("unit = \"bar\"\n", "");
    assert_eq!(config, json!({"unit": "bar", "factor": 0.1}), "{told}");
    let (config, told) = deployed("unit = \"mbar\"\n", "");
    assert_eq!(config["unit"], "bar");
    assert!(told.contains("CONFIG_KEPT") && told.contains("lotmq guest deploy --replace-config"), "{told}");
    let (config, told) = deployed("unit = \"mbar\"\n", "--replace-config");
    assert!(config["unit"] == "mbar" && !told.contains("CONFIG_KEPT"), "{told}");
}
