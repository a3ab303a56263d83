//! New connections of a broker one of whose shards stands still.

use std::sync::atomic::Ordering;
use std::time::Duration;

use lotmq_client::ConnectOptions;

use crate::testing::{Running, connect, stall, until_silent};
use lotmq_net::shard::Shard;

/// Time by which a shard gets no new connections before its health is bad: 5 s less 2 s.
const AHEAD: Duration = Duration::from_secs(3);

fn connections(shard: &Shard) -> usize {
    shard.home.connections.load(Ordering::Relaxed)
}

#[test]
fn new_connections_go_to_shards_that_answer() {
    let running = Running::start_with(&[("LOTMQ_BROKER_PLACEMENT", "spread")]);
    let net = &running.server.broker.net;
    // Listeners are served by the first one, and there is one for each core.
    let Some(silent) = net.shards.get(1) else { return };
    let go = stall(silent);
    until_silent(&running, "shard 1", AHEAD, true);
    let others = connections(silent);
    let clients: Vec<_> = (0..8)
        .map(|number| connect(running.address(), &ConnectOptions::v5(format!("client-{number}"))))
        .collect();
    assert_eq!((connections(silent), connections(&net.shards[0])), (others, 8));
    drop(clients);
    go.send(()).unwrap();
    running.server.stop();
}

#[test]
fn another_shard_accepts_where_the_first_one_stands_still() {
    let running = Running::start("os");
    let [first, second, ..] = &running.server.broker.net.shards[..] else { return };
    let go = stall(first);
    let clients: Vec<_> = (0..8)
        .map(|number| connect(running.address(), &ConnectOptions::v5(format!("client-{number}"))))
        .collect();
    assert_eq!(connections(second), 8);
    go.send(()).unwrap();
    until_silent(&running, "shard 0", AHEAD, false);
    drop(clients);
    connect(running.address(), &ConnectOptions::v5("late"));
    running.server.stop();
}
