//! Queues of commands: one for each Client, from which a few threads take what may run (`command::workers`).
//!
//! Commands of one Client run one after the other and are answered in that order; those of different Clients run side by side. A
//! command may block its thread (a commit, a run), never one that serves Clients.
//!
//! Uploads take some of the threads and no more ([`work`]): they wait in their queues while others of them run.
//!
//! Invariants: at most one command of a Client runs at a time; all bounds are those of `limits`. Payloads are wiped when they are done
//! with, because they may hold passwords.

pub(crate) mod aside;
mod compiles;
mod stored;
pub(crate) mod work;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use hashbrown::HashMap;
use lotmq_auth::Identity;
use lotmq_definitions::Definition;
use lotmq_pulse::Pulse;
use parking_lot::{Condvar, Mutex};
use zeroize::Zeroizing;

use crate::limits::{COMMAND_BYTES_WAITING_MAX, COMMANDS_WAITING_MAX, COMMANDS_WAITING_PER_CLIENT_MAX};
use crate::management::uploads::ReceivedUpload;
use lotmq_core::tenant::Tenant;

use aside::Aside;
use compiles::Compiles;
use stored::Stored;
use work::{Running, Work};

/// Command that was accepted.
pub(crate) struct Job {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) identity: Arc<Identity>,
    /// Number of its queue: that of a session, or one of its own for a guest's definition.
    pub(crate) queue: u64,
    /// Name of the definition whose run gave it; `None` for a Client's command.
    pub(crate) definition: Option<Arc<str>>,
    pub(crate) payload: Zeroizing<Vec<u8>>,
    /// Number of guest runs that led to it; its messages have as many hops.
    pub(crate) hops: u8,
    pub(crate) response: Option<ResponseTo>,
    /// Bytes that came in parts, of a command that is executed again because all of them have come.
    pub(crate) upload: Option<ReceivedUpload>,
}

/// First number of the queues of guests' commands, above those of sessions.
const GUEST_QUEUES: u64 = 1 << 63;

/// First number of the queues of uploads whose bytes have come: each has its own, so that its Client can give commands meanwhile.
const UPLOAD_QUEUES: u64 = 1 << 62;

impl Job {
    /// Number of the queue for the commands of a definition.
    pub(crate) fn queue_of(tenant: &Tenant, definition: &Definition) -> u64 {
        GUEST_QUEUES | u64::from(tenant.number) << 40 | definition.id.0
    }

    /// Number of the session that gave the command; `None` for a guest's command.
    pub(crate) fn session(&self) -> Option<u64> {
        match &self.upload {
            Some(upload) => Some(upload.session),
            None => self.definition.is_none().then_some(self.queue),
        }
    }

    fn work(&self) -> Work {
        match &self.upload {
            Some(upload) => Work::of_module(upload.bytes.len()),
            None => Work::of(&self.payload),
        }
    }
}

/// Response Topic on which a 5.0 Client wants the reply, too.
pub(crate) struct ResponseTo {
    pub(crate) topic: String,
    pub(crate) correlation_data: Option<Vec<u8>>,
}

/// Error: too many commands wait already.
#[derive(Debug)]
pub(crate) struct Busy;

/// Queues of commands, with the state that commands share.
#[derive(Default)]
pub(crate) struct Commands {
    state: Mutex<State>,
    ready: Condvar,
    /// Lock of changes of entities, accounts and variables, held until the change is on the disk: they are serialised (commands reference §1.9).
    pub(crate) changes: Mutex<()>,
    /// State of waiting for changes to come to the disk.
    pub(crate) stored: Stored,
    /// Modules of which native code is made on other threads.
    pub(crate) compiles: Arc<Compiles>,
    /// Number of modules that are being sent to Clients.
    pub(crate) downloads: AtomicUsize,
    /// Reads of the store on other threads.
    pub(crate) aside: Aside,
    /// Sessions whose own password is being set by their command, which has not been answered.
    setting_own_password: Mutex<Vec<u64>>,
}

/// Guard for a session that waits for the answer to the command which sets its own password.
pub(crate) struct OwnPassword<'a> {
    commands: &'a Commands,
    session: u64,
}

impl Drop for OwnPassword<'_> {
    fn drop(&mut self) {
        self.commands.setting_own_password.lock().retain(|session| *session != self.session);
    }
}

#[derive(Default)]
struct State {
    queues: HashMap<u64, VecDeque<Job>>,
    /// Queues none of whose commands runs, with the work of the first one.
    ready: VecDeque<(u64, Work)>,
    running: Running,
    /// Number of the next queue of an upload.
    next_upload: u64,
    waiting: usize,
    bytes: usize,
    is_stopping: bool,
}

impl Commands {
    /// Takes a command.
    ///
    /// # Errors
    /// [`Busy`]; the command is not executed.
    pub(crate) fn submit(&self, job: Job) -> Result<(), Busy> {
        let mut state = self.state.lock();
        let of_client = state.queues.get(&job.queue).map_or(0, VecDeque::len);
        let bytes = state.bytes + job.payload.len();
        // A single command of any size that a packet holds is always taken.
        let is_too_much = state.waiting > 0 && bytes > COMMAND_BYTES_WAITING_MAX;
        if is_too_much
            || of_client >= COMMANDS_WAITING_PER_CLIENT_MAX
            || state.waiting >= COMMANDS_WAITING_MAX
            || state.is_stopping
        {
            return Err(Busy);
        }
        state.bytes = bytes;
        state.waiting += 1;
        let (key, work) = (job.queue, job.work());
        let queue = state.queues.entry(key).or_default();
        queue.push_back(job);
        if queue.len() == 1 {
            state.ready.push_back((key, work));
            drop(state);
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Number of a queue for the command of an upload.
    pub(crate) fn upload_queue(&self) -> u64 {
        let mut state = self.state.lock();
        state.next_upload += 1;
        UPLOAD_QUEUES | state.next_upload
    }

    /// Number of commands that wait or run.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().waiting
    }

    /// Spares a session that sets its own password until it has been answered. Of a session one command runs at a time, so it is in the list once.
    pub(crate) fn sets_own_password(&self, session: u64) -> OwnPassword<'_> {
        self.setting_own_password.lock().push(session);
        OwnPassword { commands: self, session }
    }

    /// Whether the session has not had the answer yet to the command by which its user sets his own password.
    pub(crate) fn is_setting_own_password(&self, session: u64) -> bool {
        self.setting_own_password.lock().contains(&session)
    }

    /// Whether the threads have to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.state.lock().is_stopping
    }

    /// Lets the threads end after the commands that run now.
    pub(crate) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.ready.notify_all();
    }

    /// Waits for the next command that may run; `None` when it is time to end. The command stays at the head of its queue, so that no other of
    /// its Client starts, until [`Commands::done`].
    pub(crate) fn next(&self, pulse: &Pulse) -> Option<StartedCommand> {
        let mut state = self.state.lock();
        loop {
            if state.is_stopping {
                return None;
            }
            if let Some((key, work)) = state.take_ready()
                && let Some(head) = state.queues.get_mut(&key).and_then(VecDeque::front_mut)
            {
                let emptied = Job {
                    tenant: Arc::clone(&head.tenant),
                    identity: Arc::clone(&head.identity),
                    queue: key,
                    definition: None,
                    payload: Zeroizing::default(),
                    hops: 0,
                    response: None,
                    upload: None,
                };
                let job = std::mem::replace(head, emptied);
                state.running.begins(work);
                return Some(StartedCommand { work, job });
            }
            self.ready.wait_until(&mut state, pulse.waits_one_beat(Instant::now()));
        }
    }

    /// Ends a command that had so many bytes. The thread that calls it goes on with [`Commands::next`], so that it takes what may begin now.
    pub(crate) fn done(&self, key: u64, work: Work, bytes: usize) {
        let mut state = self.state.lock();
        state.running.ends(work);
        state.waiting -= 1;
        state.bytes -= bytes;
        let Some(queue) = state.queues.get_mut(&key) else { return };
        queue.pop_front();
        if let Some(head) = queue.front() {
            let work = head.work();
            state.ready.push_back((key, work));
            drop(state);
            self.ready.notify_one();
        } else {
            state.queues.remove(&key);
        }
    }
}

impl State {
    /// Takes the first queue whose command may begin.
    fn take_ready(&mut self) -> Option<(u64, Work)> {
        let at = self.ready.iter().position(|(_, work)| self.running.admits(*work))?;
        self.ready.remove(at)
    }
}

/// Command that a thread is to execute.
pub(crate) struct StartedCommand {
    pub(crate) work: Work,
    pub(crate) job: Job,
}
