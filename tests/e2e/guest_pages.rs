//! The pages of `docs/sdk` beside the tutorial: each block is run, compiled, or a part of a guest
//! that tests build.

use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lotmq_test_support::Broker;

use crate::guest_tutorial::{compiles_guests, follow, follow_in, page, run};
use crate::lot_pages::{Block, blocks};
use crate::modules::component;
use crate::{LOTMQ, options};

/// Pages whose blocks of commands and files is done in the order of the page, by a test of its own.
const FOLLOWED: [&str; 7] =
    ["tutorial.md", "rules.md", "routes.md", "auth.md", "testing.md", "modules.md", "compatibility.md"];

/// Blocks of output of other tests, each by a part and the test.
const OUTPUT_OF_TESTS: [(&str, &str); 1] = [(
    "SERVER_CA_CERT_PATH: 'certs/plant-ca.pem' cannot be read",
    "a_route_says_why_it_does_not_reach_a_server",
)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The pages, by name.
fn pages() -> Vec<(String, Vec<Block>)> {
    let names = std::fs::read_dir(root().join("docs/sdk")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<_> = names.filter(|name| name.ends_with(".md")).collect();
    pages.sort();
    assert!(pages.len() > 10, "{pages:?}");
    pages.into_iter().map(|name| (name.clone(), blocks(&page(&name)))).collect()
}

/// Texts of the guests that tests build, with the files beside their sources.
fn sources() -> Vec<String> {
    fn collect(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_source =
                path.extension().is_some_and(|end| ["rs", "toml", "lot"].iter().any(|it| end == *it));
            if path.is_dir() && !path.ends_with("target") {
                collect(&path, found);
            } else if is_source {
                found.push(std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["sdk/templates", "sdk/examples", "guests", "tests/guests"] {
        collect(&root().join(folder), &mut found);
    }
    found
}

/// Whether a text has all lines of a block in their order, where `…` stands for lines that are left
/// out.
fn has_part(text: &str, block: &Block) -> bool {
    let mut lines = text.lines().map(str::trim);
    let mut wanted = block.text.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "…");
    wanted.all(|wanted| lines.any(|line| line == wanted))
}

#[test]
fn every_block_of_the_pages_is_looked_at() {
    let (sources, place) = (sources(), tempfile::tempdir().unwrap());
    for (name, blocks) in pages() {
        for block in &blocks {
            let told = format!("{name}:{}", block.line);
            match (block.kind.as_str(), block.file.as_deref()) {
                // Those of other pages would stand there unseen.
                ("sh", _) | (_, Some(_)) => assert!(FOLLOWED.contains(&&*name), "{told}: nobody runs it"),
                ("text", None) if FOLLOWED.contains(&&*name) => {}
                ("text", None) => {
                    let test = OUTPUT_OF_TESTS.iter().find(|(part, _)| block.text.contains(part));
                    assert!(test.is_some(), "{told}: nobody writes it");
                }
                ("json" | "jsonl", None) => {
                    drop(serde_json::from_str::<serde_json::Value>(&block.text).expect(&told))
                }
                ("toml", None) => drop(toml::from_str::<toml::Table>(&block.text).expect(&told)),
                ("lot", None) => {
                    let file = place.path().join("page.lot");
                    std::fs::write(&file, &block.text).unwrap();
                    let checked = Command::new(LOTMQ).arg("check").arg(&file).output().unwrap();
                    assert!(checked.status.success(), "{told}: {}", String::from_utf8_lossy(&checked.stdout));
                }
                // Those below compile or run them.
                ("rust", None) => assert!(
                    sources.iter().any(|source| has_part(source, block)) || world_of(&name, block).is_some(),
                    "{told}: no guest has these lines, and it is no snippet"
                ),
                ("commands", None) => assert!(COMMANDS.contains(&&*name), "{told}: nobody gives them"),
                (other, None) => panic!("{told}: no test looks at blocks of `{other}`"),
            }
        }
    }
}

/// World that a snippet is compiled for; `None` of a page that has none.
fn world_of(page: &str, block: &Block) -> Option<&'static str> {
    match page {
        "network.md" | "serial.md" => Some("route"),
        "modules.md" if block.text.contains("Folder::") => Some("route"),
        "modules.md" | "host.md" | "errors.md" => Some("action"),
        _ => None,
    }
}

/// Code in front of snippets, for things that their pages describe in words.
const BEFORE: &str = r#"
#![allow(unused)]
use std::io::{BufRead as _, Read as _, Write as _};
struct Wrong;
impl<T: std::fmt::Debug> From<T> for Wrong {
    fn from(_: T) -> Self { Self }
}
"#;

const BEFORE_ACTION: &str = r#"
use lotmq_guest::action::*;
fn scale(inputs: &[Argument]) -> Result<Vec<Value>, RunError> { Ok(Vec::new()) }
"#;

const BEFORE_ROUTE: &str = "use lotmq_guest::route::{files::Folder, net::{self, Interest, IoError}};\n";

#[test]
fn snippets_of_the_pages_compile() {
    if !compiles_guests() {
        return;
    }
    let (sources, broker, place) = (sources(), options().start(), tempfile::tempdir().unwrap());
    for (world, before) in [("action", BEFORE_ACTION), ("route", BEFORE_ROUTE)] {
        let mut text = format!("{BEFORE}{before}");
        for (name, blocks) in pages() {
            let snippets = blocks.iter().filter(|block| block.kind == "rust" && block.file.is_none());
            let snippets = snippets.filter(|block| world_of(&name, block) == Some(world));
            for block in snippets.filter(|block| !sources.iter().any(|source| has_part(source, block))) {
                let page = name.replace('.', "_");
                let line = block.line;
                text += &format!(
                    "\nfn {page}_{line}(sensor: &str, degrees: f64) -> Result<(), Wrong> {{\n{}\nOk(())\n}}\n",
                    block.text
                );
            }
        }
        let made = format!("lotmq guest new snippets-{world} -t {world}\ncd snippets-{world}");
        let (_, folder) = run(&broker, place.path(), &made);
        std::fs::write(folder.join("src/lib.rs"), text).unwrap();
        run(&broker, &folder, "cargo add --quiet serde --features derive\ncargo add --quiet serde_json");
        let target = place.path().join("target");
        let check = format!("export CARGO_TARGET_DIR='{}'\ncargo check --quiet --lib", target.display());
        run(&broker, &folder, &check);
    }
}

#[test]
fn the_page_on_logins_does_what_it_says() {
    if compiles_guests() {
        follow(&options().variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true").start(), &page("auth.md"));
    }
}

#[test]
fn the_page_on_compatibility_does_what_it_says() {
    let (broker, place) = (options().start(), tempfile::tempdir().unwrap());
    run(&broker, place.path(), "lotmq guest new old\nrm old/lotmq-guest/Cargo.toml");
    follow_in(&broker, &page("compatibility.md"), (place.path(), place.path()));
    assert!(place.path().join("old/lotmq-guest/Cargo.toml").is_file());
    // Its world is another one than the file says: that is told before anything is built from it.
    if compiles_guests() {
        let toml = place.path().join("old/guest.toml");
        let text = std::fs::read_to_string(&toml).unwrap();
        std::fs::write(&toml, text.replace("\"action\"", "\"rule\"")).unwrap();
        let (told, _) = run(&broker, place.path(), "cd old\nlotmq guest build 2>&1 || true");
        assert!(told.contains("guest.toml: type is rule, and the guest exports world action"), "{told}");
    }
}

/// A far side that takes connections and reads, at a port of this machine.
fn reader() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // It ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut bytes = Vec::new();
            let _ = stream.unwrap().read_to_end(&mut bytes);
        }
    });
    port
}

#[test]
fn the_page_on_testing_does_what_it_says() {
    if !compiles_guests() {
        return;
    }
    let (broker, place) = (options().start(), tempfile::tempdir().unwrap());
    let (_, folder) = run(&broker, place.path(), "lotmq guest new line -t route\ncd line");
    let cases = std::fs::read_to_string(folder.join("cases.test.toml")).unwrap();
    let port = reader().to_string();
    std::fs::write(folder.join("cases.test.toml"), cases.replace("4001", &port)).unwrap();
    // The commands of the page write the recording again.
    let (recorded, comes) =
        (folder.join("line.far.jsonl"), std::fs::read_to_string(folder.join("line.far.jsonl")));
    std::fs::remove_file(&recorded).unwrap();
    follow_in(&broker, &page("testing.md"), (place.path(), &folder));
    assert_eq!(std::fs::read_to_string(&recorded).unwrap(), comes.unwrap());
    let page = blocks(&page("testing.md"));
    let shown = page.iter().find(|block| block.kind == "jsonl").unwrap();
    assert_eq!(shown.text, std::fs::read_to_string(&recorded).unwrap());
    let (played, _) = run(&broker, &folder, "lotmq guest test --no-native");
    assert!(played.contains("2 passed, 0 failed"), "{played}");
    for kind in ["action", "rule", "route", "auth"] {
        let template =
            std::fs::read_to_string(root().join(format!("sdk/templates/{kind}/cases.test.toml"))).unwrap();
        let block = page.iter().find(|block| block.kind == "toml" && has_part(&template, block));
        assert!(block.is_some(), "the cases of {kind}");
    }
}

#[test]
fn the_page_on_modules_does_what_it_says() {
    if !compiles_guests() {
        return;
    }
    let (broker, place) = (options().start(), tempfile::tempdir().unwrap());
    let (_, folder) = run(&broker, place.path(), "lotmq guest new scale\ncd scale\nlotmq guest build");
    std::fs::copy(folder.join("target/scale.wasm"), folder.join("scale.wasm")).unwrap();
    // Another test covers the output of `lotmq guest build` for a configuration that this guest
    // does not have.
    let (before, after) = page("modules.md")
        .split_once("```text\nguest.toml:8")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let (_, after) = after.split_once("```\n").unwrap();
    let (sent, signed) = after.split_once("The first text is a key").unwrap();
    follow_in(&broker, &format!("{before}{sent}"), (place.path(), &folder));
    // As on the page, this broker takes only modules that the key has signed.
    let asked = "openssl pkey -in key.pem -pubout -outform DER | tail -c 32 | base64 -w0";
    assert!(sent.contains(asked));
    let (key, _) = run(&broker, &folder, asked);
    let broker = options()
        .variable("LOTMQ_MODULES_REQUIRE_SIGNATURE", "true")
        .variable("LOTMQ_MODULES_KEYS", &format!("ed25519:{}", key.trim()))
        .start();
    follow_in(&broker, signed, (place.path(), &folder));
    let info = broker.command_ok("-moduleInfo scale");
    assert_eq!(info.data()["signedBy"], format!("ed25519:{}", key.trim()));
}

/// Pages with commands of a broker.
const COMMANDS: [&str; 3] = ["modules.md", "http.md", "serial.md"];

/// The component that a command names.
fn component_of(command: &str) -> &'static [u8] {
    let (name, world) = (command.split(' ').nth(1).unwrap(), command.contains("-world route"));
    match (name, world) {
        ("scale", false) => include_bytes!("../../sdk/examples/action-scale/prebuilt/action-scale.wasm"),
        ("line", true) => include_bytes!("../../sdk/examples/route-echo/prebuilt/route-echo.wasm"),
        ("log", true) => include_bytes!("../../tests/guests/route-files/prebuilt/route-files.wasm"),
        ("post", true) => include_bytes!("../../sdk/examples/route-post/prebuilt/route-post.wasm"),
        ("scale", true) => include_bytes!("../../tests/guests/route-serial/prebuilt/route-serial.wasm"),
        other => panic!("no component of {other:?}"),
    }
}

/// Gives the commands of a block, of which each begins with a hyphen.
fn give(broker: &Broker, block: &Block) {
    let text = format!("\n{}", block.text);
    for command in text.split("\n-").filter(|command| !command.trim().is_empty()) {
        let command = format!("-{}", command.trim_end());
        let name = command.split(' ').nth(1).unwrap_or_default();
        if command.starts_with("-addModule ") {
            broker.command(&format!("-removeModule {name} -force"));
        }
        let command = if command.contains("<base64>") {
            command.replace("<base64>", &component(component_of(&command)))
        } else {
            // The client of the test names each command itself.
            command.replace("1b…77", &"1b".repeat(32)).replace(" -requestId q", "")
        };
        // Nothing is to be reached out there.
        broker.command_ok(&command.replace("10.0.0.7", "127.0.0.1").replace("api.example", "127.0.0.1"));
    }
}

#[test]
fn the_commands_of_the_pages_are_taken() {
    for name in COMMANDS {
        let broker = options().variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true").start();
        let page = blocks(&page(name));
        let given: Vec<_> = page.iter().filter(|block| block.kind == "commands").collect();
        assert!(!given.is_empty(), "{name}");
        given.into_iter().for_each(|block| give(&broker, block));
    }
}

/// A far side that answers each question `7 read` with `7 21.5`, until it is dropped, at a port of
/// this machine.
fn station() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let own = socket.try_clone().unwrap();
    // It ends with the process.
    std::thread::spawn(move || {
        let mut question = [0; 100];
        while let Ok((length, from)) = own.recv_from(&mut question) {
            let answer = String::from_utf8_lossy(&question[..length]).replace("read", "21.5");
            own.send_to(answer.as_bytes(), from).unwrap();
        }
    });
    socket
}

#[test]
fn a_conversation_over_udp_is_recorded_and_played() {
    if !compiles_guests() {
        return;
    }
    let (broker, place) = (options().start(), tempfile::tempdir().unwrap());
    let (_, folder) = run(&broker, place.path(), "lotmq guest new station --example datagrams\ncd station");
    let server = station().local_addr().unwrap();
    let cases = format!(
        "program = \"station.lot\"\n[[case]]\nname = \"recorded\"\nfar = {{ STATION_PORT = {{ udp = true, recorded = \"station.far.jsonl\", server = \"{server}\" }} }}\n\
         when = [{{ topic = \"press\", payload = \"read\" }}, {{ topic = \"press\", payload = \"read\" }}]\n\
         then = [{{ topic = \"answers/press\", payload = \"21.5\" }}, {{ topic = \"answers/press\", payload = \"21.5\" }}]\n"
    );
    std::fs::write(folder.join("cases.test.toml"), cases).unwrap();
    let (told, _) = run(&broker, &folder, "lotmq guest test --no-native --record 2>&1");
    let expected = format!("recorded: station.far.jsonl, what {server} says: sockets: 1, turns: 4");
    assert!(told.contains(&expected) && told.contains("1 passed, 0 failed"), "{told}");
    let file = folder.join("station.far.jsonl");
    let recorded = std::fs::read_to_string(&file).unwrap();
    let turns = [
        "guest\",\"text\":\"1 read",
        "server\",\"text\":\"1 21.5",
        "guest\",\"text\":\"2 read",
        "server\",\"text\":\"2 21.5",
    ];
    let lines: String =
        turns.iter().map(|turn| format!("{{\"connection\":1,\"from\":\"{turn}\"}}\n")).collect();
    assert_eq!(recorded, lines);
    for (file_says, part) in [
        (recorded.clone(), "1 passed, 0 failed"),
        (
            recorded.replace("2 read", "9 read"),
            r#"far.STATION_PORT: expected "9 read", got "2 read" of socket 1"#,
        ),
        (
            format!("{recorded}{}", recorded.lines().next().unwrap()),
            r#"far.STATION_PORT: expected "1 read" of socket 1, which did not come"#,
        ),
    ] {
        std::fs::write(&file, file_says).unwrap();
        let (told, _) = run(&broker, &folder, "lotmq guest test --no-native 2>&1 || true");
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn recorded_conversation_is_replayed_and_differences_are_reported() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let lines = include_bytes!("../../sdk/examples/route-lines/prebuilt/route-lines.wasm");
    std::fs::write(folder.join("lines.wasm"), BASE64_STANDARD.decode(component(lines)).unwrap()).unwrap();
    std::fs::write(
        folder.join("lines.lot"),
        "DEFINE ROUTE Lines WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"lines\"\n    ADD LINE_CONFIG\n        WITH HOST \"127.0.0.1\"\n        \
         WITH PORT GET ENV \"LINE_PORT\"\n    ADD EVENT Out\n        WITH SOURCE_TOPIC \"out/#\"\n        WITH DESTINATION_TOPIC \"lines/in\"\n",
    )
    .unwrap();
    let tested = |payload: &str, brings: u32, recorded: &str| {
        let then = (0..brings).map(|_| "{ topic = \"lines/in\" }").collect::<Vec<_>>().join(", ");
        let cases = format!(
            "[modules]\nlines = \"lines.wasm\"\n[[case]]\nname = \"recorded\"\nfar = {{ LINE_PORT = {{ recorded = \"line.far.jsonl\" }} }}\n\
             when = [{{ topic = \"out/a\", payload = \"{payload}\" }}, {{ run = \"Lines\", for = \"2s\", brings = 1 }}]\nthen = [{then}]\n"
        );
        std::fs::write(folder.join("lines.test.toml"), cases).unwrap();
        std::fs::write(folder.join("line.far.jsonl"), recorded).unwrap();
        let output = Command::new(LOTMQ).args(["test", "lines.lot"]).current_dir(folder).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let (asks, tells) = (
        "{\"connection\":1,\"from\":\"guest\",\"text\":\"ask\\n\"}\n",
        "{\"connection\":1,\"from\":\"server\",\"base64\":\"dG9sZAo=\"}\n",
    );
    let told = tested("ask", 1, &format!("{asks}{tells}"));
    assert!(told.contains("1 passed, 0 failed"), "{told}");
    for (payload, brings, recorded, part) in [
        (
            "mask",
            0,
            format!("{asks}{tells}"),
            r#"far.LINE_PORT: expected "ask\n", got "mask\n" on connection 1"#,
        ),
        ("ask", 0, String::new(), "far.LINE_PORT: got a connection more than the 0 that were recorded"),
        (
            "ask",
            1,
            format!("{asks}{tells}{asks}"),
            r#"far.LINE_PORT: expected "ask\n" on connection 1, got """#,
        ),
        (
            "ask",
            0,
            asks.replace("ask\\n", "as"),
            r#"far.LINE_PORT: got "k\n" behind all that was recorded on connection 1"#,
        ),
        ("ask", 0, "{}".to_owned(), "line.far.jsonl, line 1: missing field `connection`"),
    ] {
        let told = tested(payload, brings, &recorded);
        assert!(told.contains(part), "{part}: {told}");
    }
    std::fs::remove_file(folder.join("line.far.jsonl")).unwrap();
    let output = Command::new(LOTMQ).args(["test", "lines.lot"]).current_dir(folder).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("nothing was recorded yet: lotmq guest test --record does so"), "{told}");
}
