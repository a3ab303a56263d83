//! Executor of asynchronous code. Runs futures on the one thread of a guest and suspends the guest
//! while all of them wait.
//!
//! [`block_on`] runs one future to its end; [`spawn`] adds tasks beside it. Tasks make no progress
//! between two calls of the host. Background work, such as reading from the other side, runs in
//! [`drive`], from [`Route::run`](super::Route::run).
//! [`AsyncConnection`] is a stream for protocol crates. It implements the traits of `futures-io` or
//! `tokio` with the feature of that name. There is no tokio runtime: spawn tasks with [`spawn`],
//! and use [`sleep`] and [`timeout`] for time.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::connection::to_io;
use super::host::ambient;
use super::host::net::{self, Interest, IoError, Peer};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Tasks that can go on, by their numbers.
type Ready = Arc<Mutex<BTreeSet<u64>>>;

/// Reads and writes of a task before it yields to the other tasks, even if more are possible.
const TURN_OPERATIONS: u32 = 64;

/// Rounds of tasks between two polls of connections, timers and the host, even if tasks are ready.
const ROUNDS_PER_LOOK: u32 = 16;

thread_local! {
    /// Of this thread: a guest has one, tests of it have one each.
    static READY: Ready = Ready::default();
    static EXECUTOR: RefCell<Executor> = const { RefCell::new(Executor::new()) };
    /// Reads and writes that are left to the task whose turn it is.
    static LEFT: Cell<u32> = const { Cell::new(TURN_OPERATIONS) };
}

struct Executor {
    /// Tasks that are not being polled.
    tasks: BTreeMap<u64, Task>,
    waits: Vec<(Source, Waker)>,
    /// Wakers of sleeping tasks, by wake-up time and a unique number.
    timers: BTreeMap<(u64, u64), Waker>,
    last_number: u64,
    is_running: bool,
    /// Whether a task has ended since [`drive`] came back last.
    has_ended: bool,
    /// Waker of a running [`drive`], for the end of a task.
    at_end: Option<Waker>,
}

impl Executor {
    const fn new() -> Self {
        Self {
            tasks: BTreeMap::new(),
            waits: Vec::new(),
            timers: BTreeMap::new(),
            last_number: 0,
            is_running: false,
            has_ended: false,
            at_end: None,
        }
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn task_ended(&mut self) {
        self.has_ended = true;
        if let Some(waker) = &self.at_end {
            waker.wake_by_ref();
        }
    }
}

/// Event source that a task waits for. It holds weak references, so that it keeps no unused
/// connection open.
enum Source {
    Readable(Weak<net::Tcp>),
    Writable(Weak<net::Tcp>),
    Acceptable(Weak<net::Listener>),
    Receivable(Weak<net::Udp>),
    Sendable(Weak<net::Udp>),
    Signalled(Weak<net::Signal>),
    HostWork,
}

impl Source {
    fn is_same(&self, other: &Source) -> bool {
        match (self, other) {
            (Self::Readable(one), Self::Readable(other)) | (Self::Writable(one), Self::Writable(other)) => {
                one.ptr_eq(other)
            }
            (Self::Acceptable(one), Self::Acceptable(other)) => one.ptr_eq(other),
            (Self::Receivable(one), Self::Receivable(other))
            | (Self::Sendable(one), Self::Sendable(other)) => one.ptr_eq(other),
            (Self::Signalled(one), Self::Signalled(other)) => one.ptr_eq(other),
            (Self::HostWork, Self::HostWork) => true,
            _ => false,
        }
    }

    /// The same, held for as long as it is waited for; `None` when it is gone.
    fn hold(&self) -> Option<Held> {
        match self {
            Self::Readable(tcp) => tcp.upgrade().map(Held::Readable),
            Self::Writable(tcp) => tcp.upgrade().map(Held::Writable),
            Self::Acceptable(listener) => listener.upgrade().map(Held::Acceptable),
            Self::Receivable(udp) => udp.upgrade().map(Held::Receivable),
            Self::Sendable(udp) => udp.upgrade().map(Held::Sendable),
            Self::Signalled(signal) => signal.upgrade().map(Held::Signalled),
            Self::HostWork => Some(Held::HostWork),
        }
    }
}

enum Held {
    Readable(Arc<net::Tcp>),
    Writable(Arc<net::Tcp>),
    Acceptable(Arc<net::Listener>),
    Receivable(Arc<net::Udp>),
    Sendable(Arc<net::Udp>),
    Signalled(Arc<net::Signal>),
    HostWork,
}

impl Held {
    fn interest(&self) -> Interest<'_> {
        match self {
            Self::Readable(tcp) => Interest::Readable(tcp),
            Self::Writable(tcp) => Interest::Writable(tcp),
            Self::Acceptable(listener) => Interest::Acceptable(listener),
            Self::Receivable(udp) => Interest::Receivable(udp),
            Self::Sendable(udp) => Interest::Sendable(udp),
            Self::Signalled(signal) => Interest::Signalled(signal),
            Self::HostWork => Interest::HostWork,
        }
    }
}

/// Registers the waker of a source. The latest one replaces earlier ones.
fn wake_when(source: Source, cx: &Context<'_>) {
    EXECUTOR.with_borrow_mut(|executor| {
        match executor.waits.iter_mut().find(|(known, _)| known.is_same(&source)) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => executor.waits.push((source, cx.waker().clone())),
        }
    });
}

struct Number(u64, Ready);

impl Number {
    fn waker(number: u64) -> Waker {
        Waker::from(Arc::new(Self(number, READY.with(Arc::clone))))
    }
}

impl Wake for Number {
    fn wake(self: Arc<Self>) {
        in_order(&self.1).insert(self.0);
    }
}

fn in_order(ready: &Ready) -> MutexGuard<'_, BTreeSet<u64>> {
    ready.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does something with the tasks of this thread that can go on.
fn with_ready<T>(work: impl FnOnce(&mut BTreeSet<u64>) -> T) -> T {
    READY.with(|ready| work(&mut in_order(ready)))
}

/// Adds a task, which goes on whenever [`block_on`] or [`drive`] is under way, until its end.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    let number = EXECUTOR.with_borrow_mut(|executor| {
        let number = executor.next_number();
        executor.tasks.insert(number, Box::pin(task));
        number
    });
    with_ready(|ready| ready.insert(number));
}

/// Runs a future to its end, together with the spawned tasks.
///
/// # Panics
/// Panics within another `block_on`, and if the future waits for no connection, no time and no work
/// of the host.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let number = EXECUTOR.with_borrow_mut(|executor| {
        assert!(!std::mem::replace(&mut executor.is_running, true), "block_on within block_on");
        executor.next_number()
    });
    let output = run(number, pin!(future));
    EXECUTOR.with_borrow_mut(|executor| executor.is_running = false);
    output
}

fn run<F: Future>(number: u64, mut future: Pin<&mut F>) -> F::Output {
    let waker = Number::waker(number);
    with_ready(|ready| ready.insert(number));
    let mut rounds = 0;
    loop {
        rounds = (rounds + 1) % ROUNDS_PER_LOOK;
        let can_go_on = with_ready(std::mem::take);
        if can_go_on.is_empty() {
            park(u32::MAX);
        } else if rounds == 0 {
            park(0);
        }
        let mut output = None;
        for task in can_go_on {
            LEFT.set(TURN_OPERATIONS);
            if task != number {
                poll_task(task);
            } else if let Poll::Ready(found) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                output = Some(found);
            }
        }
        if let Some(output) = output {
            with_ready(|ready| ready.remove(&number));
            return output;
        }
    }
}

fn poll_task(number: u64) {
    let Some(mut task) = EXECUTOR.with_borrow_mut(|executor| executor.tasks.remove(&number)) else { return };
    let waker = Number::waker(number);
    if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        EXECUTOR.with_borrow_mut(|executor| executor.tasks.insert(number, task));
    } else {
        EXECUTOR.with_borrow_mut(Executor::task_ended);
    }
}

/// Suspends the guest until something is there that a task waits for, at most for so long.
fn park(most_ms: u32) {
    let (held, timeout_ms) = EXECUTOR.with_borrow_mut(|executor| {
        executor.waits.retain(|(source, _)| source.hold().is_some());
        let next =
            executor.timers.first_key_value().map(|((at, _), _)| at.saturating_sub(ambient::monotonic_ms()));
        assert!(
            most_ms == 0 || !executor.waits.is_empty() || next.is_some(),
            "the future waits for what no connection, no time and no work of the host brings"
        );
        let held: Vec<Held> = executor.waits.iter().filter_map(|(source, _)| source.hold()).collect();
        (held, next.map_or(most_ms, |ms| u32::try_from(ms).unwrap_or(u32::MAX).min(most_ms)))
    });
    // An instance has at most 64 connections and listeners, and 64 signals, so all interests fit.
    let interests: Vec<Interest<'_>> = held.iter().map(Held::interest).collect();
    let mut are_ready = net::wait(&interests, timeout_ms);
    are_ready.sort_unstable();
    let woken = EXECUTOR.with_borrow_mut(|executor| {
        let sources = are_ready.into_iter().rev().map(|at| executor.waits.remove(at as usize).1);
        let mut woken: Vec<Waker> = sources.collect();
        let later = executor.timers.split_off(&(ambient::monotonic_ms() + 1, 0));
        woken.extend(std::mem::replace(&mut executor.timers, later).into_values());
        woken
    });
    woken.iter().for_each(Waker::wake_by_ref);
}

/// Runs the tasks until the host has work for this instance, a task has ended or the time is over.
/// Implements [`Route::run`](super::Route::run).
///
/// It returns at once for a task that ended earlier, for example beside a delivery, once for each.
/// Without tasks it waits, so that an immediate next run does not spin. Tasks with new input run
/// first even if the host has work, because a backlog always has work.
pub fn drive(until_ms: u32) {
    park(0);
    // Each ends it.
    let _ = block_on(timeout(Duration::from_millis(until_ms.into()), async {
        let (mut work, mut end) = (pin!(host_work()), pin!(task_end()));
        poll_fn(|cx| match end.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => work.as_mut().poll(cx),
        })
        .await;
    }));
    EXECUTOR.with_borrow_mut(|executor| (executor.has_ended, executor.at_end) = (false, None));
}

/// Waits until a task has ended.
async fn task_end() {
    poll_fn(|cx| {
        EXECUTOR.with_borrow_mut(|executor| {
            if executor.has_ended {
                return Poll::Ready(());
            }
            executor.at_end = Some(cx.waker().clone());
            Poll::Pending
        })
    })
    .await;
}

/// Waits until the host has a batch, a request or a `close` for this instance.
pub async fn host_work() {
    poll_fn(|cx| {
        if !net::wait(&[Interest::HostWork], 0).is_empty() {
            return Poll::Ready(());
        }
        wake_when(Source::HostWork, cx);
        Poll::Pending
    })
    .await;
}

/// Waits until a signal of another interface is there.
pub async fn signalled(signal: &Arc<net::Signal>) {
    poll_fn(|cx| {
        if !net::wait(&[Interest::Signalled(signal)], 0).is_empty() {
            return Poll::Ready(());
        }
        wake_when(Source::Signalled(Arc::downgrade(signal)), cx);
        Poll::Pending
    })
    .await;
}

/// Notes that a task is woken by a signal.
pub(super) fn wake_by(signal: &Arc<net::Signal>, cx: &Context<'_>) {
    wake_when(Source::Signalled(Arc::downgrade(signal)), cx);
}

/// Returns whether the task may read or write once more in its turn; else it yields to the others.
pub(super) fn takes_turn(cx: &Context<'_>) -> bool {
    let left = LEFT.get();
    if left == 0 {
        cx.waker().wake_by_ref();
        return false;
    }
    LEFT.set(left - 1);
    true
}

/// Waits for a time; see [`sleep`].
#[derive(Debug)]
pub struct Sleep {
    at_ms: u64,
    number: u64,
}

/// Waits for so long. Counted in milliseconds; a shorter time is one.
pub fn sleep(duration: Duration) -> Sleep {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1);
    let number = EXECUTOR.with_borrow_mut(Executor::next_number);
    Sleep { at_ms: ambient::monotonic_ms().saturating_add(ms), number }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let key = (self.at_ms, self.number);
        EXECUTOR.with_borrow_mut(|executor| {
            if ambient::monotonic_ms() >= self.at_ms {
                executor.timers.remove(&key);
                return Poll::Ready(());
            }
            executor.timers.insert(key, cx.waker().clone());
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // When a thread ends with a sleeping task, as in a test, its timers may already be gone.
        let _ = EXECUTOR
            .try_with(|executor| drop(executor.borrow_mut().timers.remove(&(self.at_ms, self.number))));
    }
}

/// Runs a future for at most so long; `None` when that was not enough, and the future is dropped.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut time = pin!(sleep(duration));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        time.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// A TCP connection for asynchronous code. Dropping it closes it.
///
/// To connect and to go on with TLS suspends the whole guest, every task with it.
#[derive(Debug)]
pub struct AsyncConnection {
    tcp: Arc<net::Tcp>,
}

impl AsyncConnection {
    /// Connects to a named endpoint of the definition.
    pub fn open(endpoint: &str, timeout_ms: u32) -> Result<Self, IoError> {
        Ok(Self::accepted(net::Tcp::connect(endpoint, timeout_ms)?))
    }

    /// Connects to a place that only the other system knows; the endpoint must allow it.
    pub fn open_to(endpoint: &str, place: &Peer, timeout_ms: u32) -> Result<Self, IoError> {
        Ok(Self::accepted(net::Tcp::connect_to(endpoint, place, timeout_ms)?))
    }

    /// A connection that is open.
    pub fn accepted(tcp: net::Tcp) -> Self {
        Self { tcp: Arc::new(tcp) }
    }

    /// Goes on with TLS.
    pub fn start_tls(&self, timeout_ms: u32) -> Result<(), IoError> {
        self.tcp.start_tls(timeout_ms)
    }

    /// Goes on with TLS whose handshake is in packets of TDS 7, the protocol of SQL Server.
    pub fn start_tls_in_tds(&self, timeout_ms: u32) -> Result<(), IoError> {
        self.tcp.start_tls_in_tds(timeout_ms)
    }

    /// Goes on with TLS for a protocol by its name, such as `tds/8.0` (ALPN).
    pub fn start_tls_for(&self, protocol: &str, timeout_ms: u32) -> Result<(), IoError> {
        self.tcp.start_tls_for(protocol, timeout_ms)
    }

    /// Goes on with a zstd stream each way, to which the bytes belong that were read already.
    pub fn start_zstd(&self, received: &[u8]) -> Result<(), IoError> {
        self.tcp.start_zstd(received)
    }

    /// Reads available bytes, at most `max`. Returns no bytes when the other side has ended its
    /// direction.
    pub fn poll_receive(&self, cx: &Context<'_>, max: usize) -> Poll<io::Result<Vec<u8>>> {
        if !takes_turn(cx) {
            return Poll::Pending;
        }
        match self.tcp.read(u32::try_from(max).unwrap_or(u32::MAX)) {
            Err(IoError::WouldBlock) => {
                wake_when(Source::Readable(Arc::downgrade(&self.tcp)), cx);
                Poll::Pending
            }
            read => Poll::Ready(read.map_err(to_io)),
        }
    }

    /// Writes as many bytes as possible now, and returns their number.
    pub fn poll_send(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !takes_turn(cx) {
            return Poll::Pending;
        }
        match self.tcp.write(bytes) {
            Err(IoError::WouldBlock) => {
                wake_when(Source::Writable(Arc::downgrade(&self.tcp)), cx);
                Poll::Pending
            }
            written => Poll::Ready(written.map(|written| written as usize).map_err(to_io)),
        }
    }

    /// Ends our direction.
    pub fn shutdown(&self) -> io::Result<()> {
        self.tcp.shutdown().map_err(to_io)
    }
}

/// Takes TCP connections of others, for asynchronous code. Dropping it closes it.
#[derive(Debug)]
pub struct AsyncListener {
    listener: Arc<net::Listener>,
}

impl AsyncListener {
    /// Listens at an endpoint that the definition marks as listening.
    pub fn bind(endpoint: &str) -> Result<Self, IoError> {
        Ok(Self { listener: Arc::new(net::Listener::bind(endpoint)?) })
    }

    /// The next connection.
    pub async fn accept(&self) -> Result<AsyncConnection, IoError> {
        poll_fn(|cx| match self.listener.accept() {
            Err(IoError::WouldBlock) => {
                wake_when(Source::Acceptable(Arc::downgrade(&self.listener)), cx);
                Poll::Pending
            }
            accepted => Poll::Ready(accepted.map(AsyncConnection::accepted)),
        })
        .await
    }
}

/// A UDP socket for asynchronous code; one task at a time receives from it. Dropping it closes it.
#[derive(Debug)]
pub struct AsyncUdp {
    udp: Arc<net::Udp>,
}

impl AsyncUdp {
    /// Opens a socket for datagrams to and from a named endpoint of the definition. Suspends the
    /// whole guest during the look-up of its host.
    pub fn open(endpoint: &str, timeout_ms: u32) -> Result<Self, IoError> {
        Ok(Self { udp: Arc::new(net::Udp::connect(endpoint, timeout_ms)?) })
    }

    /// Opens a socket for datagrams from any sender, at an endpoint that the definition marks as
    /// listening.
    pub fn bind(endpoint: &str) -> Result<Self, IoError> {
        Ok(Self { udp: Arc::new(net::Udp::bind(endpoint)?) })
    }

    /// Sends one datagram to the endpoint.
    pub async fn send(&self, datagram: &[u8]) -> Result<(), IoError> {
        self.send_whole(datagram, None).await
    }

    /// Sends one datagram to an IP address, from a socket that was bound.
    pub async fn send_to(&self, datagram: &[u8], to: &Peer) -> Result<(), IoError> {
        self.send_whole(datagram, Some(to)).await
    }

    async fn send_whole(&self, datagram: &[u8], to: Option<&Peer>) -> Result<(), IoError> {
        poll_fn(|cx| match self.udp.send(datagram, to) {
            Err(IoError::WouldBlock) => {
                wake_when(Source::Sendable(Arc::downgrade(&self.udp)), cx);
                Poll::Pending
            }
            sent => Poll::Ready(sent),
        })
        .await
    }

    /// Returns the next datagram and its sender.
    pub async fn receive(&self) -> Result<(Vec<u8>, Peer), IoError> {
        poll_fn(|cx| {
            if !takes_turn(cx) {
                return Poll::Pending;
            }
            match self.udp.receive() {
                Err(IoError::WouldBlock) => {
                    wake_when(Source::Receivable(Arc::downgrade(&self.udp)), cx);
                    Poll::Pending
                }
                received => Poll::Ready(received),
            }
        })
        .await
    }
}

#[cfg(feature = "futures-io")]
impl futures_io::AsyncRead for AsyncConnection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_receive(cx, bytes.len()).map_ok(|read| {
            bytes[..read.len()].copy_from_slice(&read);
            read.len()
        })
    }
}

#[cfg(feature = "futures-io")]
impl futures_io::AsyncWrite for AsyncConnection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown())
    }
}

#[cfg(feature = "tokio")]
impl tokio::io::AsyncRead for AsyncConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_receive(cx, bytes.remaining()).map_ok(|read| bytes.put_slice(&read))
    }
}

#[cfg(feature = "tokio")]
impl tokio::io::AsyncWrite for AsyncConnection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown())
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::rc::Rc;

    use super::*;
    use crate::testing::{set_endpoint, set_host_work};

    #[test]
    fn arrived_data_is_read_even_under_constant_host_work() {
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        set_endpoint("far", far.local_addr().unwrap());
        let (socket, heard) = (AsyncUdp::open("far", 1_000).unwrap(), Rc::new(Cell::new(0)));
        block_on(socket.send(b"hello")).unwrap();
        let (_, from) = far.recv_from(&mut [0; 10]).unwrap();
        let count = Rc::clone(&heard);
        spawn(async move {
            while socket.receive().await.is_ok() {
                count.set(count.get() + 1);
            }
        });
        set_host_work(true);
        drive(1_000);
        for number in 1..=3 {
            far.send_to(b"line", from).unwrap();
            drive(1_000);
            assert_eq!(heard.get(), number);
        }
    }

    #[test]
    fn tasks_go_on_while_a_delivery_waits_for_its_answer() {
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        set_endpoint("far", far.local_addr().unwrap());
        // As in `open`.
        let (polls, station) = (AsyncUdp::open("far", 1_000).unwrap(), AsyncUdp::open("far", 1_000).unwrap());
        let polled = Rc::new(Cell::new(0));
        let count = Rc::clone(&polled);
        spawn(async move {
            loop {
                polls.send(b"poll").await.unwrap();
                count.set(count.get() + 1);
                sleep(Duration::from_millis(5)).await;
            }
        });
        let answers = std::thread::spawn(move || {
            let (mut bytes, mut asked, mut polled) = ([0; 10], None, 0);
            // The far side answers after three polls.
            loop {
                let (length, from) = far.recv_from(&mut bytes).unwrap();
                match &bytes[..length] {
                    b"ask" => asked = Some(from),
                    _ => polled += u32::from(asked.is_some()),
                }
                if let Some(asked) = asked.filter(|_| polled == 3) {
                    far.send_to(b"told", asked).unwrap();
                    return;
                }
            }
        });
        // As in `deliver`.
        let answer = block_on(async {
            station.send(b"ask").await?;
            timeout(Duration::from_secs(5), station.receive()).await.unwrap_or(Err(IoError::TimedOut))
        });
        assert_eq!(answer.unwrap().0, b"told");
        assert!(polled.get() >= 3);
        answers.join().unwrap();
    }
}
