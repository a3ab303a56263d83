//! The guide to TLS: each of its commands is run as it stands, with ports that are free.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use lotmq_test_support::eventually;

use crate::LOTMQ;

const GUIDE: &str = include_str!("../../docs/tls.md");

/// The broker of the guide.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Languages and texts of the blocks, in their order.
fn blocks() -> impl Iterator<Item = (&'static str, &'static str)> {
    GUIDE.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'))
}

/// A command of the guide, with the tools of this build.
fn shell(folder: &Path, ports: [u16; 2], text: &str) -> Command {
    let [plain, tls] = ports.map(|port| port.to_string());
    let text = text.replace("lotmq cmd ", &format!("lotmq cmd -p {plain} ")).replace("8883", &tls);
    let path = Path::new(LOTMQ).parent().unwrap().display();
    let mut command = Command::new("sh");
    command.args(["-euc", &text]).current_dir(folder);
    command.env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap()));
    command.env("XDG_CONFIG_HOME", folder).env("LOTMQ_LISTENER_MQTT_PORT", plain);
    for listener in ["WS", "WSS"] {
        command.env(format!("LOTMQ_LISTENER_{listener}_PORT"), "off");
    }
    command.env("LOTMQ_ADMIN_HEALTH_PORT", "0");
    command
}

fn succeeded(output: &Output, text: &str) -> String {
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}\n{told}");
    told
}

#[test]
fn each_command_of_the_guide_to_tls_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = [0, 1].map(|at: usize| free[at].local_addr().unwrap().port());
    drop(free);
    let log = folder.path().join("log");
    let log_text = || std::fs::read_to_string(&log).unwrap_or_default();
    let mut serving = None;
    let mut ran = 0;
    for (language, text) in blocks() {
        if language == "toml" {
            let text = text.replace("8883", &ports[1].to_string());
            std::fs::write(folder.path().join("lotmq.toml"), text).unwrap();
            continue;
        }
        assert_eq!(language, "sh");
        ran += 1;
        if text.starts_with("lotmq serve") {
            let file = std::fs::File::create(&log).unwrap();
            let mut command = shell(folder.path(), ports, &format!("exec {text}"));
            let child = command.stdout(file.try_clone().unwrap()).stderr(Stdio::from(file)).spawn().unwrap();
            serving = Some(Serving(child));
            eventually("the broker of the guide", || log_text().contains("\nready").then_some(()));
            continue;
        }
        let told = succeeded(&shell(folder.path(), ports, text).output().unwrap(), text);
        if text.contains("config check") {
            assert!(told.contains("lotmq.toml: ok"), "{told}");
        }
        if text.contains("-ext subjectAltName") {
            assert!(told.contains("DNS:broker.plant.example"), "{told}");
        }
    }
    assert_eq!(ran, 7);
    eventually("the new certificate", || log_text().contains("certificate replaced").then_some(()));
    let again = "lotmq pub -h localhost -p 8883 --cafile certs/ca.pem -t plant/test -m hello";
    succeeded(&shell(folder.path(), ports, again).output().unwrap(), again);
    drop(serving);
}
