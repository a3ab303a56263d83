//! Routes in a running broker: their threads, their drivers and their outboxes.

use std::sync::Arc;

use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_process::this_turn;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::limits::ROUTE_PROBES_MAX as PROBES_MAX;
use lotmq_programs::outboxes::{kept_name, new_queue};
use lotmq_programs::route_drivers::driver::Driver;
use lotmq_programs::routes::Routes;
use lotmq_programs::routes::driver_slot::DriverSlot;
use lotmq_programs::routes::status::Connection;
use parking_lot::Mutex;

use crate::testing::{Running, connect, fill, receive};

#[test]
fn excess_route_probes_wait_and_none_is_lost() {
    const PROBES: usize = 3 * PROBES_MAX;
    let running = Running::start("os");
    let broker = Arc::clone(&running.server.broker);
    let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    let source =
        "-addRoute DEFINE ROUTE R WITH TYPE LOOPBACK\n    ADD EVENT \"e\"\n        WITH SOURCE_TOPIC \"h\"\n";
    root.publish(&Publication::new("$SYS/Coreflux/Command", source).qos(QoS::AtLeastOnce)).unwrap();
    receive(&mut root);
    let tenant = broker.hosting.tenants.default_tenant();
    let route = tenant.programs().guests.route("R").unwrap();
    let routes = Routes::default();
    // A thread that takes nothing.
    let mut orders = routes.open();
    for instance in 0..PROBES {
        routes.drive(&tenant, &route, instance);
    }
    std::thread::scope(|scope| {
        let probing = scope.spawn(|| (0..PROBES).for_each(|_| drop(routes.probe(&tenant, &route))));
        while orders.probes.len() < PROBES_MAX {
            std::thread::yield_now();
        }
        assert!(!probing.is_finished());
        // Nobody who stops the broker waits for it.
        routes.stop();
        let mut taken = 0;
        while orders.probes.blocking_recv().is_some() {
            taken += 1;
        }
        assert!(taken >= PROBES_MAX, "{taken}: what was handed over is there");
    });
    assert_eq!(orders.tasks.len(), PROBES, "who deploys does not wait");
    running.server.stop();
}

#[test]
fn a_route_whose_driver_panicked_says_so() {
    let running = Running::start("os");
    let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    let source =
        "-addRoute DEFINE ROUTE R WITH TYPE LOOPBACK\n    ADD EVENT \"e\"\n        WITH SOURCE_TOPIC \"h\"\n";
    root.publish(&Publication::new("$SYS/Coreflux/Command", source).qos(QoS::AtLeastOnce)).unwrap();
    let reply = receive(&mut root).1;
    assert!(reply.contains("success"), "{reply}");
    root.subscribe_to("$SYS/Coreflux/Routes/R/Error", QoS::AtLeastOnce).unwrap();
    let broker = Arc::clone(&running.server.broker);
    let tenant = broker.hosting.tenants.default_tenant();
    let route = tenant.programs().guests.route("R").unwrap();
    // The route has a driver of its own, which says that it is connected once.
    while route.status().connection() != Connection::Connected {
        std::thread::yield_now();
    }
    this_turn::install(Arc::clone(&broker.hosting.context), None);
    let (hosting, slot) = (Arc::clone(&broker.hosting), DriverSlot::new(&route, 0));
    Driver { hosting, tenant, slot, route: Arc::clone(&route), far: Mutex::default() }.panicked();
    this_turn::uninstall();
    assert_eq!(route.status().connection(), Connection::Reconnecting);
    let record = receive(&mut root).1;
    assert!(record.contains("\"ROUTE_PANIC\""), "{record}");
    running.server.stop();
}

#[test]
fn queues_are_made_while_that_of_the_store_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start_in(dir.path(), "os");
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.default_tenant();
    for kept in ["Line", &kept_name("Line")] {
        fill(&*broker.core.log);
        new_queue(&broker.hosting, &tenant, kept).expect("messages would be lost without");
    }
    running.server.stop();
}
