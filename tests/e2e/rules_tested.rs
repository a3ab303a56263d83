//! `lotmq run` and `lotmq test` ask rules, about whoever the messages come from.

use std::path::Path;

use lotmq_test_support::Program;

use crate::LOTMQ;

fn lotmq(arguments: &[&str]) -> lotmq_test_support::Finished {
    Program::run(LOTMQ, arguments).unwrap()
}

/// The files that docs/lot/testing.md shows about rules.
fn doors(folder: &Path) {
    let page = include_str!("../../docs/lot/testing.md");
    for (language, name) in [("lot", "doors.lot"), ("toml", "doors.test.toml")] {
        let (_, block) = page.split_once(&format!("```{language} {name}\n")).unwrap();
        std::fs::write(folder.join(name), block.split_once("```").unwrap().0).unwrap();
    }
}

#[test]
fn cases_of_the_manual_say_who_may_what() {
    let folder = tempfile::tempdir().unwrap();
    doors(folder.path());
    let path = folder.path().join("doors.test.toml");
    let file = path.to_str().unwrap();
    let run = lotmq(&["test", file]);
    assert!(run.stdout.ends_with("2 passed, 0 failed"), "{}{}", run.stdout, run.stderr);
    // Another group, and it is told who was denied what.
    let cases = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, cases.replace("[\"staff\"]", "[\"guests\"]")).unwrap();
    let run = lotmq(&["test", file]);
    assert_eq!(run.status.code(), Some(1));
    let told = "expected log/1 open, found denied Publish doors/1 to ann as ann";
    assert!(run.stdout.contains(told), "{}", run.stdout);
    assert!(run.stdout.contains("\n        log/1 open\n        doors/1 open to bob\n"), "{}", run.stdout);
}

#[test]
fn impossible_test_cases_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    doors(folder.path());
    let path = folder.path().join("doors.test.toml");
    for (cases, told) in [
        (
            "[[case]]\nname = \"x\"\nwhen = [{ topic = \"$SYS/Coreflux/Command\", payload = \"-help\", username = \"root\" }]\n",
            "`$SYS/Coreflux/Command` is the broker's own, which here has no commands",
        ),
        ("[users.\"a/b\"]\n[[case]]\nname = \"x\"\n", "user a/b: "),
        ("[users.ann]\nrights = 1\n[[case]]\nname = \"x\"\n", "unknown field `rights`"),
        ("[users.ann]\ngroups = [\"\"]\n[[case]]\nname = \"x\"\n", "user ann: "),
        (
            "[[case]]\nname = \"x\"\nwhen = [{ topic = \"x\", payload = 1, client_id = \"\\u0000\" }]\n",
            "client identifier `",
        ),
    ] {
        std::fs::write(&path, cases).unwrap();
        let run = lotmq(&["test", path.to_str().unwrap()]);
        assert_eq!(run.status.code(), Some(1), "{cases}");
        // A mistake of a case costs that case, one of the file all of them.
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains(told), "{cases}: {said}");
    }
    let program = folder.path().join("doors.lot");
    let run = lotmq(&["run", program.to_str().unwrap(), "--group", "staff"]);
    assert_eq!(run.status.code(), Some(2), "{}", run.stderr);
}

#[test]
fn run_asks_about_who_publishes() {
    let folder = tempfile::tempdir().unwrap();
    doors(folder.path());
    let program = folder.path().join("doors.lot");
    let program = program.to_str().unwrap();
    for (who, out, told) in [
        (&["-u", "ann", "--group", "staff"][..], "log/1 open", ""),
        (&["-u", "ann"], "", "denied Publish doors/1 to ann as ann, by rule Keys"),
        (&["-i", "door"], "", "denied Publish doors/1 to anonymous as door, by rule Keys"),
        (&["-u", "root"], "log/1 open", ""),
        (&[], "", "denied Publish doors/1 to anonymous as lotmq-run, by rule Keys"),
    ] {
        let run = lotmq(&[&["run", program, "--in", "doors/1=open"], who].concat());
        assert_eq!((&*run.stdout, &*run.stderr, run.status.code()), (out, told, Some(0)), "{who:?}");
    }
}
