//! Messages that an administrator takes out of what waits for a route: they become dead letters,
//! whether the far side is there or not, and the guest is not asked.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use lotmq_core::durable::commit_watcher::CommitWatcher;
use lotmq_core::durable::store_failure::StoreFailure;
use lotmq_core::tenant::Tenant;

use super::dead_letter_queue;
use super::hosting::Hosting;
use super::routes::RouteRunner;
use super::routes::delivery_pause::{DeliveryPause, RemovableMessages};
use super::routes::mailbox::RouteMessage;
use super::routes::status::Connection;
use crate::limits::COMMIT_PATIENCE;

/// Reason that such a dead letter says.
const REASON: &str = "an administrator took it out of what waited (-skipWaiting)";

/// Time for which the oldest message is waited for that is in a call of the guest, or is being
/// read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Result of an order to skip messages.
#[derive(Debug, Default)]
pub struct Skipped {
    /// Number of messages that were skipped.
    pub messages: u64,
    /// Messages that wait now.
    pub waiting: u64,
    /// Whether more were wanted, and the next is in a call of the guest.
    pub is_in_call: bool,
}

/// Reason why messages were not taken out, or not for certain.
#[derive(Debug)]
pub enum SkipError {
    /// There is no place for dead letters.
    NoPlace,
    /// They were taken out, and that is not on the disk.
    NotStored(StoreFailure),
    /// The same, as far as is known after so long.
    Hangs,
}

/// Watcher of the dead letters that this makes.
struct Failed(SyncSender<StoreFailure>);

impl CommitWatcher for Failed {
    fn settled(&self, outcome: Result<(), StoreFailure>) {
        if let Err(failure) = outcome {
            // The first one says it for all.
            let _ = self.0.try_send(failure);
        }
    }
}

/// Makes dead letters of the `most` oldest waiting messages and waits until they are on the disk. A
/// message in a call of the guest stays with the guest; the function waits for it for a while. The
/// remaining messages are retried at once, because their obstacle may be gone.
///
/// # Errors
/// If there is no place for dead letters, or the disk does not take them.
pub fn skip(
    hosting: &Hosting,
    tenant: &Arc<Tenant>,
    route: &Arc<RouteRunner>,
    most: u64,
) -> Result<Skipped, SkipError> {
    // Messages in memory alone need new room on the disk.
    let has_room = route.is_stored() || !hosting.core.storage.queues_are_full();
    let session = dead_letter_queue::session(hosting, tenant, route).filter(|_| has_room);
    let session = session.ok_or(SkipError::NoPlace)?;
    let (sender, failed) = sync_channel(1);
    let watcher: Arc<dyn CommitWatcher> = Arc::new(Failed(sender));
    let (hold, until) = (DeliveryPause::on(route), Instant::now() + PATIENCE);
    let mut skipped = Skipped::default();
    while skipped.messages < most {
        let left = usize::try_from(most - skipped.messages).unwrap_or(usize::MAX);
        match hold.take(left) {
            RemovableMessages::Posts(posts) => {
                skipped.messages += posts.len() as u64;
                for post in &posts {
                    let watcher = Some(Arc::clone(&watcher));
                    dead_letter_queue::enter(hosting, tenant, (route, session), (post, REASON), watcher);
                }
                leave(route, &posts);
            }
            RemovableMessages::Nothing => break,
            RemovableMessages::Later if Instant::now() < until => std::thread::sleep(PAUSE),
            RemovableMessages::Later => {
                skipped.is_in_call = true;
                break;
            }
        }
    }
    skipped.waiting = route.waiting().0;
    drop((hold, watcher));
    if skipped.messages > 0 && !route.status().is_stopped() {
        match is_away(route) {
            true => route.reopen(),
            false => route.tries_now(),
        }
    }
    match failed.recv_timeout(COMMIT_PATIENCE) {
        Ok(failure) => Err(SkipError::NotStored(failure)),
        Err(RecvTimeoutError::Timeout) => Err(SkipError::Hangs),
        // All that was watched is on the disk.
        Err(RecvTimeoutError::Disconnected) => Ok(skipped),
    }
}

fn leave(route: &RouteRunner, posts: &[RouteMessage]) {
    route.update(|status| status.taken_out(posts.len() as u64));
    route.leave_outbox(posts);
}

fn is_away(route: &RouteRunner) -> bool {
    route.stands_still() || route.status().connection() != Connection::Connected
}
