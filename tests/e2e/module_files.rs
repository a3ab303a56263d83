//! Files of modules of world `route`: in the folder that their route names, below what the operator
//! allows, as far as they were granted.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, QoS};
use lotmq_test_support::{Broker, BrokerOptions};

use crate::module_routes::Standing;
use crate::{next, options, send};

/// A guest that has a command for each message: what to do with files.
const FILES: &[u8] = include_bytes!("../../tests/guests/route-files/prebuilt/route-files.wasm");

fn with_files() -> BrokerOptions {
    options().variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")
}

fn below(roots: &Path) -> BrokerOptions {
    with_files().variable("LOTMQ_ROUTES_FILE_ROOTS", &roots.display().to_string())
}

fn module(options: &str) -> String {
    format!("-addModule files -world route {options} wasm64:{}", STANDARD.encode(FILES))
}

/// Returns a route of the module with the folder `log` at a path. Work done before a kill does not
/// come once more.
fn route(storage: &str) -> String {
    format!(
        "-addRoute DEFINE ROUTE Line WITH TYPE WASM\n    ADD ROUTE_CONFIG\n        WITH BUFFER_MODE memory\n    ADD WASM_CONFIG\n        WITH MODULE \"files\"\n    ADD LOG_CONFIG\n        WITH STORAGE_DIR \"{storage}\"\n    \
         ADD EVENT Do\n        WITH SOURCE_TOPIC \"do/#\"\n        WITH DESTINATION_TOPIC \"files/said\"\n"
    )
}

/// A client that gives commands and hears what came of them.
struct Hearer<'a>(&'a Broker, Client);

impl Hearer<'_> {
    fn of(broker: &Broker) -> Hearer<'_> {
        let mut client = broker.client("hearer");
        client.subscribe_to("files/said", QoS::AtLeastOnce).unwrap();
        Hearer(broker, client)
    }

    #[track_caller]
    fn hears(&mut self, command: &str, expected: &str) {
        send(self.0, "do/it", command);
        assert_eq!(next(&mut self.1), format!("files/said={expected}"), "{command}");
    }

    /// Gives a command until this comes of it: the version of the module before may have had the
    /// first.
    fn hears_at_last(&mut self, command: &str, expected: &str) {
        let expected = format!("files/said={expected}");
        for _ in 0..1_000 {
            send(self.0, "do/it", command);
            if next(&mut self.1) == expected {
                return;
            }
        }
        panic!("{command} never said {expected}");
    }
}

#[test]
fn a_module_works_with_files_in_the_folder_of_its_route_alone() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fs::create_dir_all(root.join("beside")).unwrap();
    fs::write(place.path().join("secret"), "secret").unwrap();
    let mut broker = below(&root).start();
    broker.command_ok(&module("-grantAll"));
    broker.command_ok(&route("logs"));
    let mut hearer = Hearer::of(&broker);
    hearer.hears("create log a hello", "done");
    hearer.hears("append log a  world", "done");
    hearer.hears("read log a", "hello world");
    hearer.hears("make-folder log f", "done");
    hearer.hears("rename log a f/b", "done");
    hearer.hears("list log", "f/");
    hearer.hears("append log c x", "done");
    hearer.hears("remove log c", "done");
    hearer.hears("read log c", "FileError::NotFound");
    assert_eq!(fs::read(root.join("logs/f/b")).unwrap(), b"hello world");

    let no_path = "FileError::Denied(\"that is no path of a file in the folder\")";
    for path in ["../beside/x", "..", "f/../../beside/x", "/etc/passwd", "./f/b"] {
        hearer.hears(&format!("read log {path}"), no_path);
        hearer.hears(&format!("write log {path} x"), no_path);
    }
    symlink(place.path().join("secret"), root.join("logs/secret")).unwrap();
    symlink("../beside", root.join("logs/beside")).unwrap();
    let out = "FileError::Denied(\"the path leads out of the folder\")";
    for command in ["read log secret", "write log secret x", "write log beside/x x", "list log beside"] {
        hearer.hears(command, out);
    }
    hearer.hears("rename log f/b beside/b", out);
    assert_eq!(fs::read(place.path().join("secret")).unwrap(), b"secret");
    assert_eq!(fs::read_dir(root.join("beside")).unwrap().count(), 0);

    hearer.hears("append-and-sync log kept for good", "done");
    drop(hearer);
    broker.kill();
    assert_eq!(fs::read(root.join("logs/kept")).unwrap(), b"for good");
    broker.start_again();
    Hearer::of(&broker).hears("read log kept", "for good");
}

#[test]
fn a_module_has_of_a_folder_what_it_was_granted() {
    let root = tempfile::tempdir().unwrap();
    let broker = below(root.path()).start();
    broker.command_ok(&route("logs/a"));
    let mut standing = Standing::of(&broker);
    let topics = "-topics do/#,files/said";
    broker.command_ok(&module(topics));
    standing.says("LOG_CONFIG: module 'files' was not granted file-read:logs/a or file-write:logs/a");
    broker.command_ok(&module(&format!("-replace -grant file-read:other -grant file-read:logs {topics}")));
    let mut hearer = Hearer::of(&broker);
    hearer.hears("create log x y", "FileError::Denied(\"writing in folder 'log' was not granted\")");
    hearer.hears("read log x", "FileError::NotFound");
    broker.command_ok(&module(&format!("-replace -grant file-write:logs/a {topics}")));
    hearer.hears_at_last("write log x y", "done");
    hearer.hears("read log x", "FileError::Denied(\"reading in folder 'log' was not granted\")");
    hearer.hears("read other x", "FileError::Denied(\"there is no folder 'other'\")");
    assert_eq!(fs::read(root.path().join("logs/a/x")).unwrap(), b"y");
}

#[test]
fn folders_are_below_what_the_operator_allows() {
    let place = tempfile::tempdir().unwrap();
    let inner = place.path().join("root");
    fs::create_dir(&inner).unwrap();
    let broker = below(&inner).start();
    broker.command_ok(&module("-grantAll -grant file-write:*"));
    let mut standing = Standing::of(&broker);
    for (storage, reason) in [
        ("/etc", "LOG_CONFIG: STORAGE_DIR is '/etc', which is below none of routes.file_roots"),
        ("../x", "LOG_CONFIG: STORAGE_DIR is '../x', which is not a path below a folder"),
    ] {
        broker.command(&route(storage));
        standing.says(reason);
        broker.command_ok("-removeRoute Line");
    }
    broker.command_ok(&route(&inner.join("x").display().to_string()));
    Hearer::of(&broker).hears("create log a b", "done");
    assert_eq!(fs::read(inner.join("x/a")).unwrap(), b"b");

    // Without roots there is a folder for each tenant, and nothing of the data directory is a root.
    let broker = with_files().start();
    broker.command_ok(&module("-grantAll"));
    broker.command_ok(&route("logs"));
    Hearer::of(&broker).hears("create log a b", "done");
    assert_eq!(fs::read(broker.data().join("files/default/logs/a")).unwrap(), b"b");
    let data = tempfile::tempdir().unwrap();
    let broker = below(data.path()).data(&data.path().join("data")).start();
    broker.command_ok(&module("-grantAll"));
    broker.command_ok(&route("logs"));
    Standing::of(&broker).says("is the data directory, in it, or around it");
}
