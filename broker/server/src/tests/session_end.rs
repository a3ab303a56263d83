//! Ends of the sessions of a removed user.

use std::sync::{Arc, Barrier};
use std::thread;

use lotmq_client::{Client as Peer, ConnectOptions};

use crate::testing::{PATIENCE, Running, connect};
use lotmq_core::client::session_end::{end_now, end_of_user};
use lotmq_core::durable::changes::ChangeProgress;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::session_key::SessionKey;
use lotmq_core::turn::Turn;
use lotmq_process::this_turn;

const USER: &str = "bob";
/// Those that are connected when their user is removed.
const CONNECTED: usize = 40;

fn lasting(id: &str) -> ConnectOptions {
    ConnectOptions::v5(id).user(USER, "pw").clean_start(false).session_expiry(600)
}

fn key(client_id: &str) -> SessionKey<'_> {
    SessionKey { client_id, user: Some(USER), member: None }
}

/// A broker with the user and the sessions of these identifiers.
fn with_sessions(dir: &std::path::Path, ids: &[String]) -> (Running, Arc<Tenant>, Vec<Peer>) {
    let running = Running::start_in(dir, "os");
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    let credential = tenant.users.hash("pw").unwrap();
    tenant.users.add_user(USER, credential).unwrap();
    let peers = ids.iter().map(|id| connect(running.address(), &lasting(id))).collect();
    (running, tenant, peers)
}

/// Later writes to the store, even those of the next user of the name, are behind the ends.
#[test]
fn the_sessions_of_a_removed_user_are_with_the_store_as_ended_also_connected_ones() {
    let dir = tempfile::tempdir().unwrap();
    let ids: Vec<String> = (0..CONNECTED).map(|number| format!("c{number}")).collect();
    let (running, tenant, mut peers) = with_sessions(dir.path(), &ids);
    let broker = Arc::clone(&running.server.broker);
    let clients: Vec<_> =
        ids.iter().map(|id| tenant.sessions.lock().get(key(id)).cloned().unwrap()).collect();
    this_turn::install(Arc::clone(&broker.hosting.context), None);
    tenant.users.remove_user(USER).unwrap();
    this_turn::with(|turn| end_of_user(&tenant, USER, turn));
    let left: Vec<_> = clients.iter().filter(|client| !client.state.lock().is_over).collect();
    assert!(left.is_empty(), "{} of them end only with their connection", left.len());
    for client in &clients {
        assert_ne!(
            broker.core.turns.progress(client.changed.get(), &*broker.core.log),
            ChangeProgress::InTurn
        );
    }
    this_turn::uninstall();
    for peer in &mut peers {
        let ended = peer.receive(PATIENCE).unwrap_err();
        assert!(ended.to_string().contains("administrative"), "{ended}");
    }
}

/// An end that another thread has begun is not seen among the sessions any more.
#[test]
fn an_end_under_way_on_another_thread_is_waited_for_when_its_user_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (running, tenant, peers) = with_sessions(dir.path(), &["away".to_owned()]);
    let broker = Arc::clone(&running.server.broker);
    let client = tenant.sessions.lock().get(key("away")).cloned().unwrap();
    peers.into_iter().for_each(|peer| peer.disconnect().unwrap());
    while client.state.lock().link.is_some()
        || broker.core.turns.progress(client.changed.get(), &*broker.core.log) != ChangeProgress::OnDisk
    {
        thread::yield_now();
    }
    let begun = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            this_turn::install(Arc::clone(&broker.hosting.context), None);
            this_turn::with(|turn| end_now(&client, turn));
            begun.wait();
            thread::sleep(std::time::Duration::from_millis(100));
            this_turn::with(Turn::flush);
            this_turn::uninstall();
        });
        begun.wait();
        this_turn::install(Arc::clone(&broker.hosting.context), None);
        tenant.users.remove_user(USER).unwrap();
        this_turn::with(|turn| end_of_user(&tenant, USER, turn));
        assert_ne!(
            broker.core.turns.progress(client.changed.get(), &*broker.core.log),
            ChangeProgress::InTurn
        );
        this_turn::uninstall();
    });
}
