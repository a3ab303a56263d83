//! Files of routes: a real guest in a real folder.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

use lotmq_host::fiber::RouteFolder;
use lotmq_host::route::{RouteGuest, RouteInstance, RouteSpec};
use lotmq_host::{ComponentSource, Grants, GuestId, GuestLimits};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::routes::Taker;
use crate::support::engine;

/// The guest `route-files`.
const FILES: &[u8] = include_bytes!("../../../../tests/guests/route-files/prebuilt/route-files.wasm");

/// An instance whose folder `log` is `logs` of a root.
struct Guest {
    root: TempDir,
    instance: RouteInstance,
}

impl Guest {
    async fn with((may_read, may_write): (bool, bool)) -> Guest {
        let root = tempfile::tempdir().unwrap();
        let folder = RouteFolder {
            account: 0,
            named: "logs".to_owned(),
            root: root.path().to_owned(),
            below: "logs".to_owned(),
            may_read,
            may_write,
            reserve_bytes: 0,
        };
        let instance = instance(folder).await;
        Guest { root, instance }
    }

    async fn does(&mut self, command: &str) -> String {
        self.answers("do", command).await
    }

    async fn answers(&mut self, operation: &str, body: &str) -> String {
        let answer = self.instance.request(operation, body.as_bytes()).await.unwrap().unwrap();
        String::from_utf8(answer).unwrap()
    }
}

async fn instance(folder: RouteFolder) -> RouteInstance {
    let guest = RouteGuest::compile(engine(), FILES, ComponentSource::Upload).unwrap();
    let (arrivals, _receiver) = mpsc::unbounded_channel();
    let spec = RouteSpec {
        id: GuestId(1),
        services: Arc::new(Taker::new(Vec::new(), arrivals)),
        grants: Arc::new(Grants::default()),
        endpoints: Arc::default(),
        folders: Arc::new(HashMap::from([("log".to_owned(), folder)])),
        serial_lines: Arc::default(),
        limits: GuestLimits::default(),
    };
    guest.instance(spec).await.unwrap()
}

#[tokio::test]
async fn a_guest_works_with_files() {
    let mut guest = Guest::with((true, true)).await;
    for (command, expected) in [
        ("list log", ""),
        ("create log a hello", "done"),
        ("create log a hello", "FileError::Exists"),
        ("append log a  world", "done"),
        ("read log a", "hello world"),
        ("write log a J", "done"),
        ("read log a", "Jello world"),
        ("cut log a 5", "done"),
        ("length log a", "5"),
        ("make-folder log f", "done"),
        ("rename log a f/b", "done"),
        ("list log", "f/"),
        ("list log f", "b"),
        ("remove log f", "FileError::NotEmpty"),
        ("fill log f/c 200000", "done"),
        ("length log f/c", "200000"),
        ("remove log f/c", "done"),
        ("remove log f/b", "done"),
        ("remove log f", "done"),
        ("read log a", "FileError::NotFound"),
        ("append-and-sync log a kept", "done"),
        ("read other a", "FileError::Denied(\"there is no folder 'other'\")"),
        ("read log ../a", "FileError::Denied(\"that is no path of a file in the folder\")"),
    ] {
        assert_eq!(guest.does(command).await, expected, "{command}");
    }
    assert_eq!(fs::read(guest.root.path().join("logs/a")).unwrap(), b"kept");
    for name in 0..600 {
        fs::write(guest.root.path().join(format!("logs/{name}")), "").unwrap();
    }
    assert_eq!(guest.does("list log").await.split(' ').count(), 601, "in several parts");
    all_are_closed(&guest.root);
}

#[tokio::test]
async fn reading_and_writing_are_granted_apart() {
    let denied = |what: &str| format!("FileError::Denied(\"{what} in folder 'log' was not granted\")");
    let mut reader = Guest::with((true, false)).await;
    assert_eq!(reader.does("read log a").await, "FileError::NotFound", "nobody has made the folder");
    assert!(!reader.root.path().join("logs").exists());
    fs::create_dir(reader.root.path().join("logs")).unwrap();
    fs::write(reader.root.path().join("logs/a"), "there").unwrap();
    assert_eq!(reader.does("read log a").await, "there");
    for command in ["write log a x", "create log b x", "append log a x", "cut log a 0", "rename log a b"] {
        assert_eq!(reader.does(command).await, denied("writing"), "{command}");
    }
    for command in ["remove log a", "make-folder log f"] {
        assert_eq!(reader.does(command).await, denied("writing"), "{command}");
    }
    let mut writer = Guest::with((false, true)).await;
    assert_eq!(writer.does("append log a x").await, "done");
    for command in ["read log a", "list log", "length log a"] {
        assert_eq!(writer.does(command).await, denied("reading"), "{command}");
    }
    assert_eq!(fs::read(writer.root.path().join("logs/a")).unwrap(), b"x");
}

#[tokio::test]
async fn open_files_are_bounded_and_closed() {
    let mut guest = Guest::with((true, true)).await;
    guest.does("make-folder log f").await;
    for _ in 0..3 {
        assert_eq!(guest.answers("open all", "").await, "16 16 FileError::LimitReached");
        all_are_closed(&guest.root);
    }
    // A trap in the middle takes them all with it.
    assert!(guest.instance.request("open all and trap", b"").await.is_err());
    let Guest { root, instance } = guest;
    drop(instance);
    all_are_closed(&root);
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_nothing_open() {
    for patience in 0..50 {
        let mut guest = Guest::with((true, true)).await;
        let given_up = async {
            for _ in 0..patience {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = guest.instance.request("open all", b"") => {}
            () = given_up => {}
        }
        let Guest { root, instance } = guest;
        drop(instance);
        all_are_closed(&root);
    }
}

/// Waits until this process has no file open below a folder: they are closed by another thread.
fn all_are_closed(root: &TempDir) {
    let is_below = |target: &std::path::PathBuf| target.starts_with(root.path());
    for _ in 0..1_000 {
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        if !open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| is_below(&target)) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("files stay behind");
}
