//! Routes of type `KAFKA`: messages to the topics of a cluster, and records from them to this
//! broker.
//!
//! A delivery is accepted when all replicas have it. An offset of a group is committed when the
//! records before it are stored here.

mod api;
mod assign;
mod cluster;
mod compression;
mod config;
mod consumer;
mod failures;
mod group;
mod kept;
mod limits;
mod link;
mod message;
mod partition;
mod producer;
mod race;
mod records;
mod sasl;
mod topic;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use cluster::Cluster;
use config::Config;
use consumer::Consumer;
use lotmq_guest::route::executor::{block_on, host_work, sleep, spawn};
use lotmq_guest::route::{Abilities, Delivery, Description, Failure, Receipt, Route};
use producer::Producer;
use race::{Boxed, first};

/// Open route: the cluster, its producer and its consumer.
struct Open {
    cluster: Rc<Cluster>,
    producer: RefCell<Producer>,
    consumer: Option<Rc<Consumer>>,
}

thread_local! {
    static OPEN: RefCell<Option<Rc<Open>>> = const { RefCell::new(None) };
    /// Failure of a task, until the host knows of it, and who waits for one.
    static FAILED: RefCell<(Option<Failure>, Option<Waker>)> = const { RefCell::new((None, None)) };
    /// Number of the current opening. Tasks of a former opening end.
    static OPENING: Cell<u64> = const { Cell::new(0) };
}

struct Kafka;

impl Route for Kafka {
    fn describe() -> Description {
        let abilities = Abilities::DELIVER | Abilities::RUN | Abilities::REQUEST;
        Description { configuration: config::SCHEMA.to_owned(), abilities }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        OPENING.set(OPENING.get() + 1);
        FAILED.take();
        let cluster = block_on(Cluster::open(Config::parse(&configuration)?))?;
        let reads = !cluster.config.is_probe && !cluster.config.inward.is_empty();
        let consumer = reads.then(|| Consumer::new(Rc::clone(&cluster)));
        spawn(until_failure(tend(Rc::clone(&cluster))));
        if let Some(consumer) = &consumer {
            spawn(until_failure(Rc::clone(consumer).run()));
        }
        OPEN.set(Some(Rc::new(Open { cluster, producer: RefCell::new(Producer::new()), consumer })));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        let open = opened()?;
        let mut producer = open.producer.borrow_mut();
        block_on(producer.deliver(&open.cluster, &batch))
    }

    fn run(until_ms: u32) -> Result<u32, Failure> {
        opened()?;
        let time = sleep(Duration::from_millis(until_ms.into()));
        let ends: Vec<Boxed<'_, ()>> = vec![Box::pin(failed()), Box::pin(host_work()), Box::pin(time)];
        block_on(first(ends));
        opened().map(|_| 0)
    }

    fn request(operation: String, _body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        match operation.as_str() {
            "probe" => {
                let open = opened()?;
                block_on(open.cluster.refresh())?;
                Ok(b"{}".to_vec())
            }
            _ => Err(Failure::Reject(format!("a route of type KAFKA does not answer '{operation}'"))),
        }
    }

    fn close() {
        if let Some(open) = OPEN.take()
            && let Some(consumer) = &open.consumer
        {
            block_on(consumer.leave());
        }
    }
}

/// Returns the open route, unless a task has failed.
fn opened() -> Result<Rc<Open>, Failure> {
    if let Some(failure) = FAILED.with_borrow_mut(|(failure, _)| failure.take()) {
        return Err(failure);
    }
    OPEN.with_borrow(|open| open.clone()).ok_or_else(|| Failure::Reconnect("not open".to_owned()))
}

/// Refreshes the leaders of partitions from time to time, which also detects a lost cluster.
async fn tend(cluster: Rc<Cluster>) -> Failure {
    loop {
        sleep(Duration::from_millis(cluster.interval_ms())).await;
        if let Err(failure) = cluster.refresh().await {
            return failure;
        }
    }
}

/// Runs a task to its failure, which the next call reports.
async fn until_failure(task: impl Future<Output = Failure>) {
    let opening = OPENING.get();
    let failure = task.await;
    if OPENING.get() == opening {
        FAILED.with_borrow_mut(|(failed, waker)| {
            failed.get_or_insert(failure);
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        });
    }
}

/// Waits until a task has failed.
async fn failed() {
    poll_fn(|cx| {
        FAILED.with_borrow_mut(|(failure, waker)| {
            if failure.is_some() {
                return Poll::Ready(());
            }
            *waker = Some(cx.waker().clone());
            Poll::Pending
        })
    })
    .await;
}

lotmq_guest::export_route!(Kafka);
