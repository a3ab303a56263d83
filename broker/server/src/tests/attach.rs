//! Sessions that are taken over and ended beside the turns of other threads.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lotmq_changes::Op;
use lotmq_client::{ConnectOptions, QoS, ReasonCode};

use crate::testing::{PATIENCE, Running, connect};
use lotmq_core::durable::changes::ChangeProgress;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::tenant::session_key::SessionKey;
use lotmq_core::turn::Turn;
use lotmq_core::turn::session_row::row;
use lotmq_process::this_turn;

/// That of a Client without a name.
const S: SessionKey<'_> = SessionKey { client_id: "s", user: None, member: None };

fn lasting() -> ConnectOptions {
    ConnectOptions::v5("s").clean_start(false).session_expiry(600)
}

/// The session "s" of the default tenant.
fn session(running: &Running) -> (Arc<Tenant>, Arc<Client>) {
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    let client = tenant.sessions.lock().get(S).cloned().unwrap();
    (tenant, client)
}

#[test]
fn session_takeover_waits_for_unflushed_changes_of_another_thread() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start_in(dir.path(), "os");
    let address = running.address();
    let mut first = connect(address, &lasting());
    first.subscribe_to("kept", QoS::AtLeastOnce).unwrap();
    let (tenant, client) = session(&running);
    this_turn::install(Arc::clone(&running.server.broker.hosting.context), None);
    // A subscription that this thread has not handed to the store.
    this_turn::with(|turn| {
        let mut state = client.state.lock();
        turn.changes(&client);
        let options = state.subscriptions.get("kept").unwrap();
        state.subscriptions.insert("late", options);
        tenant.subscribe(&client, "late", options);
        turn.batch.push(Op::PutSubscription(&client.subscription_row("late", options)));
    });
    let second = thread::spawn(move || {
        let mut second = connect(address, &lasting());
        assert!(second.session_present());
        second.unsubscribe(&["late"]).unwrap()
    });
    // The connection that has the session is closed meanwhile.
    first.receive(PATIENCE).unwrap_err();
    thread::sleep(Duration::from_millis(200));
    assert!(!second.is_finished(), "it would overtake");
    this_turn::with(Turn::flush);
    assert_eq!(second.join().unwrap(), [ReasonCode::Success]);
    this_turn::uninstall();
    drop((tenant, client));
    running.server.stop();
    let running = Running::start_in(dir.path(), "os");
    let (_, client) = session(&running);
    let state = client.state.lock();
    assert!(state.subscriptions.contains("kept"));
    assert!(!state.subscriptions.contains("late"), "the removal is behind the subscription");
}

#[test]
fn session_ended_during_a_turn_of_another_thread_stays_ended() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start_in(dir.path(), "os");
    let first = connect(running.address(), &lasting());
    let (tenant, client) = session(&running);
    first.disconnect().unwrap();
    let broker = Arc::clone(&running.server.broker);
    let is_away = || client.state.lock().left_at.get().is_some();
    while !is_away()
        || broker.core.turns.progress(client.changed.get(), &*broker.core.log) != ChangeProgress::OnDisk
    {
        thread::yield_now();
    }
    let (marked, may_flush) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            this_turn::install(Arc::clone(&broker.hosting.context), None);
            // Its row, as at the end of a connection.
            this_turn::with(|turn| {
                let state = client.state.lock();
                turn.changes(&client);
                turn.batch.push(Op::PutSession(&row(&client, &state)));
            });
            marked.wait();
            may_flush.wait();
            thread::sleep(Duration::from_millis(100));
            this_turn::with(Turn::flush);
            this_turn::uninstall();
        });
        marked.wait();
        this_turn::install(Arc::clone(&broker.hosting.context), None);
        may_flush.wait();
        this_turn::with(|turn| {
            lotmq_core::client::session_end::end_now(&client, turn);
            turn.flush();
        });
        this_turn::uninstall();
    });
    drop((tenant, client, broker));
    running.server.stop();
    let running = Running::start_in(dir.path(), "os");
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    assert!(tenant.sessions.lock().get(S).is_none(), "it was there again after a restart");
}
