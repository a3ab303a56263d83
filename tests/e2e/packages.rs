//! Parts of the binary for packages: shell completion, manual pages, and messages to a service
//! manager.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use lotmq_test_support::{Program, WAIT_MAX};

use crate::{LOTMQ, options};

/// The commands as `lotmq --help` lists them.
fn commands() -> BTreeSet<String> {
    let help = Program::run(LOTMQ, &["--help"]).unwrap();
    let lines = help.output().lines().skip_while(|line| *line != "Commands:").skip(1);
    // Further lines of a row are indented more.
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

/// Types lines into an interactive shell, each with the key that completes behind it, and prints
/// those that did not become what is expected.
const IN_A_TERMINAL: &str = r#"
zmodload zsh/zpty || exit
case $1 in
    zsh)
        zpty -b shell zsh -f -i
        zpty -w shell 'PS1=; autoload -Uz compinit; compinit -u -D; source <(lotmq completion zsh); echo re"ady"' ;;
    bash)
        # It shows nothing of what is typed where the terminal does not echo.
        zpty -b -e shell bash --norc -i
        zpty -w shell 'PS1=; source <(lotmq completion bash); echo re"ady"' ;;
esac
until_seen() {
    local round=0 more
    seen=
    until [[ $seen == *$1* ]] || (( round > 600 )); do
        zpty -r shell more && seen+=$more || { sleep 0.05; (( round++ )) }
    done
    [[ $seen == *$1* ]]
}
until_seen ready
shift
while (( $# )); do
    zpty -w -n shell $1$'\t'
    until_seen $2 || print -r -- "$1: $seen"
    # What was typed is thrown away.
    zpty -w shell $'\x15echo en"d"'
    until_seen end
    shift 2
done
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
    let other = Program::run(LOTMQ, &["completion", "csh"]).unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert!(other.stderr.contains("[possible values: bash, zsh, fish]"), "{}", other.stderr);
}

/// A line up to the key that completes, and what has to be in what it becomes.
const COMPLETED: [(&str, &str); 14] = [
    ("lotmq undep", "undeploy"),
    ("lotmq cmd -removeUserF", "-removeUserFromGroup"),
    ("lotmq cmd -removeAction H", "Hot"),
    ("lotmq cmd -p 1 -removeProject p", "press-line"),
    ("lotmq sub --context pl", "plant"),
    ("lotmq sub --context=pl", "plant"),
    ("lotmq context use pl", "plant"),
    ("lotmq undeploy pr", "press-line"),
    ("lotmq rollback pr", "press-line"),
    ("lotmq deploy pr", "press-line/"),
    ("lotmq watch H", "Hot"),
    ("lotmq check press-line/h", "hot.lot"),
    ("lotmq serve --config press-line/h", "hot.lot"),
    ("lotmq completion z", "zsh"),
];

#[test]
fn names_and_files_are_completed_as_they_are_typed() {
    let home = tempfile::tempdir().unwrap();
    let project = home.path().join("press-line");
    std::fs::create_dir(&project).unwrap();
    std::fs::write(project.join("hot.lot"), "DEFINE ACTION Hot\nON TOPIC \"t\" DO\n").unwrap();
    let path = Path::new(LOTMQ).parent().unwrap().display().to_string();
    let path = format!("{path}:{}", std::env::var("PATH").unwrap());
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).env("PATH", &path).env("TERM", "dumb").env("HOME", home.path());
        command.env("XDG_CONFIG_HOME", home.path()).current_dir(home.path());
        let required = std::env::var_os("LOTMQ_TEST_REQUIRE_ALL").is_some();
        match command.output() {
            Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
            Err(error) => {
                assert!(!required, "{program}: {error}");
                None
            }
        }
    };
    for name in ["plant", "press"] {
        run(LOTMQ, &["context", "add", name, "--url", "mqtt://h"]).unwrap();
    }
    let lines: Vec<&str> = COMPLETED.iter().flat_map(|(line, expected)| [*line, *expected]).collect();
    for shell in ["zsh", "bash"] {
        let script = ["-f", "-c", IN_A_TERMINAL, "test", shell];
        if let Some(wrong) = run("zsh", &[&script[..], &lines].concat()) {
            assert_eq!(wrong, "", "{shell}");
        }
    }
    for (line, expected) in COMPLETED {
        let script = format!("lotmq completion fish | source; complete -C '{line}'");
        if let Some(found) = run("fish", &["--no-config", "-c", &script]) {
            let names = found.lines().map(|found| found.split('\t').next().unwrap_or_default());
            // Behind `=`, the whole word.
            assert!(names.into_iter().any(|found| found.ends_with(expected)), "{line}: {found}");
        }
    }
    // If nothing is typed yet, the completion shows the verbs, but no options.
    let typed = "COMP_WORDS=(lotmq cmd ''); COMP_CWORD=2; _lotmq_names; echo \"${COMPREPLY[0]}\"; \
                 COMP_WORDS=(lotmq check ''); _lotmq_names; echo \"${#COMPREPLY[@]}\"";
    let told = run("bash", &["-c", &format!("source <(lotmq completion bash); {typed}")]).unwrap();
    assert!(told.starts_with('-') && told.ends_with("\n0\n"), "{told}");
    let script = "lotmq completion fish | source; complete -C 'lotmq cmd '";
    if let Some(found) = run("fish", &["--no-config", "-c", script]) {
        assert!(found.lines().any(|found| found == "-removeAction"), "{found}");
    }
}

#[test]
fn broker_notifies_systemd_of_readiness_watchdog_and_stop() {
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
