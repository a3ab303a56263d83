//! Threads and tasks that nobody does without: when one of them ends by a panic, `/health` says so, for whoever starts the broker again.
//!
//! What belongs to one Client, one login, one route, one command or one run is contained where it happens and is none of these.

use std::sync::Arc;

use tracing::error;

use crate::broker::Broker;

/// Kept by such a thread or task as long as it works.
pub(crate) struct Vital {
    broker: Arc<Broker>,
    name: &'static str,
}

impl Vital {
    pub(crate) fn new(broker: &Arc<Broker>, name: &'static str) -> Self {
        Self { broker: Arc::clone(broker), name }
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            error!(thread, task = self.name, "ended by a panic; the broker must be started again");
            self.broker.ended_by_panic.lock().push(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Running;

    #[test]
    fn what_ends_by_a_panic_is_known_and_what_ends_otherwise_is_not() {
        let running = Running::start("none");
        let broker = &running.server.broker;
        drop(Vital::new(broker, "ends well"));
        let vital = Vital::new(broker, "ends badly");
        let thread = std::thread::spawn(move || {
            let _vital = vital;
            panic!("on purpose");
        });
        thread.join().unwrap_err();
        assert_eq!(*broker.ended_by_panic.lock(), ["ends badly"]);
        running.server.stop();
    }
}
