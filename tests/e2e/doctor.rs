//! `lotmq doctor`: each broken thing has its finding and its remedy, beside a broker that runs and
//! without one.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use lotmq_test_support::Authority;
use serde_json::Value;

use crate::{LOTMQ, options};

/// Variables of a broker with free ports.
const QUIET: [(&str, &str); 3] =
    [("LOTMQ_LISTENER_MQTT_PORT", "0"), ("LOTMQ_LISTENER_WS_PORT", "off"), ("LOTMQ_ADMIN_HEALTH_PORT", "0")];

fn command(data: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(LOTMQ);
    command.args(["doctor", "--json", "--data"]).arg(data);
    command.env_clear().env("XDG_CONFIG_HOME", "/dev/null/none").env("PATH", "/usr/bin:/bin");
    command.envs(QUIET).envs(variables.iter().copied());
    command
}

/// The findings, without the numbers behind them.
fn findings(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let mut found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers = found.pop().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let errors = found.iter().filter(|finding| finding["level"] == "error").count();
    let warnings = found.iter().filter(|finding| finding["level"] == "warn").count();
    assert_eq!(
        (numbers["errors"].as_u64(), numbers["warnings"].as_u64()),
        (Some(errors as u64), Some(warnings as u64))
    );
    let code = if errors > 0 { 2 } else { i32::from(warnings > 0) };
    assert_eq!(output.status.code(), Some(code), "{text}");
    for finding in &found {
        let has_remedy = finding["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty());
        assert_eq!(has_remedy, finding["level"] != "ok", "{finding}");
    }
    found
}

/// Whether a finding of this check and level has these words in its message and its remedy.
fn has(found: &[Value], (check, level): (&str, &str), message: &str, remedy: &str) -> bool {
    found.iter().any(|finding| {
        let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        (text("check").as_str(), text("level").as_str()) == (check, level)
            && text("message").contains(message)
            && text("remedy").contains(remedy)
    })
}

fn shown(found: &[Value]) -> String {
    found.iter().map(|finding| format!("{finding}\n")).collect()
}

#[test]
fn a_new_configuration_has_no_errors() {
    let folder = tempfile::tempdir().unwrap();
    let found = findings(&command(&folder.path().join("data"), &[]).output().unwrap());
    let errors: Vec<&Value> = found.iter().filter(|finding| finding["level"] == "error").collect();
    assert!(errors.is_empty(), "{errors:?}");
    for (check, message) in [
        ("broker", "none runs"),
        ("disk-sync", "a sync takes"),
        ("permissions", "no data yet"),
        ("port", "mqtt at 127.0.0.1:0"),
        ("open-to", "mqtt at 127.0.0.1:0, [::1]:0: no TLS, this machine, users of builtin"),
    ] {
        assert!(has(&found, (check, "ok"), message, ""), "{check}: {}", shown(&found));
    }
    assert!(!folder.path().join("data").exists(), "it makes nothing");
    let mut plain = Command::new(LOTMQ);
    plain.args(["doctor", "--data"]).arg(folder.path().join("data"));
    let text = plain.env_clear().env("XDG_CONFIG_HOME", "/dev/null/none").envs(QUIET).output();
    let text = String::from_utf8(text.unwrap().stdout).unwrap();
    assert!(text.starts_with("ok     configuration") && text.contains(" ok, "), "{text}");
}

#[test]
fn each_broken_setting_has_its_finding_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let authority = Authority::new();
    let (good, other) = (authority.server("good"), authority.server("other"));
    let ended = authority.server_until("ended", SystemTime::now() - Duration::from_secs(86_400));
    for key in [&good.key, &ended.key] {
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::set_permissions(&other.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = other.certificate.to_str().unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let [certificate, key, foreign, past, past_key] =
        [&good.certificate, &good.key, &other.key, &ended.certificate, &ended.key].map(|it| path(it));
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = occupied.local_addr().unwrap().port().to_string();
    let own = format!("in use by process {}", std::process::id());
    let tls = |certificate: &str, key: &str| {
        vec![
            ("LOTMQ_TLS_CERTIFICATE", certificate.to_owned()),
            ("LOTMQ_TLS_KEY", key.to_owned()),
            ("LOTMQ_LISTENER_MQTTS_PORT", "0".to_owned()),
            ("LOTMQ_LISTENER_WSS_PORT", "off".to_owned()),
        ]
    };
    let one = |name: &'static str, value: &str| vec![(name, value.to_owned())];
    for (variables, finding, message, remedy) in [
        (
            one("LOTMQ_LISTENER_MQTT_PORT", "99999"),
            ("configuration", "error"),
            "listener.mqtt.port",
            "correct",
        ),
        (one("LOTMQ_LISTNER", "1"), ("configuration", "warn"), "LOTMQ_LISTNER", "remove it"),
        (one("LOTMQ_LISTENER_MQTT_PORT", &port), ("port", "error"), &own, "`listener.mqtt.port`"),
        (
            one("LOTMQ_LISTENER_MQTT_BIND", "192.0.2.1"),
            ("port", "warn"),
            "does not have",
            "listener.mqtt.bind",
        ),
        (one("LOTMQ_LISTENER_MQTT_BIND", "0.0.0.0"), ("open-to", "warn"), "passwords cross", "--lan"),
        (
            one("LOTMQ_ROUTES_FILE_ROOTS", "/no/such"),
            ("configuration", "warn"),
            "/no/such",
            "routes.file_roots",
        ),
        (tls(&certificate, &key), ("certificate", "ok"), "is good until", ""),
        (
            tls(open, &foreign),
            ("certificate", "warn"),
            "read the private key",
            "protect the file of `tls.key`",
        ),
        (tls(&certificate, &foreign), ("certificate", "error"), "does not belong", "tls.key"),
        (tls(&past, &past_key), ("certificate", "error"), "has expired", "docs/tls.md"),
        (tls("/no/such.pem", &key), ("certificate", "error"), "/no/such.pem", "tls.certificate"),
        (
            [tls(&certificate, &key), one("LOTMQ_LISTENER_MQTTS_BIND", "192.0.2.1")].concat(),
            ("certificate", "warn"),
            "it is for none of",
            "subjectAltName",
        ),
    ] {
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let found = findings(&command(&data, &variables).output().unwrap());
        assert!(has(&found, finding, message, remedy), "{variables:?}: {}", shown(&found));
    }
    let contradiction = command(&data, &[("LOTMQ_ANONYMOUS", "true")]).arg("--lan").output().unwrap();
    let found = findings(&contradiction);
    assert!(
        has(&found, ("configuration", "error"), "--lan lets nobody in", "the message names"),
        "{}",
        shown(&found)
    );
}

#[test]
fn data_that_others_may_use_a_wrong_clock_and_few_files_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for (name, mode) in [("secret.key", 0o644), ("lotmq.redb", 0o600), ("", 0o755)] {
        let path = data.join(name);
        if !name.is_empty() {
            std::fs::write(&path, "").unwrap();
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let store = std::fs::File::options().write(true).open(data.join("lotmq.redb")).unwrap();
    store.set_modified(SystemTime::now() + Duration::from_secs(7200)).unwrap();
    let limited = format!("ulimit -n 256; exec '{LOTMQ}' doctor --json --data '{}'", data.display());
    let mut shell = Command::new("sh");
    let output = shell
        .args(["-c", &limited])
        .env_clear()
        .env("XDG_CONFIG_HOME", "/dev/null/none")
        .envs(QUIET)
        .output();
    let found = findings(&output.unwrap());
    for (finding, message, remedy) in [
        (("permissions", "warn"), "others may look into the data directory", "chmod 700"),
        (("permissions", "error"), "secret.key (mode 644)", "chmod 600"),
        (("clock", "error"), "behind the last write", "timedatectl"),
        (("open-files", "error"), "at most 256", "LimitNOFILE"),
    ] {
        assert!(has(&found, finding, message, remedy), "{finding:?}: {}", shown(&found));
    }
}

#[test]
fn doctor_works_beside_a_running_broker() {
    let mut broker = options().start();
    let health = broker.listener("health");
    let (ip, health_port) = health.rsplit_once(':').unwrap();
    let port = broker.port();
    let variables = [
        ("LOTMQ_LISTENER_MQTT_PORT", port.as_str()),
        ("LOTMQ_LISTENER_MQTT_BIND", "127.0.0.1"),
        ("LOTMQ_ADMIN_BIND", ip),
        ("LOTMQ_ADMIN_HEALTH_PORT", health_port),
    ];
    let look = |data: &Path| findings(&command(data, &variables).output().unwrap());
    let found = look(broker.data());
    let runs = format!("process {} runs", broker.process_id());
    let open = format!("mqtt at 127.0.0.1:{port}: open");
    for (check, message) in [("broker", &*runs), ("health", "healthy"), ("port", &open)] {
        assert!(has(&found, (check, "ok"), message, ""), "{check}: {}", shown(&found));
    }
    broker.client("undisturbed").disconnect().unwrap();
    broker.stop();
    let found = look(broker.data());
    let free = format!("mqtt at 127.0.0.1:{port}: free");
    for (check, message) in [("broker", "none runs"), ("port", &free)] {
        assert!(has(&found, (check, "ok"), message, ""), "{check}: {}", shown(&found));
    }
}
