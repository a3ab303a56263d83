//! A process that may open few files: strangers use up what there is for them, and nothing else.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use lotmq_client::{Client, ConnectOptions};
use lotmq_test_support::{BrokerOptions, eventually};

use crate::LOTMQ;

#[test]
fn health_and_administrators_find_descriptors_when_strangers_have_taken_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let limited = folder.path().join("limited");
    std::fs::write(&limited, format!("#!/bin/sh\nulimit -n 90\nexec {LOTMQ} \"$@\"\n")).unwrap();
    std::fs::set_permissions(&limited, std::fs::Permissions::from_mode(0o755)).unwrap();
    let broker = BrokerOptions::new(&limited).start();
    // Some are clients, the others say nothing.
    let mut clients = Vec::new();
    while let Ok(client) =
        Client::connect(broker.address(), &ConnectOptions::new(format!("c{}", clients.len())))
    {
        clients.push(client);
        assert!(clients.len() < 90, "there are no descriptors for so many");
    }
    assert!(clients.len() >= 10, "{}: some there are", clients.len());
    let _silent: Vec<TcpStream> =
        (0..200).filter_map(|_| TcpStream::connect(broker.address()).ok()).collect();
    for _ in 0..20 {
        assert_eq!(broker.http("/health").status, 200);
    }
    // Silent ones may be in front for a moment; they are closed when they do not say who they are.
    eventually("an administrator gets in", || {
        let options = ConnectOptions { clean_start: true, ..ConnectOptions::new("admin") };
        let mut client = Client::connect(broker.address(), &options.user("root", "coreflux")).ok()?;
        client.ping().ok()
    });
    let ended = broker.command("-endSession c0");
    assert!(ended.success(), "{ended:?}");
    let refused = Client::connect(broker.address(), &ConnectOptions::new("one more"));
    let failures = broker.log().text().lines().filter(|line| line.contains("accept failed")).count();
    assert!(failures <= 1, "{failures}");
    drop((clients, refused));
    eventually("there is room again", || {
        Client::connect(broker.address(), &ConnectOptions::new("late")).ok().map(drop)
    });
}
