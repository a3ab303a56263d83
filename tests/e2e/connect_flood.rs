//! Flood of connections that are closed at once: logins at another listener are never refused.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lotmq_test_support::eventually;

use crate::options;

/// Connections that are opened and closed.
const FLOOD: u32 = 3_000;

#[test]
fn flood_of_connects_at_one_listener_refuses_no_login_at_another() {
    let broker = options()
        .variable("LOTMQ_LIMITS_CONNECTIONS", "200")
        .variable("LOTMQ_LISTENER_WS_PORT", "0")
        .variable("LOTMQ_LISTENER_WS_BIND", "127.0.0.1")
        .start();
    let flooded = broker.port_of("ws");
    let connect = || TcpStream::connect(("127.0.0.1", flooded)).unwrap();
    // More than there may be without CONNECT, and they stay.
    let silent: Vec<TcpStream> = (0..60).map(|_| connect()).collect();
    let is_over = AtomicBool::new(false);
    let mut logins = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            (0..FLOOD).for_each(|_| drop(connect()));
            is_over.store(true, Ordering::Relaxed);
        });
        while !is_over.load(Ordering::Relaxed) || logins < 20 {
            // It panics where a login is refused.
            broker.client("login").ping().unwrap();
            logins += 1;
        }
    });
    drop(silent);
    for limit in ["connections", "half_open", "connections_per_sec"] {
        let name = format!("lotmq_limit_reached_total{{limit=\"{limit}\",listener=\"mqtt\"}}");
        assert_eq!(broker.metric(&name).unwrap_or_default(), 0.0, "{limit} after {logins} logins");
    }
    let all = || {
        let refused = |limit| {
            let name = format!("lotmq_limit_reached_total{{limit=\"{limit}\",listener=\"ws\"}}");
            broker.metric(&name).unwrap_or_default()
        };
        let opened = broker.metric("lotmq_connections_opened_total").unwrap_or_default();
        let abandoned = broker.metric("lotmq_connections_abandoned_total").unwrap_or_default();
        opened + abandoned + refused("half_open") + refused("connections")
    };
    eventually("each was accepted, found closed, or refused", || (all() >= f64::from(FLOOD)).then_some(()));
}
