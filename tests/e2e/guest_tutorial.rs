//! The tutorial for guests, `docs/sdk/tutorial.md`, and the pages on rules and on routes: each
//! command is run and each file is written, in the order of the page.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, Lines, eventually, free_address, guests_changed, of_build};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::guest_languages::installed;
use crate::lot_pages::{Block, blocks};
use crate::memcached::Memcached;
use crate::{LOTMQ, options};

/// A command of another terminal, with what it writes.
struct Background {
    child: Child,
    output: Lines,
}

impl Drop for Background {
    fn drop(&mut self) {
        // The shell and what it runs.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// A shell in a folder, whose `lotmq` is the one under test and finds the broker by itself.
fn shell(broker: &Broker, folder: &Path, commands: &str) -> Command {
    let script = format!(
        "lotmq() {{ case \"$1 $2\" in
           'guest deploy'|'guest list'|'guest logs'|'guest rollback') verb=$2; shift 2; '{LOTMQ}' guest $verb -p {port} \"$@\";;
           'cmd '*) shift; '{LOTMQ}' cmd -p {port} \"$@\";;
           'routes '*) shift; '{LOTMQ}' routes -p {port} \"$@\";;
           'pub '*) shift; '{LOTMQ}' pub -p {port} \"$@\";;
           *) '{LOTMQ}' \"$@\";; esac; }}
         {commands}",
        port = broker.port()
    );
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &script]).current_dir(folder).stdin(Stdio::null());
    // All of these tests share one build of the guests' dependencies.
    shell.env("CARGO_BUILD_BUILD_DIR", of_build(Path::new(LOTMQ), "lotmq-test-guests"));
    // The cargo that runs the tests tells its children of itself.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" || name == "CARGO"
        {
            shell.env_remove(name);
        }
    }
    shell
}

/// Runs commands to their end; the answer is what they write, and the folder that they end in.
pub(crate) fn run(broker: &Broker, folder: &Path, commands: &str) -> (String, PathBuf) {
    let ended_in = tempfile::NamedTempFile::new().unwrap();
    let commands = format!("{{ {commands}\npwd > '{}'; }} 2>&1", ended_in.path().display());
    let output = shell(broker, folder, &commands).output().unwrap();
    let written = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{commands}\n{written}{}", String::from_utf8_lossy(&output.stderr));
    (written, std::fs::read_to_string(ended_in.path()).unwrap().trim_end().into())
}

fn start(broker: &Broker, folder: &Path, command: &str) -> Background {
    let mut shell = shell(broker, folder, &format!("exec 2>&1\n{command}"));
    let mut child = shell.stdout(Stdio::piped()).process_group(0).spawn().unwrap();
    let output = Lines::collect(child.stdout.take().unwrap());
    // It is subscribed then.
    output.expect("following");
    Background { child, output }
}

/// Whether a line is what the page says; `…` stands for anything.
fn is_like(line: &str, wanted: &str) -> bool {
    let mut rest = line;
    for (number, part) in wanted.split('…').enumerate() {
        match rest.find(part) {
            Some(at) if at == 0 || number > 0 => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || wanted.ends_with('…')
}

/// Asserts that these lines were written, in this order; others may stand between them.
fn expect_lines(written: &str, block: &Block) {
    let mut lines = written.lines();
    for wanted in block.text.lines() {
        let found = lines.any(|line| is_like(line, wanted));
        assert!(found, "line {}: `{wanted}` is not where it should be in\n{written}", block.line);
    }
}

#[test]
fn the_tutorial_does_what_it_says() {
    if has_cargo() {
        follow(&options().start(), &page("tutorial.md"));
    }
}

#[test]
fn the_page_on_rules_does_what_it_says() {
    if compiles_guests() {
        follow(&options().start(), &page("rules.md"));
    }
}

#[test]
fn the_page_on_routes_does_what_it_says() {
    if !compiles_guests() {
        return;
    }
    let mut cache = Memcached::start_at(free_address());
    let port = cache.address.port().to_string();
    let mut broker = options()
        .variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")
        .variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true")
        .variable("LOTMQ_LOT_DURABLE_TRIGGERS", "true")
        .start();
    let (_place, folder) = follow(&broker, &page("routes.md").replace("11211", &port));
    let refused = shell(&broker, &folder, "lotmq guest test --no-native 2>&1").output().unwrap();
    let told = String::from_utf8_lossy(&refused.stdout);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    let why =
        format!("127.0.0.1:{port}: cases make no connections unless lotmq guest test is told --network");
    // But for the one that was recorded, which needs none.
    assert!(told.contains(&why) && told.contains("1 passed, 2 failed"), "{told}");
    assert_eq!((cache.value("plant/press").as_deref(), cache.keys("plant/no").len()), (Some("21.5"), 0));
    broker.wait_until_metric_is("lotmq_route_dead_letters", 1.0);
    // Either side ends in the midst of work.
    for round in 0..4 {
        let mut sender = broker.client("sender");
        for number in 0..100 {
            let publication = Publication::new(format!("plant/{round}/{number}"), "1");
            sender.publish(&publication.qos(QoS::AtLeastOnce)).unwrap();
        }
        let start = format!("plant/{round}/");
        eventually("the first of a round", || (!cache.keys(&start).is_empty()).then_some(()));
        let mut had = BTreeSet::new();
        if round % 2 == 0 {
            // A cache that ends loses its own keys, and no others.
            let (address, keys) = cache.end();
            had.extend(keys.into_iter().filter(|key| key.starts_with(&start)));
            cache = Memcached::start_at(address);
        } else {
            broker.kill();
            broker.start_again();
        }
        eventually("all of a round", || {
            had.extend(cache.keys(&start));
            (had.len() == 100).then_some(())
        });
    }
}

/// Whether a test that compiles guests runs: an input changed since it passed, and cargo is here.
pub(crate) fn compiles_guests() -> bool {
    guests_changed() && has_cargo()
}

/// Whether there is a cargo; where everything is to be tested there has to be.
fn has_cargo() -> bool {
    let has_it = Command::new("cargo").arg("--version").output().is_ok();
    assert!(has_it || std::env::var_os("LOTMQ_TEST_REQUIRE_ALL").is_none(), "not installed: cargo");
    has_it
}

/// A page of `docs/sdk`.
pub(crate) fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sdk").join(name)).unwrap()
}

/// Does what a page of `docs/sdk` says; the answer is where, and the folder that it ends in.
pub(crate) fn follow(broker: &Broker, page: &str) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let folder = follow_in(broker, page, (place.path(), place.path()));
    (place, folder)
}

/// Does what a page says, from a folder on; guests in other languages are made in `place`. The
/// answer is the folder that it ends in.
pub(crate) fn follow_in(broker: &Broker, page: &str, (place, folder): (&Path, &Path)) -> PathBuf {
    let (mut folder, mut written) = (folder.to_owned(), String::new());
    let mut background = None;
    for block in blocks(page) {
        match (block.kind.as_str(), block.file.as_deref()) {
            // Parts of what is shown elsewhere, and tested there.
            ("rust" | "lot" | "json" | "jsonl" | "toml" | "commands", None) => {}
            ("sh", None) => (written, folder) = run(broker, &folder, &block.text),
            ("sh", Some(language @ ("js" | "python"))) => {
                run_where_its_tools_are(broker, place, (language, &block))
            }
            // The broker of the test is there already.
            ("sh", Some("serve")) => assert!(block.text.ends_with("lotmq serve\n"), "line {}", block.line),
            ("sh", Some("background")) => background = Some(start(broker, &folder, &block.text)),
            ("text", None) => expect_lines(&written, &block),
            ("text", Some("background")) => {
                let background: &Background = background.as_ref().unwrap();
                for wanted in block.text.lines() {
                    let found =
                        background.output.wait_for(wanted, |line| is_like(line, wanted).then_some(()));
                    assert!(found.is_some(), "line {}: `{wanted}`", block.line);
                }
            }
            (_, Some(file)) => std::fs::write(folder.join(file), &block.text).unwrap(),
            (other, None) => panic!("line {}: no test runs blocks of `{other}`", block.line),
        }
    }
    folder
}

/// Runs commands that make a guest in another language beside the one of a page, whose folder they
/// leave; where its tools are not installed nothing of them.
fn run_where_its_tools_are(broker: &Broker, place: &Path, (language, block): (&str, &Block)) {
    let mut commands = block.text.clone();
    match language {
        "js" => {
            let Some(modules) = installed("LOTMQ_TEST_NODE_MODULES") else { return };
            // Node looks for it in the folders above.
            let link = place.join("node_modules");
            if !link.exists() {
                std::os::unix::fs::symlink(modules, link).unwrap();
            }
        }
        _ => {
            let Some(tools) = installed("LOTMQ_TEST_COMPONENTIZE_PY") else { return };
            commands = format!("export PATH='{}':\"$PATH\"\n{commands}", tools.display());
        }
    }
    let left = place.join("left");
    std::fs::create_dir_all(&left).unwrap();
    let (written, _) = run(broker, &left, &commands);
    assert!(written.contains(" passed, 0 failed"), "line {}: {written}", block.line);
}
