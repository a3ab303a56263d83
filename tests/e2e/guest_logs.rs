//! Log lines of guests that were written before somebody looks: `-listLogLines` and
//! `lotmq guest logs`.

use std::process::Command;

use lotmq_test_support::{Program, eventually};
use serde_json::Value;

use crate::modules::scale;
use crate::{LOTMQ, broker};

#[test]
fn earlier_log_lines_are_printed_before_new_ones() {
    let broker = broker();
    broker.command_ok(&format!("-addModule scale -world action -on raw/# -grantAll wasm64:{}", scale()));
    let port = broker.port();
    for number in 0..3 {
        crate::send(&broker, "raw/a", &format!("hot-{number}"));
    }
    let listed = || {
        let reply = broker.command_ok("-listLogLines module scale");
        let lines = reply.data().as_array().unwrap().clone();
        let text = |line: &Value| line["text"].as_str().unwrap_or_default().to_owned();
        lines.iter().map(text).collect::<Vec<_>>()
    };
    eventually("all lines", || (listed().len() == 3).then_some(()));
    let lines = listed();
    let line = |count: usize| format!("{count} readings could not be read so far");
    assert_eq!(lines, [line(1), line(2), line(3)]);
    let printed = |arguments: &[&str]| {
        let all = [&["guest", "logs", "scale", "-p", port.as_str()][..], arguments].concat();
        let output = Command::new(LOTMQ).args(all).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let said = |text: &str| lines.iter().filter(|line| text.contains(line.as_str())).count();
    assert_eq!(said(&printed(&[])), 3);
    let last = printed(&["--lines", "1"]);
    assert!(said(&last) == 1 && last.contains(&lines[2]), "{last}");
    let mut logs = Program::start(LOTMQ, &["guest", "logs", "scale", "-f", "-p", &port]).unwrap();
    let is_said = |part: &str| {
        let said = logs.stdout.wait_for(part, |line| line.contains(part).then_some(()));
        assert!(said.is_some(), "{part}: {}", logs.stdout.text());
    };
    is_said(&lines[0]);
    is_said(&lines[2]);
    crate::send(&broker, "raw/a", "new");
    is_said(&line(4));
    let shown = logs.stdout.text();
    assert_eq!(shown.matches("could not be read so far").count(), 4, "{shown}");
    logs.kill();
    // The right is that to the topic of the lines.
    broker.command_ok("-addUser clerk pw");
    broker.command_ok("-changeUserSettings clerk AllowedUserManagement true");
    let refused = broker.command_as(("clerk", "pw"), "-listLogLines module scale");
    assert_eq!(refused.code(), "PERMISSION_DENIED");
    broker.command_ok(
        "-addRule DEFINE RULE Clerk WITH PRIORITY 5 FOR SubscribeSys TO TOPIC \"$SYS/Coreflux/Modules/scale/Log\"\n    IF USER IS \"clerk\" THEN\n        ALLOW",
    );
    let done = broker.command_as(("clerk", "pw"), "-listLogLines module scale 1");
    assert_eq!(done.data().as_array().map(Vec::len), Some(1), "{done:?}");
    // Its lines end with the module, and outlive a replacement.
    broker.command_ok(&format!(
        "-addModule scale -world action -on raw/# -grantAll -replace wasm64:{}",
        scale()
    ));
    assert_eq!(listed(), [line(1), line(2), line(3), line(4)]);
    broker.command_ok("-removeModule scale");
    assert_eq!(broker.command("-listLogLines module scale").code(), "NOT_FOUND");
    broker.command_ok(&format!("-addModule scale -world action -on raw/# -grantAll wasm64:{}", scale()));
    assert!(listed().is_empty());
    for (arguments, code) in [
        ("module", "MISSING_ARGUMENT"),
        ("thing x", "ARGUMENT_INVALID"),
        ("module scale -1", "ARGUMENT_INVALID"),
    ] {
        assert_eq!(broker.command(&format!("-listLogLines {arguments}")).code(), code, "{arguments}");
    }
}
