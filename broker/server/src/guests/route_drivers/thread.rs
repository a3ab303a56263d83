//! Thread of routes: one runtime on which every route has its driver, and a turn for the messages that they publish.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use lotmq_pulse::Pulse;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

use super::driver::{Driver, Pause};
use crate::guests::hosting::Hosting;
use crate::guests::routes::{Order, RouteRunner};
use crate::limits::ROUND_SILENCE_MAX;
use crate::process::this_turn;
use crate::process::watchdog::{self, Watched, beat};
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::internal;

/// Period at which a route publishes its standing when nothing changes.
const STATUS_PERIOD: Duration = Duration::from_secs(30);

/// Shortest time between two publications of a standing: at most five in a second.
const STATUS_PAUSE: Duration = Duration::from_millis(200);

/// Native stack of the thread; guests run on fibers of their own.
const STACK_BYTES: usize = 2 << 20;

/// Starts the thread of routes.
///
/// # Errors
/// When the system gives none.
pub(crate) fn start(hosting: &Arc<Hosting>) -> std::io::Result<JoinHandle<()>> {
    let orders = hosting.routes.open();
    let pulse = hosting.watchdog.pulses.add("the thread of routes", ROUND_SILENCE_MAX);
    let runtime = watchdog::runtime(&pulse)?;
    let hosting = Arc::clone(hosting);
    std::thread::Builder::new().name("routes".to_owned()).stack_size(STACK_BYTES).spawn(move || {
        this_turn::install(Arc::clone(&hosting.context), None);
        let tasks = LocalSet::new();
        tasks.block_on(&runtime, serve(hosting, orders, pulse));
        // Guests publish when they are dropped as little as anybody else does.
        drop(tasks);
        this_turn::uninstall();
    })
}

/// Routes that their owner drives on his own thread, step by step.
pub(crate) struct SteppedRoutes {
    runtime: Runtime,
    tasks: LocalSet,
}

impl SteppedRoutes {
    /// Takes the routes of a broker that has no thread for them.
    ///
    /// # Errors
    /// When the system gives no runtime.
    pub(crate) fn new(hosting: &Arc<Hosting>) -> std::io::Result<Self> {
        let orders = hosting.routes.open();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tasks = LocalSet::new();
        tasks.spawn_local(take_orders(Arc::clone(hosting), orders));
        Ok(Self { runtime, tasks })
    }

    /// Drives them until `is_over`. The calling thread has a turn that nobody uses.
    pub(crate) fn drive_until(&self, is_over: impl Fn() -> bool) {
        self.tasks.block_on(&self.runtime, async {
            while !is_over() {
                tokio::task::yield_now().await;
            }
        });
    }
}

async fn serve(hosting: Arc<Hosting>, orders: mpsc::Receiver<Order>, pulse: Arc<Pulse>) {
    let _watched = Watched::new(&hosting.watchdog, "the thread of routes");
    spawn_local(beat(pulse));
    take_orders(hosting, orders).await;
}

async fn take_orders(hosting: Arc<Hosting>, mut orders: mpsc::Receiver<Order>) {
    while let Some(Order { tenant, route, probe }) = orders.recv().await {
        let driver =
            Driver { hosting: Arc::clone(&hosting), tenant: Arc::clone(&tenant), route: Arc::clone(&route) };
        match probe {
            Some(answer) => drop(spawn_local(async move {
                // Whoever asked may have gone.
                let _ = answer.try_send(driver.probe().await);
            })),
            None => {
                if !hosting.routes.is_at_once {
                    spawn_local(tell(Arc::clone(&hosting), tenant, route));
                }
                spawn_local(drive(driver));
            }
        }
    }
}

/// Drives a route until its end; when the driver ends by a panic, another one takes over after a pause.
async fn drive(driver: Driver) {
    let driver = Arc::new(driver);
    let mut pause = Pause::reconnecting();
    let panicked = async || {
        driver.panicked();
        tokio::time::sleep(pause.next()).await;
        driver.route.reopen();
    };
    again_after_panics(|| Arc::clone(&driver).drive(), panicked).await;
}

/// Runs a task, and runs it again after each end by a panic, once `panicked` has been called.
async fn again_after_panics<F>(mut task: impl FnMut() -> F, mut panicked: impl AsyncFnMut())
where
    F: Future<Output = ()> + 'static,
{
    // It is cancelled when the thread ends.
    while spawn_local(task()).await.is_err_and(|ended| ended.is_panic()) {
        panicked().await;
    }
}

/// Publishes the standing of a route, on change and every 30 seconds (routes reference §3.1).
async fn tell(hosting: Arc<Hosting>, tenant: Arc<Tenant>, route: Arc<RouteRunner>) {
    while let Some((_, version)) = route.current() {
        let definition = &version.definition;
        let now = hosting.definitions_now().wall;
        let status = route.standing().to_json(definition.name(), &version.said().kind, now).to_string();
        let topic = format!("{}/status", definition.sys_topic());
        this_turn::with(|turn| {
            turn.tick();
            internal::publish(turn, &tenant, &topic, status.as_bytes(), false);
            turn.flush();
        });
        drop(version);
        tokio::time::sleep(STATUS_PAUSE).await;
        // Nothing needs to have happened.
        let _ = tokio::time::timeout(STATUS_PERIOD, route.stands.notified()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use lotmq_client::{ConnectOptions, Publication, QoS};

    use super::*;
    use crate::guests::HasPrograms as _;
    use crate::guests::routes::standing::Connection;
    use crate::testing::{Running, connect, receive};

    #[test]
    fn a_task_that_panics_is_done_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (began, panicked) = (Rc::new(Cell::new(0)), Cell::new(0));
        let task = || {
            let began = Rc::clone(&began);
            async move {
                began.set(began.get() + 1);
                assert!(began.get() > 2, "on purpose");
            }
        };
        let note = async || panicked.set(panicked.get() + 1);
        LocalSet::new().block_on(&runtime, again_after_panics(task, note));
        assert_eq!((began.get(), panicked.get()), (3, 2));
    }

    #[test]
    fn a_route_whose_driver_panicked_says_so() {
        let running = Running::start("none");
        let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
        root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
        let source = "-addRoute DEFINE ROUTE R WITH TYPE LOOPBACK\n    ADD EVENT \"e\"\n        WITH SOURCE_TOPIC \"h\"\n";
        root.publish(&Publication::new("$SYS/Coreflux/Command", source).qos(QoS::AtLeastOnce)).unwrap();
        let reply = receive(&mut root).1;
        assert!(reply.contains("success"), "{reply}");
        root.subscribe_to("$SYS/Coreflux/Routes/R/Error", QoS::AtLeastOnce).unwrap();
        let broker = Arc::clone(&running.server.broker);
        let tenant = broker.tenants.default_tenant();
        let route = tenant.programs().guests.route("R").unwrap();
        this_turn::install(Arc::clone(&broker.context), None);
        Driver { hosting: Arc::clone(&broker.hosting), tenant, route: Arc::clone(&route) }.panicked();
        this_turn::uninstall();
        assert_eq!(route.standing().connection, Connection::Reconnecting);
        let record = receive(&mut root).1;
        assert!(record.contains("\"ROUTE_PANIC\""), "{record}");
        running.server.stop();
    }
}
