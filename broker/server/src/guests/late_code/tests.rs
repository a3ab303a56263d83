//! A start whose code comes later, or never.

use std::time::{Duration, Instant};

use lotmq_client::{Client, ConnectOptions, QoS};
use lotmq_definitions::{DefinitionKind, State};
use lotmq_store::{Batch, ModuleRow, Op, Store, StoreOptions, TenantId};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::limits::COLD_START_BYTES;
use crate::testing::{PATIENCE, Running, connect, receive};

/// A component of world action.
const ACTION: &[u8] = include_bytes!("../../../../../tests/fuzz/corpus/component/action.wasm");

/// Number of bytes in LEB128, always in four.
fn leb(number: usize) -> [u8; 4] {
    std::array::from_fn(|at| {
        let low = u8::try_from((number >> (7 * at)) & 0x7f).unwrap();
        if at == 3 { low } else { low | 0x80 }
    })
}

fn sized(content: &[u8]) -> Vec<u8> {
    [&leb(content.len()), content].concat()
}

/// Component whose sections can be read, and whose code is not valid: it adds what is not there.
fn invalid() -> Vec<u8> {
    let body = [&[0][..], &vec![0x6a; COLD_START_BYTES], &[0x0b]].concat();
    let code = sized(&[&[1][..], &sized(&body)].concat());
    let module = [b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a", &code[..]].concat();
    [ACTION, &[1], &sized(&module)].concat()
}

fn command(root: &mut Client, command: &str) -> String {
    let command = lotmq_client::Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce);
    root.publish(&command).unwrap();
    receive(root).1
}

#[test]
fn module_that_does_not_compile_behind_the_listeners_is_reported_and_can_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    Running::start_in(dir.path(), "fsync").server.stop();
    let component = invalid();
    let row = ModuleRow {
        tenant: TenantId::DEFAULT,
        name: "broken".into(),
        is_former: false,
        world: "action".into(),
        options: "{\"on\":[\"in\"]}".into(),
        hash: Sha256::digest(&component).into(),
        component_bytes: component.len() as u64,
        owner: "root".into(),
        origin: "command".into(),
        order: 1,
        changed_at_ms: 1,
    };
    let (store, _) = Store::open(StoreOptions::new(dir.path()), Box::new(|_| {})).unwrap();
    let mut batch = Batch::new();
    batch.push(Op::PutModule { row: &row, component: component.into() });
    store.commit(batch).unwrap();
    store.close();

    let running = Running::start_in(dir.path(), "fsync");
    let tenant = running.server.broker.tenants.default_tenant();
    let state = || {
        let registry = tenant.programs().guests.registry.read();
        let definition = registry.get(DefinitionKind::Module, "broken").unwrap();
        (registry.state(definition.id), definition.activity.last_error())
    };
    let deadline = Instant::now() + PATIENCE;
    while state().0 == Some(State::Compiling) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    let deadline = Instant::now() + PATIENCE;
    while state().1.is_none() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((state().0, state().1.unwrap().code), (Some(State::Error), "NOT_RESTORED".into()));
    let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    let info = command(&mut root, "-moduleInfo broken");
    assert!(info.contains("\"state\":\"failed\""), "{info}");
    let enabled = command(&mut root, "-enableModule broken");
    assert!(enabled.contains("\"success\":true") && state().0 == Some(State::Error), "{enabled}");
    let removed = command(&mut root, "-removeModule broken");
    assert!(removed.contains("\"success\":true"), "{removed}");
    running.server.stop();
}

#[test]
fn progress_names_the_first_and_counts_the_others() {
    let names = vec!["a".to_owned(), "b".to_owned()];
    let compiling = |left| Compiling { left, all: 33, names: names.clone() }.to_string();
    assert_eq!(compiling(2), "compiling 2 of 33: a, b");
    assert_eq!(compiling(12), "compiling 12 of 33: a, b and 10 more");
}
