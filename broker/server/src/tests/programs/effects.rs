//! Effects of runs in a running broker.

use std::sync::Arc;

use lotmq_definitions::Owner;
use lotmq_process::this_turn;
use lotmq_programs::effects::{GuestMessage, Sender};

use crate::testing::Running;

#[test]
fn published_bytes_count_for_the_owner_until_they_are_stored() {
    let running = Running::start("os");
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.default_tenant();
    let owner = Owner { name: "ann".into(), account: 1 };
    let share = tenant.shares.of_user(Some(&owner));
    this_turn::install(Arc::clone(&broker.hosting.context), None);
    let publish = |owner: Option<&Owner>| {
        this_turn::with(|turn| {
            let message = GuestMessage { retain: true, ..GuestMessage::new("kept", b"x") };
            assert!(message.publish(turn, &tenant, Sender { owner, origin: None, hops: 0 }).is_ok());
            turn.flush();
            share.fed_bytes()
        })
    };
    assert_eq!(publish(None), 0);
    // It may be stored before one looks.
    assert!((0..100).any(|_| publish(Some(&owner)) > 0));
    this_turn::uninstall();
    while share.fed_bytes() > 0 {
        std::thread::yield_now();
    }
    running.server.stop();
}
