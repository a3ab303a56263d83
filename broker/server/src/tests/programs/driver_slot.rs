//! Seats of a route whose driver is the test.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_config::Routes as Defaults;
use lotmq_host::OwnedMessage;

use crate::testing::{Running, connect, receive};
use jiff::Timestamp;
use lotmq_process::this_turn;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::policies::Policies;
use lotmq_programs::routes::RouteRunner;
use lotmq_programs::routes::batch::PostBatch;
use lotmq_programs::routes::driver_slot::{DriverSlot, Work};
use lotmq_programs::routes::mailbox::Addressee;
use lotmq_programs::routes::mailbox::PutBack;
use lotmq_programs::routes::pause::Pause;
use lotmq_programs::routes::status::Connection;
use lotmq_programs::routes::version::Version;
use lotmq_programs::skipping;

/// A version of a route with so many instances, of a broker that drives another one.
fn version(running: &Running, instances: usize) -> Version {
    let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    let source = format!(
        "-addRoute DEFINE ROUTE R WITH TYPE LOOPBACK\n    ADD ROUTE_CONFIG\n        WITH INSTANCES {instances}\n    ADD EVENT E\n        WITH SOURCE_TOPIC \"h/#\"\n"
    );
    root.publish(&Publication::new("$SYS/Coreflux/Command", source).qos(QoS::AtLeastOnce)).unwrap();
    let reply = receive(&mut root).1;
    assert!(reply.contains("success"), "{reply}");
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    let version = tenant.programs().guests.route("R").unwrap().version();
    Version::new(
        Arc::clone(&version.definition),
        version.code.clone(),
        (&Defaults::default(), false),
        &Policies::default(),
    )
}

/// A route that nobody drives.
fn route(running: &Running, instances: usize) -> Arc<RouteRunner> {
    Arc::new(RouteRunner::new(
        version(running, instances),
        Timestamp::UNIX_EPOCH,
        (Arc::clone(&running.server.broker.hosting.core.ids), Arc::clone(&running.server.broker.core.clock)),
        false,
    ))
}

fn post(route: &RouteRunner, topic: &str) {
    let message = Arc::new(OwnedMessage::new(topic, b"x".to_vec()));
    route.post(Addressee::Event("E".into()), message, 0).unwrap();
}

/// Returns the current work of a seat, if any.
fn work(slot: &DriverSlot) -> Option<Work> {
    let (number, _) = slot.current().unwrap();
    match pin!(slot.next_work(number)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(work) => work,
        Poll::Pending => None,
    }
}

/// Topics of the batch that a seat takes now, which is what there is to do.
fn batch(slot: &DriverSlot) -> (PostBatch, Vec<String>) {
    let Some(Work::Batch(batch)) = work(slot) else { panic!("no batch") };
    let topics = batch.iter().map(|post| post.message.topic.to_string()).collect();
    (batch, topics)
}

fn pass(mut batch: PostBatch) {
    while batch.done().is_some() && !batch.is_empty() {}
}

#[test]
fn a_question_comes_behind_what_any_instance_was_handed_and_holds_nobody_else_up() {
    let running = Running::start("os");
    let route = route(&running, 2);
    let [first, second] = [0, 1].map(|instance| DriverSlot::new(&route, instance));
    post(&route, "a");
    post(&route, "b");
    let (of_first, topics) = batch(&first);
    assert_eq!(topics, ["a"]);
    let _answer = route.ask(b"?".to_vec(), Duration::from_secs(3600), Timestamp::UNIX_EPOCH);
    post(&route, "c");
    post(&route, "b");
    // Messages of the instance from before the question go alone, so that it does not wait.
    let (of_second, topics) = batch(&second);
    assert_eq!(topics, ["b"]);
    pass(of_second);
    // The question waits for the other one, and what is behind it does not.
    let (of_second, topics) = batch(&second);
    assert_eq!(topics, ["b"]);
    pass(of_second);
    // A returned message still comes before it.
    drop(of_first);
    let (of_first, topics) = batch(&first);
    assert_eq!(topics, ["a"]);
    assert!(work(&second).is_none());
    pass(of_first);
    let Some(Work::Question(question)) = work(&second) else { panic!("it is due") };
    assert_eq!(question.body, b"?");
    let (_, topics) = batch(&first);
    assert_eq!(topics, ["c"]);
    running.server.stop();
}

#[test]
fn a_guest_that_runs_by_itself_has_one_instance() {
    let running = Running::start("os");
    let route = route(&running, 3);
    let [first, second, third] = [0, 1, 2].map(|instance| DriverSlot::new(&route, instance));
    for topic in ["a", "b", "c"] {
        post(&route, topic);
    }
    let (number, _) = first.current().unwrap();
    assert!(!third.is_alone(number));
    assert!(first.is_alone(number) && !second.is_alone(number));
    assert_eq!([&first, &second, &third].map(|slot| slot.works(number)), [true, false, false]);
    let (_, topics) = batch(&first);
    assert_eq!(topics, ["a", "b", "c"], "it has the messages of all");
    // Another module may be of another kind.
    route.reopen();
    let (number, _) = third.current().unwrap();
    assert!(third.works(number));
    running.server.stop();
}

#[test]
fn seats_come_and_go_with_the_version_and_each_has_one_driver() {
    let running = Running::start("os");
    let route = route(&running, 3);
    assert_eq!(route.undriven(), [0, 1, 2]);
    let [first, second, third] = [0, 1, 2].map(|instance| DriverSlot::new(&route, instance));
    post(&route, "a");
    post(&route, "b");
    let (of_second, _) = batch(&second);
    route.replace(version(&running, 1));
    assert!(route.undriven().is_empty());
    assert!(work(&first).is_none(), "a batch of another instance is under way");
    drop(of_second);
    let (of_first, topics) = batch(&first);
    assert_eq!(topics, ["a", "b"]);
    assert!(third.current().is_none());
    // The driver of the second has not noticed yet, and goes on.
    route.replace(version(&running, 3));
    assert_eq!(route.undriven(), [2]);
    assert!(second.current().is_some());
    pass(of_first);
    assert_eq!(route.waiting().0, 0);
    running.server.stop();
}

#[test]
fn why_instances_are_not_connected_is_counted_together_until_one_is() {
    let running = Running::start("os");
    let route = route(&running, 2);
    let [first, second] = [0, 1].map(|instance| DriverSlot::new(&route, instance));
    let now = Timestamp::UNIX_EPOCH;
    let (number, _) = first.current().unwrap();
    let count = || route.count_failure("nobody is there");
    assert_eq!([count(), count(), count()], [Some(1), Some(2), None]);
    second.connected(number, now);
    assert_eq!([count(), count()], [Some(1), Some(2)]);
    route.replace(version(&running, 2));
    assert_eq!(count(), Some(1));
    running.server.stop();
}

#[test]
fn fatal_error_stops_all_instances_until_a_new_version_is_deployed() {
    let running = Running::start("os");
    let route = route(&running, 2);
    let [first, second] = [0, 1].map(|instance| DriverSlot::new(&route, instance));
    let now = Timestamp::UNIX_EPOCH;
    let (number, _) = first.current().unwrap();
    first.connected(number, now);
    assert_eq!(route.status().connection(), Connection::Connected);
    assert!(second.stand_still(number, "no", now) && !first.stand_still(number, "no", now));
    assert!(!first.works(number) && !second.works(number));
    // A late connection or a late failure of another instance does not hide it.
    first.connected(number, now);
    assert!(!first.is_away(number, "nobody is there", now));
    assert_eq!(route.status().connection(), Connection::Disconnected);
    assert_eq!(route.status().reason().as_deref(), Some("no"));
    let answer = route.ask(b"?".to_vec(), Duration::from_secs(3600), now);
    assert_eq!(answer.recv().unwrap(), Err("no".to_owned()));
    route.replace(version(&running, 2));
    let (former, (number, _)) = (number, first.current().unwrap());
    assert!(first.works(number));
    // Events of the former version do not count for this one.
    assert!(!second.is_away(former, "nobody is there", now) && second.is_away(number, "away", now));
    assert_eq!(route.status().reason().as_deref(), Some("away"));
    running.server.stop();
}

#[test]
fn message_after_a_skipped_one_is_tried_immediately() {
    let running = Running::start("os");
    // A back-off has an end.
    let timers = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _timers = timers.enter();
    let route = route(&running, 1);
    let slot = DriverSlot::new(&route, 0);
    let (number, _) = slot.current().unwrap();
    slot.connected(number, Timestamp::UNIX_EPOCH);
    post(&route, "a");
    let (of_slot, _) = batch(&slot);
    let hurries = slot.hurries();
    assert!(of_slot.put_back(PutBack::Resting(Pause::reconnecting().fast_for(Some(0)))));
    post(&route, "b");
    let is_woken = || {
        let waits = pin!(slot.changed_or_asked(number, hurries));
        waits.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    };
    assert!(work(&slot).is_none() && !is_woken(), "it rests for a minute");
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    this_turn::install(Arc::clone(&running.server.broker.hosting.context), None);
    let skipped = skipping::skip(&running.server.broker.hosting, &tenant, &route, 1).unwrap();
    this_turn::uninstall();
    assert_eq!((skipped.messages, skipped.waiting), (1, 1));
    assert!(is_woken() && slot.works(number), "on the connection that is open");
    let (_, topics) = batch(&slot);
    assert_eq!(topics, ["b"]);
    running.server.stop();
}

#[test]
fn paused_instance_wakes_when_another_connects_even_during_its_own_attempt() {
    let running = Running::start("os");
    let route = route(&running, 2);
    let [first, second] = [0, 1].map(|instance| DriverSlot::new(&route, instance));
    let (number, _) = first.current().unwrap();
    let is_woken = |slot: &DriverSlot, others| {
        let waits = pin!(slot.changed_or_joined(number, others));
        waits.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    };
    let others = second.connections_of_others();
    assert!(!is_woken(&second, others));
    second.connected(number, Timestamp::UNIX_EPOCH);
    assert!(!is_woken(&second, others), "its own does not count");
    first.connected(number, Timestamp::UNIX_EPOCH);
    assert!(is_woken(&second, others));
    assert!(!is_woken(&second, second.connections_of_others()));
}
