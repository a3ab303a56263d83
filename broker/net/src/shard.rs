//! Shards: threads with a single-threaded runtime, each of which reads the connections that it was
//! given.
//!
//! Besides its connections it runs four small tasks: the inbox (new connections), the flusher (ends
//! the turn), the committer (releases what waited for the store) and the ticker (keep alive, load,
//! stale routes).
//!
//! A shard that had nothing to do for a while rests (`rest`): its ticks come when a timer is due.
//!
//! New connections go to the least-numbered shard that is not busy: spreading them makes batches
//! smaller, and small batches are what costs. One whose timers stand still gets none, because
//! nobody would answer them. A shard that other threads keep from the processor counts as busy. The
//! first shard accepts the connections of all listeners; where it stands still, the next one that
//! lives does so with each of its ticks.

mod inbox;
mod run_queue;
mod turn_time;

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lotmq_changes::Ticket;
use lotmq_config::Placement;
use lotmq_pulse::limits::BEAT_PERIOD;
use lotmq_pulse::{Heartbeat, Heartbeats};
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::warn;

use self::inbox::{Inbox, Refused};
use self::run_queue::SchedStat;
use self::turn_time::turn_ended;
use super::Net;
use super::connection::{Accepted, Drive, SocketConnection, SocketSide, open_connections};
use super::limits::{RUN_QUEUE_TICKS, SHARD_BUSY_PERMILLE, SHARD_SILENCE_MAX, SILENCE_MAX};
use super::look::{thread_idles, wake_behind_look};
use super::proxy;
use super::rest::{self, Quiet, Rest};
use super::socket::{Socket, SocketKind};
use lotmq_core::clock::Stretch;
use lotmq_core::connection::Connection;
use lotmq_core::connection::peer::Peer;
use lotmq_core::limits::{Limit, SHARE_TIME};
use lotmq_core::owner::end::before_client;
use lotmq_core::owner::open::OpenConnections;
use lotmq_core::reason::close::{CloseReason, TransportFailure};
use lotmq_core::turn::Turn;
use lotmq_core::turn::fan_out::{resume_asked, resume_parts};
use lotmq_core::turn::home::Home;
use lotmq_core::turn::next::Next;
use lotmq_core::turn::release::Release;
use lotmq_core::turn::timers::TICK;
use lotmq_process::clock::thread_cpu;
use lotmq_process::this_turn;
use lotmq_process::watchdog::Watched;

/// Time that connections, and then guests, may take to end when the broker stops.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// Handle of a shard for other threads.
pub struct Shard {
    /// Shard as turns and other threads see it.
    pub home: Arc<Home>,
    inbox: Inbox<Order>,
    /// Thousandths of the last second that the thread spent working.
    busy_permille: AtomicU32,
    /// Thousandths of the last second that the thread was ready to run, and another one ran.
    kept_permille: AtomicU32,
    /// Sign of life, given when its timers run.
    pulse: Arc<Heartbeat>,
    pub(super) rest: Arc<Rest>,
    /// Signal that the store has committed a batch that the thread waits for.
    committed: Notify,
    stop: Notify,
}

/// Order of another thread to a shard.
enum Order {
    Serve(Arrival),
    Listen(Acceptor),
    Release(Ticket, Vec<Release>),
}

/// Task that accepts the connections of a listener, for ever.
type Acceptor = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// Accepted socket on its way to its shard.
pub(crate) struct Arrival {
    pub(crate) stream: OwnedFd,
    pub(crate) kind: SocketKind,
    pub(crate) accepted: Accepted,
    /// Time since it was accepted.
    pub(crate) age: Duration,
}

/// Threads of all shards.
pub struct ShardThreads(Vec<JoinHandle<()>>);

impl Shard {
    /// Hands a connection over; it is closed when the shard has stopped, or has no room for it.
    pub(crate) fn give(&self, arrival: Arrival) {
        self.home.connections.fetch_add(1, Ordering::Relaxed);
        let Err(refused) = self.inbox.offer(Order::Serve(arrival)) else { return };
        self.home.connections.fetch_sub(1, Ordering::Relaxed);
        if let Refused::Full(Order::Serve(Arrival { accepted, .. })) = refused {
            accepted.listener.terms.limit_reached(Limit::Connections, &accepted.peer);
        }
    }

    /// Whether the shard should get no new connections: too many wait for it already, or it stands
    /// still.
    fn takes_none(&self, now: Instant) -> bool {
        self.inbox.is_congested() || self.stands_still(now)
    }

    pub(super) fn stands_still(&self, now: Instant) -> bool {
        self.pulse.time(now) >= SHARD_SILENCE_MAX
    }

    /// Whether the shard should accept connections, because all before it, of which the first
    /// serves the listeners, stand still.
    fn accepts_in_place(&self, shards: &[Arc<Shard>], now: Instant) -> bool {
        let mut before = shards.iter().take(self.home.number.into());
        self.home.number > 0 && before.all(|shard| shard.stands_still(now))
    }

    /// Lets the shard accept the connections of a listener.
    pub fn listen(&self, acceptor: impl Future<Output = io::Result<()>> + Send + 'static) {
        self.inbox.insist(Order::Listen(Box::pin(acceptor)));
    }

    /// Hands the shard releases that wait for a batch of another kind of thread, which waits where
    /// the shard is behind.
    pub fn release_when_committed(&self, ticket: Ticket, releases: Vec<Release>) {
        // A shard that has stopped has no Clients any more, and drops it.
        self.inbox.leave(Order::Release(ticket, releases));
    }

    /// Thousandths of the last quarter of a second before the shard's rest that the thread spent
    /// working.
    pub fn busy_permille(&self) -> u32 {
        self.busy_permille.load(Ordering::Relaxed)
    }

    /// Whether the thread has little time left, because it works, or because it does not get the
    /// processor.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy_permille() + self.kept_permille.load(Ordering::Relaxed) > SHARD_BUSY_PERMILLE
    }

    /// Carries out what others have asked of a shard that has no thread, but for connections.
    /// Whether that was anything.
    pub fn take_releases(&self, turn: &mut Turn) -> bool {
        let mut has_any = false;
        while let Some(order) = self.inbox.take() {
            if let Order::Release(ticket, releases) = order {
                turn.release_when_committed(ticket, releases);
                has_any = true;
            }
        }
        has_any
    }

    /// Tells the shard that a group was committed, if it waits for one.
    pub(crate) fn committed(&self) {
        if self.home.waits_for_commit() {
            self.committed.notify_one();
        }
    }

    /// Closes every connection of the shard and ends its thread.
    pub fn stop(&self) {
        self.stop.notify_one();
    }
}

/// Picks the shard for a new connection; where none should get one, the shard with the fewest.
pub(crate) fn place(shards: &[Arc<Shard>], placement: Placement, now: Instant) -> &Arc<Shard> {
    let may_pack = |shard: &&Arc<Shard>| placement == Placement::Pack && !shard.is_busy();
    let least = |shard: &&Arc<Shard>| shard.home.connections.load(Ordering::Relaxed);
    let has_room = |shard: &&Arc<Shard>| !shard.takes_none(now);
    shards
        .iter()
        .filter(has_room)
        .find(may_pack)
        .or_else(|| shards.iter().filter(has_room).min_by_key(least))
        .or_else(|| shards.iter().min_by_key(least))
        .expect("a broker has at least one shard")
}

/// Whether no shard should get another connection: then none should be accepted.
pub(crate) fn take_none(shards: &[Arc<Shard>], now: Instant) -> bool {
    shards.iter().all(|shard| shard.takes_none(now))
}

/// Prepares `count` shards. Their threads start with [`Seats::start`], once the broker exists.
pub fn prepare(count: usize, pulses: &Heartbeats) -> (Vec<Arc<Shard>>, Seats) {
    let shards: Vec<_> = (0..u16::try_from(count).unwrap_or(u16::MAX))
        .map(|number| {
            let pulse = pulses.add(format!("shard {number}"), SILENCE_MAX);
            Arc::new(Shard {
                home: Arc::new(Home::new(number)),
                inbox: Inbox::default(),
                busy_permille: AtomicU32::new(0),
                kept_permille: AtomicU32::new(0),
                rest: Arc::new(Rest::new(&pulse)),
                pulse,
                committed: Notify::new(),
                stop: Notify::new(),
            })
        })
        .collect();
    (shards.clone(), Seats(shards))
}

/// Shards whose threads have not started.
pub struct Seats(Vec<Arc<Shard>>);

impl Seats {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread or runtime.
    pub fn start(self, net: &Arc<Net>) -> io::Result<ShardThreads> {
        let mut threads = Vec::new();
        for (number, shard) in self.0.into_iter().enumerate() {
            let net = Arc::clone(net);
            let (idle, counted) = (Arc::clone(&shard), Arc::clone(&net));
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .on_thread_park(move || {
                    thread_idles();
                    turn_ended(&idle.home, &counted.core.counters);
                })
                .build()?;
            let thread = std::thread::Builder::new().name(format!("shard-{number}")).spawn(move || {
                this_turn::install(Arc::clone(&net.context), Some(Arc::clone(&shard.home)));
                shard.pulse.begins(Instant::now());
                rest::install(&shard.rest);
                // However the thread ends, nobody waits for it.
                let _closes = ClosesInbox(&shard);
                runtime.block_on(run(&shard, &net));
                this_turn::uninstall();
            })?;
            threads.push(thread);
        }
        Ok(ShardThreads(threads))
    }
}

impl ShardThreads {
    /// Waits until all shards have ended.
    pub fn join(self) {
        for thread in self.0 {
            if thread.join().is_err() {
                warn!("a shard ended by a panic");
            }
        }
    }
}

/// State that the tasks of a shard share.
struct Local {
    shard: Arc<Shard>,
    net: Arc<Net>,
}

/// Guard that closes the inbox of a shard whose thread ends.
struct ClosesInbox<'a>(&'a Shard);

impl Drop for ClosesInbox<'_> {
    fn drop(&mut self) {
        self.0.inbox.close();
    }
}

async fn run(shard: &Arc<Shard>, net: &Arc<Net>) {
    let local = Arc::new(Local { shard: Arc::clone(shard), net: Arc::clone(net) });
    let watched = Watched::new(&net.watchdog, "the end of a shard's turns");
    let flusher = tokio::spawn(flush_turns(Arc::clone(&local), watched));
    let committer = tokio::spawn(release_commits(Arc::clone(&local)));
    let ticker = tokio::spawn(tick(Arc::clone(&local)));
    let inbox = tokio::spawn(receive(Arc::clone(&local)));
    shard.stop.notified().await;
    inbox.abort();
    shard.inbox.close();
    close_all().await;
    for task in [ticker, committer, flusher] {
        task.abort();
    }
    flush_the_last(Instant::now() + STOP_TIME_MAX);
}

/// Writes out the last turns, guests included; guests that start one another for ever are cut off.
fn flush_the_last(deadline: Instant) {
    let mut is_behind = true;
    while is_behind && Instant::now() < deadline {
        is_behind = this_turn::with(|turn| {
            turn.flush();
            resume_parts(turn) | resume_asked(turn) || turn.guests.is_behind
        });
    }
}

/// Carries out the orders of other threads, such as to start the task of a new connection, while
/// there is time; then connections have theirs.
async fn receive(local: Arc<Local>) {
    let _watched = Watched::new(&local.net.watchdog, "the inbox of a shard");
    let clock = &*local.net.core.clock;
    let mut stretch = Stretch::ENDLESS;
    let is_time_over = |looks| {
        if looks == 0 {
            stretch = clock.stretch(SHARE_TIME);
        }
        stretch.is_over(clock)
    };
    local.shard.inbox.serve(|order| carry_out(&local, order), is_time_over).await;
}

fn carry_out(local: &Arc<Local>, order: Order) {
    this_turn::with(rest::work_comes);
    match order {
        Order::Serve(arrival) => {
            this_turn::with(|turn| turn.time_shares.begin_other_work(&*turn.core.clock));
            serve(local, arrival);
        }
        Order::Listen(acceptor) => {
            tokio::spawn(acceptor);
        }
        Order::Release(ticket, releases) => {
            this_turn::with(|turn| {
                turn.time_shares.others_work();
                turn.release_when_committed(ticket, releases);
            });
        }
    }
}

fn serve(local: &Arc<Local>, arrival: Arrival) {
    let Arrival { stream, kind, accepted, age } = arrival;
    match Socket::register(stream, kind) {
        Ok(socket) if accepted.listener.proxy_protocol => {
            tokio::spawn(start_behind_proxy(Arc::clone(local), socket, accepted));
        }
        Ok(socket) => start(local, socket, accepted, age),
        Err(error) => give_up(local, accepted.peer, &error.to_string()),
    }
}

/// Starts a connection once its header of the PROXY protocol has told its source. From then on it
/// is like any other.
async fn start_behind_proxy(local: Arc<Local>, socket: Socket, mut accepted: Accepted) {
    let accepted_at = Instant::now();
    match take_header(&local.net, &socket, &mut accepted).await {
        Ok(()) => {
            start(&local, socket, accepted, accepted_at.elapsed());
        }
        Err(reason) => {
            local.shard.home.connections.fetch_sub(1, Ordering::Relaxed);
            local.net.core.counters.connections_opened.add(1);
            reason.count(&local.net.core);
            if let Some(limit) = reason.limit() {
                accepted.listener.terms.limit_reached(limit, &accepted.peer);
            }
            before_client(&reason, &accepted.listener.terms, &accepted.peer, None);
        }
    }
}

/// Takes the header from the socket, and counts the connection for the address that it tells.
async fn take_header(net: &Net, socket: &Socket, accepted: &mut Accepted) -> Result<(), CloseReason> {
    let listener = &accepted.listener;
    if !listener.trusts_proxy(accepted.peer) {
        return Err(CloseReason::Transport(TransportFailure::UnknownProxy));
    }
    let header = async {
        tokio::select! {
            header = proxy::take(socket) => header,
            () = listener.gave_way() => Err(CloseReason::Limit(Limit::HalfOpen)),
        }
    };
    let header = timeout(listener.handshake_patience(), header)
        .await
        .map_err(|_| CloseReason::Transport(TransportFailure::HandshakeTimeout))??;
    net.core.counters.proxy_headers.add(1);
    accepted.peer = accepted.peer.behind_proxy(header.source);
    if let Some(failure) = listener.refuses_client(header.source.map(|source| source.ip())) {
        return Err(CloseReason::Transport(failure));
    }
    if let Some(source) = header.source {
        listener.count_address(source.ip(), net.core.clock.now()).map_err(CloseReason::Limit)?;
    }
    Ok(())
}

fn start(local: &Arc<Local>, socket: Socket, accepted: Accepted, age: Duration) {
    let accepted_at = local.net.core.clock.now().minus(age);
    let peer = accepted.peer;
    let place = open_connections::with(OpenConnections::reserve);
    let home = (local.shard.home.number, place);
    let connection = match SocketSide::connection(socket, accepted, home, accepted_at) {
        Ok(connection) => Arc::new(connection),
        Err(reason) => {
            open_connections::with(|open| open.release(place));
            return give_up(local, peer, reason.word());
        }
    };
    let first_look = accepted_at.plus(connection.transport.listener.first_look());
    this_turn::with(|turn| open_connections::with(|open| open.enter(&connection, first_look, turn)));
    if let Some(waiting) = connection.transport.listener.waiting() {
        waiting.is_of(&(Arc::clone(&connection) as Arc<Connection>));
    }
    local.net.core.counters.connections_opened.add(1);
    tokio::spawn(Drive(connection));
}

fn give_up(local: &Local, peer: Peer, error: &str) {
    local.shard.home.connections.fetch_sub(1, Ordering::Relaxed);
    warn!(%peer, error, "connection refused");
}

/// Flusher task: ends each turn. Woken by the turn's first receiver, it runs behind all tasks that
/// are ready by then.
async fn flush_turns(local: Arc<Local>, _watched: Watched) {
    loop {
        poll_fn(|cx| {
            this_turn::with(|turn| {
                turn.flush();
                let ended = turn_ended(&local.shard.home, &local.net.core.counters);
                begin_turn(turn, ended, cx)
            })
        })
        .await;
        // Guests were left to the next turn: others first, sockets that have become ready included.
        tokio::task::yield_now().await;
    }
}

/// Ready when there is more to do, without anything having to happen.
fn begin_turn(turn: &mut Turn, ended: Duration, cx: &Context<'_>) -> Poll<()> {
    let Next { is_due, look } = open_connections::with(|open| open.begin_turn(turn, ended));
    if let Some(waker) = look {
        wake_behind_look(&waker);
    }
    if is_due {
        return Poll::Ready(());
    }
    turn.await_work(cx.waker());
    Poll::Pending
}

/// Committer task: carries out releases that waited for a commit.
async fn release_commits(local: Arc<Local>) {
    let _watched = Watched::new(&local.net.watchdog, "the releases of a shard");
    loop {
        local.shard.committed.notified().await;
        this_turn::with(|turn| {
            turn.tick();
            turn.commits_settled();
        });
    }
}

async fn tick(local: Arc<Local>) {
    let _watched = Watched::new(&local.net.watchdog, "the timers of a shard");
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let (mut load, mut quiet) = (Load::start(), Quiet::default());
    let mut kept = Kept::start();
    let mut overfull = 0;
    loop {
        interval.tick().await;
        time_passed(&local, &mut overfull);
        let busy_permille = load.permille();
        local.shard.busy_permille.store(busy_permille, Ordering::Relaxed);
        if let Some(kept_permille) = kept.ticked() {
            local.shard.kept_permille.store(kept_permille, Ordering::Relaxed);
        }
        quiet.ticked(busy_permille);
        if quiet.is_long() && !time_to_rest(&local).is_zero() {
            rest(&local, &mut overfull).await;
            interval.reset();
            (load, quiet) = (Load::start(), Quiet::default());
            kept = Kept::start();
            local.shard.kept_permille.store(0, Ordering::Relaxed);
        }
    }
}

/// Does what is due with a tick.
fn time_passed(local: &Local, overfull: &mut u64) {
    let tenants = local.net.tenants.all();
    this_turn::with(|turn| {
        local.shard.pulse.begins(Instant::now());
        open_connections::with(|open| open.time_passed(turn, &tenants));
        let seen = local.net.overfull.load(Ordering::SeqCst);
        if seen != *overfull {
            *overfull = seen;
            shed();
        }
    });
    if local.shard.accepts_in_place(&local.net.shards, Instant::now()) {
        local.net.listening.accept_waiting();
    }
}

/// Rests until something comes, with a tick whenever a timer is due, or it is time for a sign of
/// life.
async fn rest(local: &Local, overfull: &mut u64) {
    let shard = &local.shard;
    shard.rest.begin();
    // Handles changes that others made before they could see that the shard rests.
    time_passed(local, overfull);
    while shard.rest.is_on() {
        let time = time_to_rest(local);
        if time.is_zero() {
            shard.rest.end();
        } else {
            shard.pulse.waits_until(Instant::now() + time);
            shard.rest.sleep(time).await;
            time_passed(local, overfull);
        }
    }
}

/// How long the shard can do without a tick; zero where it cannot.
fn time_to_rest(local: &Local) -> Duration {
    if local.shard.accepts_in_place(&local.net.shards, Instant::now()) {
        return Duration::ZERO;
    }
    let time = this_turn::with(|turn| turn.may_rest(BEAT_PERIOD));
    if time <= TICK { Duration::ZERO } else { time }
}

/// Closes the connections of this thread that keep most input, and more than their share, until the
/// sum is within its bound.
fn shed() {
    let mut holders: Vec<(u32, Arc<SocketConnection>)> = open_connections::with(|open| open.all())
        .into_iter()
        .map(|connection| (connection.transport.listener.held_bytes(), connection))
        .filter(|(held, _)| *held > 0)
        .collect();
    holders.sort_by_key(|(held, _)| std::cmp::Reverse(*held));
    for (_, connection) in holders {
        let place = &connection.transport.listener;
        let Some(limit) = place.exceeded() else { continue };
        place.forget_held();
        connection.request_close(CloseReason::Limit(limit));
    }
}

async fn close_all() {
    for connection in open_connections::with(|open| open.all()) {
        connection.request_close(CloseReason::ServerShutdown);
    }
    let deadline = Instant::now() + STOP_TIME_MAX;
    while !open_connections::with(|open| open.are_none()) && Instant::now() < deadline {
        tokio::task::yield_now().await;
    }
}

/// Load of the thread, by its CPU clock.
struct Load {
    cpu: Duration,
    wall: Instant,
}

impl Load {
    fn start() -> Self {
        Self { cpu: thread_cpu(), wall: Instant::now() }
    }

    fn permille(&mut self) -> u32 {
        let (cpu, wall) = (thread_cpu(), Instant::now());
        let worked = cpu.saturating_sub(self.cpu);
        let passed = wall.duration_since(self.wall);
        (self.cpu, self.wall) = (cpu, wall);
        permille(worked, passed)
    }
}

/// Thousandths of a time, at most all of it.
fn permille(part: Duration, of: Duration) -> u32 {
    let permille = part.as_micros() * 1000 / of.as_micros().max(1);
    u32::try_from(permille.min(1000)).unwrap_or(1000)
}

/// Time for which the thread was kept from running, looked at once in [`RUN_QUEUE_TICKS`] ticks.
struct Kept {
    run_queue: SchedStat,
    looked: Instant,
    ticks: u32,
}

impl Kept {
    fn start() -> Self {
        Self { run_queue: SchedStat::of_this_thread(), looked: Instant::now(), ticks: 0 }
    }

    /// Notes a tick; returns thousandths of the time since the last look, if it is time for one.
    fn ticked(&mut self) -> Option<u32> {
        self.ticks += 1;
        if !self.ticks.is_multiple_of(RUN_QUEUE_TICKS) {
            return None;
        }
        let now = Instant::now();
        let passed = now.duration_since(std::mem::replace(&mut self.looked, now));
        Some(permille(self.run_queue.look(), passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_connections_go_to_shards_that_get_the_processor() {
        let (shards, _seats) = prepare(2, &Heartbeats::default());
        let now = Instant::now();
        let number = |shards: &[Arc<Shard>]| place(shards, Placement::Pack, now).home.number;
        shards.iter().for_each(|shard| shard.pulse.begins(now));
        assert_eq!(number(&shards), 0);
        // It works little, because another thread has its processor.
        shards[0].busy_permille.store(300, Ordering::Relaxed);
        shards[0].kept_permille.store(600, Ordering::Relaxed);
        assert_eq!(number(&shards), 1);
        shards[0].kept_permille.store(100, Ordering::Relaxed);
        assert_eq!(number(&shards), 0);
    }
}
