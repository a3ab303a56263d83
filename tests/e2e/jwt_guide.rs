//! The page on logins by token: each of its commands is run as it stands, with ports that are free.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use lotmq_test_support::eventually;

use crate::LOTMQ;

const GUIDE: &str = include_str!("../../docs/jwt.md");

/// The broker of the page.
struct ServingTokens(Child);

impl Drop for ServingTokens {
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

/// A command of the page, with the tools of this build.
fn shell(folder: &Path, port: u16, text: &str) -> Command {
    let path = Path::new(LOTMQ).parent().unwrap().display();
    let mut command = Command::new("sh");
    command.args(["-euc", &text.replace("-h localhost", &format!("-h localhost -p {port}"))]);
    command.current_dir(folder).env("XDG_CONFIG_HOME", folder);
    command.env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap()));
    command.env("LOTMQ_LISTENER_MQTT_PORT", port.to_string()).env("LOTMQ_LISTENER_WS_PORT", "off");
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
fn each_command_of_the_page_on_tokens_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = folder.path().join("log");
    let log_text = || std::fs::read_to_string(&log).unwrap_or_default();
    let config = blocks().find(|(language, _)| *language == "toml").unwrap().1;
    std::fs::write(folder.path().join("lotmq.toml"), config).unwrap();
    let mut serving = None;
    let mut publish = "";
    for (_, text) in blocks().filter(|(language, _)| *language == "sh") {
        if text.starts_with("lotmq serve") {
            let file = std::fs::File::create(&log).unwrap();
            let mut command = shell(folder.path(), port, &format!("exec {text}"));
            let child = command.stdout(file.try_clone().unwrap()).stderr(Stdio::from(file)).spawn().unwrap();
            serving = Some(ServingTokens(child));
            eventually("the broker of the page", || log_text().contains("\nready").then_some(()));
            continue;
        }
        let told = succeeded(&shell(folder.path(), port, text).output().unwrap(), text);
        if text.contains("config check") {
            assert!(told.contains("lotmq.toml: ok"), "{told}");
        }
        publish = text;
    }
    assert!(publish.contains("--password-file token"), "{publish}");
    // A token that was changed is refused, and the log says why.
    let path = folder.path().join("token");
    let token = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, token.replacen('.', ".eyJzdWIiOiJldmUi", 1)).unwrap();
    let refused = shell(folder.path(), port, publish).output().unwrap();
    assert!(!refused.status.success());
    eventually("the reason", || log_text().contains("the signature is wrong").then_some(()));
    drop(serving);
}
