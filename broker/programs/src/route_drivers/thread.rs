//! Threads of routes: each a runtime on which instances of routes have their drivers, and a turn
//! for the messages that they publish.
//!
//! Instances are spread over the threads in the order in which they come, those of one route too,
//! and stay where they are. So what an instance publishes keeps its order. On a thread the tasks of
//! all routes take turns by owner.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use lotmq_pulse::Heartbeat;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;
use tracing::warn;

use super::driver::Driver;
use super::fair_tasks::{FairTasks, ends_by_panic};
use super::supervise::{remove_done, tend};
use crate::HasPrograms as _;
use crate::hosting::Hosting;
use crate::limits::{ROUTE_GOODBYE_MAX, ROUTE_THREADS_MAX};
use crate::routes::driver_slot::DriverSlot;
use crate::routes::pause::Pause;
use crate::routes::{Order, Orders, RouteRunner, Task};
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::internal;
use lotmq_process::limits::ROUND_SILENCE_MAX;
use lotmq_process::this_turn;
use lotmq_process::watchdog::{self, Watched, beat};

/// Period at which a route publishes its standing when nothing changes.
const STATUS_PERIOD: Duration = Duration::from_secs(30);

/// Shortest time between two publications of a standing: at most five in a second.
const STATUS_PAUSE: Duration = Duration::from_millis(200);

/// Period at which the end of the broker looks which guests have closed.
const GOODBYE_LOOK: Duration = Duration::from_millis(5);

/// Native stack of such a thread; guests run on fibers of their own.
const STACK_BYTES: usize = 2 << 20;

/// Has the threads of routes take orders, which wait until the threads [start].
pub fn open(hosting: &Hosting) -> Vec<Orders> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (0..cores.min(ROUTE_THREADS_MAX)).map(|_| hosting.routes.open()).collect()
}

/// Starts the threads of routes: as many as there are cores, at most [`ROUTE_THREADS_MAX`].
///
/// # Errors
/// When the system gives none; those that were started end then.
pub fn start(hosting: &Arc<Hosting>, orders: Vec<Orders>) -> std::io::Result<Vec<JoinHandle<()>>> {
    let started = orders.into_iter().enumerate().map(|(number, orders)| start_one(hosting, number, orders));
    started.collect::<std::io::Result<Vec<_>>>().inspect_err(|_| hosting.routes.stop())
}

fn start_one(hosting: &Arc<Hosting>, number: usize, orders: Orders) -> std::io::Result<JoinHandle<()>> {
    let pulse = hosting.watchdog.pulses.add(format!("thread of routes {number}"), ROUND_SILENCE_MAX);
    let runtime = watchdog::runtime(&pulse)?;
    let hosting = Arc::clone(hosting);
    std::thread::Builder::new().name(format!("routes-{number}")).stack_size(STACK_BYTES).spawn(move || {
        this_turn::install(Arc::clone(&hosting.context), None);
        let tasks = LocalSet::new();
        tasks.block_on(&runtime, serve(Arc::clone(&hosting), number, orders, pulse));
        // Guests publish when they are dropped as little as anybody else does.
        drop(tasks);
        for tenant in hosting.tenants.all().iter() {
            let routes = tenant.programs().guests.routes_in_order();
            routes.iter().for_each(|route| remove_done(route));
        }
        this_turn::uninstall();
    })
}

/// Routes that the caller drives step by step on its own thread.
pub struct SteppedRoutes {
    runtime: Runtime,
    tasks: LocalSet,
}

impl SteppedRoutes {
    /// Takes the routes of a broker that has no thread for them.
    ///
    /// # Errors
    /// When the system gives no runtime.
    pub fn new(hosting: &Arc<Hosting>) -> std::io::Result<Self> {
        let orders = hosting.routes.open();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tasks = LocalSet::new();
        tasks.spawn_local(take_orders(Arc::clone(hosting), orders));
        Ok(Self { runtime, tasks })
    }

    /// Drives something on the owner's thread to its end, and them meanwhile.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.tasks.block_on(&self.runtime, future)
    }

    /// Drives them until `is_over`. The calling thread has a turn that nobody uses.
    pub fn drive_until(&self, mut is_over: impl FnMut() -> bool) {
        self.tasks.block_on(&self.runtime, async {
            while !is_over() {
                tokio::task::yield_now().await;
            }
        });
    }
}

async fn serve(hosting: Arc<Hosting>, number: usize, orders: Orders, pulse: Arc<Heartbeat>) {
    let _watched = Watched::new(&hosting.watchdog, "a thread of routes");
    spawn_local(beat(pulse));
    take_orders(Arc::clone(&hosting), orders).await;
    let late = close_instances(&hosting).await;
    // All threads wait for the same.
    for route in late.iter().filter(|_| number == 0) {
        let version = route.version();
        let route = &**version.definition.name();
        warn!(target: "routes", route, "a call of a route's guest is still under way and is given up");
    }
}

/// Has all guests of routes close, for a while, in which what they bring is taken. Returns the
/// routes with instances that have not.
async fn close_instances(hosting: &Hosting) -> Vec<Arc<RouteRunner>> {
    let tenants = hosting.tenants.all();
    let mut open: Vec<_> =
        tenants.iter().flat_map(|tenant| tenant.programs().guests.routes_in_order()).collect();
    open.iter().for_each(|route| route.broker_ends());
    let deadline = Instant::now() + ROUTE_GOODBYE_MAX;
    loop {
        open.retain(|route| route.has_open_instances());
        if open.is_empty() || Instant::now() >= deadline {
            return open;
        }
        tokio::time::sleep(GOODBYE_LOOK).await;
    }
}

async fn take_orders(hosting: Arc<Hosting>, mut orders: Orders) {
    let tasks = FairTasks::default();
    spawn_local(tasks.clone().take_turns());
    while let Some(Order { tenant, route, task }) = orders.next().await {
        let driver = |instance| Driver {
            hosting: Arc::clone(&hosting),
            tenant: Arc::clone(&tenant),
            slot: DriverSlot::new(&route, instance),
            route: Arc::clone(&route),
            far: Mutex::default(),
        };
        let of_owner = (tenant.number, Arc::clone(&route));
        match task {
            Task::Drive(instance) => spawn(&tasks, of_owner, drive(driver(instance))),
            Task::Tell => {
                let (of_outbox, of_tenant) = (Arc::clone(&route), Arc::clone(&tenant));
                let tends = tend_outbox(Arc::clone(&hosting), of_tenant, of_outbox);
                spawn(&tasks, of_owner.clone(), tends);
                spawn(&tasks, of_owner, tell(Arc::clone(&hosting), tenant, route));
            }
            Task::Probe(answer) => {
                // Beside the first instance, from whose seat it takes nothing.
                let driver = driver(0);
                let probes = async move {
                    let probed = driver.probe().await;
                    let is_heard_of = probed.is_ok();
                    if is_heard_of {
                        driver.route.is_heard_of();
                    }
                    // The caller may have gone.
                    let _ = answer.try_send(probed);
                    if !is_heard_of {
                        listen(driver).await;
                    }
                };
                spawn(&tasks, of_owner, probes);
            }
        }
    }
}

/// Has a task more, whose turns are those of the owner that the route of a tenant has at the time.
fn spawn(
    tasks: &FairTasks,
    (tenant, route): (u32, Arc<RouteRunner>),
    task: impl Future<Output = ()> + 'static,
) {
    tasks.spawn(tenant, move || route.version().definition.quota_key(), task);
}

/// Tries whether a far side that has not answered does by now, until it is heard of: where nothing
/// waits, nobody else would find out.
async fn listen(driver: Driver) {
    if !driver.route.begins_to_listen() {
        return;
    }
    let mut pause = Pause::reconnecting().at_most(driver.route.version().longest_pause());
    while driver.route.listens_on() {
        tokio::time::sleep(pause.next()).await;
        if driver.probe().await.is_ok() {
            driver.route.is_heard_of();
        }
    }
}

/// Drives an instance of a route until its end; when the driver ends by a panic, another one takes
/// over after a pause.
async fn drive(driver: Driver) {
    let driver = Arc::new(driver);
    let mut pause = Pause::reconnecting();
    let panicked = async || {
        driver.panicked();
        tokio::time::sleep(pause.next()).await;
    };
    again_after_panics(|| Arc::clone(&driver).drive(), panicked).await;
}

/// Tends the outbox of a route until its end.
async fn tend_outbox(hosting: Arc<Hosting>, tenant: Arc<Tenant>, route: Arc<RouteRunner>) {
    let pause = async || tokio::time::sleep(STATUS_PAUSE).await;
    let tended = || tend(Arc::clone(&hosting), Arc::clone(&tenant), Arc::clone(&route));
    again_after_panics(tended, pause).await;
}

/// Runs a task, and runs it again after each end by a panic, once `panicked` has been called.
pub(crate) async fn again_after_panics<F>(mut task: impl FnMut() -> F, mut panicked: impl AsyncFnMut())
where
    F: Future<Output = ()>,
{
    while ends_by_panic(task()).await {
        panicked().await;
    }
}

/// Publishes the standing of a route, on change and every 30 seconds (routes reference §3.1), and
/// its dead letters on change.
async fn tell(hosting: Arc<Hosting>, tenant: Arc<Tenant>, route: Arc<RouteRunner>) {
    let mut told = 0;
    while let Some(version) = route.deployed() {
        let definition = &version.definition;
        let now = hosting.definitions_now().wall;
        let (names, dead) = ((&**definition.name(), &*version.said().kind), route.dead_letters.figures());
        route.mark_pace(now);
        let status = route.status().to_json(names, &route.runner_facts(), now).to_string();
        let topic = format!("{}/status", definition.sys_topic());
        this_turn::with(|turn| {
            turn.tick();
            internal::publish(turn, &tenant, &topic, status.as_bytes(), false);
            if dead.changes() != told {
                told = dead.changes();
                let topic = format!("{}/DeadLetters", definition.sys_topic());
                let payload = dead.to_json(true).to_string();
                internal::publish(turn, &tenant, &topic, payload.as_bytes(), false);
            }
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

    use super::*;

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
}
