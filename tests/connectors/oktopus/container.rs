//! The script of the container: starts a broker from the environment variables of Oktopus' own one.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Output};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lotmq_test_support::{eventually, free_port};

use super::parties::{Adapter, Agent};
use super::{OKTOPUS, put_passwords};
use crate::nats::Server;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/oktopus/entrypoint.sh");

/// The script with these variables, in the shell that the container has.
fn script(data: &Path, variables: &[(&str, &str)]) -> Command {
    let binaries = Path::new(env!("CARGO_BIN_EXE_lotmq")).parent().unwrap().display().to_string();
    let guest = data.with_file_name("oktopus.wasm64");
    std::fs::write(&guest, format!("wasm64:{}", BASE64_STANDARD.encode(OKTOPUS))).unwrap();
    std::fs::create_dir_all(data).unwrap();
    let mut command = Command::new("busybox");
    command.args(["sh", SCRIPT]).env_clear();
    command.env("PATH", format!("{binaries}:/bin:/usr/bin")).env("STATE_DIRECTORY", data);
    command.env("OKTOPUS_GUEST", guest).envs(variables.iter().copied());
    command
}

/// A script that serves; it is told to end when the test is over.
struct Serving(Child);

impl Serving {
    fn end(&mut self) -> bool {
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap().success()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            self.end();
        }
    }
}

#[test]
fn script_of_the_container_serves_by_the_variables_of_the_broker_of_oktopus() {
    let Some(nats) = Server::start("") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mqtt, http) = (free_port(), free_port());
    let url = format!("nats://localhost:{}", nats.port());
    let (mqtt_port, http_port) = (format!(":{mqtt}"), format!("0.0.0.0:{http}"));
    let variables = [
        ("MQTT_PORT", &*mqtt_port),
        ("HTTP_ENABLE", "true"),
        ("HTTP_PORT", &http_port),
        ("AUTH_ENABLE", "1"),
        ("REDIS_ENABLE", "false"),
        ("NATS_URL", &url),
    ];
    let data = folder.path().join("data");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, mqtt));
    // Again with the same data: the module is there already, and so is the password of root.
    for _ in 0..2 {
        let mut serving = Serving(script(&data, &variables).spawn().unwrap());
        put_passwords(&nats, &["d1"]);
        let mut adapter = Adapter::connect(address);
        let mut agent = Agent::connect(address, "d1", "d1");
        adapter.expect_status("d1", "1");
        adapter.request(&mut agent, "hello");
        let health = SocketAddr::from((Ipv4Addr::LOCALHOST, http));
        eventually("it is healthy", || {
            (lotmq_test_support::get(health, "/health").status == 200).then_some(())
        });
        assert!(serving.end(), "SIGTERM ends it, and that is no failure");
    }
}

#[test]
fn script_of_the_container_writes_the_configuration_and_rejects_wrong_variables() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let run = |variables: &[(&str, &str)]| -> Output {
        script(&data, variables).arg("check").output().expect("busybox runs")
    };
    let certificates = folder.path().join("certificates");
    std::fs::create_dir(&certificates).unwrap();
    let authority = certificates.join("ca.pem").display().to_string();
    let checked = run(&[
        ("NATS_URL", "tls://user:pass@nats.example:4223,nats://other:4222"),
        ("SERVER_CA", &authority),
        ("WS_ENABLE", "true"),
        ("MQTT_NO_TLS", "false"),
        ("LOG_LEVEL", "0"),
    ]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let warning = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(warning.contains("of the servers in NATS_URL only the first is used"), "{warning}");
    let written = std::fs::read_to_string(data.join("oktopus.toml")).unwrap();
    for line in [
        "modules = [\"oktopus\", \"builtin\"]".to_owned(),
        "debug = true".to_owned(),
        "[listener.mqtt]\nport = \"off\"".to_owned(),
        "[listener.ws]\nport = 80".to_owned(),
        format!("file_roots = [\"{}\"]", certificates.display()),
    ] {
        assert!(written.contains(&line), "{line}:\n{written}");
    }
    for (variable, value, reason) in [
        ("AUTH_ENABLE", "yes", "error: AUTH_ENABLE is 'yes'; true or false"),
        ("MQTT_PORT", "1883;", "error: MQTT_PORT is '1883;'; a port such as :1883"),
        ("LOG_LEVEL", "7", "error: LOG_LEVEL is '7'"),
        ("MQTT_TLS", "true", "error: MQTT_TLS is on, and FULL_CHAIN_PATH or PRIVATE_KEY_PATH is not set"),
        ("NATS_URL", "http://x", "error: NATS_URL is no URL of NATS"),
        ("WS_ENABLE", "2", "error: WS_ENABLE is '2'"),
    ] {
        let refused = run(&[(variable, value)]);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && told.contains(reason), "{variable}={value}: {told}");
    }
}
