//! `lotmq store`: what it says of a real broker's data, and a move to another machine.

use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_test_support::{Finished, Program, WAIT_MAX};

use crate::{LOTMQ, options};

fn store(arguments: &[&str], data: &std::path::Path) -> Finished {
    Program::run(LOTMQ, &[&["store"], arguments, &["--data", data.to_str().unwrap()]].concat()).unwrap()
}

#[test]
fn an_exported_store_serves_elsewhere() {
    let place = tempfile::tempdir().unwrap();
    let (data, moved, file) =
        (place.path().join("data"), place.path().join("moved"), place.path().join("all"));
    let mut broker = options().data(&data).start();
    let session = ConnectOptions { clean_start: false, ..ConnectOptions::new("sleeper") };
    let mut sleeper = broker.connect(&session);
    sleeper.subscribe_to("q", QoS::AtLeastOnce).unwrap();
    sleeper.disconnect().unwrap();
    let mut client = broker.client("c");
    for payload in ["1", "2"] {
        client.publish(&Publication::new("q", payload).qos(QoS::AtLeastOnce)).unwrap();
    }
    broker.command_ok("-setEnv SITE=north");
    let in_use = store(&["stats"], &data);
    assert_eq!(in_use.status.code(), Some(1));
    assert!(in_use.stderr.contains(&broker.process_id().to_string()), "{}", in_use.stderr);
    broker.stop();

    let stats = store(&["stats"], &data);
    assert!(stats.output().lines().any(|line| line.starts_with("environment ")), "{}", stats.stdout);
    assert_eq!(store(&["check"], &data).output(), "no damage found");
    assert_eq!(store(&["compact"], &data).status.code(), Some(0));
    let file = file.to_str().unwrap();
    assert_eq!(store(&["export", file], &data).status.code(), Some(0));
    let again = store(&["export", file], &data);
    assert!(again.stderr.contains("cannot make"), "{}", again.stderr);
    assert_eq!(store(&["import", file], &moved).status.code(), Some(0));
    let twice = store(&["import", file], &moved);
    assert!(twice.stderr.contains("exists"), "{}", twice.stderr);

    let broker = options().data(&moved).start();
    assert!(broker.command_ok("-listEnv").data().to_string().contains("north"));
    let mut sleeper = broker.connect(&session);
    let got: Vec<String> = (0..2).map(|_| sleeper.receive(WAIT_MAX).unwrap().unwrap().text()).collect();
    assert_eq!(got, ["1", "2"]);
}

#[test]
fn damage_is_named_and_is_an_exit_code() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    assert_eq!(store(&["check"], &data).status.code(), Some(1));
    options().data(&data).start().stop();
    let file = data.join("lotmq.redb");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let checked = store(&["check"], &data);
    assert_eq!(checked.status.code(), Some(1));
    assert!(checked.stderr.contains("corrupted"), "{}", checked.stderr);
}
