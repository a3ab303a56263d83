//! Queues of commands: one for each Client, from which a few threads take what may run
//! (`command::workers`).
//!
//! Commands of one Client run one after the other and are answered in that order; those of
//! different Clients run side by side. A command may block its thread (a commit, a run), never one
//! that serves Clients.
//!
//! Tenants, and users within them, take [turns](OwnerTurns); each has a [share](shares) of the
//! places, and of the threads for each kind of [work]. So nobody's commands, from however many
//! connections, keep those of others waiting for longer than one command of theirs takes.
//!
//! Invariants: at most one command of a Client runs at a time; all bounds are those of `limits`.
//! Payloads are wiped when they are done with, because they may hold passwords.

pub(crate) mod blocking_pool;
pub mod job;
pub mod reply;
mod shares;
mod stored;
mod user_places;
pub(crate) mod work;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use lotmq_auth::Identity;
use lotmq_pulse::{Heartbeat, Heartbeats};
use lotmq_shares::{OwnerKey, OwnerTurns, QuotaLevels};
use parking_lot::{Condvar, Mutex};

use crate::limits::{
    COMMANDS_WAITING_PER_CLIENT_MAX, MODULE_COMPILES_MAX, MODULE_COMPILES_PER_TENANT_MAX,
    MODULE_COMPILES_PER_USER_MAX,
};
use lotmq_core::tenant::Tenant;

use blocking_pool::{BlockingPool, BlockingReadError};
use job::{CommandCaller, Job};
use shares::{CommandRoom, CommandShares};
use stored::Stored;
use user_places::{NoUserPlace, UserPlace, UserPlaces};
use work::Load;

/// First number of the queues of uploads whose bytes have come: each has its own, so that its
/// Client can give commands meanwhile.
const UPLOAD_QUEUES: u64 = 1 << 62;

/// First number of the queues of callers without a session or definition: each command has its own.
const PRINCIPAL_QUEUES: u64 = 1 << 61;

/// Error: too many commands wait already.
#[derive(Debug)]
pub(crate) struct Busy;

/// Queues of commands, with the state that commands share.
#[derive(Default)]
pub struct Commands {
    state: Mutex<State>,
    ready: Condvar,
    /// Lock of changes of entities, accounts and variables, held until the change is on the disk:
    /// they are serialised (commands reference §1.9).
    pub changes: Mutex<()>,
    /// State of waiting for changes to come to the disk.
    pub(crate) stored: Stored,
    /// Modules of which native code is made on other threads.
    compiles: ModuleCompiles,
    /// Reads of the store on other threads.
    blocking_pool: BlockingPool,
    /// Sessions whose own password is being set by their command, which has not been answered.
    setting_own_password: Mutex<Vec<u64>>,
}

/// Modules of which native code is made.
struct ModuleCompiles(Arc<UserPlaces>);

impl Default for ModuleCompiles {
    fn default() -> Self {
        let (tenant, owner) = (MODULE_COMPILES_PER_TENANT_MAX, MODULE_COMPILES_PER_USER_MAX);
        Self(UserPlaces::new(QuotaLevels { all: MODULE_COMPILES_MAX, tenant, owner }))
    }
}

/// Error: too many modules are being compiled.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("Native code of {0} is being made, cancelled ones included. Try again later.")]
pub(crate) struct NoCompilePlace(NoUserPlace);

/// Guard for a session that waits for the answer to the command which sets its own password.
pub struct OwnPassword<'a> {
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
    /// Commands by the number of their queue.
    queues: HashMap<u64, VecDeque<Waiting>>,
    /// Queues none of whose commands runs, by tenant and user.
    ready: OwnerTurns<Ready>,
    shares: CommandShares,
    /// Number of the next queue of its own.
    next_queue: u64,
    is_stopping: bool,
}

/// Command that waits or runs.
struct Waiting {
    owner: OwnerKey,
    load: Load,
    room: CommandRoom,
    /// `None` while it runs.
    job: Option<Job>,
}

/// Queue whose first command may begin, as far as that depends on its Client.
struct Ready {
    queue: u64,
    load: Load,
}

impl Commands {
    /// Takes a command.
    ///
    /// # Errors
    /// [`Busy`]; the command is not executed.
    pub(crate) fn submit(&self, job: Job) -> Result<(), Busy> {
        let CommandCaller { tenant, identity, .. } = &job.caller;
        let is_of_admin = tenant.users.account_of(identity);
        let is_of_admin = is_of_admin.is_some_and(|account| account.is_admin());
        let (key, load) = (job.queue, Load { is_of_admin, ..job.load });
        let room = CommandRoom { bytes: job.payload.len(), is_own_password: job.is_own_password };
        let owner = identity.owner_key(tenant.number);
        let mut state = self.state.lock();
        let of_client = state.queues.get(&key).map_or(0, VecDeque::len);
        if of_client >= COMMANDS_WAITING_PER_CLIENT_MAX
            || !state.shares.have(room, owner)
            || state.is_stopping
        {
            return Err(Busy);
        }
        state.shares.enter(owner, room);
        let queue = state.queues.entry(key).or_default();
        let is_ready = queue.is_empty();
        queue.push_back(Waiting { owner, load, room, job: Some(job) });
        if is_ready {
            state.ready.push(owner, Ready { queue: key, load });
            drop(state);
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Whether there is a place for one more command of somebody.
    pub(crate) fn has_place(&self, tenant: &Tenant, identity: &Identity) -> bool {
        let room = CommandRoom { bytes: 0, is_own_password: false };
        self.state.lock().shares.have(room, identity.owner_key(tenant.number))
    }

    /// Takes a place for a module of somebody, of which native code is to be made.
    ///
    /// # Errors
    /// [`NoCompilePlace`].
    pub(crate) fn compile_place(
        &self,
        tenant: &Tenant,
        identity: &Identity,
    ) -> Result<UserPlace, NoCompilePlace> {
        self.compiles.0.begin(identity.owner_key(tenant.number)).map_err(NoCompilePlace)
    }

    /// Does work of somebody that waits for the disk on a thread of its own, as long as it goes on.
    ///
    /// # Errors
    /// [`BlockingReadError`].
    pub(crate) fn read_blocking<T: Send + 'static>(
        &self,
        (tenant, identity): (&Tenant, &Identity),
        pulses: &Heartbeats,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingReadError> {
        self.blocking_pool.read(identity.owner_key(tenant.number), pulses, work)
    }

    /// Number of a queue for the command of an upload.
    pub(crate) fn upload_queue(&self) -> u64 {
        UPLOAD_QUEUES | self.next_queue()
    }

    /// Number of a queue for the command of a caller without a session.
    pub(crate) fn principal_queue(&self) -> u64 {
        PRINCIPAL_QUEUES | self.next_queue()
    }

    fn next_queue(&self) -> u64 {
        let mut state = self.state.lock();
        state.next_queue += 1;
        state.next_queue
    }

    /// Number of commands that wait or run.
    pub fn waiting(&self) -> usize {
        self.state.lock().shares.waiting()
    }

    /// Spares a session that sets its own password until it has been answered. Of a session one
    /// command runs at a time, so it is in the list once.
    pub fn sets_own_password(&self, session: u64) -> OwnPassword<'_> {
        self.setting_own_password.lock().push(session);
        OwnPassword { commands: self, session }
    }

    /// Whether the session still waits for the answer to a command that sets its user's own
    /// password.
    pub(crate) fn is_setting_own_password(&self, session: u64) -> bool {
        self.setting_own_password.lock().contains(&session)
    }

    /// Whether the threads have to end.
    pub fn is_stopping(&self) -> bool {
        self.state.lock().is_stopping
    }

    /// Lets the threads end after the commands that run now, and drops those that wait: a caller in
    /// this process waits no longer for the answer.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.is_stopping = true;
        state.queues.values_mut().flatten().for_each(|waiting| waiting.job = None);
        drop(state);
        self.ready.notify_all();
    }

    /// Waits for the next command that may run; `None` when it is time to end. The command stays at
    /// the head of its queue, so that no other of its Client starts, until [`Commands::done`].
    pub(crate) fn next(&self, pulse: &Heartbeat) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.is_stopping {
                return None;
            }
            if let Some(job) = state.begin_next() {
                // A command that has ended may have made room for more than one.
                if !state.ready.is_empty() {
                    self.ready.notify_one();
                }
                return Some(job);
            }
            self.ready.wait_until(&mut state, pulse.waits_one_beat(Instant::now()));
        }
    }

    /// Ends the command of a queue that runs. The thread that calls it goes on with
    /// [`Commands::next`], so that it takes what may begin now.
    pub(crate) fn done(&self, key: u64) {
        self.state.lock().end(key);
    }
}

impl State {
    /// Takes the command whose turn it is, of those that may begin.
    fn begin_next(&mut self) -> Option<Job> {
        let Self { ready, shares, .. } = self;
        let Ready { queue, load } = ready.take(|owner, line| {
            let admits = shares.admission(owner);
            let at = line.iter().position(|ready| admits(ready.load))?;
            line.remove(at)
        })?;
        let head = self.queues.get_mut(&queue)?.front_mut()?;
        self.shares.begins(head.owner, load);
        head.job.take()
    }

    fn end(&mut self, key: u64) {
        let Some(queue) = self.queues.get_mut(&key) else { return };
        let Some(Waiting { owner, load, room, .. }) = queue.pop_front() else { return };
        self.shares.ends(owner, load, room);
        match queue.front() {
            Some(head) => self.ready.push(head.owner, Ready { queue: key, load: head.load }),
            None => drop(self.queues.remove(&key)),
        }
    }
}
