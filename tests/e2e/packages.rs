//! What packages need of the binary: shell completion, manual pages, and what a service manager is told.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use lotmq_test_support::{Program, WAIT_MAX};

use crate::{LOTMQ, options};

/// The commands as `lotmq --help` lists them.
fn commands() -> BTreeSet<String> {
    let help = Program::run(LOTMQ, &["--help"]).unwrap();
    let lines = help.output().lines().skip_while(|line| *line != "Commands:").skip(1);
    // What goes on in a second line is further to the right.
    let rows = lines.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    rows.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn every_command_has_its_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    Program::run(LOTMQ, &["man", pages.to_str().unwrap()]).unwrap().output();
    let text = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap();
    let commands = commands();
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands.iter().filter(|name| *name != "help") {
        let page = text(&format!("lotmq-{command}.1"));
        assert!(page.contains(".TH") && page.contains(".SH OPTIONS"), "{command}:\n{page}");
    }
    assert!(text("lotmq.1").contains("lotmq\\-serve(1)"));
    assert!(text("lotmq-serve.1").contains("\\-\\-secure"));
    assert!(text("lotmq-guest-new.1").contains("lotmq guest new"));
}

/// Types a line into an interactive zsh, with the key that completes behind it, and prints what became of it.
const IN_ZSH: &str = r#"
zmodload zsh/zpty || exit
zpty shell zsh -f -i
zpty -w shell 'PS1=; autoload -Uz compinit; compinit -u -D; source <(lotmq completion zsh); echo re"ady"'
while zpty -r shell line; do [[ $line == *ready* ]] && break; done
zpty -w -n shell $'LINE\t'
sleep 2
zpty -r -t shell line
print -r -- "$line"
zpty -d shell
"#;

#[test]
fn every_command_is_completed_by_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Program::run(LOTMQ, &["completion", shell]).unwrap();
        for command in commands() {
            assert!(script.output().contains(&command), "{shell} does not know {command}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script.output()).unwrap();
        // The shell itself reads it, where it is installed; bash is everywhere.
        match Command::new(shell).arg("-n").arg(file.path()).output() {
            Ok(read) => assert!(read.status.success(), "{shell}: {}", String::from_utf8_lossy(&read.stderr)),
            Err(error) => assert_ne!(shell, "bash", "{error}"),
        }
    }
    let (home, home_of) = (tempfile::tempdir().unwrap(), "XDG_CONFIG_HOME");
    let in_bash = |script: &str| {
        let mut command = Command::new("bash");
        let folder = std::path::Path::new(LOTMQ).parent().unwrap().display().to_string();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
        let script = format!("source <(lotmq completion bash)\n{script}\necho \"${{COMPREPLY[@]}}\"");
        let output = command
            .args(["-c", &script])
            .env("PATH", path)
            .env(home_of, home.path())
            .current_dir(home.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let complete = |words: &str, at: usize| {
        in_bash(&format!(
            "COMP_WORDS=({words}); COMP_CWORD={at}; _lotmq_names lotmq \"${{COMP_WORDS[{at}]}}\" ''"
        ))
    };
    assert_eq!(complete("lotmq cmd -removeUserF", 2), "-removeUserFromGroup");
    in_bash("lotmq context add plant --url mqtt://h; lotmq context add press --url mqtt://i");
    assert_eq!(complete("lotmq sub --context pl", 3), "plant");
    assert_eq!(complete("lotmq context use ''", 3), "plant press");
    let project = home.path().join("press-line");
    std::fs::create_dir(&project).unwrap();
    std::fs::write(project.join("hot.lot"), "DEFINE ACTION Hot\nON TOPIC \"t\" DO\n").unwrap();
    for (words, at, expected) in [
        ("lotmq deploy ''", 2, "press-line"),
        ("lotmq undeploy pr", 2, "press-line"),
        ("lotmq cmd -removeProject ''", 3, "press-line"),
        ("lotmq cmd -removeAction ''", 3, "Hot"),
        ("lotmq watch H", 2, "Hot"),
    ] {
        assert_eq!(complete(words, at), expected, "{words}");
    }
    let in_shell = |shell: &str, arguments: &[&str]| {
        let folder = std::path::Path::new(LOTMQ).parent().unwrap().display().to_string();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
        let mut command = Command::new(shell);
        let output = command.args(arguments).env("PATH", path).env(home_of, home.path()).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // These two are not everywhere.
    for (line, expected) in [
        ("lotmq cmd -removeUserF", "-removeUserFromGroup"),
        ("lotmq sub --context pl", "plant"),
        ("lotmq context use pl", "plant"),
    ] {
        let script = format!("lotmq completion fish | source; complete -C '{line}'");
        if let Some(found) = in_shell("fish", &["--no-config", "-c", &script]) {
            assert!(found.lines().any(|found| found.split('\t').next() == Some(expected)), "{line}: {found}");
        }
        let script = IN_ZSH.replace("LINE", line);
        if let Some(found) = in_shell("zsh", &["-f", "-c", &script]) {
            assert!(found.contains(expected), "{line}: {found}");
        }
    }
    let other = Program::run(LOTMQ, &["completion", "csh"]).unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert!(other.stderr.contains("expected bash, zsh or fish"), "{}", other.stderr);
}

#[test]
fn the_service_manager_is_told_of_readiness_life_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let listener = UnixDatagram::bind(&path).unwrap();
    listener.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let heard = || {
        let mut bytes = [0; 512];
        let length = listener.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let mut broker = options()
        .variable("NOTIFY_SOCKET", path.to_str().unwrap())
        .variable("WATCHDOG_USEC", "30000000")
        .start();
    assert_eq!(heard(), "READY=1\nSTATUS=running\nWATCHDOG_USEC=30000000");
    // Its signs of life begin at once, and go on, as long as the threads are well.
    let mut signs = 0;
    while signs < 2 {
        signs += usize::from(heard().starts_with("WATCHDOG=1"));
    }
    broker.stop();
    while heard() != "STOPPING=1\nSTATUS=stopping" {}
}
