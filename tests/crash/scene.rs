//! The broker and everybody who uses it, in two turns: work until the kill, then a restart and a
//! look at what is left.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lotmq_client::{ProtocolVersion, QoS};
use lotmq_test_support::{Broker, BrokerOptions, WAIT_MAX};

use crate::clerk::Clerk;
use crate::doubter::Doubter;
use crate::petitioner::Petitioner;
use crate::publisher::{self, Publisher};
use crate::random::Random;
use crate::receiver::{self, Audience, Receiver};

/// Operations that are acknowledged before each kill, at least.
const OPERATIONS_MIN: u64 = 2_000;
/// Sessions that are offline during the work are looked at after so many kills.
const OFFLINE_EVERY: u64 = 4;
/// Clients that ask for everything twice.
const DOUBTERS: usize = 3;
/// Administrators who give every command several times at once.
const PETITIONERS: usize = 2;

/// A session with its own history.
type Alone = (Receiver, Audience);

pub(crate) struct Scene {
    broker: Broker,
    random: Random,
    publishers: Vec<Publisher>,
    online: Vec<Alone>,
    offline: Vec<Alone>,
    group: (Vec<Receiver>, Audience),
    clerk: Clerk,
    doubters: Vec<Doubter>,
    petitioners: Vec<Petitioner>,
    kills: u64,
}

impl Scene {
    pub(crate) fn new(options: BrokerOptions, mut random: Random) -> Self {
        let broker = options.start();
        let [v3, v5] = [ProtocolVersion::V3_1_1, ProtocolVersion::V5];
        let publishers = [
            ("a1", QoS::AtLeastOnce, v3),
            ("b1", QoS::AtLeastOnce, v5),
            ("a2", QoS::ExactlyOnce, v3),
            ("b2", QoS::ExactlyOnce, v5),
        ];
        let alone = |name, version, batch| (Receiver::new(name, version, batch), Audience::default());
        let clerk = Clerk::new(Random::new(random.below(u64::MAX)));
        let doubters =
            (0..DOUBTERS).map(|number| Doubter::new(number, Random::new(random.below(u64::MAX)))).collect();
        let petitioners = (0..PETITIONERS)
            .map(|number| Petitioner::new(number, Random::new(random.below(u64::MAX))))
            .collect();
        let mut scene = Self {
            publishers: publishers.map(|(name, qos, version)| Publisher::new(name, qos, version)).into(),
            online: vec![alone("prompt", v5, 1), alone("slow", v3, 60)],
            offline: vec![alone("offline-3", v3, 20), alone("offline-5", v5, 20)],
            group: (
                vec![Receiver::new("member-1", v3, 10), Receiver::new("member-2", v5, 30)],
                Audience { is_group: true, ..Audience::default() },
            ),
            broker,
            random,
            clerk,
            doubters,
            petitioners,
            kills: 0,
        };
        let address = scene.broker.address();
        for (receiver, _) in scene.online.iter_mut().chain(&mut scene.offline) {
            receiver.subscribe(address, "d/#");
        }
        for member in &mut scene.group.0 {
            member.subscribe(address, "$share/g/d/#");
        }
        scene.clerk.prepare(address);
        scene.doubters.iter_mut().for_each(|doubter| doubter.prepare(address));
        scene.petitioners.iter().for_each(|petitioner| petitioner.prepare(address));
        scene
    }

    /// Everybody works until enough was acknowledged; then the broker is killed. Returns how much
    /// it was.
    pub(crate) fn run_until_killed(&mut self) -> u64 {
        let wanted = OPERATIONS_MIN + self.random.below(OPERATIONS_MIN);
        let pause = Duration::from_micros(self.random.below(3_000));
        let is_last_offline = self.kills % OFFLINE_EVERY == OFFLINE_EVERY - 1;
        let address = self.broker.address();
        let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
        let (stop, count) = (&stop, &count);
        thread::scope(|scope| {
            let mut work = Vec::new();
            for publisher in &mut self.publishers {
                let until = publisher::Until::Killed(stop, count);
                work.push(scope.spawn(move || publisher.publish(address, &until)));
            }
            // In the last round before they are looked at, the kill finds those that were offline
            // within a queue that is longer than what of it is in memory.
            let drained = self.offline.iter_mut().filter(|_| is_last_offline);
            for (receiver, audience) in self.online.iter_mut().chain(drained) {
                let until = receiver::Until::Killed(stop);
                work.push(scope.spawn(move || receiver.receive(address, audience, &until)));
            }
            let (members, audience) = &mut self.group;
            let audience = &*audience;
            for member in members {
                let until = receiver::Until::Killed(stop);
                work.push(scope.spawn(move || member.receive(address, audience, &until)));
            }
            for doubter in &mut self.doubters {
                work.push(scope.spawn(move || doubter.work(address, stop, count)));
            }
            for petitioner in &mut self.petitioners {
                work.push(scope.spawn(move || petitioner.work(address, stop, count)));
            }
            let clerk = &mut self.clerk;
            work.push(scope.spawn(move || clerk.work(address, stop, count)));
            let deadline = Instant::now() + 2 * WAIT_MAX;
            // A sleep, because the kill is to come in the midst of things; nothing depends on how
            // long it is.
            while count.load(Ordering::Relaxed) < wanted && !work.iter().any(|thread| thread.is_finished()) {
                assert!(
                    Instant::now() < deadline,
                    "{} of {wanted} operations",
                    count.load(Ordering::Relaxed)
                );
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(pause);
            self.broker.kill();
            stop.store(true, Ordering::Relaxed);
            for thread in work {
                thread.join().unwrap().unwrap();
            }
        });
        self.kills += 1;
        count.load(Ordering::Relaxed)
    }

    /// Starts the broker again and compares. `Err` says what is lost, twice or out of order.
    pub(crate) fn verify(&mut self) -> Result<(), String> {
        self.broker.start_again();
        let address = self.broker.address();
        for publisher in &mut self.publishers {
            publisher.publish(address, &publisher::Until::Acknowledged)?;
        }
        let wanted: Vec<(String, u64)> =
            self.publishers.iter().map(|publisher| (publisher.name.clone(), publisher.next)).collect();
        let complete = &receiver::Until::Complete(&wanted);
        let with_offline = self.kills.is_multiple_of(OFFLINE_EVERY);
        let offline = self.offline.iter_mut().filter(|_| with_offline);
        for (receiver, audience) in self.online.iter_mut().chain(offline) {
            receiver.receive(address, audience, complete)?;
        }
        // Both members at once: each has messages that only it gets.
        let (members, audience) = &mut self.group;
        let audience = &*audience;
        let received: Result<Vec<()>, String> = thread::scope(|scope| {
            let members = members.iter_mut();
            let work: Vec<_> = members
                .map(|member| scope.spawn(move || member.receive(address, audience, complete)))
                .collect();
            work.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        received?;
        for doubter in &mut self.doubters {
            doubter.verify(address)?;
        }
        for petitioner in &mut self.petitioners {
            petitioner.verify(address)?;
        }
        self.clerk.verify(address)
    }
}
